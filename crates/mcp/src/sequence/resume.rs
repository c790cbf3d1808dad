//! A stream that closes before it brought the answer is resumed (2025-11-25 transports,
//! "Resumability and Redelivery").

use std::time::Instant;

use http::HeaderValue;
use model::{CheckId, Era, Reason, Step, Transport};

use super::Sequence;
use crate::exchange::ExchangeId;
use crate::limits::{DEFAULT_RETRY, MAX_RESUMES};
use crate::reply::{Expect, Fault, Reply};

/// When a stream is to be resumed, and after which event.
#[derive(Debug)]
pub(super) struct Resume {
    pub(super) at: Instant,
    last_id: HeaderValue,
}

impl Sequence {
    /// The running step's stream ended without the answer, but named an event: the rest can be
    /// asked for, after the time that the server wants, if the step has that time.
    pub(super) fn may_resume(&mut self, exchange: ExchangeId, now: Instant) -> bool {
        let resumes = self.dialect.era == Era::Legacy
            && self.dialect.transport == Transport::StreamableHttp
            && !self.closing;
        let Some(running) = self.running.as_mut().filter(|r| r.exchange == exchange) else {
            return false;
        };
        // Where nothing is awaited, or something is wrong on purpose, there is nothing to go on with.
        if running.id.is_none() || matches!(running.step, Step::Subscribe | Step::Strict) {
            return false;
        }
        let Some((id, retry)) = running.reader.resumable().filter(|_| resumes) else {
            return false;
        };
        let (Ok(last_id), Some(at)) = (
            HeaderValue::from_str(id),
            now.checked_add(retry.unwrap_or(DEFAULT_RETRY)),
        ) else {
            return false;
        };
        if running.resumes >= MAX_RESUMES || at >= running.deadline {
            return false;
        }
        running.resumes += 1;
        running.is_open = false;
        running.resume = Some(Resume { at, last_id });
        true
    }

    pub(super) fn resume_is_due(&self, now: Instant) -> bool {
        let running = self.running.as_ref();
        let resume = running.and_then(|running| running.resume.as_ref());
        resume.is_some_and(|resume| resume.at <= now)
    }

    /// Asks for the rest of the stream.
    pub(super) fn resume(&mut self) {
        let running = self.running.as_mut();
        let resume = running.and_then(|running| Some((running.resume.take()?, running.id?)));
        let Some((resume, id)) = resume else {
            return;
        };
        let request = self.dialect.resume(resume.last_id);
        self.send_again(request, Some(id), Expect::Response(id));
    }

    /// Whether the reply refuses to go on with a stream that the server itself had closed early.
    pub(super) fn resume_refused(&mut self, reply: &Reply, now: Instant) -> bool {
        let Some(running) = self.running.as_ref().filter(|running| running.resumes > 0) else {
            return false;
        };
        if reply.head.is_success() {
            self.findings.pass(CheckId::SseResume);
            return false;
        }
        if matches!(reply.head.status.as_u16(), 401 | 403 | 429 | 500..) {
            // That is about more than the stream.
            return false;
        }
        let detail = format!(
            "the stream closed before the answer, and GET with its Last-Event-ID: {}",
            reply.head.status
        );
        self.findings
            .violate(CheckId::SseResume, running.step, &detail);
        let reason = Reason::McpSseNoResponse;
        self.fail(Fault::new(reason, CheckId::SseParse, detail), now);
        true
    }
}
