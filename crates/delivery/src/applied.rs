//! The coordinator's half: which sequences of a lane have been applied.

use crate::MAX_RUNS;

/// Sequences from `first` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first sequence.
    pub first: u64,
    /// The sequence after the last.
    pub end: u64,
}

impl Span {
    /// A span of `len` sequences; `None` where their numbers do not exist.
    #[must_use]
    pub fn of(first: u64, len: usize) -> Option<Self> {
        let end = first.checked_add(u64::try_from(len).ok()?)?;
        Some(Self { first, end })
    }

    /// Whether it holds nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.first >= self.end
    }

    /// How many sequences it holds.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.first)
    }
}

/// Why a span was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It would open a ninth run: the agent must fill a hole first.
    #[error("the lane has {MAX_RUNS} runs; fill the newest hole first")]
    TooManyRuns,
    /// A state that no lane can be in: spans out of order, touching, or too many.
    #[error("the runs are not ascending and disjoint, or more than {MAX_RUNS}")]
    Malformed,
}

/// What has been applied of one lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    prefix_end: u64,
    /// Ascending, disjoint, not touching each other or the prefix.
    runs: Vec<Span>,
}

impl Applied {
    /// A state that was stored or sent.
    ///
    /// # Errors
    /// The parts contradict each other.
    pub fn new(prefix_end: u64, runs: Vec<Span>) -> Result<Self, Refused> {
        let mut end = prefix_end;
        for run in &runs {
            if run.is_empty() || run.first <= end {
                return Err(Refused::Malformed);
            }
            end = run.end;
        }
        if runs.len() > MAX_RUNS {
            return Err(Refused::Malformed);
        }
        Ok(Self { prefix_end, runs })
    }

    /// All sequences below are applied.
    #[must_use]
    pub const fn prefix_end(&self) -> u64 {
        self.prefix_end
    }

    /// The runs beyond the prefix.
    #[must_use]
    pub fn runs(&self) -> &[Span] {
        &self.runs
    }

    /// Whether a sequence is applied.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        seq < self.prefix_end
            || self
                .runs
                .iter()
                .any(|run| (run.first..run.end).contains(&seq))
    }

    /// The parts of `span` that are not applied, ascending.
    #[must_use]
    pub fn missing(&self, span: Span) -> Vec<Span> {
        let mut missing = Vec::new();
        let mut at = span.first.max(self.prefix_end);
        for run in &self.runs {
            if run.first >= span.end {
                break;
            }
            if at < run.first {
                missing.push(Span {
                    first: at,
                    end: run.first.min(span.end),
                });
            }
            at = at.max(run.end);
        }
        if at < span.end {
            missing.push(Span {
                first: at,
                end: span.end,
            });
        }
        missing
    }

    /// Applies `span` and says which parts of it are new. Nothing changes where it is refused.
    ///
    /// # Errors
    /// The span would open one run too many.
    pub fn apply(&mut self, span: Span) -> Result<Vec<Span>, Refused> {
        let new = self.missing(span);
        if new.is_empty() {
            return Ok(new);
        }
        let mut prefix_end = self.prefix_end;
        let mut all: Vec<Span> = self.runs.iter().copied().chain([span]).collect();
        all.sort_unstable();
        let mut runs: Vec<Span> = Vec::with_capacity(all.len());
        for run in all {
            if run.first <= prefix_end {
                prefix_end = prefix_end.max(run.end);
            } else if let Some(last) = runs.last_mut().filter(|last| run.first <= last.end) {
                last.end = last.end.max(run.end);
            } else {
                runs.push(run);
            }
        }
        if runs.len() > MAX_RUNS {
            return Err(Refused::TooManyRuns);
        }
        (self.prefix_end, self.runs) = (prefix_end, runs);
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn span(first: u64, end: u64) -> Span {
        Span { first, end }
    }

    #[test]
    fn runs_merge_when_they_touch() {
        let mut lane = Applied::default();
        assert_eq!(lane.apply(span(5, 10)), Ok(vec![span(5, 10)]));
        assert_eq!(lane.apply(span(12, 14)), Ok(vec![span(12, 14)]));
        assert_eq!(lane.apply(span(8, 13)), Ok(vec![span(10, 12)]));
        assert_eq!((lane.prefix_end(), lane.runs()), (0, &[span(5, 14)][..]));
        assert_eq!(lane.apply(span(0, 5)), Ok(vec![span(0, 5)]));
        assert_eq!((lane.prefix_end(), lane.runs()), (14, &[][..]));
        assert_eq!(lane.apply(span(3, 9)), Ok(vec![]));
    }

    #[test]
    fn the_ninth_run_is_refused_and_nothing_changes() {
        let mut lane = Applied::default();
        for n in 1..=8 {
            lane.apply(span(n * 10, n * 10 + 1)).unwrap();
        }
        let before = lane.clone();
        assert_eq!(lane.apply(span(95, 96)), Err(Refused::TooManyRuns));
        assert_eq!(lane, before);
        // a hole may be filled, and what touches a run may grow
        assert_eq!(lane.apply(span(81, 95)), Ok(vec![span(81, 95)]));
        assert_eq!(lane.apply(span(0, 10)), Ok(vec![span(0, 10)]));
        assert_eq!(lane.prefix_end(), 11);
    }

    #[test]
    fn stored_states_are_checked() {
        assert!(Applied::new(5, vec![span(7, 9), span(11, 12)]).is_ok());
        for bad in [
            vec![span(5, 6)],
            vec![span(7, 7)],
            vec![span(9, 10), span(7, 8)],
        ] {
            assert_eq!(Applied::new(5, bad), Err(Refused::Malformed));
        }
    }

    proptest! {
        /// Against a set of numbers: each sequence is new exactly once, in any order, with any
        /// repetition.
        #[test]
        fn each_sequence_is_new_exactly_once(
            spans in proptest::collection::vec((0u64..120, 0usize..12), 0..60),
        ) {
            let mut lane = Applied::default();
            let mut model: BTreeSet<u64> = BTreeSet::new();
            for (first, len) in spans {
                let span = Span::of(first, len).unwrap();
                let Ok(new) = lane.apply(span) else {
                    continue;
                };
                let new: Vec<u64> = new.into_iter().flat_map(|s| s.first..s.end).collect();
                let expected: Vec<u64> =
                    (span.first..span.end).filter(|seq| !model.contains(seq)).collect();
                prop_assert_eq!(&new, &expected);
                model.extend(new);
                prop_assert!(lane.runs().len() <= MAX_RUNS);
                prop_assert!(Applied::new(lane.prefix_end(), lane.runs().to_vec()).is_ok());
                for seq in 0..140 {
                    prop_assert_eq!(lane.contains(seq), model.contains(&seq));
                }
            }
        }
    }
}
