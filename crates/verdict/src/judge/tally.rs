//! Who says what, as sets: the input of the rules.

use std::collections::BTreeMap;

use model::{Reason, Step};

use super::Judge;
use super::ballot::{Say, Vote};
use crate::Ms;
use crate::mesh::Mesh;
use crate::witness::Set;

/// Changes between good and bad that make a path mixed (rule 3).
const MIXED_FLIPS: usize = 3;

/// Who says what of one level.
#[derive(Debug, Clone, Default)]
pub(super) struct Level {
    /// Fail votes.
    pub(super) fail: Set,
    /// Of those, the ones that failed twice in a row.
    pub(super) twice: Set,
    /// And three times.
    pub(super) thrice: Set,
    /// Fail votes that enough references vouch for.
    pub(super) vouched: Set,
    /// Turned away: for want of a credential, by a firewall, or to come back later.
    pub(super) walled: Set,
    pub(super) limited: Set,
    /// Good votes, however old.
    pub(super) ok: Set,
    /// Good votes since the incident began.
    pub(super) ok_since: Set,
    /// Of those, the ones that do not follow a failure of the same agent in the incident, or
    /// follow it twice.
    pub(super) ok_again: Set,
    /// Good votes since the incident began, of agents that did not fail in it.
    pub(super) ok_steady: Set,
    /// Whether anybody, of those who fail too, reached it since the first of these failures.
    pub(super) saw_ok: bool,
    /// Good votes with checks violated.
    pub(super) degraded: Set,
    /// Lasting faults.
    pub(super) lasting: Set,
    /// Now good, now bad.
    pub(super) mixed: Set,
    /// From the first failure of the failing to their last.
    pub(super) span: Ms,
}

/// From when to when probes began that failed.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    first: Ms,
    last: Ms,
}

impl Stretch {
    const NONE: Self = Self {
        first: Ms::MAX,
        last: 0,
    };

    fn take(&mut self, vote: &Vote) {
        self.first = self.first.min(vote.first_fail);
        self.last = self.last.max(vote.began);
    }
}

impl Level {
    /// Takes what one agent says, in an incident that began then.
    fn take(&mut self, vote: &Vote, bit: Set, began: Option<Ms>, now: Ms) {
        match vote.say {
            Say::Nothing => {}
            Say::Fail { .. } => {
                self.fail |= bit;
                let times = |least: u32| if vote.fails >= least { bit } else { 0 };
                self.twice |= times(2);
                self.thrice |= times(3);
                self.vouched |= if vote.is_vouched { bit } else { 0 };
            }
            Say::Refused {
                reason: Reason::RateLimited,
                ..
            } => self.limited |= bit,
            Say::Refused { .. } => self.walled |= bit,
            Say::Ok { is_degraded } => {
                self.ok |= bit;
                self.degraded |= if is_degraded { bit } else { 0 };
                self.take_ok(vote, bit, began);
            }
        }
        if vote.is_lasting && !vote.say.is_limited() {
            self.lasting |= bit;
        }
        if vote.flips(now) >= MIXED_FLIPS {
            self.mixed |= bit;
        }
    }

    fn take_ok(&mut self, vote: &Vote, bit: Set, began: Option<Ms>) {
        if began.is_some_and(|began| vote.began < began) {
            return;
        }
        self.ok_since |= bit;
        let failed_in_it = |began: Ms| vote.last_fail.is_some_and(|at| at >= began);
        let is_steady = match began {
            Some(began) => !failed_in_it(began),
            None => vote.last_fail.is_none(),
        };
        if is_steady {
            self.ok_steady |= bit;
        }
        if began.is_none_or(|began| is_again(vote, began)) {
            self.ok_again |= bit;
        }
    }
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Who may vote and has something to say.
    pub(super) eligible: Set,
    pub(super) levels: Vec<Level>,
    pub(super) slow: Set,
}

impl Judge {
    pub(super) fn tally(&self, mesh: &Mesh, now: Ms) -> Tally {
        self.tally_without(self.faulty(mesh), now)
    }

    /// The same, where these have no vote.
    pub(super) fn tally_without(&self, faulty: Set, now: Ms) -> Tally {
        let ttl = self.policy.ttl();
        let eligible = !faulty & self.set_of(|_, ballot| ballot.has_say(ttl, now));
        let levels = 0..=self.policy.calls.len();
        Tally {
            eligible,
            levels: levels
                .map(|level| self.level(level, eligible, now))
                .collect(),
            slow: eligible & self.set_of(|_, ballot| ballot.latency.is_slow),
        }
    }

    fn level(&self, level: usize, eligible: Set, now: Ms) -> Level {
        let ttl = self.policy.ttl();
        let began = self.incident.as_ref().map(|incident| incident.began);
        let mut found = Level::default();
        // A new wave is measured by itself: what lasts already is explained.
        let (mut all, mut new) = (Stretch::NONE, Stretch::NONE);
        for (at, _) in self.panel.members(eligible) {
            let Some(vote) = self.ballots[at].vote(level, ttl, now) else {
                continue;
            };
            found.take(vote, 1 << at, began, now);
            if vote.say.is_fail() {
                all.take(vote);
                if !vote.is_lasting {
                    new.take(vote);
                }
            }
        }
        let wave = if new.first == Ms::MAX { all } else { new };
        found.span = wave.last.saturating_sub(wave.first);
        let mut eligible = self.panel.members(eligible);
        found.saw_ok = eligible.any(|(at, _)| {
            let vote = self.ballots[at].levels.get(level);
            let last_ok = vote.and_then(|vote| vote.last_ok);
            last_ok.is_some_and(|at| at > wave.first)
        });
        found
    }

    /// What most of a set have to say of why. Ties go to the reason that comes first in its list.
    pub(super) fn cause(&self, level: usize, set: Set) -> Option<(Step, Reason)> {
        let mut counts: BTreeMap<(Reason, Step), u32> = BTreeMap::new();
        for (at, _) in self.panel.members(set) {
            let vote = self.ballots[at].levels.get(level);
            if let Some((step, reason)) = vote.and_then(|vote| vote.say.trouble()) {
                *counts.entry((reason, step)).or_default() += 1;
            }
        }
        let most = counts.values().copied().max()?;
        let first = counts.into_iter().find(|(_, count)| *count == most)?;
        let ((reason, step), _) = first;
        Some((step, reason))
    }
}

/// Whether a good vote counts as contrary evidence although its agent failed in the incident.
const fn is_again(vote: &Vote, began: Ms) -> bool {
    match vote.last_fail {
        Some(last) if last >= began => vote.oks >= 2,
        Some(_) | None => true,
    }
}
