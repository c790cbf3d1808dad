//! What the agents of one region see: beside the verdict, never above it.

use std::collections::BTreeMap;

use model::verdict::Fault;
use model::{Reason, RegionState};

use super::Judge;
use super::ballot::Ballot;
use crate::Ms;
use crate::mesh::Mesh;

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

impl Judge {
    /// What is seen from each region of the panel.
    #[must_use]
    pub fn regions(&self, mesh: &Mesh, now: Ms) -> Vec<RegionView> {
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, witness) in self.panel.members(self.panel.all()) {
            members.entry(&witness.region).or_default().push(at);
        }
        let views = members.into_iter().map(|(region, members)| {
            let (state, reason) = self.region(&members, mesh, now);
            let known = self.regions.get(region);
            let since = known
                .filter(|(known, _)| *known == state)
                .map(|(_, at)| *at);
            RegionView {
                region: region.to_owned(),
                state,
                reason,
                since,
            }
        });
        views.collect()
    }

    /// Remembers since when each region is as it is.
    pub(super) fn see_regions(&mut self, mesh: &Mesh, now: Ms) {
        for view in self.regions(mesh, now) {
            let known = self.regions.entry(view.region).or_insert((view.state, now));
            if known.0 != view.state {
                *known = (view.state, now);
            }
        }
    }

    fn region(
        &self,
        members: &[usize],
        mesh: &Mesh,
        now: Ms,
    ) -> (RegionState, Option<&'static str>) {
        let ttl = self.policy.ttl();
        let fault = |at: usize| mesh.fault(&self.panel.witnesses()[at].agent);
        let (mut oks, mut degraded, mut fails, mut refused) = (0, 0, 0, 0);
        let mut is_twice = true;
        let mut reason: Option<Reason> = None;
        for at in members.iter().copied().filter(|at| fault(*at).is_none()) {
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
            return (RegionState::Unknown, Some(self.why_unknown(members, mesh)));
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

    fn why_unknown(&self, members: &[usize], mesh: &Mesh) -> &'static str {
        let ballots = || members.iter().map(|at| &self.ballots[*at]);
        let faults = members
            .iter()
            .map(|at| mesh.fault(&self.panel.witnesses()[*at].agent));
        let is_own = |fault: Option<Fault>| matches!(fault, Some(Fault::SelfTest | Fault::Lag));
        let mut is_faulty = false;
        for fault in faults {
            is_faulty |= is_own(fault);
        }
        let is_mute = |ballot: &Ballot| ballot.is_mute || ballot.pending.is_some();
        if is_faulty || ballots().any(is_mute) {
            "agent_fault"
        } else if ballots().any(|ballot| ballot.heard.is_some()) {
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
