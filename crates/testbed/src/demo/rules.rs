//! What may stand in the logs of the monitors after a step. Pure.

use std::collections::BTreeMap;

use super::step::Verdict;
use crate::mesh::api::{Transition, UP, said};

/// What was said of one monitor since a step began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Log {
    /// All of it, the oldest first.
    pub(crate) entries: Vec<Transition>,
    /// The last `seq` before anything was mended.
    pub(crate) mended_after: u64,
}

/// What is on the way back to `up`, agent by agent.
const RECOVERING: [&str; 4] = [UP, "degraded", "regional", "partial"];

/// Everything in the logs that is wrong; nothing where all is right.
pub(crate) fn judge(logs: &BTreeMap<String, Log>, expected: Option<&Verdict>) -> Vec<String> {
    let mut problems = Vec::new();
    for (monitor, log) in logs {
        let found = match expected.filter(|expected| expected.monitor == monitor) {
            Some(expected) => subject(log, expected),
            None => bystander(log),
        };
        problems.extend(found.into_iter().map(|found| format!("{monitor}: {found}")));
    }
    for missing in expected.iter().filter(|e| !logs.contains_key(e.monitor)) {
        problems.push(format!("{}: has no log", missing.monitor));
    }
    problems
}

/// Of a monitor that nothing was done to, nothing is said.
fn bystander(log: &Log) -> Vec<String> {
    let each = log.entries.iter();
    each.map(|entry| format!("changed to {}", shown(entry)))
        .collect()
}

fn subject(log: &Log, expected: &Verdict) -> Vec<String> {
    let mut problems = chain(&log.entries);
    let is_expected = |entry: &Transition| {
        entry.verdict == expected.verdict && entry.scope.as_deref() == Some(expected.scope)
    };
    let mended = |entry: &&Transition| entry.seq > log.mended_after;
    let before: Vec<&Transition> = log.entries.iter().take_while(|e| !mended(e)).collect();
    let after = log.entries.iter().skip(before.len());
    match before.split_last() {
        None => problems.push("nothing was said of it".to_owned()),
        Some((last, on_the_way)) => {
            if !is_expected(last) {
                problems.push(format!("ended at {}", shown(last)));
            }
            // Who fails first may still be the region or the provider; nothing else may be said.
            let is_open = |entry: &&&Transition| {
                let scope = entry.scope.as_deref().unwrap_or_default();
                entry.verdict == "regional" && scope.contains(" or ")
            };
            for entry in on_the_way.iter().filter(|entry| !is_open(entry)) {
                problems.push(format!("went by {}", shown(entry)));
            }
        }
    }
    for entry in after.clone() {
        if !RECOVERING.contains(&entry.verdict.as_str()) {
            problems.push(format!("went back by {}", shown(entry)));
        }
    }
    let last = log.entries.last();
    if let Some(last) = last.filter(|last| last.verdict != UP) {
        problems.push(format!("stayed at {}", shown(last)));
    }
    let pages: Vec<&Transition> = log.entries.iter().filter(|entry| entry.page).collect();
    if pages.len() != usize::from(expected.pages) {
        let wanted = if expected.pages { "one" } else { "none" };
        problems.push(format!("{} pages instead of {wanted}", pages.len()));
    }
    for entry in pages.iter().filter(|entry| !is_expected(entry)) {
        problems.push(format!("paged for {}", shown(entry)));
    }
    problems
}

/// Each entry begins where the one before ended, in order; the first one at `up`.
fn chain(entries: &[Transition]) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut verdict, mut seq) = (UP, 0);
    for entry in entries {
        if entry.previous != verdict || entry.seq <= seq {
            let Transition { seq, previous, .. } = entry;
            problems.push(format!(
                "the log has a hole before {seq}, which left {previous}"
            ));
        }
        (verdict, seq) = (&entry.verdict, entry.seq);
    }
    problems
}

fn shown(entry: &Transition) -> String {
    let page = if entry.page { " with a page" } else { "" };
    format!("{}{page}", said(&entry.verdict, entry.scope.as_deref()))
}

#[cfg(test)]
mod tests;
