//! What a judge is told, and what it asks for.

use model::{Outcome, Step};

use crate::Ms;

/// What evidence may take to get here, beyond interval and timeout.
const TRAVEL: Ms = 10_000;

/// Shorter failures are blips: restarts of a few seconds wake nobody, and the knee of the curve of
/// latency over blips that page is here (`benches/README.md`).
pub const SPAN: Ms = 9000;

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
    /// Failures over less than this are blips: an outage needs probes that began so far apart.
    pub span: Ms,
    /// How many independent witnesses an outage needs; none for what the panel allows.
    pub quorum: Option<u32>,
    /// Whether the monitor has a credential: then a refusal of it is a change.
    pub holds_credential: bool,
    /// What the target runs on, as far as it is known: others on the same may share its troubles.
    pub hosting: String,
}

impl Policy {
    /// What needs no thought.
    #[must_use]
    pub const fn new(interval: Ms, timeout: Ms) -> Self {
        Self {
            interval,
            timeout,
            calls: Vec::new(),
            accept_weak: false,
            span: SPAN,
            quorum: None,
            holds_credential: false,
            hosting: String::new(),
        }
    }

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
    /// Which edge of the target answered: a resolved address, or what its answers name.
    pub edge: Option<String>,
    /// Which instance behind it answered, where answers tell.
    pub instance: Option<String>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            began: 0,
            seq: 0,
            took: 0,
            outcome: Outcome::Ok,
            tool: None,
            confirms: None,
            retry_after: None,
            edge: None,
            instance: None,
        }
    }
}

/// Something looks wrong, and is being looked into: no verdict, and no reason to wake anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// When the first probe began that found so.
    pub since: Ms,
    /// How many independent witnesses find so now, whether or not anything vouches for them yet.
    pub failing: u32,
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
