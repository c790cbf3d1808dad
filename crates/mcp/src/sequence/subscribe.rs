//! Notifications on response streams, and the acknowledgement of a subscription (2026-07-28
//! basic/patterns/subscriptions).

use std::time::Instant;

use model::{CheckId, Era, Reason, Step};
use serde_json::{Map, Value, json};

use super::Sequence;
use crate::reply::{Fault, Note};

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// Params of `subscriptions/listen`: what any server may have.
pub(super) fn params() -> Map<String, Value> {
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    wanted.as_object().cloned().unwrap_or_default()
}

impl Sequence {
    /// A notification came on the running step's stream; whether it ended the step.
    pub(super) fn notified(&mut self, note: &Note, now: Instant) -> bool {
        let Some(running) = &self.running else {
            return false;
        };
        let (step, id) = (running.step, running.id);
        if step == Step::Subscribe {
            self.acknowledged(note, id, now);
            return true;
        }
        if self.dialect.era == Era::Modern {
            // Neither progress nor log messages were asked for.
            let shown = model::text::line(&note.method, 60);
            let detail = format!("the stream carried {shown}, which nobody asked for");
            self.findings
                .violate(CheckId::SseNoForeignNotif, step, detail);
        }
        false
    }

    fn acknowledged(&mut self, note: &Note, id: Option<i64>, now: Instant) {
        let named = &note.params["_meta"][SUBSCRIPTION_ID];
        let is_ack = note.method == ACKNOWLEDGED;
        let is_ours = named.as_i64().is_some() && named.as_i64() == id;
        if is_ack && is_ours {
            self.findings.pass(CheckId::SubAck);
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

    /// Subscribing does not work: that is said, and the probe goes on.
    pub(super) fn not_subscribed(&mut self, fault: &Fault, now: Instant) {
        self.findings
            .violate(CheckId::SubAck, Step::Subscribe, &fault.detail);
        self.end_step(Some(fault.reason), Some(fault.detail.clone()), now);
        self.advance(Step::Subscribe, now);
    }
}
