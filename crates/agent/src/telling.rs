//! What the agent tells of itself at `/metrics`: the core and the exporter write, scrapes read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Outcome;
use rpc::v1;

use crate::self_test::Masks;

/// Why a probe runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is its slot.
    Slot,
    /// The coordinator wants a failure confirmed.
    Confirmation,
    /// A request to `/probe`.
    Request,
    /// Somebody waits for it at the coordinator.
    OnDemand,
}

impl Why {
    /// All of them, with their words.
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Slot, "slot"),
        (Self::Confirmation, "confirmation"),
        (Self::Request, "request"),
        (Self::OnDemand, "on_demand"),
    ];
}

/// How probes end, in words; the last is a fault of ours.
pub(crate) const ENDS: [&str; 5] = ["ok", "degraded", "failed", "inconclusive", "lost"];

/// Why slots are missed.
pub(crate) const MISSED: [(v1::MissedReason, &str); 4] = [
    (v1::MissedReason::Overrun, "overrun"),
    (v1::MissedReason::Busy, "busy"),
    (v1::MissedReason::Absent, "absent"),
    (v1::MissedReason::Held, "held"),
];

/// What the core is, as of its last turn.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// Whether evidence can be handed in.
    pub(crate) is_connected: bool,
    /// When the coordinator last acknowledged something, seconds of this machine's wall clock.
    pub(crate) acknowledged_at: Option<f64>,
    pub(crate) monitors: usize,
    pub(crate) lag: Duration,
    pub(crate) spool_records: u64,
    pub(crate) spool_bytes: u64,
    pub(crate) spool_in_memory: bool,
    pub(crate) dropped: u64,
    /// The last round of the self-test.
    pub(crate) canaries: Option<Masks>,
}

/// Written as things happen.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    started: [AtomicU64; 4],
    ended: [[AtomicU64; 5]; 4],
    missed: [AtomicU64; 4],
    /// Who the agent is: name and region, once it is enrolled.
    who: Mutex<Option<(String, String)>>,
    state: Mutex<State>,
}

impl Telling {
    pub(crate) fn started(&self, why: Why) {
        self.started[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A probe has ended; without an outcome, by a fault of ours.
    pub(crate) fn ended(&self, why: Why, outcome: Option<&Outcome>) {
        let word = outcome.map_or("lost", Outcome::as_str);
        if let Some(n) = ENDS.iter().position(|end| *end == word) {
            self.ended[why as usize][n].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn missed(&self, reason: v1::MissedReason) {
        if let Some(n) = MISSED.iter().position(|(known, _)| *known == reason) {
            self.missed[n].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn became(&self, agent: &str, region: &str) {
        let who = (agent.to_owned(), region.to_owned());
        *self.who.lock().unwrap_or_else(PoisonError::into_inner) = Some(who);
    }

    pub(crate) fn is(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(crate) fn who(&self) -> Option<(String, String)> {
        let who = self.who.lock().unwrap_or_else(PoisonError::into_inner);
        who.clone()
    }

    pub(crate) fn state(&self) -> State {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    pub(crate) fn starts(&self, why: Why) -> u64 {
        self.started[why as usize].load(Ordering::Relaxed)
    }

    /// In the order of [`ENDS`].
    pub(crate) fn ends(&self, why: Why) -> [u64; 5] {
        std::array::from_fn(|n| self.ended[why as usize][n].load(Ordering::Relaxed))
    }

    /// In the order of [`MISSED`].
    pub(crate) fn misses(&self) -> [u64; 4] {
        std::array::from_fn(|n| self.missed[n].load(Ordering::Relaxed))
    }
}
