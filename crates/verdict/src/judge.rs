//! One target: votes, suspicion, confirmations, verdict (MODEL §4 to §6).

mod ballot;
mod confirm;
mod decide;
mod latency;
mod region;
mod says;
mod stand;
mod tally;
mod terms;

use std::collections::{BTreeMap, VecDeque};

use model::verdict::{Flag, Verdict};
use model::{Outcome, Reason, RegionState};

use crate::Ms;
use crate::mesh::{Attested, Mesh};
use crate::transition::{Evidence, Transition};
use crate::witness::{Panel, Set, Witness};
use ballot::{Ballot, Pending, Say, Says};

pub use region::RegionView;
pub use terms::{Ask, Call, Policy, Seen};

/// It would be an outage if more vouched for its witnesses.
const WEAKLY_ATTESTED: &str = "weakly_attested";
/// How long the self-test after a failure may take to come.
const ATTEST: Ms = 3000;
/// How often an open question is looked at without news.
const LOOK: Ms = 5000;
/// And a closed one.
const LOOK_SELDOM: Ms = 60_000;
/// A target that asked for a pause gets at least this (MODEL §15).
const PAUSE: Ms = 13_000;
/// The longest pause that a target may ask confirmations for.
const LONGEST_PAUSE: Ms = 3_600_000;

/// Something looks wrong, and is being looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Incident {
    /// When the first failing probe began.
    began: Ms,
    /// Rounds of confirmations, and when the last was.
    rounds: u32,
    last_round: Ms,
}

/// What is said of the target now.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The verdict.
    pub verdict: Verdict,
    /// What is affected: explanations of a regional fault, `protocol` or `tool NAME` of an outage.
    pub scope: Option<String>,
    /// The reason that most failures have, or why nothing is known.
    pub reason: Option<String>,
    /// What else is to be known.
    pub flags: Vec<Flag>,
    /// Since when the verdict holds.
    pub since: Ms,
    /// What it rests on.
    pub evidence: Evidence,
}

impl Standing {
    /// Whether it concerns everybody: then it holds until the target is reached again.
    fn is_wide(&self) -> bool {
        let is_weak = self.reason.as_deref() == Some(WEAKLY_ATTESTED);
        match self.verdict {
            Verdict::Outage | Verdict::AuthWalled => true,
            Verdict::Unknown => is_weak,
            Verdict::Up
            | Verdict::Degraded
            | Verdict::Regional
            | Verdict::Partial
            | Verdict::RateLimited
            | Verdict::Maintenance => false,
        }
    }

    fn after(change: &Transition) -> Self {
        Self {
            verdict: change.verdict,
            scope: change.scope.clone(),
            reason: change.reason.clone(),
            flags: change.flags.clone(),
            since: change.since,
            evidence: change.evidence.clone(),
        }
    }
}

/// One target.
#[derive(Debug)]
pub struct Judge {
    policy: Policy,
    panel: Panel,
    ballots: Vec<Ballot>,
    incident: Option<Incident>,
    standing: Standing,
    /// Since when too few witnesses have a say.
    few_since: Option<Ms>,
    /// No confirmations before then: the target asked for it.
    paused_until: Ms,
    /// Since when a regional fault hits fewer than was said of it.
    ebbs_since: Option<Ms>,
    /// When the last outage ended.
    outage_ended: Option<Ms>,
    /// Confirmations that were asked for of late, for the budget.
    spent: VecDeque<Ms>,
    /// Confirmations to be asked for: when, whom.
    due: Vec<(Ms, usize)>,
    asks: VecDeque<Ask>,
    transitions: VecDeque<Transition>,
    regions: BTreeMap<String, (RegionState, Ms)>,
    next_look: Ms,
    /// While evidence of the past is read again nothing is decided.
    is_reading: bool,
}

impl Judge {
    /// A target of which nothing is known.
    #[must_use]
    pub fn new(policy: Policy, now: Ms) -> Self {
        Self {
            policy,
            panel: Panel::default(),
            ballots: Vec::new(),
            incident: None,
            standing: Standing {
                verdict: Verdict::Unknown,
                scope: None,
                reason: Some("no_evidence".to_owned()),
                flags: Vec::new(),
                since: now,
                evidence: Evidence::default(),
            },
            few_since: None,
            paused_until: 0,
            ebbs_since: None,
            outage_ended: None,
            spent: VecDeque::new(),
            due: Vec::new(),
            asks: VecDeque::new(),
            transitions: VecDeque::new(),
            regions: BTreeMap::new(),
            next_look: now,
            is_reading: false,
        }
    }

    /// From now on evidence of the past is read: it is folded, and nothing is decided.
    pub fn begin_reading(&mut self) {
        self.is_reading = true;
    }

    /// The past was read. The target stands as the last of these transitions, newest first, left it.
    pub fn end_reading(&mut self, past: &[Transition], now: Ms) {
        self.is_reading = false;
        if let Some(last) = past.first() {
            self.standing = Standing::after(last);
        }
        let ended = past
            .iter()
            .find(|change| change.previous == Verdict::Outage && change.verdict != Verdict::Outage);
        self.outage_ended = ended.map(|change| change.at);
        (self.incident, self.next_look) = (None, now);
        for ballot in &mut self.ballots {
            ballot.pending = None;
        }
    }

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
        self.panel = panel;
        self.due.clear();
        self.next_look = self.next_look.min(now);
    }

    /// The monitor has another meaning now: what was said of the old one says nothing of it. The
    /// verdict stays until witnesses have spoken anew.
    pub fn handle_policy(&mut self, policy: Policy, now: Ms) {
        let levels = 1 + policy.calls.len();
        self.policy = policy;
        self.ballots = vec![Ballot::new(levels); self.panel.witnesses().len()];
        (self.incident, self.few_since) = (None, None);
        self.due.clear();
        self.regions.clear();
        self.next_look = now;
    }

    /// A probe is over.
    pub fn handle_outcome(&mut self, agent: &str, seen: &Seen, mesh: &Mesh, now: Ms) {
        let Some(at) = self.panel.find(agent) else {
            return;
        };
        let ttl = self.policy.ttl();
        let cancelled = Outcome::Inconclusive {
            reason: Reason::Cancelled,
        };
        // What is old is history, and an agent that stops takes back nothing.
        if now.saturating_sub(seen.began) > ttl || seen.outcome == cancelled {
            return;
        }
        let ballot = &mut self.ballots[at];
        (ballot.began, ballot.heard) = (Some(seen.began), Some(now));
        ballot.asked_until = None;
        ballot.pending = None;
        if seen.outcome.reason() == Some(Reason::RateLimited) {
            let pause = seen.retry_after.unwrap_or(0).clamp(PAUSE, LONGEST_PAUSE);
            self.paused_until = self.paused_until.max(now + pause);
        }
        let Some(says) = self.says(seen) else {
            self.ballots[at].is_mute = true;
            self.decide(mesh, now);
            return;
        };
        let is_good = |say: &Option<Say>| say.is_none_or(Say::is_ok);
        if says.iter().all(is_good) {
            self.good(at, &says, seen, now);
        } else {
            self.ballots[at].pending = Some(Pending {
                seq: seen.seq,
                says,
                began: seen.began,
                heard: now,
                until: now + ATTEST,
            });
            self.suspect(at, mesh, now);
        }
        self.decide(mesh, now);
    }

    fn good(&mut self, at: usize, says: &Says, seen: &Seen, now: Ms) {
        let ttl = self.policy.ttl();
        let ballot = &mut self.ballots[at];
        ballot.fold(says, seen.began, now, ttl, true);
        ballot.took = Some(seen.took);
        if seen.confirms.is_none() {
            ballot.latency.take(seen.took);
        }
        self.confirm_recovery(at, now);
    }

    /// The self-test after a failure: only now does the failure count, or not at all.
    pub fn handle_attestation(
        &mut self,
        agent: &str,
        of_seq: u64,
        attested: Attested,
        mesh: &Mesh,
        now: Ms,
    ) {
        let Some(at) = self.panel.find(agent) else {
            return;
        };
        let ballot = &mut self.ballots[at];
        let Some(pending) = ballot.pending.take_if(|pending| pending.seq == of_seq) else {
            return;
        };
        match attested {
            Attested::Full | Attested::Weak => {
                let is_vouched = attested == Attested::Full;
                let ttl = self.policy.ttl();
                ballot.fold(&pending.says, pending.began, pending.heard, ttl, is_vouched);
                self.confirm_failure(at, mesh, now);
            }
            Attested::Bad(_) => ballot.is_mute = true,
        }
        self.decide(mesh, now);
    }

    /// Time passes, or the health of agents changed. Agents whose self-test did not come.
    pub fn handle_timeout(&mut self, mesh: &Mesh, now: Ms) -> Vec<String> {
        let mut unattested = Vec::new();
        for (at, ballot) in self.ballots.iter_mut().enumerate() {
            if ballot
                .pending
                .take_if(|pending| pending.until <= now)
                .is_some()
            {
                ballot.is_mute = true;
                unattested.push(self.panel.witnesses()[at].agent.clone());
            }
        }
        self.ask_due(mesh, now);
        self.decide(mesh, now);
        unattested
    }

    /// When time matters next.
    #[must_use]
    pub fn poll_timeout(&self) -> Ms {
        let pending = self
            .ballots
            .iter()
            .filter_map(|ballot| ballot.pending.as_ref());
        let pending = pending.map(|pending| pending.until);
        let due = self.due.iter().map(|(at, _)| *at);
        pending.chain(due).fold(self.next_look, Ms::min)
    }

    /// The next confirmation to ask for.
    pub fn poll_ask(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    /// The next change of the verdict.
    pub fn poll_transition(&mut self) -> Option<Transition> {
        self.transitions.pop_front()
    }

    /// What is said of the target now.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What is said of the target, with the evidence of this moment.
    #[must_use]
    pub fn view(&self, mesh: &Mesh, now: Ms) -> Standing {
        let evidence = self.evidence_now(mesh, now);
        Standing {
            evidence: evidence.unwrap_or_else(|| self.standing.evidence.clone()),
            ..self.standing.clone()
        }
    }

    /// Since when something looks wrong and is not decided.
    #[must_use]
    pub fn suspected_since(&self) -> Option<Ms> {
        let is_open = matches!(self.standing.verdict, Verdict::Up | Verdict::Unknown);
        let incident = self.incident.as_ref().filter(|_| is_open);
        incident.map(|incident| incident.began)
    }

    /// The agents that watch it.
    #[must_use]
    pub const fn panel(&self) -> &Panel {
        &self.panel
    }

    /// How many independent witnesses an outage needs: three, that no region and provider
    /// together can make; two where the panel has no more than three (MODEL §2).
    #[must_use]
    pub fn quorum(&self) -> u32 {
        if self.panel.independent(self.panel.all()) <= 3 {
            2
        } else {
            3
        }
    }

    fn set_of(&self, holds: impl Fn(usize, &Ballot) -> bool) -> Set {
        let ballots = self.ballots.iter().enumerate();
        let those = ballots.filter(|(at, ballot)| holds(*at, ballot));
        those.fold(0, |set, (at, _)| set | 1 << at)
    }
}

#[cfg(test)]
mod tests;
