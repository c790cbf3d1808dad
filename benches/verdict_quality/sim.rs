//! A world of our own making, under virtual time: who probes when, and what happens to each probe.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each question is of one or two effects of many"
)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use verdict::Ms;

use super::dice::Dice;
use super::world::{Event, Label, Meta, Sample, SelfTest, Source};

/// Agents or targets, as bits.
pub(crate) type Mask = u64;

/// How a probe fails: at once, or by hanging until its time is up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failing {
    pub(crate) step: &'static str,
    pub(crate) err: &'static str,
    /// How often.
    pub(crate) chance: f64,
}

/// What happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    /// Probes fail.
    Fails(Failing),
    /// The target sends away who asks more than so often a minute, all agents together.
    Limits(usize),
    /// Answers take longer by this factor, which is reached after a time.
    Slow(f64, Ms),
    /// The agent reaches nothing.
    Offline,
    /// The agent does not run.
    Dead,
    /// What the agent sends arrives when this is over.
    Stalled,
    /// The agent's machine is starved: some probes time out.
    Starved,
    /// These references do not answer.
    References(u64),
    /// The agent says that all is well, whatever it found.
    Blind,
    /// The agent's clock is ahead by this, in milliseconds.
    Clock(i64),
    /// And goes wrong by so many parts in a million.
    Drifts(i64),
}

/// What happens to whom, when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Happening {
    pub(crate) from: Ms,
    pub(crate) to: Ms,
    pub(crate) agents: Mask,
    pub(crate) targets: Mask,
    pub(crate) effect: Effect,
}

/// A world before anybody probes in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plot {
    pub(crate) seed: u64,
    pub(crate) meta: Meta,
    pub(crate) happenings: Vec<Happening>,
    pub(crate) labels: Vec<Label>,
    /// Usual latency of each path, and how much it spreads.
    pub(crate) usual: BTreeMap<(usize, usize), (f64, f64)>,
    /// Which edge of a target answers which agent.
    pub(crate) edges: BTreeMap<(usize, usize), String>,
}

/// Starts of probes and heartbeats that are to come: when, whose, of which target.
type Start = (Ms, usize, Option<usize>);

/// A world that goes on.
#[derive(Debug)]
pub(crate) struct Sim<'a> {
    plot: &'a Plot,
    starts: BinaryHeap<Reverse<Start>>,
    arriving: BTreeMap<(Ms, u64), Event>,
    /// When each target was asked, of late.
    asked: Vec<VecDeque<Ms>>,
    seq: u64,
}

impl Plot {
    /// Begins it.
    pub(crate) fn play(&self) -> Sim<'_> {
        let mut starts = BinaryHeap::new();
        for agent in 0..self.meta.agents.len() {
            let mut dice = Dice::of(&[self.seed, 1, as_u64(agent)]);
            starts.push(Reverse((dice.pick(0, self.meta.heartbeat), agent, None)));
            for target in 0..self.meta.targets.len() {
                let turn = as_u64(agent) * 618_034 + as_u64(target) * 370_000;
                let phase = turn % 1_000_000 * self.meta.interval / 1_000_000;
                starts.push(Reverse((phase, agent, Some(target))));
            }
        }
        Sim {
            plot: self,
            starts,
            arriving: BTreeMap::new(),
            asked: vec![VecDeque::new(); self.meta.targets.len()],
            seq: 0,
        }
    }

    fn of_agent(&self, agent: usize, at: Ms) -> impl Iterator<Item = &Happening> {
        let now = self.happenings.iter();
        let now = now.filter(move |h| (h.from..h.to).contains(&at));
        now.filter(move |h| h.agents >> agent & 1 == 1)
    }

    /// What an agent finds of itself.
    fn test(&self, agent: usize, at: Ms) -> SelfTest {
        let peers = u32::try_from(self.meta.agents.len()).unwrap_or(1) - 1;
        let mut test = SelfTest {
            references: (1 << self.meta.references) - 1,
            peers: (peers, peers),
            lag: 5,
        };
        for happening in self.of_agent(agent, at) {
            match happening.effect {
                Effect::Offline => (test.references, test.peers.0) = (0, 0),
                Effect::Starved => test.lag = 1500,
                Effect::References(down) => test.references &= !down,
                _ => {}
            }
        }
        let offline = |other: &usize| {
            let is_off = |h: &Happening| matches!(h.effect, Effect::Offline | Effect::Dead);
            self.of_agent(*other, at).any(is_off)
        };
        let sick = (0..self.meta.agents.len()).filter(offline).count();
        let sick = u32::try_from(sick).unwrap_or(0);
        test.peers.0 = test.peers.0.min(peers.saturating_sub(sick));
        test
    }

    /// What the agent's clock says then.
    fn wall(&self, agent: usize, at: Ms) -> i64 {
        let mut wall = i64::try_from(at).unwrap_or(i64::MAX);
        for happening in self.of_agent(agent, at) {
            let since = i64::try_from(at - happening.from).unwrap_or(0);
            match happening.effect {
                Effect::Clock(ahead) => wall += ahead,
                Effect::Drifts(millionths) => wall += since * millionths / 1_000_000,
                _ => {}
            }
        }
        wall
    }
}

impl Sim<'_> {
    /// Whether a target sends this one away.
    fn is_limited(&mut self, target: usize, at: Ms) -> bool {
        let limit = self.plot.happenings.iter().find_map(|h| match h.effect {
            Effect::Limits(most)
                if (h.from..h.to).contains(&at) && h.targets >> target & 1 == 1 =>
            {
                Some(most)
            }
            _ => None,
        });
        let Some(most) = limit else { return false };
        let asked = &mut self.asked[target];
        while asked.front().is_some_and(|then| then + 60_000 <= at) {
            asked.pop_front();
        }
        if asked.len() >= most {
            return true;
        }
        asked.push_back(at);
        false
    }

    fn fails(&mut self, agent: usize, target: usize, at: Ms) -> Option<(Failing, bool)> {
        let mut dice = Dice::of(&[self.plot.seed, 2, as_u64(agent), as_u64(target), at / 1000]);
        let mut found = None;
        for happening in self.plot.of_agent(agent, at) {
            let timeout = |step| Failing {
                step,
                err: "timeout",
                chance: 1.0,
            };
            match happening.effect {
                Effect::Offline => return Some((timeout("dns"), true)),
                Effect::Starved if dice.share() < 0.4 => return Some((timeout("tcp"), true)),
                Effect::Blind => return None,
                Effect::Fails(failing)
                    if happening.targets >> target & 1 == 1 && dice.share() < failing.chance =>
                {
                    found.get_or_insert((failing, failing.err == "timeout"));
                }
                _ => {}
            }
        }
        if found.is_none() && dice.share() < 0.0003 {
            found = Some((
                Failing {
                    step: "tcp",
                    err: "timeout",
                    chance: 1.0,
                },
                true,
            ));
        }
        if found.is_none() && self.is_limited(target, at) {
            found = Some((
                Failing {
                    step: "http",
                    err: "http_429",
                    chance: 1.0,
                },
                false,
            ));
        }
        found
    }

    fn takes(&self, agent: usize, target: usize, at: Ms) -> Ms {
        let mut dice = Dice::of(&[self.plot.seed, 3, as_u64(agent), as_u64(target), at]);
        let usual = self.plot.usual.get(&(agent, target));
        let (usual, spread) = usual.copied().unwrap_or((200.0, 0.18));
        let mut ms = usual * (spread * dice.normal()).exp();
        for happening in self.plot.of_agent(agent, at) {
            if let Effect::Slow(factor, ramp) = happening.effect
                && happening.targets >> target & 1 == 1
            {
                let since = (at - happening.from).min(ramp);
                let share = if ramp == 0 {
                    1.0
                } else {
                    to_f64(since) / to_f64(ramp)
                };
                ms *= 1.0 + (factor - 1.0) * share;
            }
        }
        from_f64(ms)
    }

    fn is(&self, agent: usize, at: Ms, what: fn(&Effect) -> bool) -> Option<Ms> {
        let those = self.plot.of_agent(agent, at).filter(|h| what(&h.effect));
        those.map(|h| h.to).max()
    }

    /// When what an agent sends comes.
    fn arrival(&self, agent: usize, sent: Ms) -> Ms {
        let mut dice = Dice::of(&[self.plot.seed, 4, as_u64(agent), sent]);
        let way = sent + dice.pick(20, 120);
        match self.is(agent, way, |effect| matches!(effect, Effect::Stalled)) {
            Some(end) => end + 100,
            None => way,
        }
    }

    /// Runs what starts until then.
    fn run(&mut self, until: Ms) {
        while let Some(Reverse(start)) = self.starts.peek().copied() {
            let (at, agent, target) = start;
            if at > until || at >= self.plot.meta.dur {
                return;
            }
            self.starts.pop();
            let next = match target {
                Some(_) => self.plot.meta.interval,
                None => self.plot.meta.heartbeat,
            };
            self.starts.push(Reverse((at + next, agent, target)));
            let event = match target {
                Some(target) => self.probe(agent, target, at, self.plot.meta.timeout),
                None if self.is(agent, at, |e| matches!(e, Effect::Dead)).is_some() => None,
                None => {
                    let beat = (self.plot.wall(agent, at), self.plot.test(agent, at));
                    self.arriving_beat(agent, at, beat);
                    continue;
                }
            };
            if let Some((comes, mut sample)) = event {
                sample.sent = self.plot.wall(agent, at);
                self.seq += 1;
                self.arriving
                    .insert((comes, self.seq), Event::Result(sample));
            }
        }
    }

    fn arriving_beat(&mut self, agent: usize, at: Ms, (sent, test): (i64, SelfTest)) {
        self.seq += 1;
        let comes = self.arrival(agent, at);
        let beat = Event::Beat(agent, sent, test);
        self.arriving.insert((comes, self.seq), beat);
    }
}

impl Source for Sim<'_> {
    fn meta(&self) -> &Meta {
        &self.plot.meta
    }

    fn next(&mut self) -> Option<(Ms, Event)> {
        loop {
            let first = self.arriving.first_key_value().map(|((at, _), _)| *at);
            let start = self.starts.peek().map_or(Ms::MAX, |Reverse(start)| start.0);
            if start >= self.plot.meta.dur || first.is_some_and(|first| first < start) {
                let ((at, _), event) = self.arriving.pop_first()?;
                return (at < self.plot.meta.dur).then_some((at, event));
            }
            self.run(start);
        }
    }

    fn probe(
        &mut self,
        agent: usize,
        target: usize,
        start: Ms,
        timeout: Ms,
    ) -> Option<(Ms, Sample)> {
        if self
            .is(agent, start, |e| matches!(e, Effect::Dead))
            .is_some()
        {
            return None;
        }
        let mut failure = self.fails(agent, target, start);
        let mut ms = self.takes(agent, target, start);
        if ms >= timeout && failure.is_none() {
            let late = Failing {
                step: "tools_list",
                err: "timeout",
                chance: 1.0,
            };
            failure = Some((late, true));
        }
        ms = match failure {
            Some((_, true)) => timeout,
            Some((_, false)) => ms.min(400),
            None => ms,
        };
        let end = start + ms;
        let sample = Sample {
            agent,
            target,
            sent: i64::try_from(start).unwrap_or(i64::MAX),
            ms,
            failure: failure.map(|(f, _)| (f.step.to_owned(), f.err.to_owned())),
            edge: self.plot.edges.get(&(agent, target)).cloned(),
            test: self.plot.test(agent, end),
        };
        Some((self.arrival(agent, end), sample))
    }
}

pub(crate) fn as_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of hours")]
fn to_f64(ms: Ms) -> f64 {
    ms as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds of one probe, above zero"
)]
fn from_f64(ms: f64) -> Ms {
    ms.clamp(1.0, 1e7) as Ms
}
