//! What is said of a target.

use model::verdict::{Flag, Verdict};

use crate::Ms;
use crate::transition::{Evidence, Transition};

/// It would be an outage if more vouched for its witnesses.
pub(super) const WEAKLY_ATTESTED: &str = "weakly_attested";

/// What is said of the target now.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The verdict.
    pub verdict: Verdict,
    /// What is affected: explanations of a regional fault, `protocol` or `tool NAME` of an outage.
    pub scope: Option<String>,
    /// The reason that most failures have, or why nothing is known.
    pub reason: Option<String>,
    /// What else is to be known.
    pub flags: Vec<Flag>,
    /// Since when the verdict holds.
    pub since: Ms,
    /// What it rests on.
    pub evidence: Evidence,
}

impl Standing {
    /// Whether it concerns everybody: then it holds until the target is reached again.
    pub(super) fn is_wide(&self) -> bool {
        let is_weak = self.reason.as_deref() == Some(WEAKLY_ATTESTED);
        match self.verdict {
            Verdict::Outage | Verdict::AuthWalled => true,
            Verdict::Unknown => is_weak,
            Verdict::Up
            | Verdict::Degraded
            | Verdict::Regional
            | Verdict::Partial
            | Verdict::RateLimited
            | Verdict::Maintenance => false,
        }
    }

    pub(super) fn after(change: &Transition) -> Self {
        Self {
            verdict: change.verdict,
            scope: change.scope.clone(),
            reason: change.reason.clone(),
            flags: change.flags.clone(),
            since: change.since,
            evidence: change.evidence.clone(),
        }
    }
}
