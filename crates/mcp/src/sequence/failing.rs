//! Steps fail: whether there is another way, and what is given back before the end.

use std::time::Instant;

use model::{CheckId, Class, Era, EraPolicy, Failure, Phase, Reason, Revision, Step, Transport};

use serde_json::json;

use super::Sequence;
use crate::exchange::Command;
use crate::negotiate::Discovered;
use crate::reply::Fault;

impl Sequence {
    /// The running step failed, and with it the probe, unless it had failed before and this was
    /// the attempt at another way.
    pub(super) fn fail(&mut self, fault: Fault, now: Instant) {
        let Some(running) = &self.running else {
            return;
        };
        let (step, phase) = (running.step, running.timer.phase());
        if step == Step::Close {
            self.closed(&fault.detail, Some(fault.reason), now);
            return;
        }
        if fault.reason != Reason::Cancelled {
            if matches!(step, Step::Origin | Step::Strict) {
                return self.trial_failed(&fault, now);
            }
            if step == Step::Subscribe {
                return self.not_subscribed(&fault, now);
            }
        }
        self.tell_cancelled(fault.reason);
        if step == Step::Discover && self.may_try_legacy(&fault) {
            self.findings
                .violate(CheckId::EraAnswered, step, &fault.detail);
            self.set_aside(fault, now);
            self.become_legacy(Discovered::Unclear, now);
            return;
        }
        let own = Failure {
            step,
            phase,
            reason: fault.reason,
        };
        if fault.reason == Reason::McpSessionLost {
            self.session_lost = true;
        }
        if self.may_negotiate_anew(own) {
            self.set_aside(fault, now);
            self.negotiate_anew(now);
            return;
        }
        self.end_step(Some(fault.reason), Some(fault.detail.clone()), now);
        if step == Step::ToolsCall {
            // No call is made twice, also not to clean up.
            self.next_call += 1;
            self.input_rounds = 0;
        }
        if self.cleaning {
            self.clean_up(now);
            return;
        }
        // Being turned away on the second way says more than the first way's failure.
        let (failure, fault) = match self.fallback.take() {
            Some(first) if fault.reason.class() != Class::Refused => first,
            _ => (own, fault),
        };
        if let Some(check) = fault.check {
            self.findings.violate(check, failure.step, &fault.detail);
        }
        // A call that cleans up after a failure is not the failure.
        self.findings.failure.get_or_insert(failure);
        self.clean_up(now);
    }

    /// In the legacy era a dropped connection cancels nothing: what a session still works on is
    /// called off (2025-11-25 basic/utilities/cancellation; never `initialize`).
    fn tell_cancelled(&mut self, reason: Reason) {
        let Some(running) = self.running.as_ref() else {
            return;
        };
        let is_open = matches!(running.timer.phase(), Phase::Wait | Phase::Receive);
        let gave_up = reason.is_timeout() || reason == Reason::Cancelled;
        let is_session = self.dialect.era == Era::Legacy && !self.to_close.is_empty();
        let (true, true, true, Some(id)) = (gave_up, is_open, is_session, running.id) else {
            return;
        };
        if running.step == Step::Initialize {
            return;
        }
        let why = if reason == Reason::Cancelled {
            "the probe was cancelled"
        } else {
            "the probe waited long enough"
        };
        let params = json!({ "requestId": id, "reason": why });
        let request = self
            .dialect
            .notification("notifications/cancelled", &params);
        let exchange = self.exchange_id();
        self.asides.insert(exchange);
        self.commands.push_back(Command::Send { exchange, request });
    }

    /// The running step failed, but there is another way: its failure is reported only if that
    /// one fails too.
    pub(super) fn set_aside(&mut self, fault: Fault, now: Instant) {
        let Some(running) = &self.running else {
            return;
        };
        let failure = Failure {
            step: running.step,
            phase: running.timer.phase(),
            reason: fault.reason,
        };
        self.end_step(Some(fault.reason), Some(fault.detail.clone()), now);
        self.fallback.get_or_insert((failure, fault));
    }

    /// A server that hangs or fails on `server/discover` may be a legacy one. What never reached
    /// it says nothing of its era.
    fn may_try_legacy(&self, fault: &Fault) -> bool {
        let reached = self
            .running
            .as_ref()
            .is_some_and(|r| matches!(r.timer.phase(), Phase::Send | Phase::Wait | Phase::Receive));
        let unclear = matches!(
            fault.reason,
            Reason::HttpTimeoutHeaders
                | Reason::HttpTimeoutBody
                | Reason::HttpConnClosed
                | Reason::TcpReset
                | Reason::McpSseNoResponse
                | Reason::McpSseStalled
                | Reason::McpJsonInvalid
                | Reason::McpRpcInvalid
                | Reason::McpWrongContentType
                | Reason::McpIdMismatch
                | Reason::McpSseMalformed
                | Reason::NotMcp
        );
        reached && unclear && self.may_change_era()
    }

    /// Whether the era may still turn out to be another one than was tried first.
    pub(super) fn may_change_era(&self) -> bool {
        self.plan.era == EraPolicy::Auto && self.plan.known.is_none()
    }

    /// What was known of the endpoint may have become wrong: an upgrade is no outage.
    fn may_negotiate_anew(&self, failure: Failure) -> bool {
        let opens = matches!(
            failure.step,
            Step::Discover | Step::Initialize | Step::Stream
        );
        let is_stale = matches!(
            failure.reason,
            Reason::NotFound
                | Reason::Client4xx
                | Reason::NotMcp
                | Reason::McpInitRejected
                | Reason::McpVersionUnsupported
                | Reason::McpRpcError
                | Reason::McpRpcInvalid
                | Reason::McpWrongContentType
                | Reason::McpSseMalformed
        );
        opens && is_stale && self.plan.era == EraPolicy::Auto && self.plan.known.is_some()
    }

    fn negotiate_anew(&mut self, now: Instant) {
        self.plan.known = None;
        if let Some(stream) = self.stream.take() {
            self.commands.push_back(Command::Abort(stream.exchange));
        }
        self.dialect.era = Era::Modern;
        self.dialect.transport = Transport::StreamableHttp;
        self.dialect.revision = Some(Revision::NEWEST_MODERN);
        self.dialect.session = None;
        self.dialect.endpoint = self.plan.url.as_url().clone();
        self.start(Step::Discover, now);
    }

    /// Gives back what the server holds for this probe, and ends it.
    pub(super) fn close(&mut self, now: Instant) {
        self.closing = true;
        if let Some(stream) = self.stream.take() {
            self.commands.push_back(Command::Abort(stream.exchange));
        }
        self.close_next(now);
    }

    /// Gives the next session back.
    fn close_next(&mut self, now: Instant) {
        let Some(session) = self.to_close.pop() else {
            return;
        };
        // Sessions are of the legacy era, whatever the server turned out to speak.
        self.dialect.era = Era::Legacy;
        self.dialect.revision = self.dialect.revision.filter(|r| r.era() == Era::Legacy);
        self.dialect.session = Some(session);
        self.start(Step::Close, now);
    }

    /// The session was given back, or could not be: that is noted, and changes nothing else.
    pub(super) fn closed(&mut self, detail: &str, failed: Option<Reason>, now: Instant) {
        if failed.is_some() {
            self.findings
                .violate(CheckId::SessDelete, Step::Close, detail);
        }
        self.end_step(failed, Some(detail.to_owned()), now);
        self.close_next(now);
    }
}
