//! The 2024-11-05 transport: answers travel on a stream of their own.

use std::time::Instant;

use model::target::MAX_URL_BYTES;
use model::{CheckId, Reason, Revision, Step};

use super::Sequence;
use crate::exchange::Head;
use crate::jsonrpc::{Message, Response};
use crate::reply::{self, Fault, Reply};
use crate::{refusal, sse};

impl Sequence {
    /// The answer to `GET` is no event stream: this is not the 2024-11-05 transport either.
    pub(super) fn no_stream(&mut self, head: Head, now: Instant) {
        self.stream = None;
        let fault = if head.is_success() {
            Fault::new(
                Reason::NotMcp,
                CheckId::SseEndpointFirst,
                format!("GET is answered with {}, no event stream", head.status),
            )
        } else {
            let reply = Reply {
                head,
                response: None,
                excerpt: String::new(),
                is_html: false,
            };
            refusal::of_status(&reply, self.situation(Step::Stream))
        };
        self.fail(fault, now);
    }

    /// An event of the 2024-11-05 stream.
    pub(super) fn stream_event(&mut self, event: &sse::Event, now: Instant) {
        let has_endpoint = self.stream.as_ref().is_some_and(|s| s.has_endpoint);
        if !has_endpoint {
            if event.kind == "endpoint" {
                self.endpoint_named(&event.data, now);
            } else {
                let detail = format!("the first event is {}", model::text::line(&event.kind, 40));
                self.fail(
                    Fault::new(Reason::McpSseMalformed, CheckId::SseEndpointFirst, detail),
                    now,
                );
            }
            return;
        }
        if event.kind != "message" {
            return;
        }
        let messages = match reply::stream_messages(&event.data) {
            Ok(messages) => messages,
            Err(fault) => return self.fail(fault, now),
        };
        for message in messages {
            match message {
                Message::Request { id, method } => self.server_request(&id, &method),
                Message::Response(response) => self.stream_response(response, now),
                Message::Notification { .. } => {}
            }
        }
    }

    fn stream_response(&mut self, response: Response, now: Instant) {
        let Some((step, Some(id))) = self.running.as_ref().map(|r| (r.step, r.id)) else {
            return;
        };
        // Answers to other ids are answers that came too late for an earlier step.
        if let Ok(response) = reply::match_id(id, step, response, &mut self.findings) {
            self.findings.pass(CheckId::SseParse);
            self.answered(response, now);
        }
    }

    fn endpoint_named(&mut self, data: &str, now: Instant) {
        let target = self.plan.url.as_url();
        if self
            .running
            .as_ref()
            .is_none_or(|running| running.step != Step::Stream)
        {
            return;
        }
        // This is the transport: what fails from here on is its own failure.
        self.fallback = None;
        let endpoint = target.join(data.trim()).ok();
        let same = endpoint
            .filter(|url| url.origin() == target.origin() && url.as_str().len() <= MAX_URL_BYTES);
        let Some(endpoint) = same else {
            let detail = format!(
                "the endpoint is not of this origin: {}",
                model::text::line(data, 120)
            );
            self.fail(
                Fault::new(Reason::McpSseMalformed, CheckId::SseEndpointFirst, detail),
                now,
            );
            return;
        };
        self.findings.pass(CheckId::SseEndpointFirst);
        self.dialect.endpoint = endpoint;
        // Without the GET fallback the revision of that transport is the one to offer.
        self.offered = Revision::V2024_11_05;
        if let Some(stream) = self.stream.as_mut() {
            stream.has_endpoint = true;
        }
        self.succeed(None, now);
        self.advance(Step::Stream, now);
    }
}
