//! Suspicion: what looks wrong before anything vouches for it. The others look at once.

use super::{Incident, Judge, Suspicion};
use crate::Ms;
use crate::mesh::Mesh;

/// Rounds of the others that new failures begin are so far apart.
const APART: Ms = 8000;
/// A probe that takes less than this share of what it has taken already was always so slow.
const SLOWER: Ms = 2;

impl Judge {
    /// A failure came that its self-test has not vouched for yet: the others look at once. `flips`
    /// says whether its agent said until now that what fails works: then it is a wave of its own,
    /// whatever is known already. Nothing is suspected of who fails elsewhere too, until its
    /// self-test vouches for it; says whether anything is.
    pub(super) fn suspect(
        &mut self,
        at: usize,
        began: Ms,
        flips: bool,
        mesh: &Mesh,
        now: Ms,
    ) -> bool {
        let agent = &self.panel.witnesses()[at].agent;
        let may_suspect = !self.is_reading && mesh.may_suspect(agent, &self.policy.hosting, now);
        if may_suspect {
            self.look(at, began, flips, mesh, now);
        }
        may_suspect
    }

    /// Its self-test vouches for a failure that was not suspected before it: now the others look.
    pub(super) fn look_late(&mut self, at: usize, began: Ms, flips: bool, mesh: &Mesh, now: Ms) {
        let agent = &self.panel.witnesses()[at].agent;
        if !self.is_reading && mesh.fault(agent).is_none() {
            self.look(at, began, flips, mesh, now);
        }
    }

    /// Opens an incident, or a new wave of it, and makes the others look.
    fn look(&mut self, at: usize, began: Ms, flips: bool, mesh: &Mesh, now: Ms) {
        let incident = self.incident.get_or_insert(Incident {
            began,
            wave: began,
            rounds: 0,
            last_round: 0,
        });
        let is_apart = now.saturating_sub(incident.last_round) > APART;
        let is_wave = flips && incident.rounds > 0 && is_apart;
        if is_wave {
            // What was said before it is still contrary evidence, until those who said it have
            // looked again.
            incident.wave = began;
        }
        if incident.rounds == 0 || is_wave {
            self.round(at, mesh, now);
        }
    }

    /// A probe of an agent that began then still runs, and its path never needed so long: the others
    /// look before its time is up. It is no vote.
    pub fn handle_slow(&mut self, agent: &str, began: Ms, mesh: &Mesh, now: Ms) {
        let Some(at) = self.panel.find(agent) else {
            return;
        };
        let runs = now.saturating_sub(began);
        let ballot = &mut self.ballots[at];
        let is_usual = ballot
            .took
            .is_none_or(|took| took.saturating_mul(SLOWER) > runs);
        let is_answered = ballot.began.is_some_and(|known| known >= began);
        if is_usual || is_answered || runs > self.policy.ttl() {
            return;
        }
        ballot.slow_since = Some(began);
        let ttl = self.policy.ttl();
        let protocol = &self.ballots[at].levels[0];
        let flips = protocol.say.is_ok() && protocol.is_fresh(ttl, now);
        self.suspect(at, began, flips, mesh, now);
    }

    /// What looks wrong and is not decided.
    #[must_use]
    pub fn suspicion(&self) -> Option<Suspicion> {
        use model::verdict::Verdict;
        let is_open = matches!(self.standing.verdict, Verdict::Up | Verdict::Unknown);
        let incident = self.incident.as_ref().filter(|_| is_open)?;
        let fails = self.set_of(|_, ballot| {
            let waits = ballot.pending.is_some() || ballot.slow_since.is_some();
            waits || ballot.levels.iter().any(|vote| vote.say.is_fail())
        });
        Some(Suspicion {
            since: incident.began,
            failing: self.panel.independent(fails),
        })
    }

    /// Since when something looks wrong and is not decided.
    #[must_use]
    pub fn suspected_since(&self) -> Option<Ms> {
        self.suspicion().map(|suspicion| suspicion.since)
    }
}
