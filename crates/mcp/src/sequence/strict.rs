//! Requests that are wrong on purpose: how they are refused tells how well a server guards the
//! protocol. None of them changes anything, and none fails a probe.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Instant;

use http::header::{ACCEPT, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::{CheckId, Era, Revision, Step, Transport};
use serde_json::{Map, Value};

use super::Sequence;
use crate::exchange::Request;
use crate::jsonrpc::RpcError;
use crate::reply::{Expect, Fault, Reply};
use crate::request::{META_VERSION, METHOD, PROTOCOL_VERSION, SESSION_ID};

/// A version that was never published, older than all.
const NO_VERSION: &str = "1900-01-01";
/// RFC 6761: a name that is nobody's.
const FORGED_ORIGIN: HeaderValue = HeaderValue::from_static("https://origin.invalid");

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
    /// The trials that the agreed revision has rules for.
    pub(super) fn prepare_trials(&mut self) {
        if self.dialect.transport == Transport::HttpSse {
            return;
        }
        let mut trials = match self.dialect.era {
            Era::Modern => self.modern_trials(),
            Era::Legacy => self.legacy_trials(),
        };
        if self.dialect.revision >= Some(Revision::V2025_11_25) {
            let mut forged = self.good(CheckId::HttpOrigin403, "a forged Origin");
            forged.request.headers.insert(ORIGIN, FORGED_ORIGIN);
            forged.is_right = |answer| answer.status == 403;
            trials.push_back(forged);
        }
        let mut narrow = self.good(CheckId::HttpAccept406, "Accept: application/json alone");
        let json = HeaderValue::from_static("application/json");
        narrow.request.headers.insert(ACCEPT, json);
        narrow.is_right = |answer| {
            let is_json = answer.media.as_deref() == Some("application/json");
            answer.status == 406 || (answer.status == 200 && is_json)
        };
        trials.push_back(narrow);
        self.trials = trials;
    }

    fn modern_trials(&mut self) -> VecDeque<Trial> {
        let mut version = self.good(CheckId::VerUnsupported400, "version 1900-01-01");
        set_header(&mut version.request, PROTOCOL_VERSION, NO_VERSION);
        set_body(&mut version.request, |body| {
            body["params"]["_meta"][META_VERSION] = NO_VERSION.into();
        });
        version.is_right = |answer| {
            let data = answer.error.map(|error| &error.data);
            answer.is(400, -32022) && data.is_some_and(|data| data["supported"].is_array())
        };
        let mut mismatch = self.good(CheckId::VerMismatch400, "Mcp-Method unlike the body");
        set_header(&mut mismatch.request, METHOD, "tools/list");
        mismatch.is_right = |answer| answer.is(400, -32020);
        let mut method = self.good(CheckId::VerMethod404, "an unknown method");
        set_header(&mut method.request, METHOD, "parallax/unknown");
        set_body(&mut method.request, |body| {
            body["method"] = "parallax/unknown".into();
        });
        method.is_right = |answer| answer.is(404, -32601);
        let mut meta = self.good(CheckId::VerMeta400, "no _meta");
        set_body(&mut meta.request, |body| {
            body["params"] = Value::Object(Map::new());
        });
        meta.is_right = |answer| answer.is(400, -32602);
        let get = self.bare(CheckId::HttpGetDelete405, "GET", Method::GET, |answer| {
            answer.status == 405
        });
        let delete = self.bare(
            CheckId::HttpGetDelete405,
            "DELETE",
            Method::DELETE,
            |answer| answer.status == 405,
        );
        [version, mismatch, method, meta, get, delete].into()
    }

    fn legacy_trials(&mut self) -> VecDeque<Trial> {
        let mut trials = VecDeque::new();
        trials.push_back(
            self.bare(CheckId::HttpGet405OrSse, "GET", Method::GET, |answer| {
                let is_stream = answer.media.as_deref() == Some("text/event-stream");
                answer.status == 405 || (answer.status == 200 && is_stream)
            }),
        );
        let mut method = self.good(CheckId::VerMethod404, "an unknown method");
        set_body(&mut method.request, |body| {
            body["method"] = "parallax/unknown".into();
        });
        method.is_right = |answer| answer.has(-32601);
        trials.push_back(method);
        if self.dialect.revision >= Some(Revision::V2025_06_18) {
            let mut version = self.good(CheckId::VerHeaderBad400, "version header 1900-01-01");
            set_header(&mut version.request, PROTOCOL_VERSION, NO_VERSION);
            version.is_right = |answer| answer.status == 400;
            trials.push_back(version);
        }
        if self.dialect.session.is_some() {
            let mut none = self.good(CheckId::SessRequired400, "no session id");
            none.request.headers.remove(SESSION_ID);
            none.is_right = |answer| answer.status == 400;
            trials.push_back(none);
            let mut unknown = self.good(CheckId::SessUnknown404, "an unknown session id");
            set_header(
                &mut unknown.request,
                SESSION_ID,
                "00000000-0000-4000-8000-000000000000",
            );
            unknown.is_right = |answer| answer.status == 404;
            trials.push_back(unknown);
        }
        trials
    }

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
        };
        let status = answer.status;
        let code = error.and_then(|error| error.code);
        let code = code.map_or_else(String::new, |code| format!(", error {code}"));
        let detail = format!("{}{code}", reply.head.status);
        let Some(trial) = self.running.as_mut().and_then(|r| r.trial.take()) else {
            return;
        };
        if matches!(status, 429 | 503) {
            // That is no answer to what was wrong, and who asks for a pause gets it.
            return self.end_trials(&format!("{}: {detail}", trial.what), now);
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

fn set_header(request: &mut Request, name: HeaderName, value: &'static str) {
    let headers: &mut HeaderMap = &mut request.headers;
    headers.insert(name, HeaderValue::from_static(value));
}

fn set_body(request: &mut Request, change: impl FnOnce(&mut Value)) {
    if let Ok(mut body) = serde_json::from_slice(&request.body) {
        change(&mut body);
        request.body = body.to_string().into_bytes();
    }
}
