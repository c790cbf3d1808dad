//! What is wrong with a spec beyond its shape.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::secret::HIDDEN;
use super::{CallSpec, MonitorSpec};
use crate::period::Period;

/// The largest cap on requests a minute, of a monitor or of an origin: as good as none.
pub const MAX_REQUESTS_PER_MINUTE: u32 = 1_000_000;

/// Ids of regions, agents and hostings: names that are safe in labels, paths and logs.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(legal)
}

/// What is wrong with labels, of a monitor or of an agent: at most 32, each name and value a line of
/// at most 128 bytes.
#[must_use]
pub fn label_problems(pointer: &str, labels: &BTreeMap<String, String>) -> Vec<FieldError> {
    const MOST: usize = 32;
    let mut problems = Vec::new();
    if labels.len() > MOST {
        let detail = format!("{} entries; at most {MOST}", labels.len());
        problems.push(FieldError::new(pointer, detail));
    }
    let is_line = |text: &str| text.len() <= 128 && !text.chars().any(char::is_control);
    for (name, value) in labels {
        if name.is_empty() || !is_line(name) || !is_line(value) {
            let shown = crate::text::line(name, 40);
            let detail = "names and values are lines of at most 128 bytes";
            problems.push(FieldError::new(format!("{pointer}/{shown}"), detail));
        }
    }
    problems
}

/// One thing that is wrong with a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// A JSON Pointer (RFC 6901) to the field.
    pub pointer: String,
    /// The problem and the way out.
    pub detail: String,
}

impl FieldError {
    /// An error about one field.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

fn performance(pointer: &str, most: Period, problems: &mut Vec<FieldError>) {
    if most.duration().is_zero() || most.duration() > Duration::from_secs(300) {
        let detail = format!("{most} is not within 1ms to 5m");
        problems.push(FieldError::new(pointer, detail));
    }
}

impl MonitorSpec {
    /// Everything that is wrong with the spec beyond its shape.
    #[must_use]
    pub fn problems(&self) -> Vec<FieldError> {
        let mut problems = Vec::new();
        let mut within = |pointer: &str, period: Period, least: u64, most: u64| {
            let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
            if period.duration() < least || period.duration() > most {
                let detail = format!("{period} is not within {least:?} to {most:?}");
                problems.push(FieldError::new(pointer, detail));
            }
        };
        within("/interval", self.interval, 10, 86_400);
        within("/step_timeout", self.step_timeout, 1, 60);
        within("/call_timeout", self.call_timeout, 1, 120);
        within("/total_timeout", self.total_timeout, 1, 300);
        if let Some(idle) = self.idle_stream {
            within("/idle_stream", idle, 1, 600);
        }
        if !(1..=64).contains(&self.max_agents) {
            let detail = format!("{} is not within 1 to 64", self.max_agents);
            problems.push(FieldError::new("/max_agents", detail));
        }
        if let Some(most) = self.max_requests_per_minute
            && !(1..=MAX_REQUESTS_PER_MINUTE).contains(&most)
        {
            let detail = format!("{most} is not within 1 to {MAX_REQUESTS_PER_MINUTE}");
            problems.push(FieldError::new("/max_requests_per_minute", detail));
        }
        let bounds = [
            ("/regions", self.regions.len(), 64),
            ("/calls", self.calls.len(), 16),
            ("/headers", self.headers.len(), 32),
        ];
        for (pointer, count, most) in bounds {
            if count > most {
                problems.push(FieldError::new(
                    pointer,
                    format!("{count} entries; at most {most}"),
                ));
            }
        }
        problems.extend(call_problems(&self.calls));
        self.demand_problems(&mut problems);
        for (id, severity) in &self.severities {
            if !id.may_become(*severity) {
                let detail = "cannot be lowered: without it a probe has nothing to go on with";
                problems.push(FieldError::new(format!("/severities/{id}"), detail));
            }
        }
        for (n, region) in self.regions.iter().enumerate() {
            if !is_id(region) {
                let detail = "use 1 to 64 letters, digits, `-`, `_` and `.`";
                problems.push(FieldError::new(format!("/regions/{n}"), detail));
            }
        }
        if self.hosting.as_ref().is_some_and(|hosting| !is_id(hosting)) {
            let detail = "use 1 to 64 letters, digits, `-`, `_` and `.`";
            problems.push(FieldError::new("/hosting", detail));
        }
        self.header_problems(&mut problems);
        self.authorization_problems(&mut problems);
        self.network_problems(&mut problems);
        problems.extend(label_problems("/agent_labels", &self.agent_labels));
        problems.extend(label_problems("/labels", &self.labels));
        problems
    }

    fn demand_problems(&self, problems: &mut Vec<FieldError>) {
        let idle = self.idle_stream.map(|idle| idle.duration());
        if idle.is_some_and(|idle| idle >= self.interval.duration()) {
            let detail = "must be shorter than the interval: a probe listens to its end";
            problems.push(FieldError::new("/idle_stream", detail));
        }
        problems.extend(self.expect.problems("/expect"));
        problems.extend(self.instance.problems("/instance"));
        self.contract.problems(problems);
        if let Some(health) = &self.health {
            problems.extend(health.problems("/health"));
        }
        for (step, most) in &self.expect.max_step {
            performance(&format!("/expect/max_step/{step}"), *most, problems);
        }
        if let Some(most) = self.expect.max_total {
            performance("/expect/max_total", most, problems);
        }
    }

    fn header_problems(&self, problems: &mut Vec<FieldError>) {
        for (name, value) in &self.headers {
            let mut problem = |detail: &str| {
                let pointer = format!("/headers/{}", crate::text::line(name, 40));
                problems.push(FieldError::new(pointer, detail));
            };
            if !crate::header::is_name(name) {
                problem("this is no legal header name");
            }
            if !crate::header::is_value(value.expose()) {
                problem("its value is no legal header value");
            }
            if name.eq_ignore_ascii_case("origin") && !self.expect.origin.is_empty() {
                problem(
                    "every request would carry it, those of `expect.origin` too; leave one out",
                );
            }
            if value.expose() == HIDDEN {
                problem("this stands for a hidden value; send the value itself");
            }
        }
    }
}

/// What is wrong with the calls of a monitor, or of a flow.
#[must_use]
pub fn call_problems(calls: &[CallSpec]) -> Vec<FieldError> {
    let mut problems = Vec::new();
    for (n, call) in calls.iter().enumerate() {
        if call.name.is_empty() || call.name.len() > 128 {
            let detail = "a tool's name has 1 to 128 characters";
            problems.push(FieldError::new(format!("/calls/{n}/name"), detail));
        }
        problems.extend(call.expect.problems(&format!("/calls/{n}/expect")));
        if let Some(most) = call.expect.max {
            performance(&format!("/calls/{n}/expect/max"), most, &mut problems);
        }
        if calls[..n].iter().any(|other| other.name == call.name) {
            let detail = "the tool is called already; a failure would not say which call";
            problems.push(FieldError::new(format!("/calls/{n}/name"), detail));
        }
    }
    problems.extend(crate::flow::problems(calls));
    problems
}
