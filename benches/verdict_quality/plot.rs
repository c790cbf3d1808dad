//! Worlds of our own: fleets, targets, and what goes wrong, from a seed.

use verdict::Ms;

use super::dice::Dice;
use super::sim::{Effect, Failing, Happening, Mask, Plot, as_u64};
use super::world::{Agent, Label, Meta, Target};

mod kinds;

pub(crate) use kinds::KINDS;

const REGIONS: [&str; 16] = [
    "us-east",
    "eu-central",
    "ap-southeast",
    "us-west",
    "sa-east",
    "eu-north",
    "ap-northeast",
    "af-south",
    "us-central",
    "eu-west",
    "ap-sydney",
    "in-west",
    "ca-east",
    "me-central",
    "eu-south",
    "ap-korea",
];
const PROVIDERS: [&str; 8] = [
    "provider-a",
    "provider-b",
    "provider-c",
    "provider-d",
    "provider-e",
    "provider-f",
    "provider-g",
    "provider-h",
];
const HOSTINGS: [&str; 3] = ["hosting-x", "hosting-y", "hosting-z"];
const SIZES: [usize; 8] = [3, 5, 6, 8, 10, 12, 16, 24];
pub(crate) const SECOND: Ms = 1000;
pub(crate) const MINUTE: Ms = 60 * SECOND;
/// Between two episodes all is well for so long.
const QUIET: Ms = 3 * MINUTE;
/// How the ends of targets look.
const CAUSES: [(&str, &str); 7] = [
    ("tcp", "timeout"),
    ("tcp", "refused"),
    ("http", "http_5xx"),
    ("tls", "cert_expired"),
    ("initialize", "jsonrpc_error"),
    ("tools_list", "timeout"),
    ("dns", "nxdomain"),
];

/// A plot that is being written.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) plot: Plot,
    pub(crate) dice: Dice,
    /// When the next episode may begin.
    at: Ms,
}

impl Draft {
    /// A fleet and targets in which only noise happens.
    fn new(name: String, seed: u64, sizes: &[usize]) -> Self {
        let mut dice = Dice::of(&[seed, 100]);
        let count = *dice.one_of(sizes);
        let interval = *dice.one_of(&[10, 30, 60, 60]) * SECOND;
        let providers = if count < 6 { count } else { 6 + count / 12 };
        let agents = (0..count).map(|n| Agent {
            id: format!("agent-{n}"),
            region: REGIONS[n % REGIONS.len()].to_owned(),
            provider: PROVIDERS[(n + n / providers) % providers].to_owned(),
            ..Agent::default()
        });
        let targets = (0..6).map(|n| Target {
            id: format!("target-{n}"),
            hosting: HOSTINGS[n % HOSTINGS.len()].to_owned(),
        });
        let meta = Meta {
            name,
            dur: if interval < MINUTE {
                60 * MINUTE
            } else {
                120 * MINUTE
            },
            interval,
            timeout: if interval < MINUTE {
                5 * SECOND
            } else {
                10 * SECOND
            },
            heartbeat: 15 * SECOND,
            references: 5,
            agents: agents.collect(),
            targets: targets.collect(),
            maintenance: Vec::new(),
        };
        let mut plot = Plot {
            seed,
            meta,
            ..Plot::default()
        };
        for agent in 0..count {
            for target in 0..plot.meta.targets.len() {
                let usual = dice.between(80.0, 900.0);
                plot.usual.insert((agent, target), (usual, 0.18));
            }
        }
        let mut draft = Self {
            plot,
            dice,
            at: 8 * MINUTE,
        };
        draft.bursts();
        draft
    }

    /// Loss on single paths, now and then.
    fn bursts(&mut self) {
        for agent in 0..self.agents() {
            for target in 0..self.plot.meta.targets.len() {
                let mut at = self.dice.pick(0, 180 * MINUTE);
                while at < self.plot.meta.dur {
                    let end = at + self.dice.pick(20, 100) * SECOND;
                    let chance = self.dice.between(0.25, 0.5);
                    let lost = Failing {
                        step: "tcp",
                        err: "timeout",
                        chance,
                    };
                    self.happens(at, end, 1 << agent, 1 << target, Effect::Fails(lost));
                    at = end + self.dice.pick(30, 330) * MINUTE;
                }
            }
        }
    }

    fn agents(&self) -> usize {
        self.plot.meta.agents.len()
    }

    fn all(&self) -> Mask {
        (1 << self.agents()) - 1
    }

    fn happens(&mut self, from: Ms, to: Ms, agents: Mask, targets: Mask, effect: Effect) {
        self.plot.happenings.push(Happening {
            from,
            to,
            agents,
            targets,
            effect,
        });
    }

    fn label(
        &mut self,
        cls: &str,
        (from, to): (Ms, Ms),
        agents: Mask,
        targets: Mask,
        accept: &[&str],
    ) {
        let meta = &self.plot.meta;
        let named = |n: usize, mask: Mask| mask >> n & 1 == 1;
        let targets = meta
            .targets
            .iter()
            .enumerate()
            .filter(|(n, _)| named(*n, targets));
        let agents = meta
            .agents
            .iter()
            .enumerate()
            .filter(|(n, _)| named(*n, agents));
        let label = Label {
            cls: cls.to_owned(),
            x: targets.map(|(_, target)| target.id.clone()).collect(),
            a: agents.map(|(_, agent)| agent.id.clone()).collect(),
            from,
            to,
            accept: accept.iter().map(|word| (*word).to_owned()).collect(),
            cause: self.plot.meta.name.clone(),
        };
        self.plot.labels.push(label);
    }

    /// The time of an episode of so many seconds; none when the world is over.
    fn episode(&mut self, low: u64, high: u64) -> Option<(Ms, Ms)> {
        let from = self.at + self.dice.pick(0, 60_000);
        let to = from + self.dice.pick(low, high) * SECOND;
        self.at = to + QUIET;
        (to + QUIET < self.plot.meta.dur).then_some((from, to))
    }

    fn one_target(&mut self) -> Mask {
        1 << self.dice.pick(0, as_u64(self.plot.meta.targets.len()))
    }

    fn failing(&mut self, chance: f64) -> Failing {
        let (step, err) = *self.dice.one_of(&CAUSES);
        Failing { step, err, chance }
    }

    /// The target is out for everybody.
    fn outage(&mut self, time: (Ms, Ms), targets: Mask) {
        let chance = if self.dice.share() < 0.2 { 0.9 } else { 1.0 };
        let failing = self.failing(chance);
        self.happens(time.0, time.1, self.all(), targets, Effect::Fails(failing));
        self.label("outage", time, 0, targets, &["outage"]);
    }

    /// Those who are alike in something.
    fn alike(&self, is: impl Fn(&Agent) -> bool) -> Mask {
        let agents = self.plot.meta.agents.iter().enumerate();
        agents
            .filter(|(_, a)| is(a))
            .fold(0, |set, (n, _)| set | 1 << n)
    }

    /// The paths of some to some targets break; others reach them.
    fn cut(
        &mut self,
        time: (Ms, Ms),
        agents: Mask,
        targets: Mask,
        err: (&'static str, &'static str),
    ) {
        let failing = Failing {
            step: err.0,
            err: err.1,
            chance: 1.0,
        };
        self.happens(time.0, time.1, agents, targets, Effect::Fails(failing));
        self.label("regional", time, agents, targets, &["regional", "partial"]);
    }
}
