//! How late slots begin: what the machine does to the prober.

use std::time::{Duration, Instant};

/// A delay is told for so long at least, and for twice as long at most.
const TOLD: Duration = Duration::from_secs(15);

/// The worst delay of the last 15 to 30 seconds: one that is over is no reason to doubt the
/// agent for ever, and one between two heartbeats must not be overlooked.
#[derive(Debug)]
pub(crate) struct Lag {
    since: Instant,
    newest: Duration,
    before: Duration,
}

impl Lag {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            newest: Duration::ZERO,
            before: Duration::ZERO,
        }
    }

    /// A slot began so late.
    pub(crate) fn handle_slot(&mut self, late: Duration, now: Instant) {
        self.turn(now);
        self.newest = self.newest.max(late);
    }

    /// The worst of late.
    pub(crate) fn worst(&mut self, now: Instant) -> Duration {
        self.turn(now);
        self.newest.max(self.before)
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= TOLD {
            self.before = if age < 2 * TOLD {
                self.newest
            } else {
                Duration::ZERO
            };
            (self.newest, self.since) = (Duration::ZERO, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_told_for_a_while_and_no_longer() {
        let start = tokio::time::Instant::now().into_std();
        let at = |seconds| start + Duration::from_secs(seconds);
        let ms = Duration::from_millis;
        let mut lag = Lag::new(start);
        assert_eq!(lag.worst(at(3)), Duration::ZERO);
        lag.handle_slot(ms(700), at(5));
        lag.handle_slot(ms(2), at(9));
        assert_eq!(lag.worst(at(10)), ms(700));
        assert_eq!(lag.worst(at(16)), ms(700), "beyond a heartbeat");
        lag.handle_slot(ms(40), at(20));
        assert_eq!(lag.worst(at(31)), ms(40));
        assert_eq!(lag.worst(at(300)), Duration::ZERO);
    }
}
