//! One target: votes, suspicion, confirmations, verdict.

mod assign;
mod ballot;
mod confirm;
mod decide;
mod edge;
mod flap;
mod hold;
mod latency;
mod region;
mod says;
mod stance;
mod stand;
mod standing;
mod suspect;
mod tally;
mod terms;

use std::cell::Cell;
use std::collections::VecDeque;

use model::verdict::Verdict;
use model::{Outcome, Reason};

use crate::Ms;
use crate::mesh::{Attested, Mesh, Stance};
use crate::transition::{Evidence, Transition};
use crate::witness::{Panel, Set, Witness};
use ballot::{Ballot, Pending, Say, Says};
use edge::Edges;
pub(crate) use flap::FLAPPING_OUT;
use flap::Flaps;
use region::Region;
use stance::Stances;

pub use flap::Flap;
pub use region::RegionView;
pub use standing::Standing;
pub use terms::{Ask, Call, Policy, SPAN, Seen, Suspicion};

/// How long the self-test after a failure may take to come.
const ATTEST: Ms = 3000;
/// Self-tests that may wait for their failures.
const MAX_EARLY: usize = 4;
/// How often an open question is looked at without news.
const LOOK: Ms = 5000;
/// And a closed one.
const LOOK_SELDOM: Ms = 60_000;
/// A target that asked for a pause gets at least this.
const PAUSE: Ms = 13_000;
/// The longest pause that a target may ask confirmations for.
const LONGEST_PAUSE: Ms = 300_000;

/// Something looks wrong, and is being looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Incident {
    /// When the first failing probe began: what was said to work before is no contrary evidence.
    began: Ms,
    /// When the newest wave of failures began.
    wave: Ms,
    /// Rounds of confirmations, and when the last was.
    rounds: u32,
    last_round: Ms,
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
    /// How long others should leave the target alone, to be told; and no word of that before then.
    holds: VecDeque<Ms>,
    hold_again: Ms,
    /// Since when a regional fault hits fewer than was said of it.
    ebbs_since: Option<Ms>,
    /// When the last outage ended.
    outage_ended: Option<Ms>,
    /// Confirmations that were asked for of late, for the budget.
    spent: VecDeque<(Ms, usize)>,
    /// Confirmations to be asked for: when, whom.
    due: Vec<(Ms, usize)>,
    asks: VecDeque<Ask>,
    transitions: VecDeque<Transition>,
    regions: Vec<Region>,
    /// Who has no vote, as the mesh said when it was last asked.
    faulty: Cell<(u64, Set)>,
    /// What was last told of how each agent stands to the others.
    stances: Stances,
    told_stances: VecDeque<(String, Stance, Ms)>,
    edges: Edges,
    flaps: Flaps,
    is_maintained: bool,
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
            holds: VecDeque::new(),
            hold_again: 0,
            ebbs_since: None,
            outage_ended: None,
            spent: VecDeque::new(),
            due: Vec::new(),
            asks: VecDeque::new(),
            transitions: VecDeque::new(),
            regions: Vec::new(),
            faulty: Cell::new((u64::MAX, 0)),
            stances: Stances::default(),
            told_stances: VecDeque::new(),
            edges: Edges::default(),
            flaps: Flaps::default(),
            is_maintained: false,
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
        self.flaps.recall(past);
        (self.incident, self.next_look) = (None, now);
        for ballot in &mut self.ballots {
            ballot.pending = None;
        }
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
        ballot.slow_since = None;
        ballot.pending = None;
        self.edges.take(at, seen, now);
        if seen.outcome.reason() == Some(Reason::RateLimited) && mesh.fault(agent).is_none() {
            // One agent's word widens the whole target by little: it may be told only to that one.
            let limited = |ballot: &&Ballot| ballot.levels.iter().any(|vote| vote.say.is_limited());
            let is_shared = self.ballots.iter().filter(limited).count() >= 2;
            let asked = seen.retry_after.filter(|_| is_shared);
            let pause = asked.unwrap_or(PAUSE).clamp(PAUSE, LONGEST_PAUSE);
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
            self.bad(at, says, seen, mesh, now);
        }
        self.decide(mesh, now);
    }

    /// A failure waits for its self-test, which may have come before it where the failure had to
    /// wait for the link.
    fn bad(&mut self, at: usize, says: Says, seen: &Seen, mesh: &Mesh, now: Ms) {
        let flips = self.ballots[at].flips_by(&says, self.policy.ttl(), now);
        let ballot = &mut self.ballots[at];
        ballot.pending = Some(Pending {
            seq: seen.seq,
            says,
            began: seen.began,
            heard: now,
            is_suspected: false,
            retry_after: seen.retry_after,
            until: now + ATTEST,
        });
        let early = ballot.early.iter().position(|(seq, _)| *seq == seen.seq);
        let early = early.map(|n| ballot.early.remove(n));
        let is_suspected = self.suspect(at, seen.began, flips, mesh, now);
        if let Some(pending) = self.ballots[at].pending.as_mut() {
            pending.is_suspected = is_suspected;
        }
        if let Some((seq, attested)) = early {
            self.attest(at, seq, attested, mesh, now);
        }
    }

    fn good(&mut self, at: usize, says: &Says, seen: &Seen, now: Ms) {
        let ttl = self.policy.ttl();
        let ballot = &mut self.ballots[at];
        ballot.fold(says, seen.began, now, ttl, true);
        // A confirmation without calls says nothing of how long a probe with them takes.
        if seen.confirms != Some(false) || self.policy.calls.is_empty() {
            ballot.took = Some(seen.took);
        }
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
        if let Some(at) = self.panel.find(agent) {
            self.attest(at, of_seq, attested, mesh, now);
            self.decide(mesh, now);
        }
    }

    fn attest(&mut self, at: usize, of_seq: u64, attested: Attested, mesh: &Mesh, now: Ms) {
        let ballot = &mut self.ballots[at];
        let Some(pending) = ballot.pending.take_if(|pending| pending.seq == of_seq) else {
            ballot.early.push((of_seq, attested));
            if ballot.early.len() > MAX_EARLY {
                ballot.early.remove(0);
            }
            return;
        };
        match attested {
            Attested::Full | Attested::Weak => {
                let is_vouched = attested == Attested::Full;
                let ttl = self.policy.ttl();
                let flips = ballot.flips_by(&pending.says, ttl, now);
                ballot.fold(&pending.says, pending.began, pending.heard, ttl, is_vouched);
                if !pending.is_suspected {
                    self.look_late(at, pending.began, flips, mesh, now);
                }
                self.confirm_failure(at, mesh, now);
                self.hold_others(&pending, now);
            }
            Attested::Bad(_) => ballot.is_mute = true,
        }
    }

    /// Time passes, or the health of agents changed.
    pub fn handle_timeout(&mut self, mesh: &Mesh, now: Ms) {
        for ballot in &mut self.ballots {
            if let Some(pending) = ballot.pending.as_mut().filter(|p| p.until <= now) {
                // Without its self-test the failure says nothing: but it may be we who are late.
                pending.until = Ms::MAX;
                ballot.is_mute = true;
            }
        }
        self.ask_due(mesh, now);
        self.decide(mesh, now);
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

    /// For how long all agents should leave the target alone, from now.
    pub fn poll_hold(&mut self) -> Option<Ms> {
        self.holds.pop_front()
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

    /// What of its monitor matters here.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The agents that watch it.
    #[must_use]
    pub const fn panel(&self) -> &Panel {
        &self.panel
    }

    /// How many independent witnesses an outage needs: three, that no region and provider
    /// together can make; two where the panel has no more than three; or what the policy says, and
    /// never less than two.
    #[must_use]
    pub fn quorum(&self) -> u32 {
        if let Some(quorum) = self.policy.quorum {
            quorum.max(2)
        } else if self.panel.independent(self.panel.all()) <= 3 {
            2
        } else {
            3
        }
    }

    /// Who has no vote.
    fn faulty(&self, mesh: &Mesh) -> Set {
        let (known, faulty) = self.faulty.get();
        if known == mesh.version() {
            return faulty;
        }
        let is_faulty =
            |(at, w): (usize, &Witness)| u64::from(mesh.fault(&w.agent).is_some()) << at;
        let members = self.panel.members(self.panel.all());
        let faulty = members.map(is_faulty).fold(0, |all, one| all | one);
        self.faulty.set((mesh.version(), faulty));
        faulty
    }

    fn set_of(&self, holds: impl Fn(usize, &Ballot) -> bool) -> Set {
        let ballots = self.ballots.iter().enumerate();
        let those = ballots.filter(|(at, ballot)| holds(*at, ballot));
        those.fold(0, |set, (at, _)| set | 1 << at)
    }
}

#[cfg(test)]
mod tests;
