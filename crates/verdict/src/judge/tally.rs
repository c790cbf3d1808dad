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
        let ttl = self.policy.ttl();
        let faulty = self.faulty(mesh);
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
        let lasts = |at: usize| self.ballots[at].levels[level].is_lasting;
        let (mut first, mut last) = (Ms::MAX, 0);
        let (mut first_new, mut last_new) = (Ms::MAX, 0);
        for (at, _) in self.panel.members(eligible) {
            let Some(vote) = self.ballots[at].vote(level, ttl, now) else {
                continue;
            };
            let bit = 1 << at;
            match vote.say {
                Say::Nothing => {}
                Say::Fail { .. } => {
                    found.fail |= bit;
                    (first, last) = (first.min(vote.first_fail), last.max(vote.began));
                    if !lasts(at) {
                        first_new = first_new.min(vote.first_fail);
                        last_new = last_new.max(vote.began);
                    }
                    if vote.fails >= 2 {
                        found.twice |= bit;
                    }
                    if vote.fails >= 3 {
                        found.thrice |= bit;
                    }
                    if vote.is_vouched {
                        found.vouched |= bit;
                    }
                }
                Say::Refused {
                    reason: Reason::RateLimited,
                    ..
                } => {
                    found.limited |= bit;
                }
                Say::Refused { .. } => found.walled |= bit,
                Say::Ok { is_degraded } => {
                    found.ok |= bit;
                    if is_degraded {
                        found.degraded |= bit;
                    }
                    if began.is_none_or(|began| vote.began >= began) {
                        found.ok_since |= bit;
                        if vote
                            .last_fail
                            .is_none_or(|at| began.is_some_and(|began| at < began))
                        {
                            found.ok_steady |= bit;
                        }
                        if began.is_none_or(|began| is_again(vote, began)) {
                            found.ok_again |= bit;
                        }
                    }
                }
            }
            if vote.is_lasting && !vote.say.is_limited() {
                found.lasting |= bit;
            }
            if vote.flips(now) >= MIXED_FLIPS {
                found.mixed |= bit;
            }
        }
        let has_new = first_new != Ms::MAX;
        let since = if has_new { first_new } else { first };
        let mut eligible = self.panel.members(eligible);
        found.saw_ok = eligible.any(|(at, _)| {
            let last_ok = self.ballots[at]
                .levels
                .get(level)
                .and_then(|vote| vote.last_ok);
            last_ok.is_some_and(|at| at > since)
        });
        found.span = if has_new {
            last_new.saturating_sub(first_new)
        } else {
            last.saturating_sub(first)
        };
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
