//! All worlds that were asked for, scored.

use std::fs;
use std::io::Write as _;

use verdict::Ms;

use super::baseline::{self, RULES};
use super::options::Options;
use super::plot::KINDS;
use super::read;
use super::replay::{self, Replay};
use super::score::Score;
use super::sim::Plot;
use super::table::Table;
use super::world::{Label, Recorded, Source};

/// Spans that are tried, milliseconds.
const SPANS: [Ms; 7] = [4000, 5000, 6000, 7000, 8000, 9000, 10_000];

/// What makes sense of many worlds.
struct Suite<'a> {
    options: &'a Options,
    /// The engine, with each span that is tried; then the rules of others.
    scores: Vec<(String, Score)>,
}

/// Runs and prints; whether what was asked for was reached.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let mut out = std::io::stdout();
    if let Some(folder) = &options.out {
        fs::create_dir_all(folder)?;
    }
    let mut is_good = true;
    for folder in &options.folders {
        let mut suite = Suite::new(options);
        for name in read::names(folder)? {
            if name.starts_with(&options.only) {
                let world = Recorded::read(folder, &name)?;
                suite.world(|| world.tell(), &world.labels)?;
            }
        }
        writeln!(out, "{}", Table(&suite.scores))?;
        is_good &= suite.finish()?;
    }
    let mut suite = Suite::new(options);
    for kind in KINDS
        .iter()
        .filter(|kind| kind.0.starts_with(&options.only))
    {
        for seed in options.seeds.clone() {
            let plot = Plot::of(kind, seed);
            suite.world(|| plot.play(), &plot.labels)?;
        }
    }
    if !options.seeds.is_empty() {
        writeln!(out, "{}", Table(&suite.scores))?;
        is_good &= suite.finish()?;
    }
    Ok(is_good || !options.is_check)
}

impl<'a> Suite<'a> {
    fn new(options: &'a Options) -> Self {
        let mut names = vec!["parallax".to_owned()];
        if options.is_curve {
            names = SPANS.map(|span| format!("span {} s", span / 1000)).to_vec();
        } else if !options.is_check {
            names.extend(RULES.map(|(name, _)| name.to_owned()));
        }
        let scores = names.into_iter().map(|name| (name, Score::default()));
        Self {
            options,
            scores: scores.collect(),
        }
    }

    fn world<S: Source>(&mut self, play: impl Fn() -> S, labels: &[Label]) -> anyhow::Result<()> {
        let engines = if self.options.is_curve {
            SPANS.len()
        } else {
            1
        };
        for (n, (_, score)) in self.scores.iter_mut().enumerate() {
            let mut source = play();
            let meta = source.meta().clone();
            if n >= engines {
                let told = baseline::tell(RULES[n - engines].1, &mut source);
                score.add(&meta, labels, &told);
                continue;
            }
            let span = self.options.is_curve.then(|| SPANS[n]);
            let options = replay::Options { span, shift: None };
            let outcomes = Replay::new(&mut source, options).run();
            score.on_demand += outcomes.on_demand;
            score.scheduled += outcomes.scheduled;
            score.add(&meta, labels, &outcomes.told);
            if let Some(folder) = &self.options.out {
                let path = folder.join(format!("{}.verdicts.jsonl", meta.name));
                fs::write(path, outcomes.lines.join("\n") + "\n")?;
            }
        }
        Ok(())
    }

    /// Says what went wrong where that is wanted, and whether the thresholds hold.
    fn finish(&self) -> anyhow::Result<bool> {
        let Some((_, score)) = self.scores.first() else {
            return Ok(true);
        };
        let mut out = std::io::stdout();
        if self.options.has_remarks {
            for remark in &score.remarks {
                writeln!(out, "{remark}")?;
            }
        }
        let broken = super::table::below(score);
        if self.options.is_check {
            for threshold in &broken {
                writeln!(out, "threshold: {threshold}")?;
            }
        }
        Ok(broken.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict_quality::replay::Outcomes;

    fn replay(plot: &Plot, shift: Option<(usize, i64)>) -> Outcomes {
        let mut source = plot.play();
        Replay::new(&mut source, replay::Options { span: None, shift }).run()
    }

    /// What every change must keep, on a few worlds of each kind.
    #[test]
    fn verdicts_are_worth_waking_up_for() {
        let mut score = Score::default();
        for kind in &KINDS {
            for seed in 1..3 {
                let plot = Plot::of(kind, seed);
                let outcomes = replay(&plot, None);
                score.on_demand += outcomes.on_demand;
                score.scheduled += outcomes.scheduled;
                score.add(&plot.meta, &plot.labels, &outcomes.told);
            }
        }
        let broken = super::super::table::below(&score);
        assert!(broken.is_empty(), "{broken:#?}: {:#?}", score.remarks);
    }

    /// The same evidence gives the same verdicts, byte for byte, and so it does where the clock of an
    /// agent is an hour off (I7, I9).
    #[test]
    fn a_replay_says_the_same_whatever_a_clock_says() {
        for (n, kind) in KINDS.iter().enumerate() {
            let plot = Plot::of(kind, 7);
            let first = replay(&plot, None).lines;
            assert_eq!(first, replay(&plot, None).lines, "{}", kind.0);
            let hour = if n % 2 == 0 { 3_600_000 } else { -3_600_000 };
            let shifted = replay(&plot, Some((0, hour))).lines;
            assert_eq!(first, shifted, "{} with a clock off by {hour}", kind.0);
        }
    }

    /// A world is written to be read: the same seed is the same world.
    #[test]
    fn a_seed_is_a_world() {
        let plot = |seed| format!("{:?}", Plot::of(&KINDS[0], seed));
        assert_eq!(plot(1), plot(1));
        assert_ne!(plot(1), plot(2));
    }
}
