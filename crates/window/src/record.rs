//! The agent's half: samples in, closed windows out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2Serializer};
use model::{Phase, Step};

use crate::{DIGITS, HIGHEST_US, LOWEST_US, MAX_AGE, MAX_SAMPLES, MAX_SPARSE};

/// Which latencies belong together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The monitor.
    pub monitor: String,
    /// The step; `None` for the whole probe.
    pub step: Option<Step>,
    /// The phase; `None` for the total.
    pub phase: Option<Phase>,
    /// Whether the step used a connection that an earlier step had opened.
    pub warm: bool,
}

/// Latencies in one of the two forms of the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Latencies {
    /// The values themselves, microseconds.
    Sparse(Vec<u64>),
    /// `HdrHistogram` V2.
    Hdr(Vec<u8>),
}

/// A window that takes no more samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// What it is of.
    pub series: Series,
    /// The outcomes whose latencies it holds are in `first_seq..end_seq`.
    pub first_seq: u64,
    /// See `first_seq`.
    pub end_seq: u64,
    /// The sum of the values, microseconds.
    pub sum_us: u64,
    /// How many values.
    pub count: u64,
    /// The values.
    pub latencies: Latencies,
}

#[derive(Debug)]
struct Open {
    values: Vec<u64>,
    first_seq: u64,
    end_seq: u64,
    since: Instant,
}

/// The open windows of an agent.
#[derive(Debug, Default)]
pub struct Recorder {
    open: BTreeMap<Series, Open>,
    /// The same series by age, so that nobody looks at all of them at each turn.
    ages: BTreeSet<(Instant, Series)>,
    closed: VecDeque<Closed>,
}

impl Recorder {
    /// Records one latency, which the outcome `seq` brought.
    pub fn record(&mut self, series: &Series, us: u64, seq: u64, now: Instant) {
        let value = us.clamp(LOWEST_US, HIGHEST_US);
        if let Some(open) = self.open.get_mut(series) {
            open.values.push(value);
            open.end_seq = open.end_seq.max(seq + 1);
        } else {
            let open = Open {
                values: vec![value],
                first_seq: seq,
                end_seq: seq + 1,
                since: now,
            };
            self.open.insert(series.clone(), open);
            self.ages.insert((now, series.clone()));
        }
        if self
            .open
            .get(series)
            .is_some_and(|open| open.values.len() >= MAX_SAMPLES)
        {
            self.close(series);
        }
    }

    /// When the next window will be old enough to close.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ages.first().map(|(since, _)| *since + MAX_AGE)
    }

    /// Closes what is old enough.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((since, series)) = self.ages.first().cloned() {
            if since + MAX_AGE > now {
                return;
            }
            self.close(&series);
        }
    }

    /// Closes the windows of one monitor: it was removed, or changed its meaning.
    pub fn close_monitor(&mut self, monitor: &str) {
        let first = Series {
            monitor: monitor.to_owned(),
            step: None,
            phase: None,
            warm: false,
        };
        let from_here = self.open.range(first..).map(|(series, _)| series);
        let own: Vec<Series> = from_here
            .take_while(|series| series.monitor == monitor)
            .cloned()
            .collect();
        for series in own {
            self.close(&series);
        }
    }

    /// Closes everything: the agent is about to stop.
    pub fn close_all(&mut self) {
        while let Some((_, series)) = self.ages.first().cloned() {
            self.close(&series);
        }
    }

    /// The next closed window.
    pub fn poll_closed(&mut self) -> Option<Closed> {
        self.closed.pop_front()
    }

    fn close(&mut self, series: &Series) {
        if let Some(open) = self.open.remove(series) {
            self.ages.remove(&(open.since, series.clone()));
            self.closed.push_back(close(series.clone(), open));
        }
    }
}

fn close(series: Series, open: Open) -> Closed {
    Closed {
        series,
        first_seq: open.first_seq,
        end_seq: open.end_seq,
        sum_us: open.values.iter().sum(),
        count: open.values.len() as u64,
        latencies: encode(open.values),
    }
}

fn encode(values: Vec<u64>) -> Latencies {
    if values.len() <= MAX_SPARSE {
        return Latencies::Sparse(values);
    }
    let encoded = || -> Option<Vec<u8>> {
        let mut histogram =
            Histogram::<u64>::new_with_bounds(LOWEST_US, HIGHEST_US, DIGITS).ok()?;
        for value in &values {
            histogram.record(*value).ok()?;
        }
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&histogram, &mut bytes).ok()?;
        Some(bytes)
    };
    // The bounds are constants and the values are clamped to them; should the library refuse
    // them all the same, the samples are as good.
    encoded().map_or(Latencies::Sparse(values), Latencies::Hdr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fold;
    use proptest::prelude::*;
    use std::time::Duration;

    fn series(monitor: &str) -> Series {
        Series {
            monitor: monitor.to_owned(),
            step: None,
            phase: None,
            warm: false,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the origin"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn windows_close_by_count_by_age_and_on_demand() {
        let start = start();
        let mut recorder = Recorder::default();
        for seq in 0..40 {
            recorder.record(&series("a"), 1000 + seq, seq, start);
        }
        let full = recorder.poll_closed().unwrap();
        assert_eq!((full.count, full.first_seq, full.end_seq), (32, 0, 32));
        assert!(matches!(full.latencies, Latencies::Hdr(_)));
        assert_eq!(recorder.poll_timeout(), Some(start + MAX_AGE));
        recorder.handle_timeout(start + MAX_AGE - Duration::from_millis(1));
        assert_eq!(recorder.poll_closed(), None);
        recorder.handle_timeout(start + MAX_AGE);
        let old = recorder.poll_closed().unwrap();
        assert_eq!((old.count, old.first_seq, old.end_seq), (8, 32, 40));
        assert!(matches!(old.latencies, Latencies::Sparse(ref values) if values.len() == 8));
        recorder.record(&series("b"), 5, 7, start);
        recorder.close_monitor("a");
        assert_eq!(recorder.poll_closed(), None);
        recorder.close_all();
        assert_eq!(recorder.poll_closed().unwrap().sum_us, 5);
    }

    proptest! {
        /// The two forms are the same thing: they fold alike, to three digits.
        #[test]
        fn both_forms_fold_alike(
            values in proptest::collection::vec(1u64..200_000_000, 17..33),
        ) {
            let clamped: Vec<u64> = values.iter().map(|v| (*v).clamp(LOWEST_US, HIGHEST_US)).collect();
            let mut sparse = Fold::default();
            sparse.add(&Latencies::Sparse(clamped.clone())).unwrap();
            let mut hdr = Fold::default();
            let encoded = encode(clamped);
            prop_assert!(matches!(encoded, Latencies::Hdr(_)));
            hdr.add(&encoded).unwrap();
            prop_assert_eq!(sparse.count(), hdr.count());
            for q in [0.0, 0.5, 0.9, 0.99, 1.0] {
                let (a, b) = (sparse.quantile(q).unwrap(), hdr.quantile(q).unwrap());
                prop_assert!(a.abs_diff(b) <= a.max(b) / 500 + 1, "{} {} {}", q, a, b);
            }
        }
    }
}
