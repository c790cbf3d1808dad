//! The agent over HTTP: `/probe`, which runs one probe now and answers with its metrics, as
//! `blackbox_exporter` does, and `/metrics` of the agent itself.
//!
//! Whoever may ask `/probe` decides where this host connects to. So it listens nowhere unless it is
//! told to, elsewhere than on loopback with TLS and a token; targets are of remote origin, to which
//! only this host's allow list opens private addresses; a module's headers go to its own targets;
//! and web pages that a browser on this host shows may not ask at all ([`guard`]).
//!
//! Bounds: [`CONNECTIONS`], heads by [`HEAD`] and [`HEAD_BYTES`], bodies are not read, probes by
//! [`probing::PROBES`] and by their time.

mod blackbox;
mod current;
mod guard;
mod listen;
mod of_mcp;
mod own;
mod page;
mod probing;
mod sparing;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use dial::Dialer;
use http::{HeaderMap, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use model::{Outcome, Report};
use telemetry::signal::Hangup;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::origins::Origins;
use crate::telling::Telling;
use current::{Current, InForce};
pub(crate) use listen::Listener;
use page::Format;
use probing::Eras;

/// Connections at once; then the next ones wait in the kernel.
const CONNECTIONS: usize = 128;
/// How long the head of a request may take, and a connection may be idle.
const HEAD: Duration = Duration::from_secs(30);
/// The largest head: a target of 2 KiB, three bytes for each of its own, and headers.
const HEAD_BYTES: usize = 16 << 10;
/// Headers of one request.
const HEADERS: usize = 64;
/// How long probes and answers may take when the agent stops: a session is closed within 5 s.
const DRAIN: Duration = Duration::from_secs(6);

/// What requests share.
pub(crate) struct Served {
    current: Arc<Current>,
    dialer: Dialer,
    /// Whom owners of targets can write to.
    contact: probe::Contact,
    telling: Arc<Telling>,
    /// What is asked of origins, by the schedule too.
    origins: Arc<Origins>,
    eras: Mutex<Eras>,
    /// Places for probes.
    places: Arc<Semaphore>,
    /// Probes that run, also those that nobody waits for any more.
    running: TaskTracker,
    /// Fires when the agent stops.
    stopping: CancellationToken,
    /// When the process began.
    began: jiff::Timestamp,
    /// Requests to `/probe` that ran none, by status.
    refused: [(&'static str, AtomicU64); 5],
    /// Those that ran none because their target was spared, by cause.
    spared: [AtomicU64; 3],
}

/// A probe that was run.
pub(crate) struct Ran {
    report: Report,
    /// The budget that it had, closing aside.
    limit: Duration,
    /// From begin to end, closing and the prober's own time included.
    took_us: u64,
}

impl Ran {
    /// What degrades is no failure, here as in the exit status of `parallax probe`.
    const fn is_success(&self) -> bool {
        match self.report.outcome {
            Outcome::Ok | Outcome::Degraded { .. } => true,
            Outcome::Failed(_) | Outcome::Inconclusive { .. } => false,
        }
    }
}

impl Served {
    pub(crate) fn new(
        current: Arc<Current>,
        dialer: Dialer,
        contact: probe::Contact,
        (telling, origins): (Arc<Telling>, Arc<Origins>),
        stopping: CancellationToken,
    ) -> Self {
        Self {
            current,
            dialer,
            contact,
            telling,
            origins,
            eras: Mutex::default(),
            places: Arc::new(Semaphore::new(probing::PROBES)),
            running: TaskTracker::new(),
            stopping,
            began: telemetry::clock::wall(),
            refused: ["400", "401", "403", "500", "503"].map(|code| (code, AtomicU64::new(0))),
            spared: Default::default(),
        }
    }

    /// The settings that are in force.
    fn settings(&self) -> Arc<InForce> {
        self.current.in_force()
    }

    /// An answer that says why no probe ran.
    fn refuse(&self, status: StatusCode, sentence: &str) -> Response {
        let counted = self
            .refused
            .iter()
            .find(|(code, _)| *code == status.as_str());
        if let Some((_, count)) = counted {
            count.fetch_add(1, Ordering::Relaxed);
        }
        text(status, sentence)
    }
}

fn text(status: StatusCode, sentence: &str) -> Response {
    (status, format!("{sentence}\n")).into_response()
}

/// Serves until `stopping` fires, and what is being answered then.
pub(crate) async fn serve(listener: Listener, served: Served) {
    let served = Arc::new(served);
    let service = TowerToHyperService::new(router(Arc::clone(&served)));
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    let graceful = GracefulShutdown::new();
    follow(&served);
    let mut incoming = listener.accept(CONNECTIONS, served.stopping.clone());
    // A handshake that goes on is not waited for.
    let stopping = served.stopping.clone();
    while let Some(Some(connection)) = stopping.run_until_cancelled(incoming.recv()).await {
        let (io, permit) = connection.into_parts();
        let connection = builder.serve_connection(TokioIo::new(io), service.clone());
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the exporter");
            }
            drop(permit);
        });
    }
    served.running.close();
    let ended = async {
        served.running.wait().await;
        graceful.shutdown().await;
    };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        tracing::warn!("stopping with requests not answered");
    }
}

/// Reads the settings anew from now on, where that can be done.
fn follow(served: &Arc<Served>) {
    let Some(reread) = served.settings().http.reread.clone() else {
        return;
    };
    let hangup = match Hangup::listen() {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::error!(%error, "SIGHUP cannot be listened for: files are not read anew");
            return;
        }
    };
    let (current, stopping) = (Arc::clone(&served.current), served.stopping.clone());
    let served = Arc::clone(served);
    // A module may mean another server now.
    let taken = move || served.eras(|eras| *eras = Eras::default());
    tokio::spawn(current::follow(current, reread, hangup, taken, stopping));
}

fn router(served: Arc<Served>) -> Router {
    let guard = axum::middleware::from_fn_with_state(Arc::clone(&served), guard::guard);
    Router::new()
        .route("/probe", get(probing::probe))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(wrong_method)
        .layer(guard)
        .route("/livez", get(async || text(StatusCode::OK, "ok")))
        .fallback(unknown)
        .with_state(served)
}

async fn metrics(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    let format = Format::asked(&headers);
    page(format, own::render(&served, format))
}

fn page(format: Format, body: String) -> Response {
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

async fn unknown() -> Response {
    let sentence = "no such resource; there are /probe?target=URL&module=NAME, /metrics and /livez";
    text(StatusCode::NOT_FOUND, sentence)
}

async fn wrong_method() -> Response {
    text(StatusCode::METHOD_NOT_ALLOWED, "use GET")
}
