//! The connections of one probe: opened when needed, used again when free, gone with the probe.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dial::{Alpn, DialError, Dialer, Endpoint, Io, Origin, Progress};
use http::HeaderMap;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::{Phase, Reason};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::body::Told;
use crate::fault::{self, Fault};
use crate::h3;
use crate::meter::{Meter, Metered};
use crate::network::{HostHeader, Network};
use crate::seen::{Facts, Seen};
use crate::stamp::{FirstByte, Gauge, Stamped};

/// Connections that one probe may open in all: one per request where a server closes each, which
/// the limits of pages and calls bound. Few of them live at a time.
pub const MAX_CONNECTIONS: u32 = 256;
/// The largest response head over HTTP/1.1.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Header lines of a response over HTTP/1.1.
const MAX_HEADERS: usize = 100;
/// The largest response head over HTTP/2 and HTTP/3.
pub(crate) const MAX_HEADER_LIST_BYTES: u32 = 32 << 10;
/// How long a used connection may take to become ready again.
const READY: Duration = Duration::from_millis(50);

/// A connection that can take a request.
pub(crate) enum Sender {
    /// One request at a time.
    H1(http1::SendRequest<Told>, FirstByte),
    /// Many at once.
    H2(http2::SendRequest<Told>),
    /// Many at once, over QUIC.
    H3(h3::Sender),
}

impl Sender {
    /// When it wrote and read, where it is for one request at a time.
    pub(crate) const fn stamp(&self) -> Option<&FirstByte> {
        match self {
            Self::H1(_, stamp) => Some(stamp),
            Self::H2(_) | Self::H3(_) => None,
        }
    }
}

/// The connections of one probe.
pub(crate) struct Link {
    pub(crate) dialer: Dialer,
    pub(crate) endpoint: Endpoint,
    pub(crate) origin: Origin,
    alpn: Alpn,
    host: Option<HostHeader>,
    /// What its connections have read and may read.
    pub(crate) meter: Meter,
    /// Why the last connection that failed did.
    ended: Arc<watch::Sender<Option<Fault>>>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    idle: Vec<Sender>,
    opened: u32,
    pub(crate) seen: Seen,
    /// Drives the connections; dropped with the probe, which closes them.
    drivers: JoinSet<()>,
}

impl Link {
    pub(crate) fn new(
        dialer: Dialer,
        endpoint: Endpoint,
        origin: Origin,
        alpn: Alpn,
        network: &Network,
    ) -> Self {
        let state = State {
            seen: Seen::new(&endpoint, network),
            ..State::default()
        };
        Self {
            dialer,
            endpoint,
            origin,
            alpn,
            host: network.host.clone(),
            meter: Meter::new(mcp::limits::MAX_PROBE_BYTES),
            ended: Arc::new(watch::Sender::new(None)),
            state: Mutex::new(state),
        }
    }

    /// What stands in `Host` instead of the URL's host and port.
    pub(crate) const fn host(&self) -> Option<&HostHeader> {
        self.host.as_ref()
    }

    /// What the headers of a response say of who answered.
    pub(crate) fn observe(&self, headers: &HeaderMap) {
        self.state().seen.observe(headers);
    }

    /// Whether the server resumes the TLS session of the first connection, tried on a connection of
    /// its own within `patience`.
    pub(crate) async fn try_resumption(&self, patience: Duration) {
        let (session, known) = {
            let state = self.state();
            (state.seen.session(), state.seen.known())
        };
        let Some(session) = session.filter(|session| session.tickets() > 0) else {
            return;
        };
        let began = Mutex::new(None);
        let watch = |progress: Progress<'_>| {
            if let Progress::Phase(Phase::Tls) = progress {
                let mut began = began.lock().unwrap_or_else(PoisonError::into_inner);
                *began = Some(crate::clock::now());
            }
        };
        let resuming = self
            .dialer
            .resume(&self.endpoint, self.origin, &session, &known, &watch);
        let resumed = tokio::time::timeout(patience, resuming).await;
        let ended = crate::clock::now();
        if let Ok(Ok(is_resumed)) = resumed {
            let began = *began.lock().unwrap_or_else(PoisonError::into_inner);
            let took = began.map(|began| ended.saturating_duration_since(began));
            self.state().seen.resumed(is_resumed, took);
        }
    }

    /// Closes what is open, and tells what was seen.
    pub(crate) async fn close(&self) -> Facts {
        let (idle, mut drivers) = {
            let mut state = self.state();
            (
                std::mem::take(&mut state.idle),
                std::mem::take(&mut state.drivers),
            )
        };
        for sender in idle {
            if let Sender::H3(sender) = sender {
                sender.close(READY).await;
            }
        }
        drivers.shutdown().await;
        self.state().seen.facts()
    }

    /// A connection that can take a request: a used one where one is free, else a new one, whose
    /// phases are told to `phase`. And whether it was used before.
    pub(crate) async fn checkout(
        &self,
        phase: &(dyn Fn(Phase) + Send + Sync),
    ) -> Result<(Sender, bool), Fault> {
        while let Some(sender) = self.take_idle() {
            if let Some(sender) = ready(sender).await {
                return Ok((sender, true));
            }
        }
        Ok((self.open(phase).await?, false))
    }

    /// Gives a connection back after a complete exchange.
    pub(crate) fn checkin(&self, sender: Sender) {
        self.state().idle.push(sender);
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut state = self.state();
        match state.idle.last() {
            Some(Sender::H2(sender)) if !sender.is_closed() => Some(Sender::H2(sender.clone())),
            Some(Sender::H3(sender)) if !sender.is_closed() => Some(Sender::H3(sender.clone())),
            Some(Sender::H1(..) | Sender::H2(_) | Sender::H3(_)) => state.idle.pop(),
            None => None,
        }
    }

    async fn open(&self, phase: &(dyn Fn(Phase) + Send + Sync)) -> Result<Sender, Fault> {
        let known = {
            let mut state = self.state();
            if state.opened == MAX_CONNECTIONS {
                return Err(Fault {
                    reason: Reason::BudgetExceeded,
                    detail: format!("the probe needed more than {MAX_CONNECTIONS} connections"),
                });
            }
            state.opened += 1;
            state.seen.known()
        };
        let watch = |progress: Progress<'_>| match progress {
            Progress::Phase(begun) => phase(begun),
            Progress::Resolved(resolution) => self.state().seen.resolved(resolution),
            Progress::Connected(address) => self.state().seen.connected(address),
        };
        if self.alpn == Alpn::Http3 {
            let sender = h3::open(self, &known, &watch, phase).await?;
            self.checkin(Sender::H3(sender.clone()));
            return Ok(Sender::H3(sender));
        }
        let dialed = self
            .dialer
            .dial(&self.endpoint, self.origin, self.alpn, &known, &watch)
            .await;
        let connection = dialed.map_err(|error| self.refused(error))?;
        let is_h2 = connection
            .tls
            .as_ref()
            .is_some_and(|tls| tls.alpn.as_deref() == Some("h2"));
        let gauge = self.state().seen.opened(&connection, is_h2);
        self.handshake(connection.io, is_h2, gauge).await
    }

    /// A connection that did not come about.
    pub(crate) fn refused(&self, error: DialError) -> Fault {
        let fault = Fault {
            reason: error.reason,
            detail: error.detail.clone(),
        };
        self.state().seen.refused(error);
        fault
    }

    async fn handshake(&self, io: Io, is_h2: bool, gauge: Gauge) -> Result<Sender, Fault> {
        let failed = |error: hyper::Error| fault::of_http(&error, false);
        let io = Metered {
            io,
            meter: self.meter.clone(),
        };
        let first_byte = FirstByte::new(crate::clock::now());
        let io = Stamped {
            io,
            first_byte: first_byte.clone(),
            gauge,
            is_dirty: false,
        };
        if is_h2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .max_header_list_size(MAX_HEADER_LIST_BYTES)
                .handshake(TokioIo::new(io))
                .await
                .map_err(failed)?;
            self.drive(connection);
            self.checkin(Sender::H2(sender.clone()));
            return Ok(Sender::H2(sender));
        }
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(io))
            .await
            .map_err(failed)?;
        self.drive(connection);
        Ok(Sender::H1(sender, first_byte))
    }

    fn drive(&self, connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
        self.watch_over(async {
            let error = connection.await.err()?;
            tracing::trace!(%error, "connection ended");
            Some(fault::of_http(&error, false))
        });
    }

    /// Lets `driver` run for as long as the probe lasts; it tells why its connection failed.
    pub(crate) fn watch_over(&self, driver: impl Future<Output = Option<Fault>> + Send + 'static) {
        let ended = Arc::clone(&self.ended);
        self.state().drivers.spawn(async move {
            // The exchange on the connection learns of the failure too, and reports it; but one that
            // finds the connection closed already learns only that.
            if let Some(fault) = driver.await {
                ended.send_replace(Some(fault));
            }
        });
    }

    /// Why a connection ended that was closed before it took a request, if that becomes known.
    pub(crate) async fn why_ended(&self) -> Option<Fault> {
        let mut ended = self.ended.subscribe();
        let told = tokio::time::timeout(READY, ended.wait_for(Option::is_some)).await;
        told.ok()?.ok()?.clone()
    }

    /// What a failure means at a server that asked for a client certificate and got none. In TLS
    /// 1.3 it refuses only after the handshake, and its reset may overtake its alert.
    pub(crate) fn sharpen(&self, fault: Fault) -> Fault {
        let is_cut = matches!(fault.reason, Reason::TcpReset | Reason::HttpConnClosed);
        if !(is_cut && self.state().seen.lacks_certificate()) {
            return fault;
        }
        Fault {
            reason: Reason::TlsHandshake,
            detail: format!(
                "the server asked for a client certificate, got none, and closed: {}",
                fault.detail
            ),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection, once it can take a request; `None` if it cannot any more.
async fn ready(sender: Sender) -> Option<Sender> {
    match sender {
        Sender::H1(mut sender, first_byte) => {
            let ready = tokio::time::timeout(READY, sender.ready()).await;
            matches!(ready, Ok(Ok(()))).then_some(Sender::H1(sender, first_byte))
        }
        // What QUIC knows of the connection was asked already.
        Sender::H3(sender) => Some(Sender::H3(sender)),
        Sender::H2(mut sender) => {
            let ready = tokio::time::timeout(READY, sender.ready()).await;
            matches!(ready, Ok(Ok(()))).then_some(Sender::H2(sender))
        }
    }
}
