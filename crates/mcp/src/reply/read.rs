//! Finds the answer in a complete body or in a running event stream.

use model::{CheckId, Reason};

use super::{
    Expect, Fault, Note, Progress, Reader, Reply, demand_plain, match_id, mismatch,
    stream_messages, too_large,
};
use crate::findings::Findings;
use crate::jsonrpc::{self, Invalid, Message, Response};
use crate::limits::{MAX_BODY_BYTES, MAX_EVENTS};
use crate::sse;

impl Reader {
    /// The response in a complete 2xx body.
    pub(super) fn read_answer(
        &self,
        id: i64,
        reply: &Reply,
        findings: &mut Findings,
    ) -> Result<Response, Fault> {
        if reply.is_html {
            let detail = format!("{}: an HTML page: {}", reply.head.status, reply.excerpt);
            return Err(Fault::new(Reason::NotMcp, CheckId::HttpHtml, detail));
        }
        findings.pass(CheckId::HttpHtml);
        demand_plain(&reply.head, findings)?;
        let media = reply.head.media_type().unwrap_or_default();
        if media != "application/json" {
            let shown = if media.is_empty() {
                "no content type".to_owned()
            } else {
                media
            };
            let detail = format!("{}, {shown}: {}", reply.head.status, reply.excerpt);
            return Err(Fault::new(
                Reason::McpWrongContentType,
                CheckId::HttpContentType,
                model::text::line(&detail, crate::limits::MAX_DETAIL_CHARS),
            ));
        }
        findings.pass(CheckId::HttpContentType);
        let body = jsonrpc::parse(&self.body).map_err(|invalid| self.unreadable(invalid, reply))?;
        if body.has_bom {
            findings.violate(
                CheckId::HttpEncoding,
                self.step,
                "a byte order mark before the JSON",
            );
        }
        findings.demand(
            !body.is_batch,
            CheckId::RpcNoBatch,
            self.step,
            "the answer is an array",
        );
        let mut foreign = None;
        for message in body.messages {
            if let Message::Response(response) = message {
                match self.matching(id, response, findings) {
                    Ok(response) => return Ok(response),
                    Err(other) => foreign = Some(other),
                }
            }
        }
        Err(foreign.map_or_else(
            || {
                Fault::new(
                    Reason::McpRpcInvalid,
                    CheckId::RpcEnvelope,
                    "the body has messages, but none is a response",
                )
            },
            |other| mismatch(&other),
        ))
    }

    fn unreadable(&self, invalid: Invalid, reply: &Reply) -> Fault {
        let excerpt = &reply.excerpt;
        let (reason, detail) = match invalid {
            Invalid::TooLarge => return too_large(),
            Invalid::Json => {
                let detail = format!("not JSON ({} bytes): {excerpt}", self.received);
                (Reason::McpJsonInvalid, detail)
            }
            Invalid::Foreign(what) => {
                let detail = format!("JSON, but no JSON-RPC response ({what}): {excerpt}");
                (Reason::NotMcp, detail)
            }
            Invalid::Envelope(what) => {
                let detail = format!("no JSON-RPC response ({what}): {excerpt}");
                (Reason::McpRpcInvalid, detail)
            }
        };
        Fault::new(reason, CheckId::RpcEnvelope, detail)
    }

    pub(super) fn stream_chunk(
        &mut self,
        chunk: &[u8],
        findings: &mut Findings,
    ) -> Result<Progress, Fault> {
        if self.received > MAX_BODY_BYTES {
            return Err(too_large());
        }
        if let Some(head) = &self.head {
            demand_plain(head, findings)?;
        }
        let mut events = Vec::new();
        if let Some(parser) = self.sse.as_mut() {
            parser
                .feed(chunk, &mut events)
                .map_err(|broken| match broken {
                    sse::Broken::NotUtf8 => Fault::new(
                        Reason::McpSseMalformed,
                        CheckId::SseParse,
                        "the event stream is not UTF-8",
                    ),
                    sse::Broken::TooLarge => too_large(),
                })?;
            // Only where an answer is awaited: elsewhere nobody waits for the blank line.
            if matches!(self.expect, Expect::Response(_)) {
                events.extend(parser.take_unterminated(model::json::is_whole));
            }
        }
        self.events += events.len();
        if self.events > MAX_EVENTS {
            return Err(too_large());
        }
        let mut progress = Progress::default();
        let Expect::Response(id) = self.expect else {
            progress.events = events;
            return Ok(progress);
        };
        for event in events {
            if event.kind == "message" {
                self.stream_message(id, &event.data, &mut progress, findings)?;
            }
        }
        Ok(progress)
    }

    fn stream_message(
        &mut self,
        id: i64,
        data: &str,
        progress: &mut Progress,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        for message in stream_messages(data)? {
            match message {
                Message::Response(response) if progress.reply.is_none() => {
                    match self.matching(id, response, findings) {
                        Ok(response) => {
                            findings.pass(CheckId::SseParse);
                            progress.reply = self.head.clone().map(|head| Reply {
                                head,
                                response: Some(response),
                                excerpt: String::new(),
                                is_html: false,
                            });
                        }
                        Err(other) => self.foreign_id = Some(other),
                    }
                }
                Message::Request { id, method } => progress.server_requests.push((id, method)),
                Message::Notification { method, params } => {
                    progress.notifications.push(Note { method, params });
                }
                Message::Response(_) => {}
            }
        }
        Ok(())
    }

    /// The response, if it answers request `id`; else the id that it names.
    fn matching(
        &self,
        id: i64,
        response: Response,
        findings: &mut Findings,
    ) -> Result<Response, String> {
        match_id(id, self.step, response, findings)
    }
}
