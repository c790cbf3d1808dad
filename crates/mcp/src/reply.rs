//! Reads one HTTP response up to the point where the step has its answer.

mod read;

use std::time::Duration;

use model::{CheckId, Reason, Severity, Step};
use serde_json::Value;

use crate::exchange::Head;
use crate::findings::Findings;
use crate::jsonrpc::{self, Invalid, Message, Response};
use crate::limits::{MAX_BODY_BYTES, MAX_ERROR_BODY_BYTES, MAX_EVENTS};
use crate::sse;

/// What kind of answer the request calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// A response with this id.
    Response(i64),
    /// `202` to a notification, or to a message whose answer comes on another stream.
    Accepted,
    /// The 2024-11-05 event stream, which lives as long as the probe.
    Stream,
    /// Whatever the answer to `DELETE` is.
    Closed,
    /// Whatever the answer is; of an event stream its head.
    Anything,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: Head,
    /// The JSON-RPC response in it, if there is one that answers the request.
    pub(crate) response: Option<Response>,
    /// The begin of a body that is no message, escaped.
    pub(crate) excerpt: String,
    /// Whether the body has the looks of a web page.
    pub(crate) is_html: bool,
}

/// A response that cannot become an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
    pub(crate) check: Option<CheckId>,
}

impl Fault {
    pub(crate) fn new(reason: Reason, check: CheckId, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            check: Some(check),
        }
    }
}

/// A notification on a response stream.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) method: String,
    pub(crate) params: Value,
}

/// What a chunk brought.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The answer, once complete.
    pub(crate) reply: Option<Reply>,
    /// Requests of the server: id and method.
    pub(crate) server_requests: Vec<(Value, String)>,
    /// Notifications of the server.
    pub(crate) notifications: Vec<Note>,
    /// Events of the 2024-11-05 stream, in order.
    pub(crate) events: Vec<sse::Event>,
}

/// The state of one response.
#[derive(Debug)]
pub(crate) struct Reader {
    expect: Expect,
    step: Step,
    head: Option<Head>,
    body: Vec<u8>,
    received: usize,
    sse: Option<sse::Parser>,
    events: usize,
    foreign_id: Option<String>,
}

impl Reader {
    pub(crate) const fn new(expect: Expect, step: Step) -> Self {
        Self {
            expect,
            step,
            head: None,
            body: Vec::new(),
            received: 0,
            sse: None,
            events: 0,
            foreign_id: None,
        }
    }

    /// Bytes of a body that are kept.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) const fn held(&self) -> usize {
        self.body.len()
    }

    /// How many bytes of body came.
    pub(crate) const fn received(&self) -> usize {
        self.received
    }

    /// Whether this is a stream of which nothing is expected.
    pub(crate) fn is_listening(&self) -> bool {
        self.sse.is_some() && self.expect == Expect::Stream
    }

    /// From where a stream that closed early can be resumed, and how long to wait before.
    pub(crate) fn resumable(&self) -> Option<(&str, Option<Duration>)> {
        let parser = self.sse.as_ref()?;
        let id = parser.last_id();
        (!id.is_empty()).then(|| (id, parser.retry()))
    }

    /// The answer, where its head is all that is wanted: an event stream may never end.
    pub(crate) fn at_head(&self) -> Option<Reply> {
        let head = self.head.as_ref()?;
        let is_stream = head.media_type().as_deref() == Some("text/event-stream");
        (self.expect == Expect::Anything && is_stream).then(|| Reply {
            head: head.clone(),
            response: None,
            excerpt: String::new(),
            is_html: false,
        })
    }

    /// Whether the answer travels as an event stream.
    pub(crate) const fn is_stream(&self) -> bool {
        self.sse.is_some()
    }

    /// The head came.
    pub(crate) fn handle_head(&mut self, head: Head) {
        let media = head.media_type();
        let is_stream = media.as_deref() == Some("text/event-stream");
        let wants_stream = matches!(self.expect, Expect::Response(_) | Expect::Stream);
        if head.is_success() && is_stream && wants_stream {
            self.sse = Some(sse::Parser::new(MAX_BODY_BYTES));
        }
        self.head = Some(head);
    }

    /// A piece of the body came.
    pub(crate) fn handle_chunk(
        &mut self,
        chunk: &[u8],
        findings: &mut Findings,
    ) -> Result<Progress, Fault> {
        self.received = self.received.saturating_add(chunk.len());
        if self.sse.is_some() {
            return self.stream_chunk(chunk, findings);
        }
        let is_answer = matches!(self.expect, Expect::Response(_))
            && self.head.as_ref().is_some_and(Head::is_success);
        if is_answer && self.received > MAX_BODY_BYTES {
            return Err(too_large());
        }
        let limit = if is_answer {
            MAX_BODY_BYTES
        } else {
            MAX_ERROR_BODY_BYTES
        };
        let room = limit.saturating_sub(self.body.len());
        self.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        let mut progress = Progress::default();
        if !is_answer && room <= chunk.len() {
            progress.reply = Some(self.complete(findings)?);
        }
        Ok(progress)
    }

    /// The body ended.
    pub(crate) fn handle_end(&mut self, findings: &mut Findings) -> Result<Reply, Fault> {
        if self.sse.is_some() {
            return Err(match self.foreign_id.take() {
                Some(id) => mismatch(&id),
                None => Fault::new(
                    Reason::McpSseNoResponse,
                    CheckId::RpcEnvelope,
                    format!(
                        "the event stream ended after {} events without the answer",
                        self.events
                    ),
                ),
            });
        }
        self.complete(findings)
    }

    /// Time is up: the answer that can be had without the rest of the body, if the head says
    /// enough.
    pub(crate) fn give_up(&mut self, findings: &mut Findings) -> Option<Reply> {
        if !self.is_decided() {
            return None;
        }
        self.complete(findings).ok()
    }

    /// Whether the request was taken.
    pub(crate) fn is_accepted(&self) -> bool {
        self.head.as_ref().is_some_and(Head::is_success)
    }

    /// Whether the head alone says what the answer is: a refusal, or that a message was taken.
    pub(crate) fn is_decided(&self) -> bool {
        self.head.as_ref().is_some_and(|head| {
            !head.is_success()
                || matches!(
                    self.expect,
                    Expect::Accepted | Expect::Closed | Expect::Anything
                )
        })
    }

    fn complete(&mut self, findings: &mut Findings) -> Result<Reply, Fault> {
        let Some(head) = self.head.clone() else {
            return Err(Fault {
                reason: Reason::HttpConnClosed,
                detail: "the connection closed before the response".to_owned(),
                check: None,
            });
        };
        let is_html = looks_like_html(&head, &self.body);
        let mut reply = Reply {
            excerpt: model::text::line_of_bytes(self.body.trim_ascii(), 160),
            is_html,
            response: None,
            head,
        };
        if let Expect::Response(id) = self.expect {
            if reply.head.is_success() {
                reply.response = Some(self.read_answer(id, &reply, findings)?);
            } else if let Ok(body) = jsonrpc::parse(&self.body) {
                reply.response = body.messages.into_iter().find_map(|message| match message {
                    Message::Response(response) if response.outcome.is_err() => Some(response),
                    Message::Response(_)
                    | Message::Request { .. }
                    | Message::Notification { .. } => None,
                });
            }
        }
        Ok(reply)
    }
}

/// The messages in the data of one event.
pub(crate) fn stream_messages(data: &str) -> Result<Vec<Message>, Fault> {
    match jsonrpc::parse(data.as_bytes()) {
        Ok(body) => Ok(body.messages),
        Err(Invalid::TooLarge) => Err(too_large()),
        Err(Invalid::Json) => Err(Fault::new(
            Reason::McpJsonInvalid,
            CheckId::RpcEnvelope,
            format!(
                "the event's data is not JSON: {}",
                model::text::line(data, 120)
            ),
        )),
        Err(Invalid::Foreign(what) | Invalid::Envelope(what)) => Err(Fault::new(
            Reason::McpRpcInvalid,
            CheckId::RpcEnvelope,
            format!("the event is no JSON-RPC message ({what})"),
        )),
    }
}

/// The response, if it answers request `id`; else the id that it names.
pub(crate) fn match_id(
    id: i64,
    step: Step,
    response: Response,
    findings: &mut Findings,
) -> Result<Response, String> {
    let known = match &response.id {
        Some(Value::Number(number)) => number.as_i64() == Some(id),
        Some(Value::String(text)) if *text == id.to_string() => {
            let detail = format!("id {id} came back as the string \"{id}\"");
            findings.violate_mildly(CheckId::RpcId, Severity::Note, step, detail);
            true
        }
        // An error without id answers a request that the server could not read.
        None => response.outcome.is_err(),
        Some(_) => false,
    };
    if !known {
        let id = response.id.unwrap_or_default().to_string();
        return Err(model::text::line(&id, 40));
    }
    findings.pass(CheckId::RpcId);
    findings.pass(CheckId::RpcEnvelope);
    if response.outcome.is_err() {
        findings.demand(
            response.bent.is_none(),
            CheckId::RpcErrorShape,
            step,
            response.bent.unwrap_or_default(),
        );
    }
    Ok(response)
}

/// Compression that nobody asked for cannot be read, and it blurs the timing.
fn demand_plain(head: &Head, findings: &mut Findings) -> Result<(), Fault> {
    match head.header("content-encoding") {
        None | Some("identity") => {
            findings.pass(CheckId::HttpEncoding);
            Ok(())
        }
        Some(coding) => Err(Fault::new(
            Reason::HttpProtocol,
            CheckId::HttpEncoding,
            format!(
                "content-encoding {} although the request said accept-encoding: identity",
                model::text::line(coding, 40)
            ),
        )),
    }
}

fn mismatch(id: &str) -> Fault {
    Fault::new(
        Reason::McpIdMismatch,
        CheckId::RpcId,
        format!("the response has id {id}, which no request had"),
    )
}

fn too_large() -> Fault {
    Fault {
        reason: Reason::HttpBodyTooLarge,
        detail: format!(
            "the answer exceeds {MAX_BODY_BYTES} bytes, {MAX_EVENTS} events or the values of an honest one"
        ),
        check: None,
    }
}

fn looks_like_html(head: &Head, body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    let start = &start[..start.len().min(64)];
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    head.media_type().as_deref() == Some("text/html")
        || text.starts_with("<!doctype html")
        || text.starts_with("<html")
}
