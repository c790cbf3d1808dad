//! Notifications on response streams, the acknowledgement of a subscription (2026-07-28
//! basic/patterns/subscriptions), and streams that are silent.

use std::time::{Duration, Instant};

use model::{CheckId, Era, Reason, Step};
use serde_json::{Map, Value, json};

use super::Sequence;
use super::running::Arrivals;
use crate::plan::Plan;
use crate::reply::{Fault, Note};

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const PROGRESS: &str = "notifications/progress";
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// Progress that comes so close before the result was held back on its way, if the call was at work
/// for [`AT_WORK`] before any came.
const BURST: Duration = Duration::from_millis(20);
const AT_WORK: Duration = Duration::from_secs(1);

/// Params of `subscriptions/listen`: what any server may have.
pub(super) fn params() -> Map<String, Value> {
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    wanted.as_object().cloned().unwrap_or_default()
}

impl Sequence {
    /// A notification came on the running step's stream; whether it ended the step.
    pub(super) fn notified(&mut self, note: &Note, now: Instant) -> bool {
        let asked = self.plan.calls.get(self.next_call);
        let asked = asked.is_some_and(|call| call.progress);
        let Some(running) = self.running.as_mut() else {
            return false;
        };
        let (step, id) = (running.step, running.id);
        if step == Step::Subscribe {
            if running.idle_since.is_some() {
                return false;
            }
            self.acknowledged(note, id, now);
            return true;
        }
        let token = note.params["progressToken"].as_i64();
        let is_ours = step == Step::ToolsCall && asked && token == id;
        if note.method == PROGRESS && is_ours {
            let fresh = Arrivals {
                first: now,
                count: 0,
            };
            running.progress.get_or_insert(fresh).count += 1;
        } else if self.dialect.era == Era::Modern {
            // Neither progress nor log messages were asked for.
            let shown = model::text::line(&note.method, 60);
            let detail = format!("the stream carried {shown}, which nobody asked for");
            self.findings
                .violate(CheckId::SseNoForeignNotif, step, detail);
        }
        false
    }

    /// The running call gave its result: whether its progress came before, or all at once with it.
    pub(super) fn examine_progress(&mut self, now: Instant) {
        let Some(running) = &self.running else { return };
        let Some(Arrivals { first, count }) = running.progress else {
            return;
        };
        let at_work = first.saturating_duration_since(running.started);
        let span = now.saturating_duration_since(first);
        let is_burst = count >= 2 && span <= BURST && at_work >= AT_WORK;
        let detail = format!(
            "{count} progress events came {} ms before the result, after {:.1} s of silence: a proxy \
             may hold the stream back (nginx: proxy_buffering off)",
            span.as_millis(),
            at_work.as_secs_f64()
        );
        let id = CheckId::SseUnbuffered;
        self.findings.demand(!is_burst, id, Step::ToolsCall, detail);
    }

    fn acknowledged(&mut self, note: &Note, id: Option<i64>, now: Instant) {
        let named = &note.params["_meta"][SUBSCRIPTION_ID];
        let is_ack = note.method == ACKNOWLEDGED;
        let is_ours = named.as_i64().is_some() && named.as_i64() == id;
        if is_ack && is_ours {
            self.findings.pass(CheckId::SubAck);
            if self.plan.idle.is_some() {
                self.listen(now);
                return;
            }
            self.succeed(Some("acknowledged".to_owned()), now);
            self.advance(Step::Subscribe, now);
            return;
        }
        let detail = if is_ack {
            let shown = model::text::line(&named.to_string(), 40);
            format!("the acknowledgement names subscription {shown}, not the request's id")
        } else {
            let shown = model::text::line(&note.method, 60);
            format!("the first message is {shown}, not the acknowledgement")
        };
        let reason = Reason::McpSchemaViolation;
        self.not_subscribed(&Fault::new(reason, CheckId::SubAck, detail), now);
    }

    /// The stream is open: from now on it may be silent.
    pub(super) fn listen(&mut self, now: Instant) {
        let idle = self.plan.idle.unwrap_or_default().min(Plan::MAX_IDLE);
        if let Some(running) = self.running.as_mut() {
            running.idle_since = Some(now);
            running.deadline = now + idle;
            // Silence is nobody's latency.
            running.timer.stop(now);
        }
    }

    /// Whether a silent stream has stayed open for as long as it should.
    pub(super) fn listened_long_enough(&mut self, now: Instant) -> bool {
        let Some(running) = self.running.as_ref() else {
            return false;
        };
        let Some(since) = running
            .idle_since
            .filter(|_| running.deadline <= now && !self.closing)
        else {
            return false;
        };
        let open = now.saturating_duration_since(since);
        // Silence takes no time from what follows.
        self.deadline += open;
        self.findings.pass(CheckId::SseIdle);
        self.succeed(Some(format!("open for {} s", open.as_secs())), now);
        self.advance(Step::Subscribe, now);
        true
    }

    /// Subscribing does not work, or the stream did not stay: that is said, and the probe goes on.
    pub(super) fn not_subscribed(&mut self, fault: &Fault, now: Instant) {
        let running = self.running.as_ref();
        let since = running.and_then(|running| running.idle_since);
        let is_legacy = self.dialect.era == Era::Legacy;
        let status = running.and_then(|running| running.http_status);
        if let Some(since) = since {
            let open = now.saturating_duration_since(since);
            self.deadline += open;
            let detail = format!(
                "the silent stream was closed after {:.1} s: raise the idle time of what is on the \
                 way (nginx: proxy_read_timeout)",
                open.as_secs_f64()
            );
            self.findings
                .violate(CheckId::SseIdle, Step::Subscribe, &detail);
            self.succeed(Some(detail), now);
        } else if is_legacy && status == Some(405) {
            // The stream is optional.
            self.succeed(Some("offers no stream: 405".to_owned()), now);
        } else {
            let check = if is_legacy {
                CheckId::SseIdle
            } else {
                CheckId::SubAck
            };
            self.findings.violate(check, Step::Subscribe, &fault.detail);
            self.end_step(Some(fault.reason), Some(fault.detail.clone()), now);
        }
        self.advance(Step::Subscribe, now);
    }
}
