//! What the probes of a load came to.

use std::time::Duration;

use hdrhistogram::Histogram;
use model::Report;

use super::super::repeat::Counts;
use super::{Latency, Loaded, Plan, Threshold, ThresholdName};
use crate::probe::wait::micros;

/// The longest latency that is told apart: no probe and no load is longer.
const HIGHEST_US: u64 = 24 * 3600 * 1_000_000;
/// Significant digits of a latency: a part in a thousand.
const DIGITS: u8 = 3;

/// One worker's, then everybody's.
#[derive(Debug)]
pub(super) struct Tally {
    finished: u64,
    failed: u64,
    unstarted: u64,
    requests: u64,
    results: Counts,
    // Nothing is recorded where a histogram cannot be had, which these bounds exclude.
    latencies: Option<Histogram<u64>>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            finished: 0,
            failed: 0,
            unstarted: 0,
            requests: 0,
            results: Counts::default(),
            latencies: Histogram::new_with_bounds(1, HIGHEST_US, DIGITS).ok(),
        }
    }

    /// A probe that ended so long after it was due.
    pub(super) fn take(&mut self, report: &Report, is_healthy: bool, latency: Duration) {
        self.finished += 1;
        self.failed += u64::from(!is_healthy);
        let requests = report.steps.iter().map(|step| u64::from(step.exchanges));
        self.requests += requests.sum::<u64>();
        self.results.add(crate::probe::result(report));
        self.record(latency);
    }

    /// A probe that had not begun when the time was up, so long after it was due.
    pub(super) fn unstarted(&mut self, late: Duration) {
        self.unstarted += 1;
        self.results.add("never began".to_owned());
        self.record(late);
    }

    fn record(&mut self, latency: Duration) {
        if let Some(latencies) = &mut self.latencies {
            latencies.saturating_record(micros(latency).max(1));
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.finished += other.finished;
        self.failed += other.failed;
        self.unstarted += other.unstarted;
        self.requests += other.requests;
        self.results.merge(other.results);
        if let (Some(all), Some(one)) = (&mut self.latencies, &other.latencies) {
            // Of the same bounds: nothing can be out of them.
            let _ = all.add(one);
        }
    }

    pub(super) fn finish(self, plan: &Plan, interrupted: bool) -> Loaded {
        let scheduled = if interrupted {
            self.finished
        } else {
            plan.scheduled()
        };
        // What is neither finished nor unstarted was lost with a worker: it did not go well.
        let good = self.finished - self.failed;
        let bad = scheduled.saturating_sub(good);
        #[expect(clippy::cast_precision_loss, reason = "at most 120 000 of them")]
        let error_rate = bad as f64 / scheduled.max(1) as f64;
        let at = |quantile: f64| {
            let latencies = self.latencies.as_ref();
            latencies.map_or(0, |latencies| latencies.value_at_quantile(quantile))
        };
        let latency_us = Latency {
            min: self.latencies.as_ref().map_or(0, Histogram::min),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            max: self.latencies.as_ref().map_or(0, Histogram::max),
        };
        let thresholds = if interrupted {
            Vec::new()
        } else {
            thresholds(plan, error_rate, latency_us.p95)
        };
        Loaded {
            rate: plan.rate,
            concurrency: plan.concurrency,
            seconds: plan.length.as_secs_f64(),
            scheduled,
            finished: self.finished,
            failed: self.failed,
            unstarted: self.unstarted,
            requests: self.requests,
            error_rate,
            latency_us,
            results: self.results.finish(),
            thresholds,
            interrupted,
        }
    }
}

fn thresholds(plan: &Plan, error_rate: f64, p95_us: u64) -> Vec<Threshold> {
    let threshold = |name, limit: f64, measured: f64| Threshold {
        name,
        limit,
        measured,
        held: measured <= limit,
    };
    let rate = threshold(ThresholdName::ErrorRate, plan.max_error_rate, error_rate);
    let p95 = plan.max_p95.map(|limit| {
        let measured = Duration::from_micros(p95_us).as_secs_f64();
        threshold(ThresholdName::P95, limit.as_secs_f64(), measured)
    });
    [Some(rate), p95].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn plan() -> Plan {
        Plan {
            length: Duration::from_secs(10),
            rate: 10,
            concurrency: 4,
            max_error_rate: 0.05,
            max_p95: Some(Duration::from_millis(500)),
        }
    }

    #[test]
    fn probes_that_never_began_count_as_errors_and_as_late() {
        let mut one = Tally::new();
        for _ in 0..90 {
            one.take(&sample::healthy(), true, Duration::from_millis(20));
        }
        let mut other = Tally::new();
        for _ in 0..10 {
            other.unstarted(Duration::from_secs(3));
        }
        one.merge(other);
        let loaded = one.finish(&plan(), false);
        assert_eq!(
            (loaded.scheduled, loaded.finished, loaded.unstarted),
            (100, 90, 10)
        );
        assert!((loaded.error_rate - 0.1).abs() < 1e-9);
        let held: Vec<bool> = loaded
            .thresholds
            .iter()
            .map(|threshold| threshold.held)
            .collect();
        assert_eq!(held, [false, false], "{loaded:#?}");
        // Within the histogram's part in a thousand.
        assert!(loaded.latency_us.p95.abs_diff(3_000_000) <= 3_000);
        assert!(loaded.latency_us.p50.abs_diff(20_000) <= 20);
        assert_eq!(loaded.results[1].value, "never began");
    }

    #[test]
    fn an_interrupted_load_judges_nothing() {
        let mut tally = Tally::new();
        tally.take(&sample::healthy(), true, Duration::from_secs(9));
        let loaded = tally.finish(&plan(), true);
        assert_eq!((loaded.scheduled, loaded.thresholds), (1, Vec::new()));
    }
}
