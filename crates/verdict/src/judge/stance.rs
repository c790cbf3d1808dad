//! How each agent stands to the others, so that one that is alone everywhere is found.

use model::verdict::Verdict;

use super::Judge;
use super::tally::Tally;
use crate::Ms;
use crate::mesh::Stance;
use crate::witness::Set;

/// One that says in an outage that all is well must have looked so long after it began.
const SURE: Ms = 8000;

/// What was told of each agent: by what it was told to be.
#[derive(Debug, Default)]
pub(super) struct Stances {
    agrees: Set,
    alone_failing: Set,
    alone_ok: Set,
}

impl Stances {
    fn of(&self, at: usize) -> Stance {
        let is_in = |set: Set| set >> at & 1 == 1;
        if is_in(self.alone_failing) {
            Stance::AloneFailing
        } else if is_in(self.alone_ok) {
            Stance::AloneOk
        } else if is_in(self.agrees) {
            Stance::Agrees
        } else {
            Stance::Silent
        }
    }
}

impl Judge {
    /// The next agent that stands otherwise to the others than it did, and since when.
    pub fn poll_stance(&mut self) -> Option<(String, Stance, Ms)> {
        self.told_stances.pop_front()
    }

    /// Nobody of the panel stands anywhere, until something is known.
    pub(super) fn forget_stances(&mut self, now: Ms) {
        let before = std::mem::take(&mut self.stances);
        self.tell_stances(&before, now);
    }

    /// Tells who stands otherwise than before.
    fn tell_stances(&mut self, before: &Stances, now: Ms) {
        for (at, witness) in self.panel.members(self.panel.all()) {
            let stance = self.stances.of(at);
            if stance != before.of(at) {
                let told = (witness.agent.clone(), stance, now);
                self.told_stances.push_back(told);
            }
        }
    }

    pub(super) fn compare(&mut self, tally: &Tally, at: Ms) {
        let protocol = &tally.levels[0];
        let mut now = Stances {
            agrees: tally.eligible,
            ..Stances::default()
        };
        let others_reach = self.panel.independent(protocol.ok & tally.eligible) >= 2;
        if protocol.fail.count_ones() == 1 && others_reach {
            now.alone_failing = protocol.fail & protocol.twice;
        }
        let is_out = self.standing.verdict == Verdict::Outage;
        let (ok, incident) = (protocol.ok_since, self.incident.as_ref());
        if let Some(incident) = incident.filter(|_| is_out && ok.count_ones() == 1) {
            now.alone_ok = ok
                & self.set_of(|_, ballot| {
                    let vote = &ballot.levels[0];
                    let is_late = vote.began >= incident.began.saturating_add(SURE);
                    let is_twice = vote.ok_before.is_some_and(|at| at >= incident.began);
                    is_late && is_twice && vote.last_fail.is_none_or(|at| at < incident.began)
                });
        }
        let all = |s: &Stances| [s.agrees, s.alone_failing, s.alone_ok];
        if all(&now) == all(&self.stances) {
            return;
        }
        let before = std::mem::replace(&mut self.stances, now);
        self.tell_stances(&before, at);
    }
}
