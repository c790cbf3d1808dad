//! What this agent knows of origins and does to them, whether a slot, a confirmation or a request
//! to `/probe` is why: the pauses that they asked for, and the requests that they had.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{Outcome, Reason, Report};
use schedule::{Budget, Held, Holds};

/// The pauses and the requests, behind a lock that is held for microseconds.
#[derive(Debug, Default)]
pub(crate) struct Origins(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    holds: Holds,
    budget: Budget,
}

/// Why an origin may not be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It asked for a pause.
    Held(Held),
    /// It had as many requests as it should bear in a minute.
    Full,
}

/// Until when an origin may not be asked, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spared {
    pub(crate) why: Why,
    pub(crate) until: Instant,
}

impl Origins {
    /// Whether an origin asked to be left alone.
    pub(crate) fn held(&self, origin: &str, now: Instant) -> Option<Held> {
        self.lock().holds.held(origin, now)
    }

    /// Until when an origin asked to be left alone.
    pub(crate) fn until(&self, origin: &str, now: Instant) -> Option<Instant> {
        self.lock().holds.until(origin, now)
    }

    /// Others were turned away: this agent need not find out for itself.
    pub(crate) fn told(&self, origin: &str, pause: Duration, now: Instant) {
        self.lock().holds.hold(origin, Held::Told, pause, now);
    }

    /// An origin turned this agent away for so long.
    pub(crate) fn limited(&self, origin: &str, pause: Duration, now: Instant) {
        self.lock().holds.hold(origin, Held::Limited, pause, now);
    }

    /// A server that says 429, or 503 with a time, is left alone for that time (RFC 6585 section 4,
    /// RFC 9110 section 10.2.3); one that names none, for `rest`. Of several answers without a
    /// time the first one counts: probes that were under way already must not draw the pause out.
    pub(crate) fn heed(&self, origin: &str, report: &Report, rest: Duration, now: Instant) {
        let is_limited = match &report.outcome {
            Outcome::Failed(failure) => failure.reason == Reason::RateLimited,
            Outcome::Ok | Outcome::Degraded { .. } | Outcome::Inconclusive { .. } => false,
        };
        if !is_limited {
            return;
        }
        let asked = report.retry_after_seconds.map(Duration::from_secs);
        let holds = &mut self.lock().holds;
        if asked.is_none() && holds.held(origin, now) == Some(Held::Limited) {
            return;
        }
        let pause = asked.unwrap_or(rest);
        tracing::info!(%origin, ?pause, "the target asks for a pause");
        holds.hold(origin, Held::Limited, pause, now);
    }

    /// An origin has so many requests.
    pub(crate) fn spend(&self, origin: &str, requests: u32, now: Instant) {
        self.lock().budget.spend(origin, requests, now);
    }

    /// Takes so many requests out of an origin's budget of `cap` a minute.
    ///
    /// # Errors
    /// It may not be asked now.
    pub(crate) fn claim(
        &self,
        origin: &str,
        requests: u32,
        cap: u32,
        now: Instant,
    ) -> Result<(), Spared> {
        let State { holds, budget } = &mut *self.lock();
        if let (Some(held), Some(until)) = (holds.held(origin, now), holds.until(origin, now)) {
            let why = Why::Held(held);
            return Err(Spared { why, until });
        }
        if let Some(until) = budget.full_until(origin, requests, cap, now) {
            let why = Why::Full;
            return Err(Spared { why, until });
        }
        budget.spend(origin, requests, now);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The requests that a probe made of its target.
pub(crate) fn requests(report: &Report) -> u32 {
    let steps = report.steps.iter();
    steps.fold(0, |sum: u32, step| sum.saturating_add(step.exchanges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::others::tests::{failed, report};

    const A: &str = "https://a.example";

    fn answered(retry_after: Option<u64>) -> Report {
        let mut report = report(failed(Reason::RateLimited), None);
        report.retry_after_seconds = retry_after;
        report
    }

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Answers to two monitors, and until when the origin is left alone. Nine seconds is the pause of
    /// one that names none.
    #[test]
    fn two_answers_of_an_origin_neither_double_nor_shorten_its_pause() {
        let (t, s) = (start(), Duration::from_secs);
        let table = [
            ([(0, Some(60)), (0, Some(60))], 60),
            ([(0, Some(60)), (1, Some(10))], 60),
            ([(0, Some(10)), (1, Some(60))], 61),
            ([(0, None), (5, None)], 9),
            ([(0, Some(60)), (55, None)], 60),
            ([(0, None), (5, Some(60))], 65),
        ];
        for (answers, end) in table {
            let origins = Origins::default();
            for (after, asked) in answers {
                origins.heed(A, &answered(asked), s(9), t + s(after));
            }
            let last = t + s(end) - Duration::from_millis(1);
            assert_eq!(origins.held(A, last), Some(Held::Limited), "{answers:?}");
            assert_eq!(origins.held(A, t + s(end)), None, "{answers:?}");
        }
    }

    #[test]
    fn a_claim_is_refused_while_an_origin_is_held_or_has_had_enough() {
        let (t, s) = (start(), Duration::from_secs);
        let origins = Origins::default();
        assert_eq!(origins.claim(A, 6, 10, t), Ok(()));
        let full = Spared {
            why: Why::Full,
            until: t + s(60),
        };
        assert_eq!(origins.claim(A, 6, 10, t + s(1)), Err(full));
        assert_eq!(origins.claim(A, 4, 10, t + s(2)), Ok(()));
        origins.told(A, s(90), t);
        let told = Spared {
            why: Why::Held(Held::Told),
            until: t + s(90),
        };
        assert_eq!(origins.claim(A, 1, 10, t + s(3)), Err(told));
        origins.heed(A, &report(Outcome::Ok, None), s(9), t);
        assert_eq!(origins.held(A, t), Some(Held::Told), "nobody was limited");
        assert_eq!(origins.claim(A, 6, 10, t + s(90)), Ok(()));
    }
}
