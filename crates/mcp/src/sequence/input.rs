//! A tool asks for input before it gives its result (2026-07-28 basic/patterns/mrtr), or must not
//! be called at all.

use std::time::Instant;

use model::report::StepReport;
use model::{CheckId, Failure, Phase, Reason, Step};
use serde_json::{Map, Value};

use super::Sequence;
use super::asking::More;
use crate::limits::MAX_INPUT_ROUNDS;
use crate::reply::Fault;

impl Sequence {
    /// Answers what the running call asks, as the plan says, in a request with a new id.
    pub(super) fn asked(
        &mut self,
        questions: &Map<String, Value>,
        state: Option<Value>,
        now: Instant,
    ) {
        self.input_rounds += 1;
        if self.input_rounds > MAX_INPUT_ROUNDS {
            let detail = format!("asked for input more than {MAX_INPUT_ROUNDS} times");
            let check = CheckId::CallIsError;
            return self.fail(Fault::new(Reason::McpInputRequired, check, detail), now);
        }
        let mut answers = Map::new();
        for (key, question) in questions {
            let method = question["method"].as_str().unwrap_or_default();
            let shown = model::text::line(method, 60);
            // Input may be asked for only by a method whose capability the client declared.
            let may_ask = self.dialect.elicits && method == "elicitation/create";
            let (id, step) = (CheckId::CallInputRequired, Step::ToolsCall);
            let detail = format!("the tool asks by {shown}, which the client did not declare");
            self.findings.demand(may_ask, id, step, detail);
            let call = self.plan.calls.get(self.next_call);
            let Some(answer) = call.and_then(|call| call.answers.get(key)) else {
                let key = model::text::line(key, 60);
                let detail = format!("the tool asks for `{key}` ({shown}); no answer is given");
                let fault = Fault::new(Reason::McpInputRequired, CheckId::CallIsError, detail);
                return self.fail(fault, now);
            };
            answers.insert(key.clone(), answer.clone());
        }
        self.release(now);
        self.again(More::Input { answers, state });
    }

    /// A tool whose annotations for headers are invalid must not be called: clients drop it
    /// (2026-07-28 transports/streamable-http). The probe ends with that; whether it did.
    pub(super) fn refuses_call(&mut self, now: Instant) -> bool {
        let call = self.plan.calls.get(self.next_call);
        let definition = call.and_then(|call| self.tools.definition(&call.name));
        let (Some(call), Some(Err(why))) = (call, definition.map(|tool| &tool.mirror)) else {
            return false;
        };
        let (step, reason) = (Step::ToolsCall, Reason::ToolMissing);
        let detail = format!("clients must drop this tool: {why}");
        self.findings.steps.push(StepReport {
            tool: Some(model::text::line(&call.name, 128)),
            failed_phase: Some(Phase::Wait),
            reason: Some(reason),
            detail: Some(model::text::line(&detail, crate::limits::MAX_DETAIL_CHARS)),
            ..StepReport::unsent(step)
        });
        self.findings.violate(CheckId::CallIsError, step, &detail);
        self.next_call += 1;
        self.findings.failure.get_or_insert(Failure {
            step,
            phase: Phase::Wait,
            reason,
        });
        self.clean_up(now);
        true
    }
}
