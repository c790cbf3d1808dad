//! The HTTP API, metrics and health. Every error is a problem document (RFC 9457).

mod health;
mod keys;
mod members;
mod monitors;
mod problem;
mod status;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use http::{StatusCode, header};
use store::Store;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Hub;
use crate::tls::Accepted;
use problem::Problem;

/// The largest request body.
const MAX_BODY_BYTES: usize = 64 << 10;

type Shared<S> = State<Arc<Hub<S>>>;

pub(crate) use keys::admin_key_file;

/// Connections for the API.
pub(crate) struct Listener {
    incoming: mpsc::Receiver<Accepted>,
    address: SocketAddr,
}

impl Listener {
    pub(crate) const fn new(incoming: mpsc::Receiver<Accepted>, address: SocketAddr) -> Self {
        Self { incoming, address }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Accepted;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Accepted, SocketAddr) {
        match self.incoming.recv().await {
            Some(connection) => {
                let address = connection.address();
                (connection, address)
            }
            // Nothing comes any more: the coordinator leaves.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Serves the API until `shutdown` fires.
pub(crate) async fn serve<S: Store>(
    hub: Arc<Hub<S>>,
    listener: Listener,
    open_metrics: bool,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(hub, open_metrics))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

fn router<S: Store>(hub: Arc<Hub<S>>, open_metrics: bool) -> Router {
    let metrics = get(metrics::<S>);
    let mut guarded = Router::new()
        .route(
            "/api/v1/monitors",
            get(monitors::list::<S>).post(monitors::post::<S>),
        )
        .route(
            "/api/v1/monitors/{id}",
            get(monitors::show::<S>)
                .put(monitors::put::<S>)
                .delete(monitors::delete::<S>),
        )
        .route("/api/v1/monitors/{id}/status", get(status::monitor::<S>))
        .route("/api/v1/agents", get(status::agents::<S>))
        .route("/api/v1/agents/{id}/revoke", post(members::revoke::<S>))
        .route("/api/v1/tokens", post(members::create_token::<S>))
        .route("/api/v1/keys", get(keys::list::<S>).post(keys::create::<S>))
        .route("/api/v1/keys/{id}", delete(keys::delete::<S>));
    let mut open = Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready::<S>))
        .route("/health", get(health::health::<S>));
    if open_metrics {
        open = open.route("/metrics", metrics);
    } else {
        guarded = guarded.route("/metrics", metrics);
    }
    let guard = axum::middleware::from_fn_with_state(Arc::clone(&hub), keys::guard::<S>);
    guarded
        .method_not_allowed_fallback(wrong_method)
        .layer(guard)
        .merge(open.method_not_allowed_fallback(wrong_method))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(hub)
}

async fn metrics<S: Store>(State(hub): Shared<S>) -> Response {
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    crate::metrics::render(&hub).map_or_else(
        |_| Problem::internal("metrics cannot be written").into_response(),
        |text| ([(header::CONTENT_TYPE, media)], text).into_response(),
    )
}

async fn unknown() -> Problem {
    let detail = "no such resource; the API begins at /api/v1/monitors";
    Problem::new(StatusCode::NOT_FOUND, "not-found", detail)
}

async fn wrong_method() -> Problem {
    let detail = "the resource does not support this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}
