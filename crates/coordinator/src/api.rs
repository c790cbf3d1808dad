//! The HTTP API, metrics and health. Every error is a problem document (RFC 9457).

mod health;
mod monitors;
mod problem;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Hub;
use problem::Problem;

/// The largest request body.
const MAX_BODY_BYTES: usize = 64 << 10;

type Shared<S> = State<Arc<Hub<S>>>;

/// Serves the API until `shutdown` fires.
pub(crate) async fn serve<S: Store>(
    hub: Arc<Hub<S>>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(hub))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

fn router<S: Store>(hub: Arc<Hub<S>>) -> Router {
    Router::new()
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
        .route("/metrics", get(metrics::<S>))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready::<S>))
        .route("/health", get(health::health::<S>))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
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
