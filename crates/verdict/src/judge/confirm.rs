//! Confirmations: other agents look at once when one sees a failure.

use model::Step;
use model::verdict::Verdict;

use super::ballot::Vote;
use super::{Ask, Judge};
use crate::Ms;
use crate::mesh::Mesh;

/// Who looked so lately need not look again, and who failed looks again after this.
const GAP: Ms = 3000;
/// The same after the first minute of an incident.
const GAP_LATER: Ms = 15_000;
const LATER: Ms = 60_000;
/// Rounds of the others while nothing is decided, and while the target recovers.
const ROUND: Ms = 20_000;
const ROUND_RECOVERY: Ms = 8000;
/// Beyond this the schedule is enough.
const LONG: Ms = 600_000;
/// A confirmation has at least so long; never less than the path has needed.
const LEAST_TIMEOUT: Ms = 5000;
/// Failures in a row after which one that is explained looks by its schedule again.
const SURE: u32 = 3;
/// The budget: as many confirmations in five minutes as there are scheduled probes, at least eight
/// of each agent.
const BUDGET_WINDOW: Ms = 300_000;
const LEAST_BUDGET: usize = 8;
/// Rounds of others that the failures of one agent may begin within that time.
const MOST_ROUNDS: usize = 3;
/// Of more agents than this only some look at a time.
const MANY: usize = 12;
/// A probe begins so long after it was asked for, or a little more.
const MARGIN: Ms = 20;
/// What an answer may take beyond its timeout.
const ANSWER: Ms = 5000;

impl Judge {
    /// A failure counts: its agent looks again soon, the others while nothing is decided.
    pub(super) fn confirm_failure(&mut self, at: usize, mesh: &Mesh, now: Ms) {
        let Some(incident) = self.incident.clone() else {
            return;
        };
        let age = now.saturating_sub(incident.wave);
        if self.is_reading || age > LONG {
            return;
        }
        let is_settled = self.is_settled();
        let fails = self.ballots[at].levels.iter().map(|vote| vote.fails).max();
        let is_sure = fails.unwrap_or(0) >= SURE && is_settled;
        if !is_sure {
            let gap = if age < LATER { GAP } else { GAP_LATER };
            self.ask_later(at, self.looks_again(at, gap, now));
        }
        if !is_settled && now.saturating_sub(incident.last_round) > ROUND {
            self.round(at, mesh, now);
        }
    }

    /// A good result in an incident: is it over?
    pub(super) fn confirm_recovery(&mut self, at: usize, now: Ms) {
        let Some(incident) = self.incident.clone().filter(|_| !self.is_reading) else {
            return;
        };
        if now.saturating_sub(incident.wave) > LONG && self.standing.verdict != Verdict::Outage {
            return;
        }
        let votes = &self.ballots[at].levels;
        let failed_in_it =
            |vote: &Vote| vote.say.is_ok() && vote.last_fail.is_some_and(|at| at >= incident.began);
        let is_once = |vote: &Vote| failed_in_it(vote) && vote.oks < 2;
        let is_lasting = |vote: &Vote| vote.say.is_ok() && vote.is_lasting;
        let is_out = self.standing.verdict == Verdict::Outage;
        // Who never saw the outage that others see is asked twice: it may be lucky, or blind.
        let is_new = |vote: &Vote| {
            let before = vote.ok_before.is_some_and(|at| at >= incident.began);
            is_out && vote.say.is_ok() && !before
        };
        let looks = |vote: &Vote| is_once(vote) || is_lasting(vote) || is_new(vote);
        let looks_again = votes.iter().any(looks);
        let wants_others = is_out || votes.iter().any(is_lasting);
        if looks_again {
            self.ask_later(at, now + GAP);
        }
        if wants_others && now.saturating_sub(incident.last_round) > ROUND_RECOVERY {
            self.round_of_failing(at, now);
        }
    }

    /// When an agent that failed looks again: some time after it looked last, and when the failures
    /// have lasted long enough for an outage rather than just before and just after.
    fn looks_again(&self, at: usize, gap: Ms, now: Ms) -> Ms {
        let began = self.ballots[at].began.unwrap_or(now);
        let when = began.saturating_add(gap).max(now);
        let levels = self.ballots.iter().flat_map(|ballot| &ballot.levels);
        let new = levels.filter(|vote| vote.say.is_fail() && !vote.is_lasting);
        let first = new.map(|vote| vote.first_fail).min();
        let ripe = first.map_or(when, |first| first + self.policy.span + MARGIN);
        if (when..when + gap).contains(&ripe) {
            ripe
        } else {
            when
        }
    }

    /// Whether the state explains the failures.
    fn is_settled(&self) -> bool {
        match self.standing.verdict {
            Verdict::Outage | Verdict::Regional | Verdict::Partial | Verdict::AuthWalled => true,
            Verdict::Up
            | Verdict::Degraded
            | Verdict::RateLimited
            | Verdict::Unknown
            | Verdict::Maintenance => false,
        }
    }

    /// All others that may vote look now.
    pub(super) fn round(&mut self, from: usize, mesh: &Mesh, now: Ms) {
        let begun = &mut self.ballots[from].rounds;
        begun.retain(|at| now.saturating_sub(*at) <= BUDGET_WINDOW);
        let Some(incident) = self.incident.as_mut() else {
            return;
        };
        // Nobody alone may spend what others will need.
        if begun.len() >= MOST_ROUNDS {
            return;
        }
        begun.push(now);
        incident.rounds += 1;
        incident.last_round = now;
        let wave = incident.wave;
        let may_look = self.set_of(|at, ballot| {
            let agent = &self.panel.witnesses()[at].agent;
            // What was seen just before is no evidence of what came then: who saw it looks soon.
            let is_late = ballot
                .began
                .is_none_or(|began| began < wave || now.saturating_sub(began) > GAP);
            at != from && mesh.fault(agent).is_none() && is_late
        });
        let chosen = if self.ballots.len() > MANY {
            let most = 2 * usize::try_from(self.quorum()).unwrap_or(0) + 2;
            self.panel.choose(from, may_look, most)
        } else {
            may_look
        };
        for at in (0..self.ballots.len()).filter(|at| chosen >> at & 1 == 1) {
            self.ask_later(at, now);
        }
        self.ask_due(mesh, now);
    }

    /// Those that failed look again: the target may be back.
    fn round_of_failing(&mut self, from: usize, now: Ms) {
        if let Some(incident) = self.incident.as_mut() {
            incident.last_round = now;
        }
        for at in 0..self.ballots.len() {
            let is_failing = self.ballots[at]
                .levels
                .iter()
                .any(|vote| vote.say.is_fail());
            if at != from && is_failing {
                self.ask_later(at, now);
            }
        }
        self.next_look = self.next_look.min(now);
    }

    fn ask_later(&mut self, at: usize, when: Ms) {
        if !self.due.iter().any(|(_, known)| *known == at) {
            self.due.push((when, at));
        }
    }

    /// Asks for what is due, as far as the budget goes and the target lets it.
    pub(super) fn ask_due(&mut self, mesh: &Mesh, now: Ms) {
        let (due, later) = std::mem::take(&mut self.due)
            .into_iter()
            .partition(|(when, _)| *when <= now);
        self.due = later;
        let due: Vec<(Ms, usize)> = due;
        for (_, at) in due {
            self.ask(at, mesh, now);
        }
    }

    fn ask(&mut self, at: usize, mesh: &Mesh, now: Ms) {
        let agent = &self.panel.witnesses()[at].agent;
        let ballot = &self.ballots[at];
        let is_asked = ballot.asked_until.is_some_and(|until| until > now);
        // Nobody looks twice within moments, whatever made it look.
        let again = ballot.began.map_or(0, |began| began.saturating_add(GAP));
        if again > now && !is_asked {
            self.ask_later(at, again);
            return;
        }
        if is_asked || mesh.fault(agent).is_some() || now < self.paused_until {
            return;
        }
        while self
            .spent
            .front()
            .is_some_and(|(spent, _)| now.saturating_sub(*spent) > BUDGET_WINDOW)
        {
            self.spent.pop_front();
        }
        let agents = self.ballots.len();
        let scheduled = BUDGET_WINDOW / self.policy.interval.max(1);
        let scheduled = usize::try_from(scheduled).unwrap_or(usize::MAX);
        let share = scheduled.max(LEAST_BUDGET);
        let own = self.spent.iter().filter(|(_, of)| *of == at).count();
        let is_spent = self.spent.len() >= agents.saturating_mul(share);
        if is_spent || own >= share.saturating_mul(2) {
            return;
        }
        // What a path has needed is not known at first: then it gets all the time there is.
        let needed = ballot.took.map_or(Ms::MAX, |took| took.saturating_mul(4));
        let timeout = needed.max(LEAST_TIMEOUT).min(self.policy.timeout);
        let Some(with_calls) = self.needs_calls() else {
            return;
        };
        self.spent.push_back((now, at));
        self.ballots[at].asked_until = Some(now + timeout + ANSWER);
        self.asks.push_back(Ask {
            agent: self.panel.witnesses()[at].agent.clone(),
            to_step: if with_calls {
                Step::ToolsCall
            } else {
                Step::ToolsList
            },
            timeout,
            with_calls,
        });
    }

    /// Whether a confirmation must make calls to see what failed; none where what failed is a call
    /// that may not be repeated: then the schedule decides.
    fn needs_calls(&self) -> Option<bool> {
        let mut is_protocol = false;
        let (mut is_tool, mut is_repeatable) = (false, false);
        for ballot in &self.ballots {
            let says = ballot.pending.iter().flat_map(|pending| &pending.says);
            let mut says = says.copied();
            for (level, vote) in ballot.levels.iter().enumerate() {
                let doubted = says.next().flatten().and_then(super::Say::trouble);
                if doubted.or(vote.say.trouble()).is_none() && !vote.is_lasting {
                    continue;
                }
                match level
                    .checked_sub(1)
                    .and_then(|at| self.policy.calls.get(at))
                {
                    None => is_protocol = true,
                    Some(call) => {
                        is_tool = true;
                        is_repeatable |= call.is_repeatable;
                    }
                }
            }
        }
        (is_protocol || !is_tool || is_repeatable).then_some(is_repeatable)
    }
}
