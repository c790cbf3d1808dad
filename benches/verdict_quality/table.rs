//! Scores as a table, and the thresholds that may not be missed.

use std::fmt;

use super::replay::hours;
use super::score::Score;

/// Scores by name.
pub(crate) struct Table<'a>(pub(crate) &'a [(String, Score)]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((_, first)) = self.0.first() else {
            return Ok(());
        };
        let outages = first.missed(true).1 + first.missed(false).1;
        let told = hours(first.target_ms);
        writeln!(
            f,
            "{told} target-hours, {outages} outages, {} blips\n",
            first.blips
        )?;
        writeln!(
            f,
            "| | false pages | missed ≥ 60 s | missed < 60 s | p50 s | p95 s | suspected p50 s | recovery p50 s | macro | late | flap pages | blips paged | agent faults found / extra | extra probes |"
        )?;
        writeln!(f, "|{}", "---|".repeat(14))?;
        for (name, score) in self.0 {
            let (long, short) = (score.missed(true), score.missed(false));
            writeln!(
                f,
                "| {name} | {} | {} of {} | {} of {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.3} | {} | {} | {} of {} | {} of {} / {} | {:.1} % |",
                score.false_count(),
                long.0,
                long.1,
                short.0,
                short.1,
                score.latency(0.5),
                score.latency(0.95),
                score.suspicion(),
                score.recovery(),
                score.macro_mean(),
                score.late,
                score.flap_pages,
                score.blip_pages,
                score.blips,
                score.agents[1],
                score.agents[0],
                score.agents[2],
                score.extra_percent(),
            )?;
        }
        Ok(())
    }
}

/// What a score misses of what every change must keep, in words.
pub(crate) fn below(score: &Score) -> Vec<String> {
    let (long, short) = (score.missed(true), score.missed(false));
    let mut broken = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            broken.push(what.to_owned());
        }
    };
    must(score.false_count() <= 2, "at most 2 false pages");
    must(long.0 == 0, "no outage of a minute or more is missed");
    must(
        short.0 * 50 <= short.1,
        "at most 2 % of shorter outages are missed",
    );
    must(score.macro_mean() >= 0.96, "a macro mean of .96");
    must(score.extra_percent() <= 10.0, "at most 10 % more probes");
    broken
}
