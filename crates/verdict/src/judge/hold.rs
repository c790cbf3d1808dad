//! Targets that ask for a pause: what a slot says that was passed over, and when all agents should
//! leave a target alone.

use model::{Reason, Step};

use super::ballot::{Pending, Say};
use super::{Judge, LONGEST_PAUSE};
use crate::Ms;
use crate::mesh::Mesh;

/// Agents that must be turned away before the others are told: one may be alone in it.
const SHARED: usize = 2;
/// The least that others are told.
const SHORTEST: Ms = 1000;

impl Judge {
    /// A slot of an agent passed at `began` without a probe, because the target, or another on the
    /// same origin, had asked for a pause. `is_limited` says whether it had asked this agent: then
    /// one whose own probe was turned away says so once more. Else, and where another monitor was
    /// turned away, what it said before stands, because it could not look again: for an hour at most.
    pub fn handle_held(&mut self, agent: &str, is_limited: bool, began: Ms, mesh: &Mesh, now: Ms) {
        let ttl = self.policy.ttl();
        let Some(at) = self.panel.find(agent) else {
            return;
        };
        if now.saturating_sub(began) > ttl {
            return; // history
        }
        let ballot = &mut self.ballots[at];
        for vote in &mut ballot.levels {
            vote.hold(ttl, began.min(now), now);
        }
        let protocol = &mut ballot.levels[0];
        // A probe that began since knows better; nothing vouches for who has no say; and where it was
        // another monitor of the same origin that was turned away, what was seen of this one stands.
        let say = match protocol.say {
            Say::Refused { .. } if protocol.say.is_limited() => protocol.say,
            // Nothing was seen yet, or it was forgotten: all that is known is the pause.
            Say::Nothing => Say::Refused {
                step: Step::Initialize,
                reason: Reason::RateLimited,
            },
            Say::Refused { .. } | Say::Ok { .. } | Say::Fail { .. } => {
                return self.decide(mesh, now);
            }
        };
        if is_limited && !ballot.is_mute && began >= protocol.began {
            protocol.fold(say, began, now, ttl, false);
            ballot.heard = Some(now);
        }
        self.decide(mesh, now);
    }

    /// An agent was turned away, and its self-test vouches for it. Where it is not alone, the
    /// others need not find out for themselves.
    ///
    /// Not where others reached the target since the first of them was turned away: then it is
    /// about them and not about the load. And not again before every agent had a slot, so that those
    /// who are turned away for good never keep the others from looking.
    pub(super) fn hold_others(&mut self, pending: &Pending, now: Ms) {
        let is_limited = pending.says.iter().flatten().any(|say| say.is_limited());
        if !is_limited || self.is_reading || now < self.hold_again {
            return;
        }
        let ttl = self.policy.ttl();
        let limited = self.ballots.iter().filter_map(|ballot| {
            let votes = ballot.levels.iter();
            let fresh = votes.filter(|vote| vote.say.is_limited() && vote.is_fresh(ttl, now));
            fresh.filter_map(|vote| vote.limited_since).min()
        });
        let limited: Vec<Ms> = limited.collect();
        let first = limited.iter().copied().min().unwrap_or(now);
        let reach = self.ballots.iter().filter(|ballot| {
            let protocol = &ballot.levels[0];
            protocol.say.is_ok() && protocol.is_fresh(ttl, now) && protocol.began >= first
        });
        if limited.len() < SHARED || reach.count() >= limited.len() {
            return;
        }
        let pause = pending.retry_after.unwrap_or(self.policy.interval);
        let pause = pause.clamp(SHORTEST, LONGEST_PAUSE);
        self.hold_again = now + pause + self.policy.interval;
        self.holds.push_back(pause);
    }
}
