//! The HTTP API, metrics and health. Every error is a problem document (RFC 9457).

mod body;
mod contract;
mod credential;
mod health;
mod keys;
mod members;
mod monitors;
mod openapi;
mod operation;
mod peers;
mod probes;
mod problem;
mod routes;
mod status;
mod summary;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use http::{StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use store::Store;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Hub;
use crate::tls::Accepted;
use openapi::Document;
use problem::Problem;

/// The largest request body.
const MAX_BODY_BYTES: usize = 64 << 10;

type Shared<S> = State<Arc<Hub<S>>>;

pub(crate) use keys::admin_key_file;
pub(crate) use openapi::Time;

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);
/// How long the body of a request may take: 64 KiB over any line.
const BODY: Duration = Duration::from_secs(30);
/// What a connection of HTTP/1.1 may have read and not handled: the largest head.
const HEAD_BYTES: usize = 64 << 10;
/// The largest head of HTTP/2, as RFC 9113 section 6.5.2 counts it.
const HEAD_LIST_BYTES: u32 = 32 << 10;
/// Headers of one request.
const HEADERS: usize = 100;
/// Requests at once of one connection of HTTP/2; their answers lie in memory until they are read.
const STREAMS: u32 = 100;

/// Serves the API until `shutdown` fires, and what is being answered then.
pub(crate) async fn serve<S: Store>(
    hub: Arc<Hub<S>>,
    mut incoming: mpsc::Receiver<Accepted>,
    open_metrics: bool,
    shutdown: CancellationToken,
) {
    let service = TowerToHyperService::new(router(hub, open_metrics));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD)
        .max_header_list_size(HEAD_LIST_BYTES)
        .max_concurrent_streams(STREAMS);
    let graceful = GracefulShutdown::new();
    loop {
        let connection = tokio::select! {
            () = shutdown.cancelled() => break,
            connection = incoming.recv() => match connection {
                Some(connection) => connection,
                None => break,
            },
        };
        let io = TokioIo::new(connection);
        let served = builder.serve_connection(io, service.clone()).into_owned();
        let served = graceful.watch(served);
        tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "an API connection");
            }
        });
    }
    graceful.shutdown().await;
}

fn router<S: Store>(hub: Arc<Hub<S>>, open_metrics: bool) -> Router {
    let operations = routes::operations(open_metrics);
    let document = Document::of(&operations);
    let (mut guarded, mut open) = (Router::new(), Router::new());
    for operation in operations {
        let routes = if operation.is_open {
            &mut open
        } else {
            &mut guarded
        };
        *routes = std::mem::take(routes).route(operation.path, operation.handler);
    }
    let guard = axum::middleware::from_fn_with_state(Arc::clone(&hub), keys::guard::<S>);
    guarded
        .method_not_allowed_fallback(wrong_method)
        .layer(guard)
        .merge(open.method_not_allowed_fallback(wrong_method))
        .fallback(unknown)
        .layer(Extension(document))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::map_request(body::within_its_time))
        .with_state(hub)
}

async fn metrics<S: Store>(State(hub): Shared<S>) -> Response {
    crate::metrics::render(&hub).map_or_else(
        |_| Problem::internal("metrics cannot be written").into_response(),
        |text| ([(header::CONTENT_TYPE, routes::OPENMETRICS)], text).into_response(),
    )
}

async fn unknown() -> Problem {
    let detail = "no such resource; the API begins at /api/v1";
    Problem::new(StatusCode::NOT_FOUND, "not-found", detail)
}

async fn wrong_method() -> Problem {
    let detail = "the resource does not support this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}
