//! Requests that are wrong on purpose: how they are refused tells how well a server guards the
//! protocol. None of them changes anything, and none fails a probe.

mod ending;
mod trials;

use std::borrow::Cow;
use std::time::Instant;

use http::header::ACCEPT;
use http::{HeaderValue, Method};
use model::{CheckId, Era, Step};
use serde_json::{Map, Value};

use super::Sequence;
use crate::exchange::Request;
use crate::jsonrpc::RpcError;
use crate::reply::{Expect, Fault, Reply};

/// One wrong request, and how it should be answered.
#[derive(Debug)]
pub(super) struct Trial {
    check: CheckId,
    /// What is wrong with it.
    what: Cow<'static, str>,
    pub(super) request: Request,
    pub(super) id: Option<i64>,
    pub(super) is_right: fn(&Answer<'_>) -> bool,
    /// Whether no answer at all is wrong, too.
    pub(super) needs_answer: bool,
    /// Whether it opens a session, which is given back.
    pub(super) opens_session: bool,
    /// Whether its answer is right and the end of the stream is what is waited for.
    pub(super) follows_stream: bool,
}

impl Trial {
    pub(super) fn expect(&self) -> Expect {
        self.id.map_or(Expect::Anything, Expect::Response)
    }
}

/// What a trial is judged by.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    media: Option<String>,
    error: Option<&'a RpcError>,
    result: Option<&'a Value>,
    /// The order of the first page of tools, when it was walked.
    order: Option<u64>,
}

impl Answer<'_> {
    fn is(&self, status: u16, code: i64) -> bool {
        self.status == status && self.has(code)
    }

    pub(super) fn has(&self, code: i64) -> bool {
        self.error.and_then(|error| error.code) == Some(code)
    }

    pub(super) const fn is_error(&self) -> bool {
        self.error.is_some()
    }
}

impl Sequence {
    /// A request that is right so far: the cheapest of the era.
    pub(super) fn good(&mut self, check: CheckId, what: impl Into<Cow<'static, str>>) -> Trial {
        let id = self.fresh_id();
        let step = match self.dialect.era {
            Era::Modern => Step::Discover,
            Era::Legacy => Step::Ping,
        };
        Trial {
            check,
            what: what.into(),
            request: self.dialect.message(step, Some(id), Map::new()),
            id: Some(id),
            is_right: |_| false,
            needs_answer: true,
            opens_session: false,
            follows_stream: false,
        }
    }

    fn bare(
        &self,
        check: CheckId,
        what: &'static str,
        method: Method,
        is_right: fn(&Answer<'_>) -> bool,
    ) -> Trial {
        let mut request = self.dialect.delete();
        request.method = method;
        let accept = HeaderValue::from_static("text/event-stream");
        request.headers.insert(ACCEPT, accept);
        Trial {
            check,
            what: what.into(),
            request,
            id: None,
            is_right,
            needs_answer: true,
            opens_session: false,
            follows_stream: false,
        }
    }

    /// A wrong request was answered.
    pub(super) fn trial_answered(&mut self, reply: &Reply, now: Instant) {
        let response = reply.response.as_ref();
        let error = response.and_then(|response| response.outcome.as_ref().err());
        let answer = Answer {
            status: reply.head.status.as_u16(),
            media: reply.head.media_type(),
            error,
            result: response.and_then(|response| response.outcome.as_ref().ok()),
            order: self.tools.first_page,
        };
        let status = answer.status;
        let code = error.and_then(|error| error.code);
        let code = code.map_or_else(String::new, |code| format!(", error {code}"));
        let detail = format!("{}{code}", reply.head.status);
        if status == 200 && self.follow(now) {
            return;
        }
        let Some(trial) = self.running.as_mut().and_then(|r| r.trial.take()) else {
            return;
        };
        if matches!(status, 429 | 503) {
            // That is no answer to what was wrong, and who asks for a pause gets it.
            return self.end_trials(&format!("{}: {detail}", trial.what), now);
        }
        if trial.follows_stream {
            return self.leave_trial("the answer is no event stream", now);
        }
        let is_right = (trial.is_right)(&answer);
        self.judge(&trial, is_right, &detail, now);
    }

    /// A wrong request led to no answer that could be read.
    pub(super) fn trial_failed(&mut self, fault: &Fault, now: Instant) {
        if let Some(trial) = self.running.as_mut().and_then(|r| r.trial.take()) {
            if now >= self.deadline {
                // There was no time to answer.
                return self.end_trials(&format!("{}: {}", trial.what, fault.detail), now);
            }
            let is_answered = self
                .running
                .as_ref()
                .is_some_and(|r| r.http_status.is_some());
            if trial.needs_answer || is_answered {
                self.judge(&trial, false, &fault.detail, now);
            } else {
                self.leave_trial(&format!("{}: {}", trial.what, fault.detail), now);
            }
        }
    }

    /// No more requests beside the sequence, and no judgement of this one.
    fn end_trials(&mut self, detail: &str, now: Instant) {
        self.trials.clear();
        self.spares = true;
        self.leave_trial(detail, now);
    }

    /// The running trial is not judged.
    fn leave_trial(&mut self, detail: &str, now: Instant) {
        let step = self.trial_step();
        self.end_step(None, Some(detail.to_owned()), now);
        self.advance(step, now);
    }

    /// The step of the running trial.
    fn trial_step(&self) -> Step {
        self.running.as_ref().map_or(Step::Strict, |r| r.step)
    }

    fn judge(&mut self, trial: &Trial, is_right: bool, answer: &str, now: Instant) {
        let detail = format!("{}: {answer}", trial.what);
        let step = self.trial_step();
        self.findings.demand(is_right, trial.check, step, &detail);
        self.end_step(None, Some(detail), now);
        self.advance(step, now);
    }
}
