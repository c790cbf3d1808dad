//! Steps begin, end, fail, and follow each other.

use std::time::{Duration, Instant};

use model::report::StepReport;
use model::{Era, ListKind, Phase, Profile, Reason, Step, Transport};

use super::asking::More;
use super::{Running, Sequence, Stream};
use crate::exchange::{Command, Head, Request};
use crate::limits::MAX_DETAIL_CHARS;
use crate::reply::{Expect, Reader};
use crate::results::Announced;
use crate::retry_after::retry_after;
use crate::timing::Timer;

impl Sequence {
    /// Begins a step with its first request.
    pub(super) fn start(&mut self, step: Step, now: Instant) {
        let limit = match step {
            Step::ToolsCall => self.plan.call_timeout,
            Step::Close => self.plan.close_timeout,
            Step::Authorize
            | Step::Stream
            | Step::Discover
            | Step::Initialize
            | Step::Initialized
            | Step::Ping
            | Step::ToolsList
            | Step::ResourcesList
            | Step::ResourceTemplatesList
            | Step::PromptsList
            | Step::Subscribe
            | Step::Origin
            | Step::Strict => self.plan.step_timeout,
        };
        let latest = match (self.closing, self.cleaning) {
            (true, _) => self.end_until,
            (false, true) => self.clean_until,
            (false, false) => Some(self.deadline),
        };
        let deadline = after(now, limit);
        let deadline = latest.map_or(deadline, |latest| deadline.min(latest));
        let tool = (step == Step::ToolsCall)
            .then(|| {
                self.plan
                    .calls
                    .get(self.next_call)
                    .map(|call| call.name.clone())
            })
            .flatten();
        let trial = matches!(step, Step::Origin | Step::Strict)
            .then(|| self.trials.pop_front())
            .flatten();
        let (request, id, expect) = match &trial {
            Some(trial) => (trial.request.clone(), trial.id, trial.expect()),
            None => self.request(step, More::Nothing),
        };
        let exchange = self.exchange_id();
        self.running = Some(Running {
            step,
            tool,
            exchange,
            id,
            reader: Reader::new(expect, step),
            timer: Timer::default(),
            started: now,
            deadline,
            exchanges: 1,
            http_status: None,
            content_type: None,
            rpc_code: None,
            has_session_header: false,
            is_open: true,
            trial,
            resume: None,
            resumes: 0,
            progress: None,
            idle_since: None,
            followed_since: None,
        });
        if step == Step::Stream {
            self.stream = Some(Stream {
                exchange,
                reader: Reader::new(expect, step),
                has_endpoint: false,
            });
        }
        self.commands.push_back(Command::Send { exchange, request });
    }

    /// Sends another request within the running step: a further page, another revision, input
    /// that the tool asked for.
    pub(super) fn again(&mut self, more: More) {
        let Some(step) = self.running.as_ref().map(|running| running.step) else {
            return;
        };
        let (request, id, expect) = self.request(step, more);
        if let Some(running) = self.running.as_mut() {
            running.resumes = 0;
        }
        self.send_again(request, id, expect);
    }

    /// Sends a request within the running step.
    pub(super) fn send_again(&mut self, request: Request, id: Option<i64>, expect: Expect) {
        let exchange = self.exchange_id();
        if let Some(running) = self.running.as_mut() {
            running.exchange = exchange;
            running.id = id;
            running.reader = Reader::new(expect, running.step);
            running.has_session_header = false;
            running.exchanges += 1;
            running.is_open = true;
        }
        self.commands.push_back(Command::Send { exchange, request });
    }

    /// Gives the connection of the running step's exchange back, and stops its clock.
    pub(super) fn release(&mut self, now: Instant) {
        let Some(running) = self.running.as_mut() else {
            return;
        };
        running.timer.stop(now);
        if std::mem::take(&mut running.is_open) {
            self.commands.push_back(Command::Release(running.exchange));
        }
    }

    /// The running step went well.
    pub(super) fn succeed(&mut self, detail: Option<String>, now: Instant) {
        self.end_step(None, detail, now);
    }

    /// Ends the running step, gives its connection back and files its report.
    pub(super) fn end_step(
        &mut self,
        failed: Option<Reason>,
        detail: Option<String>,
        now: Instant,
    ) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        let failed_phase = failed.map(|_| running.timer.phase());
        running.timer.stop(now);
        let is_stream = self
            .stream
            .as_ref()
            .is_some_and(|s| s.exchange == running.exchange);
        if running.is_open && !is_stream {
            self.commands.push_back(match failed {
                Some(_) => Command::Abort(running.exchange),
                None => Command::Release(running.exchange),
            });
        }
        let phases_us = running.timer.micros();
        self.findings.steps.push(StepReport {
            step: running.step,
            tool: running.tool.map(|tool| model::text::line(&tool, 128)),
            total_us: phases_us.values().sum(),
            phases_us,
            warm: running.timer.is_warm(),
            exchanges: running.exchanges,
            http_status: running.http_status,
            content_type: running.content_type,
            rpc_code: running.rpc_code,
            failed_phase,
            reason: failed,
            detail: detail.map(|detail| model::text::line(&detail, MAX_DETAIL_CHARS)),
        });
    }

    /// The step that follows `step` when it went well.
    pub(super) fn advance(&mut self, step: Step, now: Instant) {
        if self.cleaning {
            // The probe has failed: nothing follows but the rest of the cleaning up.
            return self.clean_up(now);
        }
        let next = match step {
            Step::Stream => Some(Step::Initialize),
            Step::Initialize => Some(Step::Initialized),
            Step::Initialized => Some(Step::Ping),
            Step::Discover
            | Step::Ping
            | Step::ToolsList
            | Step::ResourcesList
            | Step::ResourceTemplatesList
            | Step::PromptsList
            | Step::ToolsCall
            | Step::Subscribe
            | Step::Origin
            | Step::Strict => self.next_of_body(step),
            // Tokens are the shell's.
            Step::Authorize | Step::Close => None,
        };
        match next {
            Some(Step::ToolsCall) if self.refuses_call(now) => {}
            Some(next) => self.start(next, now),
            None if step == Step::Close => {}
            None => self.close(now),
        }
    }

    /// What follows `step` once the handshake is done. Tools are listed where the server announces
    /// them; where it does not but a call is configured, the call itself will tell.
    fn next_of_body(&mut self, step: Step) -> Option<Step> {
        const BODY: [Step; 8] = [
            Step::ToolsList,
            Step::ResourcesList,
            Step::ResourceTemplatesList,
            Step::PromptsList,
            Step::ToolsCall,
            Step::Subscribe,
            Step::Origin,
            Step::Strict,
        ];
        let repeats = matches!(step, Step::ToolsCall | Step::Origin | Step::Strict);
        let done = BODY.iter().position(|known| *known == step);
        let from = done.map_or(0, |done| done + usize::from(!repeats));
        if done.is_none() && !self.announced.tools {
            // Nothing to list is a complete list, too.
            self.listed();
            self.examine_tools();
        }
        let next = BODY[from..].iter().copied().find(|next| self.wants(*next));
        if next == Some(Step::Origin) && step != Step::Origin {
            self.prepare_origins();
        }
        if next == Some(Step::Strict) && step != Step::Strict {
            self.prepare_trials();
            return (!self.trials.is_empty()).then_some(Step::Strict);
        }
        next
    }

    /// The list of tools is complete.
    pub(super) fn listed(&mut self) {
        if self.plan.keep_listing {
            self.findings.listing = Some(self.findings.collector.complete());
        }
    }

    fn wants(&self, step: Step) -> bool {
        let walks = |list, announced| announced && self.plan.lists.contains(&list);
        let Announced {
            tools,
            resources,
            prompts,
        } = self.announced;
        match step {
            Step::ToolsList => tools,
            Step::ResourcesList => walks(ListKind::Resources, resources),
            Step::ResourceTemplatesList => walks(ListKind::ResourceTemplates, resources),
            Step::PromptsList => walks(ListKind::Prompts, prompts),
            Step::ToolsCall => self.next_call < self.plan.calls.len(),
            Step::Subscribe => {
                let is_modern = self.dialect.era == Era::Modern;
                let is_http_sse = self.dialect.transport == Transport::HttpSse;
                (self.plan.subscribe && is_modern) || (self.plan.idle.is_some() && !is_http_sse)
            }
            // Before the first trial there are none yet.
            Step::Origin | Step::Strict => {
                let begun = self.findings.steps.iter().any(|s| s.step == step);
                let is_wanted = if step == Step::Origin {
                    !self.plan.expect.origin.is_empty()
                } else {
                    self.plan.profile == Profile::Strict
                };
                is_wanted && !self.spares && (!begun || !self.trials.is_empty())
            }
            Step::Authorize
            | Step::Stream
            | Step::Discover
            | Step::Initialize
            | Step::Initialized
            | Step::Ping
            | Step::Close => false,
        }
    }

    /// Notes the head of the running step's response.
    pub(super) fn note_head(&mut self, head: &Head, now: Instant) {
        let Some(running) = self.running.as_mut() else {
            return;
        };
        running.timer.enter(Phase::Receive, now);
        running.http_status = Some(head.status.as_u16());
        running.content_type = head.media_type().map(|media| model::text::line(&media, 64));
        let began = self.deadline.checked_sub(self.plan.total_timeout);
        let spent = began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let wall = self.plan.wall.map(|wall| wall + spent);
        let retry_after = retry_after(head, wall);
        if !head.is_success() && retry_after.is_some() {
            self.findings.retry_after = retry_after;
        }
        let session = head.headers.get(crate::request::SESSION_ID);
        running.has_session_header = session.is_some();
        let opens = running
            .trial
            .as_ref()
            .is_some_and(|trial| trial.opens_session);
        // Only a successful initialize opens a session: some servers put a fresh id on errors.
        if running.step == Step::Initialize && head.is_success() {
            self.keep_session(session.cloned());
        }
        if opens && head.is_success() {
            self.owe_session(session.cloned());
        }
    }
}

/// `now + time`, or a day from now where the sum does not exist.
pub(super) fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time)
        .unwrap_or_else(|| now + Duration::from_secs(86_400))
}
