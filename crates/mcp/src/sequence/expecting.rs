//! What the user demands of the target, and calls that build on each other.

use std::time::{Duration, Instant};

use model::{CheckId, Era, Reason, Severity, Step, json_schema};
use serde_json::Value;

use super::Sequence;
use crate::limits::CLEANUP_TIMEOUT;
use crate::reply::Fault;

impl Sequence {
    /// Whether the tools that must be there are.
    pub(super) fn examine_tools(&mut self) {
        let expected = &self.plan.expect.tools;
        if expected.is_empty() {
            return;
        }
        let is_missing = |name: &&String| !self.tools.names.contains(*name);
        let missing = expected.iter().find(is_missing);
        let detail = missing.map(|name| format!("no tool {}", model::text::line(name, 64)));
        let (holds, detail) = (detail.is_none(), detail.unwrap_or_default());
        let id = CheckId::ListExpected;
        self.findings.demand(holds, id, Step::ToolsList, detail);
    }

    /// Holds the result of the running call against what is demanded of it, and takes from it what
    /// later calls need.
    pub(super) fn hold_against_demands(&mut self, result: &Value) -> Result<(), Fault> {
        let Some(call) = self.plan.calls.get(self.next_call) else {
            return Ok(());
        };
        let (id, step) = (CheckId::CallExpected, Step::ToolsCall);
        let mut problem = None;
        if let Some(demanded) = &call.expect.schema {
            let content = result.get("structuredContent").unwrap_or(&Value::Null);
            problem = match json_schema::conforms(demanded, content) {
                None => {
                    Some("structuredContent is too large to hold against the schema".to_owned())
                }
                Some(judged) => judged.err().map(|why| format!("structuredContent: {why}")),
            };
        }
        let mut assertions = call.expect.assertions.iter();
        problem = problem.or_else(|| assertions.find_map(|one| one.broken(result)));
        if call.expect.schema.is_some() || !call.expect.assertions.is_empty() {
            match problem {
                Some(detail) if self.plan.severity(id) == Severity::Fail => {
                    return Err(Fault::new(Reason::ToolOutputInvalid, id, detail));
                }
                Some(detail) => self.findings.violate(id, step, detail),
                None => self.findings.pass(id),
            }
        }
        for (name, path) in &call.capture {
            let found = path.find(result).first().copied();
            let fits = |value: &&Value| value.to_string().len() <= model::flow::MAX_CAPTURE_BYTES;
            let Some(value) = found.filter(fits) else {
                let detail = format!("{path} finds nothing to take as `{name}`, or too much");
                return Err(Fault::new(Reason::ToolOutputInvalid, id, detail));
            };
            self.captured.insert(name.clone(), value.clone());
        }
        Ok(())
    }

    /// The probe has failed. What it made is cleaned up as far as earlier calls left what that
    /// needs; then the session is closed.
    pub(super) fn clean_up(&mut self, now: Instant) {
        self.cleaning = false;
        let has_all = |sequence: &Self| {
            let call = sequence.plan.calls.get(sequence.next_call);
            call.filter(|call| call.cleanup).is_some_and(|call| {
                let definition = sequence.tools.definition(&call.name);
                let is_dropped = definition.is_some_and(|tool| tool.mirror.is_err());
                let names = model::flow::names(&call.arguments);
                !is_dropped
                    && names
                        .iter()
                        .all(|name| sequence.captured.contains_key(name))
            })
        };
        // Where no call was made there is nothing to clean up.
        let called = self
            .findings
            .steps
            .iter()
            .any(|s| s.step == Step::ToolsCall);
        let until = *self.clean_until.get_or_insert(now + CLEANUP_TIMEOUT);
        while called && now < until && self.next_call < self.plan.calls.len() {
            if has_all(self) {
                self.cleaning = true;
                self.start(Step::ToolsCall, now);
                return;
            }
            self.next_call += 1;
        }
        self.close(now);
    }

    /// What can be judged only at the end.
    pub(super) fn examine_expectations(&mut self) {
        let expect = &self.plan.expect;
        let findings = &mut self.findings;
        let step = match findings.era {
            Some(Era::Modern) => Step::Discover,
            Some(Era::Legacy) | None => Step::Initialize,
        };
        let is_named = expect.server_name.is_some() || expect.server_version.is_some();
        if is_named && findings.server.is_none() && findings.revision.is_some() {
            let detail = "the server gives itself no name";
            findings.violate(CheckId::ServerExpected, step, detail);
        }
        if let Some(server) = findings.server.clone() {
            let pairs = [
                ("name", &expect.server_name, &server.name),
                ("version", &expect.server_version, &server.version),
            ];
            for (what, wanted, found) in pairs {
                let Some(wanted) = wanted else { continue };
                let detail = format!("serverInfo.{what} is `{found}`, not `{wanted}`");
                findings.demand(wanted == found, CheckId::ServerExpected, step, detail);
            }
        }
        if let (Some(era), Some(revision)) = (findings.era, findings.revision) {
            let id = CheckId::EraExpected;
            if let Some(wanted) = expect.era {
                findings.demand(era == wanted, id, step, format!("the {era} era is spoken"));
            }
            if let Some(wanted) = expect.protocol_version {
                findings.demand(
                    revision == wanted,
                    id,
                    step,
                    format!("{revision} is spoken"),
                );
            }
        }
        if let Some(most) = expect.max_response_bytes {
            let size = findings.largest_response;
            let detail = format!("an answer has {size} bytes, {most} are allowed");
            findings.demand(size <= most, CheckId::HttpSize, Step::ToolsList, detail);
        }
        self.examine_times();
    }

    fn examine_times(&mut self) {
        let expect = &self.plan.expect;
        let mut slow = Vec::new();
        let mut is_timed = !expect.max_step.is_empty();
        for step in self
            .findings
            .steps
            .iter()
            .filter(|step| step.reason.is_none())
        {
            let of_step = expect.max_step.get(&step.step);
            let mut calls = self.plan.calls.iter();
            let call = calls.find(|call| {
                step.tool.as_deref() == Some(model::text::line(&call.name, 128).as_str())
            });
            let of_call = call.and_then(|call| call.expect.max.as_ref());
            is_timed |= of_call.is_some();
            let most = [of_step, of_call].into_iter().flatten();
            let Some(most) = most.map(|period| period.duration()).min() else {
                continue;
            };
            if Duration::from_micros(step.total_us) > most {
                let tool = step.tool.as_deref();
                let tool = tool.map_or_else(String::new, |tool| format!(" {tool}"));
                let took = shown(Duration::from_micros(step.total_us));
                let most = shown(most);
                slow.push((
                    step.step,
                    format!("{}{tool}: {took}, {most} are allowed", step.step),
                ));
            }
        }
        if is_timed {
            self.findings.pass(CheckId::PerfStep);
        }
        for (step, detail) in slow {
            self.findings.violate(CheckId::PerfStep, step, detail);
        }
        if let Some(most) = expect.max_total {
            let total: u64 = self.findings.steps.iter().map(|step| step.total_us).sum();
            let most = most.duration();
            let took = Duration::from_micros(total);
            let detail = format!("{}, {} are allowed", shown(took), shown(most));
            let holds = took <= most;
            self.findings
                .demand(holds, CheckId::PerfTotal, Step::Close, detail);
        }
    }
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
