//! How long each phase of a step took. Phases are disjoint by construction: one ends where the
//! next begins.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::Phase;

/// The phases of one step, over all of its exchanges.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    spent: BTreeMap<Phase, Duration>,
    running: Option<(Phase, Instant)>,
    last: Option<Phase>,
    connected: bool,
}

impl Timer {
    /// The step entered `phase`; the phase before it is over.
    pub(crate) fn enter(&mut self, phase: Phase, now: Instant) {
        self.stop(now);
        self.connected |= matches!(phase, Phase::Dns | Phase::Connect);
        self.last = Some(phase);
        self.running = Some((phase, now));
    }

    /// The step is over, or its current exchange is.
    pub(crate) fn stop(&mut self, now: Instant) {
        if let Some((phase, since)) = self.running.take() {
            *self.spent.entry(phase).or_default() += now.saturating_duration_since(since);
        }
    }

    /// The phase that the step is in, or was in last; before anything happened it waits.
    pub(crate) fn phase(&self) -> Phase {
        self.last.unwrap_or(Phase::Wait)
    }

    /// Whether the step got by with connections of earlier steps.
    pub(crate) const fn is_warm(&self) -> bool {
        !self.connected
    }

    /// Whole microseconds of each phase that ran.
    pub(crate) fn micros(&self) -> BTreeMap<Phase, u64> {
        self.spent
            .iter()
            .map(|(phase, time)| (*phase, u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the origin"
    )]
    fn phases_are_disjoint_and_sum_to_the_total() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timer = Timer::default();
        timer.enter(Phase::Connect, at(0));
        timer.enter(Phase::Send, at(20));
        timer.enter(Phase::Wait, at(21));
        timer.stop(at(50));
        // a second exchange on the same connection, after a pause that is nobody's
        timer.enter(Phase::Send, at(60));
        timer.stop(at(65));
        let micros = timer.micros();
        assert_eq!(
            micros.into_iter().collect::<Vec<_>>(),
            [
                (Phase::Connect, 20_000),
                (Phase::Send, 6_000),
                (Phase::Wait, 29_000)
            ]
        );
        assert!(!timer.is_warm());
    }
}
