//! What is known of the agents themselves: whose votes count.
//!
//! An agent is at fault when it is silent, when it does not reach what it should reach in any
//! case, or when its machine is starved. One bad self-test suffices; two good ones in a row bring
//! it back. A reference that fails for more than half of those who ask it is itself at
//! fault and counts for nobody, unless that would leave none: references of distinct operators do
//! not all die at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::verdict::Fault;

use crate::Ms;
use minority::Stances;

mod examine;
mod minority;

pub use minority::Stance;

/// Nothing heard for three heartbeats of 15 s, and two seconds for the way.
const SILENT: Ms = 47_000;
/// So many agents are not silent all at once by themselves: when nothing comes from any of them for
/// longer than a heartbeat, it is we who do not hear. For two minutes, not for ever.
const CROWD: usize = 3;
const QUIET: Ms = 17_000;
const DEAF: Ms = 120_000;
/// Slots that begin so late say more of the agent than of the target.
const LAGGING: Ms = 1000;
/// How long a failure waits for its self-test, and how many of one agent do.
const WAITING: Ms = 3000;
const MAX_WAITING: usize = 8;
/// References of one agent: bits of a mask.
const MAX_REFERENCES: usize = 16;

/// What an agent found of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SelfTest {
    /// References that were asked, one bit each, in the order that the agent told.
    pub asked: u64,
    /// Those that answered.
    pub answered: u64,
    /// Agents of the mesh that it asked, of those that it could ever reach.
    pub peers: u32,
    /// Those that answered.
    pub peers_ok: u32,
    /// Its other targets on other hostings, of probes that began after the one in question.
    pub others: u32,
    /// Those that went well.
    pub others_ok: u32,
    /// How late its slots begin.
    pub lag: Ms,
}

/// What a self-test says of the failure that it followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attested {
    /// Enough references answer: the agent's own network is fine.
    Full,
    /// Nothing speaks against the agent, and too little for it.
    Weak,
    /// The agent is at fault.
    Bad(Fault),
}

/// A change of an agent's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentChange {
    /// Which agent.
    pub agent: String,
    /// What is wrong with it, as [`Mesh::told`] says; none when all is well again.
    pub fault: Option<Fault>,
    /// When.
    pub at: Ms,
}

#[derive(Debug)]
struct Member {
    references: Vec<String>,
    heard: Ms,
    /// The newest self-test, by the agent's own clock.
    tested_at: u64,
    test: Option<SelfTest>,
    good_in_a_row: u32,
    is_silent: bool,
    /// What its self-tests say.
    tested: Option<Fault>,
    /// Since when it is as it is.
    since: Ms,
    stances: Stances,
    /// Failures that wait for their self-tests: on which hosting, and when they came.
    waiting: VecDeque<(String, Ms)>,
}

impl Member {
    const fn new(now: Ms) -> Self {
        Self {
            references: Vec::new(),
            heard: now,
            tested_at: 0,
            test: None,
            good_in_a_row: 0,
            is_silent: false,
            tested: None,
            since: now,
            stances: Stances::new(),
            waiting: VecDeque::new(),
        }
    }

    /// What is told of it: why it has no vote, or what is wrong with it all the same.
    fn told(&self) -> Option<Fault> {
        let minority = self.stances.is_minority().then_some(Fault::Minority);
        self.fault().or(minority)
    }

    fn fault(&self) -> Option<Fault> {
        let silent = self.is_silent.then_some(Fault::Silent);
        silent.or(self.tested)
    }
}

/// All agents that were heard.
#[derive(Debug, Default)]
pub struct Mesh {
    members: BTreeMap<String, Member>,
    /// References that are themselves at fault.
    dead: BTreeSet<String>,
    changes: VecDeque<AgentChange>,
    /// Grows whenever another agent has a vote than before.
    version: u64,
    /// When anything came last, and since when something comes after a time without.
    newest: Ms,
    hears_since: Ms,
}

impl Mesh {
    /// Grows whenever another agent has a vote than before.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// An agent says which references it has. Its clock may be another than before.
    pub fn handle_hello(&mut self, agent: &str, mut references: Vec<String>, now: Ms) {
        references.truncate(MAX_REFERENCES);
        let mut names = BTreeSet::new();
        for name in &mut references {
            // One that is named twice counts once.
            if !names.insert(name.clone()) {
                name.clear();
            }
        }
        self.handle_heard(agent, now);
        if let Some(member) = self.members.get_mut(agent) {
            member.references = references;
            member.tested_at = 0;
            member.test = None;
        }
        self.judge_references();
    }

    /// Something came from an agent.
    pub fn handle_heard(&mut self, agent: &str, now: Ms) {
        if now.saturating_sub(self.newest) > QUIET {
            self.hears_since = now;
        }
        self.newest = now.max(self.newest);
        let count = self.members.len();
        let member = self
            .members
            .entry(agent.to_owned())
            .or_insert_with(|| Member::new(now));
        member.heard = now.max(member.heard);
        self.version += u64::from(self.members.len() != count);
        self.change(agent, now, |member| {
            member.is_silent = false;
            member.stances.forget(now);
        });
    }

    /// An agent is a member no more.
    pub fn handle_gone(&mut self, agent: &str) {
        self.members.remove(agent);
        self.version += 1;
        self.judge_references();
    }

    /// A heartbeat: the newest self-test, which was made at `tested_at` of the agent's own clock.
    pub fn handle_heartbeat(&mut self, agent: &str, tested_at: u64, test: SelfTest, now: Ms) {
        self.handle_heard(agent, now);
        let Some(member) = self.members.get_mut(agent) else {
            return;
        };
        let is_new = tested_at > member.tested_at;
        let is_lagging = test.lag >= LAGGING;
        let was_lagging = member.tested == Some(Fault::Lag);
        if !is_new && !is_lagging && !was_lagging {
            return; // said before
        }
        member.tested_at = tested_at;
        if member.test.replace(test) != Some(test) {
            self.judge_references();
        }
        match self.examine(agent, &test) {
            Attested::Bad(fault) => self.bad(agent, fault, now),
            Attested::Full | Attested::Weak => self.good(agent, now),
        }
    }

    /// What the self-test after a failure says. A bad one costs the agent its votes at once.
    pub fn attest(&mut self, agent: &str, test: &SelfTest, now: Ms) -> Attested {
        let attested = self.examine(agent, test);
        if let Some(member) = self.members.get_mut(agent) {
            member.waiting.clear();
        }
        if let Attested::Bad(fault) = attested {
            self.bad(agent, fault, now);
        }
        attested
    }

    /// Time passes: who is silent? Nobody, while nothing comes from anybody: then it is we who are
    /// deaf, and votes end as they age.
    pub fn handle_timeout(&mut self, now: Ms) {
        if self.is_deaf(now) {
            return;
        }
        let since = self.hears_since;
        let is_silent = |member: &Member| {
            !member.is_silent && now.saturating_sub(member.heard.max(since)) > SILENT
        };
        let silent = self.members.iter().filter(|(_, member)| is_silent(member));
        let silent: Vec<String> = silent.map(|(agent, _)| agent.clone()).collect();
        for agent in silent {
            self.change(&agent, now, |member| member.is_silent = true);
        }
    }

    /// Whether nothing came from anybody for longer than all could be silent by themselves.
    fn is_deaf(&self, now: Ms) -> bool {
        let speaking = self.members.values().filter(|member| !member.is_silent);
        let quiet = now.saturating_sub(self.newest);
        speaking.count() >= CROWD && quiet > QUIET && quiet <= DEAF
    }

    /// When somebody may fall silent.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Ms> {
        let speaking = || self.members.values().filter(|member| !member.is_silent);
        let last = speaking()
            .map(|member| member.heard.max(self.hears_since))
            .min()?;
        let due = last + SILENT + 1;
        // Then nothing may come from anybody: that is looked at when we can no longer be deaf.
        let is_deaf = speaking().count() >= CROWD && due > self.newest + QUIET;
        Some(if is_deaf {
            due.max(self.newest + DEAF + 1)
        } else {
            due
        })
    }

    /// The next change of an agent's state.
    pub fn poll_change(&mut self) -> Option<AgentChange> {
        self.changes.pop_front()
    }

    /// What an agent says of a target, beside what others say of it: reported, and no reason to take
    /// its vote, because a provider that lost several hostings looks the same.
    pub fn handle_stance(
        &mut self,
        agent: &str,
        target: &str,
        hosting: &str,
        stance: Stance,
        now: Ms,
    ) {
        self.change(agent, now, |member| {
            member.stances.take(target, hosting, stance, now);
        });
    }

    /// A target is watched no more: nobody stands anywhere on it.
    pub fn handle_target_gone(&mut self, target: &str) {
        let now = self.newest;
        let agents: Vec<String> = self.members.keys().cloned().collect();
        for agent in agents {
            self.handle_stance(&agent, target, "", Stance::Silent, now);
        }
    }

    /// A failure came whose self-test will follow.
    pub fn handle_failure(&mut self, agent: &str, hosting: &str, now: Ms) {
        if let Some(member) = self.members.get_mut(agent) {
            if member.waiting.len() >= MAX_WAITING {
                member.waiting.pop_front();
            }
            member.waiting.push_back((hosting.to_owned(), now));
        }
    }

    /// Whether a failure of an agent on a hosting may make others look before its self-test came:
    /// not while it waits for the self-test of a failure on another.
    #[must_use]
    pub fn may_suspect(&self, agent: &str, hosting: &str, now: Ms) -> bool {
        self.members.get(agent).is_some_and(|member| {
            let elsewhere =
                |(of, at): &(String, Ms)| of != hosting && now.saturating_sub(*at) <= WAITING;
            member.fault().is_none() && !member.waiting.iter().any(elsewhere)
        })
    }

    /// What is shown of an agent: why it has no vote, as [`Self::fault`] says, or else
    /// [`Fault::Minority`], which costs it none. Whoever wants to know whether what it sees counts
    /// asks [`Self::fault`].
    #[must_use]
    pub fn told(&self, agent: &str) -> Option<Fault> {
        match self.members.get(agent) {
            Some(member) => member.told(),
            None => Some(Fault::Silent),
        }
    }

    /// Why an agent has no vote; none where it has one. One that was never heard is silent, and one
    /// that is alone in what it says keeps its vote.
    #[must_use]
    pub fn fault(&self, agent: &str) -> Option<Fault> {
        match self.members.get(agent) {
            Some(member) => member.fault(),
            None => Some(Fault::Silent),
        }
    }

    /// Since when an agent is as it is.
    #[must_use]
    pub fn since(&self, agent: &str) -> Option<Ms> {
        self.members.get(agent).map(|member| member.since)
    }

    fn bad(&mut self, agent: &str, fault: Fault, now: Ms) {
        self.change(agent, now, |member| {
            member.good_in_a_row = 0;
            member.tested = Some(fault);
        });
    }

    fn good(&mut self, agent: &str, now: Ms) {
        self.change(agent, now, |member| {
            member.good_in_a_row += 1;
            if member.good_in_a_row >= 2 {
                member.tested = None;
            }
        });
    }

    fn change(&mut self, agent: &str, now: Ms, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.members.get_mut(agent) else {
            return;
        };
        let had_vote = member.fault().is_none();
        let before = member.told();
        change(member);
        self.version += u64::from(had_vote != member.fault().is_none());
        let fault = member.told();
        if fault != before {
            member.since = now;
            self.changes.push_back(AgentChange {
                agent: agent.to_owned(),
                fault,
                at: now,
            });
        }
    }
}

#[cfg(test)]
mod tests;
