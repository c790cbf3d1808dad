//! A world: who watches what, what comes in when, and what was true.

use std::collections::BTreeMap;

use serde::Deserialize;
use verdict::Ms;

/// An agent.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) region: String,
    pub(crate) provider: String,
    /// What else may break and take others with it.
    #[serde(default)]
    pub(crate) transit: Option<String>,
    #[serde(default)]
    pub(crate) resolver: Option<String>,
    #[serde(default)]
    pub(crate) version: Option<String>,
}

/// A target.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Target {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) hosting: String,
}

/// The time of a target's maintenance.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Maintenance {
    pub(crate) x: String,
    pub(crate) from: Ms,
    pub(crate) to: Ms,
}

/// The head of a world.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Meta {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) dur: Ms,
    pub(crate) interval: Ms,
    pub(crate) timeout: Ms,
    #[serde(rename = "hb")]
    pub(crate) heartbeat: Ms,
    #[serde(rename = "n_refs")]
    pub(crate) references: u32,
    pub(crate) agents: Vec<Agent>,
    pub(crate) targets: Vec<Target>,
    #[serde(default)]
    pub(crate) maintenance: Vec<Maintenance>,
}

/// What an agent finds of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SelfTest {
    /// References that answer, one bit each.
    pub(crate) references: u64,
    /// Peers that answer, of those that were asked.
    pub(crate) peers: (u32, u32),
    pub(crate) lag: Ms,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) agent: usize,
    pub(crate) target: usize,
    /// When it began, by the agent's clock.
    pub(crate) sent: i64,
    pub(crate) ms: Ms,
    pub(crate) failure: Option<(String, String)>,
    pub(crate) edge: Option<String>,
    /// The self-test after it, where it failed.
    pub(crate) test: SelfTest,
}

/// Something that the coordinator gets.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A scheduled probe.
    Result(Sample),
    /// A heartbeat: whose, when by its clock, with which self-test.
    Beat(usize, i64, SelfTest),
}

/// What was true.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Label {
    pub(crate) cls: String,
    pub(crate) x: Vec<String>,
    #[serde(default)]
    pub(crate) a: Vec<String>,
    pub(crate) from: Ms,
    pub(crate) to: Ms,
    pub(crate) accept: Vec<String>,
    #[serde(default)]
    pub(crate) cause: String,
}

/// Where events come from, in the order in which they arrive, and what answers probes on demand.
pub(crate) trait Source {
    fn meta(&self) -> &Meta;
    /// The next event and when it comes.
    fn next(&mut self) -> Option<(Ms, Event)>;
    /// A probe that starts at `start`: when its result comes; none where the agent is dead.
    fn probe(
        &mut self,
        agent: usize,
        target: usize,
        start: Ms,
        timeout: Ms,
    ) -> Option<(Ms, Sample)>;
}

/// What a probe on demand finds from `from` until `to`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Answer {
    pub(crate) from: Ms,
    pub(crate) to: Ms,
    pub(crate) ok: bool,
    pub(crate) ms: Ms,
    pub(crate) step: Option<String>,
    pub(crate) err: Option<String>,
}

/// What becomes of an agent for a time.
#[derive(Debug, Clone)]
pub(crate) struct Fate {
    pub(crate) from: Ms,
    pub(crate) to: Ms,
    pub(crate) is_dead: bool,
}

/// A world that was recorded.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) meta: Meta,
    pub(crate) events: Vec<(Ms, Event)>,
    pub(crate) labels: Vec<Label>,
    pub(crate) usual: BTreeMap<(usize, usize), Ms>,
    pub(crate) answers: BTreeMap<(usize, usize), Vec<Answer>>,
    pub(crate) fates: BTreeMap<usize, Vec<Fate>>,
    pub(crate) tests: BTreeMap<usize, Vec<(Ms, Ms, SelfTest)>>,
}

/// A recorded world that is being told.
#[derive(Debug)]
pub(crate) struct Telling<'a> {
    world: &'a Recorded,
    at: usize,
}

impl Recorded {
    pub(crate) const fn tell(&self) -> Telling<'_> {
        Telling { world: self, at: 0 }
    }

    pub(crate) fn healthy(&self) -> SelfTest {
        let peers = u32::try_from(self.meta.agents.len()).unwrap_or(u32::MAX);
        SelfTest {
            references: (1 << self.meta.references) - 1,
            peers: (peers.saturating_sub(1), peers.saturating_sub(1)),
            lag: 5,
        }
    }
}

impl Source for Telling<'_> {
    fn meta(&self) -> &Meta {
        &self.world.meta
    }

    fn next(&mut self) -> Option<(Ms, Event)> {
        let event = self.world.events.get(self.at).cloned();
        self.at += 1;
        event
    }

    fn probe(
        &mut self,
        agent: usize,
        target: usize,
        start: Ms,
        timeout: Ms,
    ) -> Option<(Ms, Sample)> {
        let world = self.world;
        let mut held = 0;
        for fate in world.fates.get(&agent).into_iter().flatten() {
            if (fate.from..fate.to).contains(&start) {
                if fate.is_dead {
                    return None;
                }
                held = fate.to + 100;
            }
        }
        let usual = world.usual.get(&(agent, target)).copied().unwrap_or(100);
        let mut answers = world.answers.get(&(agent, target)).into_iter().flatten();
        let answer = answers.find(|answer| (answer.from..answer.to).contains(&start));
        // An answer that lies outside every stretch is the usual one, as it stands.
        let ms = answer.map_or(usual, |answer| answer.ms.min(timeout));
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        let failure = match answer {
            Some(answer) if !answer.ok => Some((word(&answer.step), word(&answer.err))),
            Some(answer) if answer.ms >= timeout => {
                Some(("tools_list".to_owned(), "timeout".to_owned()))
            }
            Some(_) | None => None,
        };
        let tests = world.tests.get(&agent).into_iter().flatten();
        let end = start + ms;
        let test = tests
            .rev()
            .find(|(from, to, _)| (*from..*to).contains(&end));
        let sample = Sample {
            agent,
            target,
            sent: i64::try_from(start).unwrap_or(i64::MAX),
            ms,
            failure,
            edge: None,
            test: test.map_or(world.healthy(), |(_, _, test)| *test),
        };
        Some(((end + 80).max(held), sample))
    }
}
