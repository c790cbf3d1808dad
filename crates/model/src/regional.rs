//! What came of a probe that the mesh ran at once, from the regions that somebody asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Report, TargetUrl};

/// The word for every region, where names of regions are listed.
pub const ALL_REGIONS: &str = "all";

crate::closed_words! {
    /// Why an agent that was asked for gave no report. Only `held` says something of the target.
    pub enum Absence ("absence") {
        /// None is connected, healthy and about to stay.
        NoAgent = "no_agent",
        /// The agent is of a release that runs no such probes.
        NotSupported = "not_supported",
        /// All places for such probes are in use at the agent.
        Busy = "busy",
        /// The target asked for a pause that is not over.
        Held = "held",
        /// The agent cannot run what was asked for.
        Rejected = "rejected",
        /// The agent is about to stop.
        Draining = "draining",
        /// The agent was lost before it answered.
        AgentLost = "agent_lost",
        /// The agent did not answer in time.
        Timeout = "timeout",
        /// What the agent answered is no report.
        BadReport = "bad_report",
    }
}

/// One target, probed at once by agents of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegionalProbe {
    /// As the coordinator's log names it.
    pub id: String,
    /// What was probed.
    pub url: TargetUrl,
    /// The coordinator's wall clock when agents were asked, RFC 3339 UTC.
    pub started_at: String,
    /// How long it took until the last one had answered, or the time was up.
    pub elapsed_us: u64,
    /// What came of it, one entry an agent, by region and agent; at most 32. A region without an
    /// agent has an entry too.
    pub results: Vec<RegionalResult>,
}

/// What one agent saw: a report, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegionalResult {
    /// Where from.
    pub region: String,
    /// Who was asked; absent where there was nobody to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Whose network that agent is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What the agent saw, as `parallax probe --output json` prints it. The agent says so: no
    /// other evidence stands behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Why there is no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_report: Option<NoReport>,
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoReport {
    /// In one word.
    pub reason: Absence,
    /// The problem and the way out. What an agent wrote in it is escaped.
    pub detail: String,
    /// When to ask again, seconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

impl NoReport {
    /// A reason, and the way out.
    #[must_use]
    pub fn new(reason: Absence, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            retry_after_seconds: None,
        }
    }
}
