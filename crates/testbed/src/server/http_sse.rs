//! The 2024-11-05 transport: answers travel on the stream that `GET` opened.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Query, State as Extract};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::sync::mpsc;

use super::streamable::{empty, turned_away};
use super::{State, answer};

/// Answers that may wait on one stream.
const QUEUE: usize = 64;

/// The open streams.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    state: Arc<State>,
    next: Arc<AtomicU64>,
    open: Arc<Mutex<BTreeMap<String, mpsc::Sender<Bytes>>>>,
}

impl Streams {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self {
            state,
            next: Arc::default(),
            open: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, mpsc::Sender<Bytes>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a stream when its response is dropped.
struct Forget {
    streams: Streams,
    id: String,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.id);
        self.streams.state.log.stream_closed();
    }
}

pub(crate) async fn open(Extract(streams): Extract<Streams>) -> Response {
    let script = streams.state.scripted.now();
    streams.state.log.request("GET");
    tokio::time::sleep(script.delay()).await;
    if let Some(status) = script.status {
        return turned_away(status, &script);
    }
    let id = streams.next.fetch_add(1, Ordering::SeqCst).to_string();
    let (sender, receiver) = mpsc::channel(QUEUE);
    let first = format!("event: endpoint\ndata: /message?sessionId={id}\n\n");
    // A fresh queue has room.
    let _ = sender.try_send(Bytes::from(first));
    streams.lock().insert(id.clone(), sender);
    streams.state.log.stream_opened();
    let forget = Forget { streams, id };
    let body = futures_util::stream::unfold((receiver, forget), async |(mut receiver, forget)| {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(bytes), (receiver, forget)))
    });
    let response = Response::builder().header("content-type", "text/event-stream");
    response
        .body(Body::from_stream(body.boxed()))
        .unwrap_or_else(|_| empty(500))
}

pub(crate) async fn message(
    Extract(streams): Extract<Streams>,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    let script = streams.state.scripted.now();
    let request: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let name = request["method"].as_str().unwrap_or("response").to_owned();
    streams.state.log.request(&name);
    tokio::time::sleep(script.delay()).await;
    if let Some(status) = script.status_on.get(&name).copied().or(script.status) {
        return turned_away(status, &script);
    }
    let stream = query
        .get("sessionId")
        .and_then(|id| streams.lock().get(id).cloned());
    let Some(stream) = stream else {
        return empty(404);
    };
    if !script.hang_on.contains(&name)
        && let Some(answer) = answer::to(&request, false, "2024-11-05", &script)
    {
        let event = format!("event: message\ndata: {answer}\n\n");
        // A reader that went away has no use for the answer.
        let _ = stream.send(Bytes::from(event)).await;
    }
    let response = Response::builder().status(202);
    response
        .body(Body::from("Accepted"))
        .unwrap_or_else(|_| empty(500))
}
