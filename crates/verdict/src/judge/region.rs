//! What the agents of one region see: beside the verdict, never above it.

use model::verdict::Fault;
use model::{Reason, RegionState};

use super::Judge;
use crate::Ms;
use crate::mesh::Mesh;
use crate::witness::Set;

/// A region as its agents see the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionView {
    /// Its name.
    pub region: String,
    /// What they see.
    pub state: RegionState,
    /// Why: of the failure, or why nothing is known.
    pub reason: Option<&'static str>,
    /// Since when it is so, if that is known.
    pub since: Option<Ms>,
}

/// Since when the agents of one region see what they see.
#[derive(Debug)]
pub(super) struct Region {
    name: String,
    members: Set,
    /// None before anything was looked at.
    seen: Option<(RegionState, Ms)>,
}

impl Judge {
    /// What is seen from each region of the panel.
    #[must_use]
    pub fn regions(&self, mesh: &Mesh, now: Ms) -> Vec<RegionView> {
        let faulty = self.faulty(mesh);
        let views = self.regions.iter().map(|region| {
            let (state, reason) = self.region(region.members, faulty, now);
            let why = || self.why_unknown(region.members, mesh);
            let known = region.seen.filter(|(known, _)| *known == state);
            RegionView {
                region: region.name.clone(),
                state,
                reason: if state == RegionState::Unknown {
                    Some(why())
                } else {
                    reason
                },
                since: known.map(|(_, at)| at),
            }
        });
        views.collect()
    }

    /// Other agents watch: of a region that stays, what is known stays.
    pub(super) fn divide(&mut self) {
        let before = std::mem::take(&mut self.regions);
        for (at, witness) in self.panel.witnesses().iter().enumerate() {
            let known = self.regions.iter_mut().find(|r| r.name == witness.region);
            if let Some(region) = known {
                region.members |= 1 << at;
                continue;
            }
            let old = before.iter().find(|region| region.name == witness.region);
            self.regions.push(Region {
                name: witness.region.clone(),
                members: 1 << at,
                seen: old.and_then(|region| region.seen),
            });
        }
        self.regions.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Nothing is known of any region.
    pub(super) fn forget_regions(&mut self) {
        for region in &mut self.regions {
            region.seen = None;
        }
    }

    /// Remembers since when each region is as it is.
    pub(super) fn see_regions(&mut self, faulty: Set, now: Ms) {
        for at in 0..self.regions.len() {
            let (state, _) = self.region(self.regions[at].members, faulty, now);
            let seen = &mut self.regions[at].seen;
            if seen.is_none_or(|(known, _)| known != state) {
                *seen = Some((state, now));
            }
        }
    }

    fn region(&self, members: Set, faulty: Set, now: Ms) -> (RegionState, Option<&'static str>) {
        let ttl = self.policy.ttl();
        let (mut oks, mut degraded, mut fails, mut refused) = (0, 0, 0, 0);
        let mut is_twice = true;
        let mut reason: Option<Reason> = None;
        for (at, _) in self.panel.members(members & !faulty) {
            let ballot = &self.ballots[at];
            if ballot.is_mute {
                continue;
            }
            // The worst of what it says: a server whose calls fail is no good to anybody.
            let votes = (0..ballot.levels.len()).filter_map(|level| ballot.vote(level, ttl, now));
            let Some(vote) = votes.max_by_key(|vote| rank(vote.say)) else {
                continue;
            };
            match vote.say {
                super::Say::Nothing => {}
                super::Say::Ok { is_degraded: false } => oks += 1,
                super::Say::Ok { is_degraded: true } => degraded += 1,
                super::Say::Refused { reason: why, .. } => {
                    refused += 1;
                    reason.get_or_insert(why);
                }
                super::Say::Fail { reason: why, .. } => {
                    fails += 1;
                    is_twice &= vote.fails >= 2;
                    reason.get_or_insert(why);
                }
            }
        }
        let why = reason.map(Reason::as_str);
        if fails + refused + oks + degraded == 0 {
            return (RegionState::Unknown, None);
        }
        if oks + degraded == 0 && fails == 0 {
            (RegionState::Blocked, why)
        } else if oks + degraded == 0 && is_twice {
            (RegionState::Failing, why)
        } else if fails + refused > 0 {
            (RegionState::Degraded, why)
        } else if degraded > 0 {
            (RegionState::Degraded, None)
        } else {
            (RegionState::Ok, None)
        }
    }

    fn why_unknown(&self, members: Set, mesh: &Mesh) -> &'static str {
        let mut is_faulty = false;
        for (at, witness) in self.panel.members(members) {
            let ballot = &self.ballots[at];
            let fault = mesh.fault(&witness.agent);
            is_faulty |= matches!(fault, Some(Fault::SelfTest | Fault::Lag));
            is_faulty |= ballot.is_mute || ballot.pending.is_some();
        }
        let mut members = self.panel.members(members);
        if is_faulty {
            "agent_fault"
        } else if members.any(|(at, _)| self.ballots[at].heard.is_some()) {
            "stale"
        } else {
            "no_agent"
        }
    }
}

const fn rank(say: super::Say) -> u8 {
    match say {
        super::Say::Nothing => 0,
        super::Say::Ok { is_degraded: false } => 1,
        super::Say::Ok { is_degraded: true } => 2,
        super::Say::Refused { .. } => 3,
        super::Say::Fail { .. } => 4,
    }
}
