//! The probe itself: which request comes next, and what its answer means.

mod asking;
mod ending;
mod expecting;
mod failing;
mod flow;
mod handshake;
mod hearing;
mod http_sse;
mod identity;
mod input;
mod origins;
mod replies;
mod resume;
mod running;
mod strict;
mod subscribe;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use model::{CheckId, Era, EraPolicy, Failure, Outcome, Phase, Reason, Revision, Step, Transport};
use serde_json::Value;

use http::HeaderValue;

use crate::exchange::{Command, ExchangeId, Head};
use crate::findings::Findings;
use crate::limits::{BODY_GRACE, CANCELLED_TIMEOUT};
use crate::plan::Plan;
use crate::reply::Fault;
use crate::request::Dialect;
use crate::results::{Announced, Items, Tools};

use running::{Running, Stream};

/// One probe of one target.
#[derive(Debug)]
pub struct Sequence {
    plan: Plan,
    findings: Findings,
    dialect: Dialect,
    commands: VecDeque<Command>,
    running: Option<Running>,
    stream: Option<Stream>,
    deadline: Instant,
    next_exchange: u32,
    next_id: i64,
    /// The failure to report if what is tried instead fails too.
    fallback: Option<(Failure, Fault)>,
    /// Whether a revision was already offered a second time.
    asked_again: bool,
    offered: Revision,
    announced: Announced,
    tools: Tools,
    /// The other list that is being walked.
    items: Items,
    next_call: usize,
    /// How often the running call asked for input.
    input_rounds: u32,
    /// What earlier calls left for later ones.
    captured: BTreeMap<String, Value>,
    /// Requests that are wrong on purpose, or have an `Origin`, still to be sent.
    trials: VecDeque<strict::Trial>,
    /// The server asked for a pause, or time is up: nothing is sent that need not be.
    spares: bool,
    server_requests: usize,
    /// Exchanges that answer requests of the server; dropped once they are accepted.
    asides: BTreeSet<ExchangeId>,
    /// Sessions that were opened and not yet given back.
    to_close: Vec<HeaderValue>,
    session_lost: bool,
    /// The probe has failed, and what it made is being cleaned up.
    cleaning: bool,
    closing: bool,
    /// By when what was made must be cleaned up, once the probe has failed.
    clean_until: Option<Instant>,
    /// By when all must be over, once the probe was cancelled.
    end_until: Option<Instant>,
}

impl Sequence {
    /// A probe that begins now.
    #[must_use]
    pub fn new(plan: Plan, now: Instant) -> Self {
        let known = plan.known;
        let era = match (plan.era, known) {
            (EraPolicy::Modern, _) => Era::Modern,
            (EraPolicy::Legacy, _) => Era::Legacy,
            (EraPolicy::Auto, Some(record)) => record.revision.era(),
            (EraPolicy::Auto, None) => Era::Modern,
        };
        let record = known.filter(|record| record.revision.era() == era);
        let transport = record.map_or(Transport::StreamableHttp, |record| record.transport);
        let tools = Tools::new(plan.calls.iter().map(|call| call.name.clone()));
        let mut sequence = Self {
            dialect: Dialect {
                era,
                transport,
                revision: (era == Era::Modern).then_some(Revision::NEWEST_MODERN),
                session: None,
                endpoint: plan.url.as_url().clone(),
                client: plan.client.clone(),
                elicits: plan.calls.iter().any(|call| !call.answers.is_empty()),
            },
            deadline: flow::after(now, plan.total_timeout),
            plan,
            findings: Findings::default(),
            commands: VecDeque::new(),
            running: None,
            stream: None,
            next_exchange: 0,
            next_id: 0,
            fallback: None,
            asked_again: false,
            offered: Revision::NEWEST_LEGACY,
            announced: Announced::default(),
            tools,
            items: Items::default(),
            next_call: 0,
            input_rounds: 0,
            captured: BTreeMap::new(),
            trials: VecDeque::new(),
            spares: false,
            server_requests: 0,
            asides: BTreeSet::new(),
            to_close: Vec::new(),
            session_lost: false,
            cleaning: false,
            closing: false,
            clean_until: None,
            end_until: None,
        };
        let first = match (era, transport) {
            (Era::Modern, _) => Step::Discover,
            (Era::Legacy, Transport::StreamableHttp) => Step::Initialize,
            (Era::Legacy, Transport::HttpSse) => Step::Stream,
        };
        sequence.start(first, now);
        sequence
    }

    /// What the shell must do next; `None` until something happens.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called; `None` once the probe is done.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        let resume = running.resume.as_ref().map(|resume| resume.at);
        Some(resume.map_or(running.deadline, |at| at.min(running.deadline)))
    }

    /// Whether the probe is over. Commands may still be waiting.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.running.is_none()
    }

    /// What is known so far; the shell adds what it alone can see.
    pub const fn findings_mut(&mut self) -> &mut Findings {
        &mut self.findings
    }

    /// The shell entered a phase of an exchange.
    pub fn handle_phase(&mut self, exchange: ExchangeId, phase: Phase, now: Instant) {
        let Some(running) = self.running.as_mut().filter(|r| r.exchange == exchange) else {
            return;
        };
        match (running.timer.phase(), phase) {
            (Phase::Dns, Phase::Connect) => self.findings.pass(CheckId::NetDns),
            (Phase::Connect, Phase::Tls | Phase::Send) => self.findings.pass(CheckId::NetTcp),
            (Phase::Tls, Phase::Send) => self.findings.pass(CheckId::NetTls),
            _ => {}
        }
        running.timer.enter(phase, now);
    }

    /// The head of a response came.
    pub fn handle_head(&mut self, exchange: ExchangeId, head: Head, now: Instant) {
        if self.asides.remove(&exchange) {
            self.commands.push_back(Command::Abort(exchange));
            return;
        }
        let is_running = self
            .running
            .as_ref()
            .is_some_and(|r| r.exchange == exchange);
        if is_running {
            self.note_head(&head, now);
        }
        if let Some(stream) = self.stream.as_mut().filter(|s| s.exchange == exchange) {
            let is_stream =
                head.is_success() && head.media_type().as_deref() == Some("text/event-stream");
            if is_stream {
                stream.reader.handle_head(head);
            } else {
                self.no_stream(head, now);
            }
        } else if is_running && let Some(running) = self.running.as_mut() {
            running.reader.handle_head(head);
            if let Some(reply) = running.reader.at_head() {
                self.replied(reply, now);
                return;
            }
            if running.step == Step::Subscribe && running.reader.is_listening() {
                self.listen(now);
                return;
            }
            let awaits_stream = running.awaits_stream(self.dialect.transport);
            if running.reader.is_decided() && !awaits_stream {
                running.deadline = running.deadline.min(now + BODY_GRACE);
            }
        }
    }

    /// A piece of a response's body came.
    pub fn handle_chunk(&mut self, exchange: ExchangeId, chunk: &[u8], now: Instant) {
        if self.is_followed(exchange) {
            return;
        }
        let progress = match self.reader_of(exchange) {
            Some((reader, findings)) => reader.handle_chunk(chunk, findings),
            None => return,
        };
        let received = self.reader_of(exchange).map_or(0, |(r, _)| r.received());
        self.findings.note_size(received);
        match progress {
            Ok(progress) => self.progress(progress, now),
            Err(fault) => self.fail(fault, now),
        }
    }

    /// A response's body ended.
    pub fn handle_end(&mut self, exchange: ExchangeId, now: Instant) {
        if self.stream.as_ref().is_some_and(|s| s.exchange == exchange) {
            self.stream = None;
            self.fail(ending::stream_ended(), now);
            return;
        }
        if self.is_followed(exchange) && self.followed(true, now) {
            return;
        }
        if self.may_resume(exchange, now) {
            return;
        }
        let Some((reader, findings)) = self.reader_of(exchange) else {
            return;
        };
        let reply = reader.handle_end(findings);
        if let Some(running) = self.running.as_mut() {
            running.is_open = false;
        }
        match reply {
            Ok(reply) => self.replied(reply, now),
            Err(fault) => self.fail(fault, now),
        }
    }

    /// An exchange failed below HTTP, or HTTP itself did.
    pub fn handle_failure(
        &mut self,
        exchange: ExchangeId,
        reason: Reason,
        detail: impl Into<String>,
        now: Instant,
    ) {
        let is_stream = self.stream.as_ref().is_some_and(|s| s.exchange == exchange);
        let is_running = self
            .running
            .as_ref()
            .is_some_and(|r| r.exchange == exchange);
        if is_stream {
            self.stream = None;
        } else if !is_running {
            return;
        }
        if is_running && let Some(running) = self.running.as_mut() {
            running.is_open = false;
        }
        let fault = Fault {
            reason,
            detail: detail.into(),
            check: ending::net_check(reason),
        };
        self.fail(fault, now);
    }

    /// The deadline of [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.listened_long_enough(now) {
            return;
        }
        if self.resume_is_due(now) {
            self.resume();
            return;
        }
        if self.running.as_ref().is_none_or(|r| r.deadline > now) || self.followed(false, now) {
            return;
        }
        let Some(running) = self.running.as_mut() else {
            return;
        };
        if !running.awaits_stream(self.dialect.transport)
            && let Some(reply) = running.reader.give_up(&mut self.findings)
        {
            self.replied(reply, now);
            return;
        }
        let reason = running.timeout_reason(self.stream.is_some(), self.plan.is_proxied);
        let waited = now.saturating_duration_since(running.started);
        let budget = if running.deadline == self.deadline && !self.closing {
            format!(
                "; the probe's total of {} s is used up",
                self.plan.total_timeout.as_secs()
            )
        } else {
            String::new()
        };
        let fault = Fault {
            reason,
            detail: format!("no answer after {:.1} s{budget}", waited.as_secs_f64()),
            check: ending::net_check(reason),
        };
        self.fail(fault, now);
    }

    /// The user or the shell wants the probe to end. A session is still closed.
    pub fn handle_cancel(&mut self, now: Instant) {
        if self.is_done() || self.end_until.is_some() {
            return;
        }
        let until = now + CANCELLED_TIMEOUT;
        if self.closing {
            self.end_until = Some(until);
            if let Some(running) = self.running.as_mut() {
                running.deadline = running.deadline.min(until);
            }
            return;
        }
        self.clean_until = Some(self.clean_until.map_or(until, |at| at.min(until)));
        self.end_until = Some(until + CANCELLED_TIMEOUT);
        self.fallback = None;
        self.fail(
            Fault {
                reason: Reason::Cancelled,
                detail: "the probe was cancelled".to_owned(),
                check: None,
            },
            now,
        );
    }

    /// What the probe found, once it is done.
    #[must_use]
    pub fn finish(mut self) -> (Findings, Outcome) {
        self.examine_expectations();
        let severity = |id| self.plan.severity(id);
        let outcome = ending::outcome(&self.findings, severity);
        (self.findings, outcome)
    }

    const fn exchange_id(&mut self) -> ExchangeId {
        self.next_exchange += 1;
        ExchangeId(self.next_exchange)
    }
}

#[cfg(test)]
mod tests;
