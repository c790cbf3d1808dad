//! Who watches a target, how often, and what its operator says of it.

use super::ballot::Ballot;
use super::edge::Edges;
use super::flap::Flaps;
use super::{Judge, Policy};
use crate::Ms;
use crate::witness::{Panel, Witness};

impl Judge {
    /// These agents watch it now. What those say who stay is kept.
    pub fn assign(&mut self, witnesses: Vec<Witness>, now: Ms) {
        if self.panel.witnesses() == witnesses {
            return;
        }
        let panel = Panel::new(witnesses);
        let levels = 1 + self.policy.calls.len();
        let ballots = panel.witnesses().iter().map(|witness| {
            let known = self.panel.find(&witness.agent);
            let known = known.map(|at| std::mem::take(&mut self.ballots[at]));
            known.unwrap_or_else(|| Ballot::new(levels))
        });
        self.ballots = ballots.collect();
        self.forget_stances(now);
        self.panel = panel;
        self.due.clear();
        self.faulty.set((u64::MAX, 0));
        self.divide();
        self.edges.forget();
        self.next_look = self.next_look.min(now);
    }

    /// The monitor has another meaning now: what was said of the old one says nothing of it. The
    /// verdict stays until witnesses have spoken anew.
    pub fn handle_policy(&mut self, policy: Policy, now: Ms) {
        let levels = 1 + policy.calls.len();
        self.policy = policy;
        self.ballots = vec![Ballot::new(levels); self.panel.witnesses().len()];
        (self.incident, self.few_since, self.ebbs_since) = (None, None, None);
        (self.paused_until, self.hold_again) = (0, 0);
        (self.edges, self.flaps) = (Edges::default(), Flaps::default());
        self.holds.clear();
        self.due.clear();
        self.forget_regions();
        self.next_look = now;
    }

    /// Its operator declared maintenance, or that it is over: meanwhile nothing else is said of it,
    /// and nobody is woken.
    pub fn handle_maintenance(&mut self, is_declared: bool, now: Ms) {
        if self.is_maintained != is_declared {
            self.is_maintained = is_declared;
            self.next_look = self.next_look.min(now);
        }
    }

    /// The monitor is probed more or less often from now on, and means the same.
    pub fn handle_interval(&mut self, interval: Ms, now: Ms) {
        if self.policy.interval != interval {
            self.policy.interval = interval;
            self.next_look = self.next_look.min(now);
        }
    }
}
