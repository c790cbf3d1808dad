//! What a judge is told, and what it asks for.

use model::{Outcome, Step};

use crate::Ms;

/// What evidence may take to get here, beyond interval and timeout.
const TRAVEL: Ms = 10_000;

/// A tool that every probe of the monitor calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub tool: String,
    /// Whether a confirmation may repeat it.
    pub is_repeatable: bool,
}

/// What of a monitor matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How often each agent probes.
    pub interval: Ms,
    /// How long a probe may take.
    pub timeout: Ms,
    /// Its configured calls.
    pub calls: Vec<Call>,
    /// Whether witnesses suffice for whose networks too little vouches.
    pub accept_weak: bool,
}

impl Policy {
    /// How long a vote counts: interval, timeout, and the way here.
    #[must_use]
    pub const fn ttl(&self) -> Ms {
        self.interval + self.timeout + TRAVEL
    }
}

/// What one probe found.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it began.
    pub began: Ms,
    /// What its self-test will refer to.
    pub seq: u64,
    /// What target and network took.
    pub took: Ms,
    /// What it found.
    pub outcome: Outcome,
    /// The tool whose call failed, if it was a call.
    pub tool: Option<String>,
    /// For a confirmation: whether it made the calls that may be repeated.
    pub confirms: Option<bool>,
    /// The pause that the target asked for.
    pub retry_after: Option<Ms>,
}

/// A probe that should be run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// By whom.
    pub agent: String,
    /// At least to this step.
    pub to_step: Step,
    /// How long it may take.
    pub timeout: Ms,
    /// Whether to make the calls that may be repeated.
    pub with_calls: bool,
}
