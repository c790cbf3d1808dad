//! `--for`: a bounded load check of one's own server, on an open-loop schedule.
//!
//! Each probe is due at a time that no answer moves, and its latency counts from then: a server that
//! stalls delays the probes behind it, and their waiting is what users would feel. (A closed loop
//! would ask less while the server is slow, and so leave out the worst: coordinated omission.)

mod args;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use args::{LoadArgs, Plan};
use tally::Tally;

use super::Prober;
use super::progress::Progress;
use super::repeat::Counted;

model::closed_words! {
    /// What a load may not do.
    pub enum ThresholdName ("threshold") {
        /// The part of the scheduled probes that failed or could not begin in time.
        ErrorRate = "error_rate",
        /// The 95th percentile of the latencies.
        P95 = "p95",
    }
}

impl ThresholdName {
    /// Its id among findings.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::ErrorRate => "load.error_rate",
            Self::P95 => "load.p95",
        }
    }
}

/// A threshold, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Threshold {
    /// Which.
    pub(crate) name: ThresholdName,
    /// The most that is allowed: a part of 1, or seconds.
    pub(crate) limit: f64,
    /// What was measured, in the same unit.
    pub(crate) measured: f64,
    /// Whether it is not more.
    pub(crate) held: bool,
}

impl Threshold {
    /// It in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let shown = |value: f64| match self.name {
            ThresholdName::ErrorRate => format!("{:.2} %", value * 100.0),
            ThresholdName::P95 => format!("{:.1} ms", value * 1000.0),
        };
        let (measured, limit) = (shown(self.measured), shown(self.limit));
        let verb = if self.held { "is within" } else { "is above" };
        format!("{} {measured} {verb} {limit}", self.name)
    }
}

/// Latencies from when a probe was due to its end, of all that began; of those that did not, how
/// late they were at the end, which is less than they would have taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Latency {
    pub(crate) min: u64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p95: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

/// What came of a load.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Loaded {
    /// Probes per second that were due.
    pub(crate) rate: u32,
    /// The most at once.
    pub(crate) concurrency: u32,
    /// How long probes were due.
    pub(crate) seconds: f64,
    /// Probes that were due; of an interrupted load, those that ended.
    pub(crate) scheduled: u64,
    /// Probes that ran to their end.
    pub(crate) finished: u64,
    /// Those of them that were not healthy.
    pub(crate) failed: u64,
    /// Probes that never began, because all others were still waiting for the server.
    pub(crate) unstarted: u64,
    /// Requests of all probes.
    pub(crate) requests: u64,
    /// `failed` and `unstarted`, as a part of `scheduled`.
    pub(crate) error_rate: f64,
    /// Latencies, µs.
    pub(crate) latency_us: Latency,
    /// Outcomes, and where and why probes failed; the most frequent first.
    pub(crate) results: Vec<Counted>,
    /// The thresholds; none where the load was interrupted.
    pub(crate) thresholds: Vec<Threshold>,
    /// Whether a signal ended it.
    pub(crate) interrupted: bool,
}

impl Loaded {
    /// It in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let mut text = format!(
            "{} probes due at {}/s, at most {} at once: {} finished, {} failed, {} never began",
            self.scheduled, self.rate, self.concurrency, self.finished, self.failed, self.unstarted
        );
        if self.interrupted {
            text.push_str("; interrupted");
        }
        text
    }

    /// Whether every threshold holds.
    pub(crate) fn holds(&self) -> bool {
        self.thresholds.iter().all(|threshold| threshold.held)
    }
}

/// What the workers share.
struct Shared {
    prober: Prober,
    plan: Plan,
    begin: Instant,
    cancel: CancellationToken,
    next: AtomicU64,
    finished: AtomicU64,
    failed: AtomicU64,
}

/// Runs a load to its end.
pub(super) async fn run(
    prober: Prober,
    plan: Plan,
    cancel: &CancellationToken,
    progress: &mut Progress,
) -> Loaded {
    let shared = Arc::new(Shared {
        prober,
        begin: Instant::now(),
        cancel: cancel.clone(),
        next: AtomicU64::new(0),
        finished: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        plan,
    });
    let mut workers = JoinSet::new();
    for _ in 0..shared.plan.concurrency {
        workers.spawn(work(Arc::clone(&shared)));
    }
    let mut all = Tally::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            ended = workers.join_next() => match ended {
                Some(Ok(tally)) => all.merge(tally),
                // A worker that panicked has lost its count: all that it took is missing.
                Some(Err(_)) => {}
                None => break,
            },
            _ = tick.tick(), if progress.is_live() => {
                let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
                let (done, failed) = (count(&shared.finished), count(&shared.failed));
                let seconds = shared.begin.elapsed().as_secs();
                let of = shared.plan.length.as_secs();
                progress.say("load", &format!("{seconds} s of {of} s, {done} probes, {failed} failed"));
            }
        }
    }
    all.finish(&shared.plan, cancel.is_cancelled())
}

async fn work(shared: Arc<Shared>) -> Tally {
    let mut tally = Tally::new();
    loop {
        let index = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(due) = shared.plan.due(index) else {
            return tally;
        };
        let at = shared.begin + due;
        tokio::select! {
            biased;
            () = shared.cancel.cancelled() => return tally,
            () = tokio::time::sleep_until(at) => {}
        }
        if shared.begin.elapsed() >= shared.plan.length {
            tally.unstarted(shared.plan.length.saturating_sub(due));
            continue;
        }
        let report = shared.prober.once(&shared.cancel).await;
        if shared.cancel.is_cancelled() {
            return tally; // it may have been cut short
        }
        let is_healthy = shared.prober.is_healthy(&report);
        shared.finished.fetch_add(1, Ordering::Relaxed);
        shared
            .failed
            .fetch_add(u64::from(!is_healthy), Ordering::Relaxed);
        tally.take(&report, is_healthy, at.elapsed());
    }
}
