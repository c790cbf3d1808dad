//! The pauses that agents were told of, by origin.
//!
//! A pause is for an origin, and judges are of monitors: those of one server come to the same
//! conclusion from the same answers, one after the other. Each would tell everybody anew, and so draw
//! the pause out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Origins that are remembered; beyond them the one that may be told of first is forgotten.
const MOST: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Told {
    pause: Duration,
    again: Instant,
}

/// What was told, and is not over yet.
#[derive(Debug, Default)]
pub(crate) struct Pauses(BTreeMap<String, Told>);

impl Pauses {
    /// Whether agents are to be told of a pause that the judge of a monitor with this interval wants.
    /// Not while one that is as long was told already, nor for an interval after it, in which agents
    /// look for themselves. A longer one is told: the server said so to some.
    pub(crate) fn begin(
        &mut self,
        origin: &str,
        pause: Duration,
        interval: Duration,
        now: Instant,
    ) -> bool {
        let told = self.0.get(origin).filter(|told| told.again > now);
        if told.is_some_and(|told| pause <= told.pause) {
            return false;
        }
        let again = now + pause + interval;
        let again = told.map_or(again, |told| again.max(told.again));
        self.0.insert(origin.to_owned(), Told { pause, again });
        if self.0.len() > MOST {
            self.0.retain(|_, told| told.again > now);
        }
        if self.0.len() > MOST {
            let first = self.0.iter().min_by_key(|(_, told)| told.again);
            if let Some(first) = first.map(|(origin, _)| origin.clone()) {
                self.0.remove(&first);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "https://a.example";

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the origin"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn two_monitors_of_an_origin_tell_one_pause() {
        let (t, s) = (start(), Duration::from_secs);
        let mut pauses = Pauses::default();
        // Two monitors at the same origin, with intervals of 10 s and of 60 s.
        let table = [
            (0, 60, 10, true),
            (1, 60, 60, false),
            // The second one hears of slots that were held, and knows of no time.
            (30, 10, 60, false),
            (69, 60, 60, false),
            // Everybody could look by then.
            (70, 60, 60, true),
            // The server said more to some: what was told is no limit to that.
            (71, 300, 10, true),
            (72, 60, 60, false),
            (380, 300, 10, false),
            (381, 60, 10, true),
        ];
        for (after, pause, interval, is_told) in table {
            let told = pauses.begin(A, s(pause), s(interval), t + s(after));
            assert_eq!(told, is_told, "after {after} s: {pause} s");
            assert!(pauses.begin(
                &format!("https://{after}.example"),
                s(1),
                s(1),
                t + s(after)
            ));
        }
    }

    #[test]
    fn origins_are_forgotten_and_bounded() {
        let (t, s) = (start(), Duration::from_secs);
        let mut pauses = Pauses::default();
        for n in 0..=MOST {
            let pause = s(10 + n as u64 % 1000);
            assert!(pauses.begin(&format!("https://{n}.example"), pause, s(10), t));
        }
        assert_eq!(pauses.0.len(), MOST);
        assert!(pauses.begin("https://0.example", s(10), s(10), t));
        for origin in [A, "https://b.example", "https://c.example"] {
            pauses.begin(origin, s(10), s(10), t + s(3600));
        }
        assert_eq!(pauses.0.len(), 3);
    }
}
