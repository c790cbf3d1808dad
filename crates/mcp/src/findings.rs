//! What a probe found, as the sequence goes along.

use std::collections::BTreeMap;

use model::report::{CheckReport, ServerInfo, StepReport};
use model::{CheckId, Era, Failure, ListKind, Revision, Severity, Step, Transport};

use crate::limits::MAX_DETAIL_CHARS;
use crate::surface::{Collector, Listing};

/// Everything that the state machine learned about the target.
#[derive(Debug, Default)]
pub struct Findings {
    /// The steps that ran, in order.
    pub steps: Vec<StepReport>,
    /// The first failure.
    pub failure: Option<Failure>,
    /// Which era the server spoke.
    pub era: Option<Era>,
    /// Which revision was used.
    pub revision: Option<Revision>,
    /// How the messages travelled.
    pub transport: Option<Transport>,
    /// What the server says it is.
    pub server: Option<ServerInfo>,
    /// Other servers, or versions of it, that gave results of the same probe.
    pub more_servers: Vec<ServerInfo>,
    /// The instances that answered, as the plan's paths find them; the first one first.
    pub instances: Vec<String>,
    /// How many tools it listed, once the list was complete.
    pub tools: Option<u32>,
    /// How many items the other lists had, each once it was complete.
    pub lists: BTreeMap<ListKind, u32>,
    /// The size of the largest answer, bytes.
    pub largest_response: u64,
    /// The tools themselves, once the list was complete, where the plan keeps them.
    pub listing: Option<Listing>,
    pub(crate) collector: Collector,
    /// When, in a `Retry-After`, the server wants to be asked again, seconds from the answer.
    pub retry_after: Option<u64>,
    checks: BTreeMap<CheckId, Examined>,
}

#[derive(Debug, Default)]
struct Examined {
    violation: Option<(String, Option<Severity>, Step)>,
}

impl Findings {
    /// An answer has come to so many bytes.
    pub(crate) fn note_size(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.largest_response = self.largest_response.max(bytes);
    }

    /// The check was examined and holds so far.
    pub fn pass(&mut self, id: CheckId) {
        self.checks.entry(id).or_default();
    }

    /// The check is violated. The first violation is kept.
    pub fn violate(&mut self, id: CheckId, step: Step, detail: impl AsRef<str>) {
        self.violate_with(id, step, None, detail.as_ref());
    }

    /// The check is violated, but in a way that the field lives with: at most `severity`.
    pub fn violate_mildly(
        &mut self,
        id: CheckId,
        severity: Severity,
        step: Step,
        detail: impl AsRef<str>,
    ) {
        self.violate_with(id, step, Some(severity), detail.as_ref());
    }

    /// Passes or violates, by a condition.
    pub fn demand(&mut self, holds: bool, id: CheckId, step: Step, detail: impl AsRef<str>) {
        if holds {
            self.pass(id);
        } else {
            self.violate(id, step, detail);
        }
    }

    fn violate_with(&mut self, id: CheckId, step: Step, mild: Option<Severity>, detail: &str) {
        let examined = self.checks.entry(id).or_default();
        if examined.violation.is_none() {
            let shown = model::text::line(detail, MAX_DETAIL_CHARS);
            examined.violation = Some((shown, mild, step));
        }
    }

    /// The examined checks with the severities that apply, in the order of the check table, and
    /// for each violation the step in which it was found.
    pub fn examined(
        &self,
        severity: impl Fn(CheckId) -> Severity,
    ) -> Vec<(CheckReport, Option<Step>)> {
        let mut rows = Vec::with_capacity(self.checks.len());
        for (id, examined) in &self.checks {
            let (detail, mild, step) = match &examined.violation {
                Some((detail, mild, step)) => (Some(detail.clone()), *mild, Some(*step)),
                None => (None, None, None),
            };
            // `Fail` sorts before `Note`: the milder one is the larger one.
            let severity = mild.map_or_else(|| severity(*id), |mild| mild.max(severity(*id)));
            let report = CheckReport {
                id: *id,
                passed: detail.is_none(),
                severity,
                source: id.rule().source.to_owned(),
                detail,
            };
            rows.push((report, step));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_violation_stays_and_mildness_never_raises() {
        let mut findings = Findings::default();
        findings.pass(CheckId::RpcId);
        findings.violate_mildly(CheckId::RpcId, Severity::Note, Step::Ping, "type");
        findings.violate(CheckId::RpcId, Step::ToolsList, "value");
        findings.pass(CheckId::RpcId);
        let rows = findings.examined(|id| id.rule().severity);
        assert_eq!(rows.len(), 1);
        let (row, step) = &rows[0];
        assert_eq!(
            (row.passed, row.severity, *step),
            (false, Severity::Note, Some(Step::Ping))
        );
        assert_eq!(row.detail.as_deref(), Some("type"));
    }
}
