//! The connections of one probe: opened when needed, used again when free, gone with the probe.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dial::{Alpn, Dialer, Endpoint, Io, Origin};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::report::{ClientCertificate, Connection};
use model::{Phase, Reason};
use tokio::task::JoinSet;

use crate::body::Told;
use crate::fault::{self, Fault};
use crate::stamp::{FirstByte, Stamped};

/// Connections that one probe may open in all: one per request where a server closes each, which
/// the limits of pages and calls bound. Few of them live at a time.
pub const MAX_CONNECTIONS: u32 = 256;
/// The largest response head over HTTP/1.1.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Header lines of a response over HTTP/1.1.
const MAX_HEADERS: usize = 100;
/// The largest response head over HTTP/2.
const MAX_HEADER_LIST_BYTES: u32 = 32 << 10;
/// How long a used connection may take to become ready again.
const READY: Duration = Duration::from_millis(50);

/// A connection that can take a request.
pub(crate) enum Sender {
    /// One request at a time.
    H1(http1::SendRequest<Told>, FirstByte),
    /// Many at once.
    H2(http2::SendRequest<Told>),
}

/// The connections of one probe.
pub(crate) struct Link {
    dialer: Dialer,
    endpoint: Endpoint,
    origin: Origin,
    alpn: Alpn,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Sender>,
    opened: u32,
    known: Vec<IpAddr>,
    first: Option<Connection>,
    /// Whether any request was answered.
    is_answered: bool,

    /// Drives the connections; dropped with the probe, which closes them.
    drivers: JoinSet<()>,
}

impl Link {
    pub(crate) fn new(dialer: Dialer, endpoint: Endpoint, origin: Origin, alpn: Alpn) -> Self {
        Self {
            dialer,
            endpoint,
            origin,
            alpn,
            state: Mutex::default(),
        }
    }

    /// A connection that can take a request: a used one where one is free, else a new one, whose
    /// phases are told to `phase`.
    pub(crate) async fn checkout(
        &self,
        phase: &(dyn Fn(Phase) + Send + Sync),
    ) -> Result<Sender, Fault> {
        while let Some(sender) = self.take_idle() {
            if let Some(sender) = ready(sender).await {
                return Ok(sender);
            }
        }
        self.open(phase).await
    }

    /// Gives a connection back after a complete exchange.
    pub(crate) fn checkin(&self, sender: Sender) {
        self.state().idle.push(sender);
    }

    /// What is known of the first connection, also when it failed in TLS. That it goes through a
    /// proxy is known before all else.
    pub(crate) fn facts(&self) -> Option<Connection> {
        let first = self.state().first.clone();
        first.or_else(|| self.endpoint.proxy().map(|_| self.blank()))
    }

    /// A request was answered: whatever TLS asked for was enough.
    pub(crate) fn note_answer(&self) {
        self.state().is_answered = true;
    }

    /// What a failure means at a server that asked for a client certificate and got none. In TLS
    /// 1.3 it refuses only after the handshake, and its reset may overtake its alert.
    pub(crate) fn sharpen(&self, fault: Fault) -> Fault {
        let state = self.state();
        let tls = state.first.as_ref().and_then(|first| first.tls.as_ref());
        let is_missing =
            tls.is_some_and(|tls| tls.client_certificate == Some(ClientCertificate::Missing));
        let is_cut = matches!(fault.reason, Reason::TcpReset | Reason::HttpConnClosed);
        if !(is_missing && is_cut) || state.is_answered {
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

    fn blank(&self) -> Connection {
        Connection {
            proxy: self.endpoint.proxy().map(ToString::to_string),
            address: String::new(),
            resolved: Vec::new(),
            ttl_seconds: None,
            kernel_rtt_us: None,
            http_version: None,
            tls: None,
        }
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut state = self.state();
        match state.idle.last() {
            Some(Sender::H2(sender)) if !sender.is_closed() => Some(Sender::H2(sender.clone())),
            Some(Sender::H1(..) | Sender::H2(_)) => state.idle.pop(),
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
            state.known.clone()
        };
        let dialed = self
            .dialer
            .dial(&self.endpoint, self.origin, self.alpn, &known, phase)
            .await;
        let connection = dialed.map_err(|mut error| {
            self.note_failed(&mut error);
            Fault {
                reason: error.reason,
                detail: error.detail,
            }
        })?;
        let is_h2 = connection
            .tls
            .as_ref()
            .is_some_and(|tls| tls.alpn.as_deref() == Some("h2"));
        self.note(&connection, is_h2);
        self.handshake(connection.io, is_h2).await
    }

    /// What is known of a connection that did not come about is evidence too.
    fn note_failed(&self, error: &mut dial::DialError) {
        let mut state = self.state();
        if state.first.is_some() {
            return;
        }
        state.first = Some(Connection {
            address: error
                .address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            resolved: error.resolved.iter().map(IpAddr::to_string).collect(),
            ttl_seconds: error.ttl,
            tls: error.tls.take().map(|tls| *tls),
            ..self.blank()
        });
    }

    fn note(&self, connection: &dial::Connection, is_h2: bool) {
        let mut state = self.state();
        if state.first.is_some() {
            return;
        }
        state.known.clone_from(&connection.resolved);
        state.first = Some(Connection {
            address: connection.address.to_string(),
            resolved: connection.resolved.iter().map(IpAddr::to_string).collect(),
            ttl_seconds: connection.ttl,
            kernel_rtt_us: connection.kernel_rtt_us,
            http_version: Some(if is_h2 { "2" } else { "1.1" }.to_owned()),
            tls: connection.tls.clone(),
            ..self.blank()
        });
    }

    async fn handshake(&self, io: Io, is_h2: bool) -> Result<Sender, Fault> {
        let failed = |error: hyper::Error| fault::of_http(&error, false);
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
        let first_byte = FirstByte::new(crate::clock::now());
        let io = Stamped {
            io,
            first_byte: first_byte.clone(),
        };
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
        self.state().drivers.spawn(async move {
            // The exchange on the connection learns of the failure too, and reports it.
            if let Err(error) = connection.await {
                tracing::trace!(%error, "connection ended");
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
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
        Sender::H2(mut sender) => {
            let ready = tokio::time::timeout(READY, sender.ready()).await;
            matches!(ready, Ok(Ok(()))).then_some(Sender::H2(sender))
        }
    }
}
