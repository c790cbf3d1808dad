//! Rules that others use, in the same worlds: what each would have told.

use std::collections::VecDeque;

use verdict::Ms;

use super::score::Told;
use super::world::{Event, Meta, Sample, Source};

/// A rule: whether a target is out, by what its agents said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// One agent that fails suffices.
    Any,
    /// Two of the first five.
    TwoOfFive,
    /// At most 18 % of agents find it healthy; three results in a row change what one finds.
    EighteenPercent,
    /// More than half of the agents fail.
    Majority,
    /// The first agent fails three times in a row.
    Consecutive,
    /// Nothing good came for longer than chance explains (phi above 8; Hayashibara, 2004).
    PhiAccrual,
}

/// All rules, with their names.
pub(crate) const RULES: [(&str, Rule); 6] = [
    ("any region", Rule::Any),
    ("2 of 5", Rule::TwoOfFive),
    ("18 %", Rule::EighteenPercent),
    ("majority", Rule::Majority),
    ("3 consecutive", Rule::Consecutive),
    ("phi accrual 8", Rule::PhiAccrual),
];

/// What is known of one path.
#[derive(Debug, Clone, Copy, Default)]
struct Path {
    /// When the last result came, and whether it was good.
    last: Option<(Ms, bool)>,
    fails: u32,
    oks: u32,
    /// As three results in a row say it.
    is_healthy: Option<bool>,
}

#[derive(Debug, Default)]
struct Watched {
    paths: Vec<Path>,
    /// Times between good results, and when the last came.
    gaps: VecDeque<Ms>,
    good: Option<Ms>,
    is_out: bool,
}

/// What the rule tells of a world.
pub(crate) fn tell(rule: Rule, source: &mut impl Source) -> Vec<Told> {
    let meta = source.meta().clone();
    let watched = || Watched {
        paths: vec![Path::default(); meta.agents.len()],
        ..Watched::default()
    };
    let mut targets: Vec<Watched> = meta.targets.iter().map(|_| watched()).collect();
    let mut told = Vec::new();
    let mut tick = 1000;
    while let Some((at, event)) = source.next() {
        while rule == Rule::PhiAccrual && tick <= at {
            for (n, watched) in targets.iter_mut().enumerate() {
                watched.wait(n, tick, &mut told);
            }
            tick += 1000;
        }
        if let Event::Result(sample) = event {
            let watched = &mut targets[sample.target];
            watched.take(&sample, at);
            if let Some(is_out) = watched.is_out(rule, &sample, &meta, at) {
                watched.say(is_out, sample.target, at, &mut told);
            }
        }
    }
    told
}

impl Watched {
    fn take(&mut self, sample: &Sample, at: Ms) {
        let is_good = sample.failure.is_none();
        let path = &mut self.paths[sample.agent];
        (path.fails, path.oks) = if is_good {
            (0, path.oks + 1)
        } else {
            (path.fails + 1, 0)
        };
        if path.fails >= 3 {
            path.is_healthy = Some(false);
        } else if path.oks >= 3 || path.is_healthy.is_none() {
            path.is_healthy = Some(true);
        }
        path.last = Some((at, is_good));
        if is_good {
            if let Some(good) = self.good.filter(|_| !self.is_out) {
                self.gaps.push_back(at.saturating_sub(good));
                if self.gaps.len() > 500 {
                    self.gaps.pop_front();
                }
            }
            self.good = Some(at);
        }
    }

    fn is_out(&self, rule: Rule, sample: &Sample, meta: &Meta, now: Ms) -> Option<bool> {
        let life = |intervals: u64| intervals * meta.interval + meta.timeout;
        let is_fresh = |path: &&Path, intervals: u64| {
            path.last
                .is_some_and(|(at, _)| now.saturating_sub(at) <= life(intervals))
        };
        let fresh = || self.paths.iter().filter(|path| is_fresh(path, 2));
        let fails = |path: &&Path| path.last.is_some_and(|(_, is_good)| !is_good);
        let (all, failing) = (fresh().count(), fresh().filter(fails).count());
        Some(match rule {
            Rule::Any => failing > 0,
            Rule::TwoOfFive => {
                let five = self.paths.iter().take(5);
                five.filter(|path| is_fresh(path, 2)).filter(fails).count() >= 2
            }
            Rule::EighteenPercent => {
                let fresh = || self.paths.iter().filter(|path| is_fresh(path, 3));
                let healthy = fresh().filter(|path| path.is_healthy != Some(false));
                healthy.count() * 100 <= 18 * fresh().count()
            }
            Rule::Majority => all >= 2 && 2 * failing > all,
            Rule::Consecutive => {
                let path = &self.paths[0];
                let decides = sample.agent == 0 && (path.fails >= 3 || path.fails == 0);
                return decides.then_some(path.fails >= 3);
            }
            Rule::PhiAccrual => {
                return sample.failure.is_none().then_some(false);
            }
        })
    }

    /// Time passes without good results.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds between results")]
    fn wait(&mut self, target: usize, now: Ms, told: &mut Vec<Told>) {
        let count = self.gaps.len() as f64;
        let Some(good) = self.good.filter(|_| self.gaps.len() >= 30) else {
            return;
        };
        let mean = self.gaps.iter().sum::<u64>() as f64 / count;
        let squares = self.gaps.iter().map(|gap| (*gap as f64 - mean).powi(2));
        let spread = (squares.sum::<f64>() / count).sqrt().max(100.0);
        // Three seconds more are borne, as its users set it.
        let y = (now.saturating_sub(good) as f64 - mean - 3000.0) / spread;
        if y < 0.0 {
            return;
        }
        let e = (-y * 0.070_566f64.mul_add(y * y, 1.5976)).exp();
        if -(e / (1.0 + e)).log10() >= 8.0 {
            self.say(true, target, now, told);
        }
    }

    fn say(&mut self, is_out: bool, target: usize, at: Ms, told: &mut Vec<Told>) {
        if is_out != self.is_out {
            self.is_out = is_out;
            let state = if is_out { "outage" } else { "up" };
            told.push(Told::Target(at, target, state));
        }
    }
}
