//! Steps begin, end, fail, and follow each other.

use std::time::{Duration, Instant};

use model::report::StepReport;
use model::{Phase, Reason, Step, Transport};
use serde_json::{Map, Value};

use super::{Running, Sequence, Stream};
use crate::exchange::{Command, Head, Request};
use crate::limits::{CLOSE_TIMEOUT, MAX_DETAIL_CHARS};
use crate::reply::{Expect, Reader};
use crate::timing::Timer;

impl Sequence {
    /// Begins a step with its first request.
    pub(super) fn start(&mut self, step: Step, now: Instant) {
        let limit = match step {
            Step::ToolsCall => self.plan.call_timeout,
            Step::Close => CLOSE_TIMEOUT,
            Step::Authorize
            | Step::Stream
            | Step::Discover
            | Step::Initialize
            | Step::Initialized
            | Step::Ping
            | Step::ToolsList => self.plan.step_timeout,
        };
        let deadline = if self.closing {
            now + limit
        } else {
            after(now, limit).min(self.deadline)
        };
        let tool = (step == Step::ToolsCall)
            .then(|| {
                self.plan
                    .calls
                    .get(self.next_call)
                    .map(|call| call.name.clone())
            })
            .flatten();
        let (request, id, expect) = self.request(step, None);
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

    /// Sends another request within the running step: a further page, another revision.
    pub(super) fn again(&mut self, cursor: Option<String>) {
        let Some(step) = self.running.as_ref().map(|running| running.step) else {
            return;
        };
        let (request, id, expect) = self.request(step, cursor);
        let exchange = self.exchange_id();
        if let Some(running) = self.running.as_mut() {
            running.exchange = exchange;
            running.id = id;
            running.reader = Reader::new(expect, step);
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

    fn request(&mut self, step: Step, cursor: Option<String>) -> (Request, Option<i64>, Expect) {
        match step {
            Step::Stream => return (self.dialect.stream(), None, Expect::Stream),
            Step::Close => return (self.dialect.delete(), None, Expect::Closed),
            Step::Authorize
            | Step::Discover
            | Step::Initialize
            | Step::Initialized
            | Step::Ping
            | Step::ToolsList
            | Step::ToolsCall => {}
        }
        let mut params = Map::new();
        if step == Step::Initialize {
            params = self.dialect.initialize_params(self.offered);
        }
        if let Some(cursor) = cursor {
            params.insert("cursor".to_owned(), cursor.into());
        }
        if step == Step::ToolsCall
            && let Some(call) = self.plan.calls.get(self.next_call)
        {
            params.insert("name".to_owned(), call.name.clone().into());
            params.insert(
                "arguments".to_owned(),
                Value::Object(call.arguments.clone()),
            );
        }
        if step == Step::Initialized {
            return (
                self.dialect.message(step, None, params),
                None,
                Expect::Accepted,
            );
        }
        self.next_id += 1;
        let id = self.next_id;
        let expect = match self.dialect.transport {
            Transport::StreamableHttp => Expect::Response(id),
            Transport::HttpSse => Expect::Accepted,
        };
        (
            self.dialect.message(step, Some(id), params),
            Some(id),
            expect,
        )
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
        let next = match step {
            Step::Stream => Some(Step::Initialize),
            Step::Initialize => Some(Step::Initialized),
            Step::Initialized => Some(Step::Ping),
            Step::Discover | Step::Ping => self.list_or_call(),
            Step::ToolsList | Step::ToolsCall => self.call(),
            // Tokens are the shell's.
            Step::Authorize | Step::Close => None,
        };
        match next {
            Some(next) => self.start(next, now),
            None if step == Step::Close => {}
            None => self.close(now),
        }
    }

    /// Tools are listed where the server announces them; where it does not but a call is
    /// configured, the call itself will tell.
    fn list_or_call(&self) -> Option<Step> {
        if self.announces_tools {
            Some(Step::ToolsList)
        } else {
            self.call()
        }
    }

    fn call(&self) -> Option<Step> {
        (self.next_call < self.plan.calls.len()).then_some(Step::ToolsCall)
    }

    /// Notes the head of the running step's response.
    pub(super) fn note_head(&mut self, head: &Head, now: Instant) {
        let Some(running) = self.running.as_mut() else {
            return;
        };
        running.timer.enter(Phase::Receive, now);
        running.http_status = Some(head.status.as_u16());
        running.content_type = head.media_type().map(|media| model::text::line(&media, 64));
        let retry_after = head
            .header("retry-after")
            .and_then(|v| v.trim().parse().ok());
        if !head.is_success() && retry_after.is_some() {
            self.findings.retry_after = retry_after;
        }
        let session = head.headers.get(crate::request::SESSION_ID);
        running.has_session_header = session.is_some();
        // Only a successful initialize opens a session: some servers put a fresh id on errors.
        if running.step == Step::Initialize && head.is_success() {
            self.keep_session(session.cloned());
        }
    }
}

/// `now + time`, or a day from now where the sum does not exist.
pub(super) fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time)
        .unwrap_or_else(|| now + Duration::from_secs(86_400))
}
