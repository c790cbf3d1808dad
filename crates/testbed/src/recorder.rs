//! A reverse proxy that counts what a client leaves behind at a server: sessions and streams.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::listen::{self, Listening};

/// The largest request that is passed on.
const MAX_REQUEST_BYTES: usize = 4 << 20;

/// A running recorder. Dropping it stops it.
#[derive(Debug)]
pub struct Recorder {
    listening: Listening,
    tally: Arc<Tally>,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Tally {
    sessions: Mutex<BTreeMap<String, Option<u16>>>,
    requests: AtomicU64,
    streams_opened: AtomicU64,
    streams_closed: AtomicU64,
}

impl Recorder {
    /// Starts a recorder in front of `upstream`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(bind: SocketAddr, upstream: SocketAddr) -> std::io::Result<Self> {
        let tally = Arc::new(Tally::default());
        let router = Router::new()
            .fallback(pass)
            .with_state((Arc::clone(&tally), upstream));
        let listening = listen::serve(bind, None, router).await?;
        Ok(Self { listening, tally })
    }

    /// The address that stands for the server.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// What was counted so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Tally {
    /// Requests that were passed on.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Session ids that a 2xx `initialize` brought.
    #[must_use]
    pub fn sessions_opened(&self) -> usize {
        self.sessions().len()
    }

    /// Sessions whose `DELETE` was not answered with 2xx or 405, or never came.
    #[must_use]
    pub fn sessions_left(&self) -> Vec<String> {
        let given_back = |status: u16| status == 405 || (200..300).contains(&status);
        let sessions = self.sessions();
        let left = sessions
            .iter()
            .filter(|(_, status)| !status.is_some_and(given_back));
        left.map(|(id, _)| id.clone()).collect()
    }

    /// `GET` streams that were opened, and of those the closed ones.
    #[must_use]
    pub fn streams(&self) -> (u64, u64) {
        (
            self.streams_opened.load(Ordering::SeqCst),
            self.streams_closed.load(Ordering::SeqCst),
        )
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<String, Option<u16>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pass(
    State((tally, upstream)): State<(Arc<Tally>, SocketAddr)>,
    request: Request<Body>,
) -> Response {
    match forward(&tally, upstream, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(%error, "recorder");
            let mut response = Response::new(Body::from("the recorder cannot reach its upstream"));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

async fn forward(
    tally: &Arc<Tally>,
    upstream: SocketAddr,
    request: Request<Body>,
) -> anyhow::Result<Response> {
    tally.requests.fetch_add(1, Ordering::SeqCst);
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_REQUEST_BYTES).await?;
    let method = parts.method.clone();
    let session = parts
        .headers
        .get("mcp-session-id")
        .and_then(|v| v.to_str().ok());
    let session = session.map(str::to_owned);
    let initializes = serde_json::from_slice::<serde_json::Value>(&body)
        .is_ok_and(|message| message["method"] == "initialize");
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "recorder upstream");
        }
    });
    let response = sender
        .send_request(Request::from_parts(parts, Full::new(body)))
        .await?;
    let (head, body) = response.into_parts();
    if initializes
        && head.status.is_success()
        && let Some(id) = head
            .headers
            .get("mcp-session-id")
            .and_then(|v| v.to_str().ok())
    {
        tally.sessions().entry(id.to_owned()).or_default();
    }
    if method == Method::DELETE
        && let Some(id) = session
        && let Some(answer) = tally.sessions().get_mut(&id)
    {
        *answer = Some(head.status.as_u16());
    }
    let is_stream = method == Method::GET && head.status.is_success();
    let counted = is_stream.then(|| {
        tally.streams_opened.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(tally))
    });
    let body = Watched {
        body,
        _sender: sender,
        counted,
    };
    Ok(Response::from_parts(head, Body::new(body)))
}

/// Counts a stream as closed when it is dropped.
struct Counted(Arc<Tally>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.streams_closed.fetch_add(1, Ordering::SeqCst);
    }
}

/// A response body that holds its upstream connection, so that both end together.
struct Watched {
    body: Incoming,
    _sender: http1::SendRequest<Full<Bytes>>,
    counted: Option<Counted>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.counted = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
