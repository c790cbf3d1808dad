//! What pings tell of a path.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A ping that is not answered by then is lost: a path around the world and back, thrice.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Pings that are looked at: five minutes of one every five seconds.
const WINDOW: usize = 60;

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Pings of the window that were answered or lost.
    pub judged: u32,
    /// Those that were lost.
    pub lost: u32,
    /// The median round trip of those that were answered.
    pub rtt: Option<Duration>,
    /// How much round trips differ from one to the next, smoothed as in RFC 3550 §6.4.1.
    pub jitter: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Ping {
    number: u64,
    sent: Instant,
    answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Due,
    Lost,
    After(Duration),
}

/// One path, as the side sees it that asks.
#[derive(Debug, Default)]
pub struct Path {
    pings: VecDeque<Ping>,
    next: u64,
    jitter: Duration,
    last: Option<Duration>,
}

impl Path {
    /// A ping is sent at `now`: its number.
    pub fn handle_send(&mut self, now: Instant) -> u64 {
        self.handle_timeout(now);
        if self.pings.len() >= WINDOW {
            self.pings.pop_front();
        }
        let number = self.next;
        self.next += 1;
        self.pings.push_back(Ping {
            number,
            sent: now,
            answer: Answer::Due,
        });
        number
    }

    /// An answer came. One that nobody waits for, or that is too late, says nothing.
    pub fn handle_answer(&mut self, number: u64, now: Instant) {
        self.handle_timeout(now);
        let ping = self.pings.iter_mut().find(|ping| ping.number == number);
        let Some(ping) = ping.filter(|ping| ping.answer == Answer::Due) else {
            return;
        };
        let rtt = now.saturating_duration_since(ping.sent);
        ping.answer = Answer::After(rtt);
        if let Some(last) = self.last.replace(rtt) {
            let differs = rtt.abs_diff(last);
            // J += (|D| - J) / 16, without leaving the unsigned.
            self.jitter = self.jitter - self.jitter / 16 + differs / 16;
        }
    }

    /// Time passes: what was not answered is lost.
    pub fn handle_timeout(&mut self, now: Instant) {
        for ping in &mut self.pings {
            let is_late = now.saturating_duration_since(ping.sent) > PATIENCE;
            if ping.answer == Answer::Due && is_late {
                ping.answer = Answer::Lost;
            }
        }
    }

    /// The connection is gone: what is under way will not be answered.
    pub fn handle_gone(&mut self) {
        for ping in &mut self.pings {
            if ping.answer == Answer::Due {
                ping.answer = Answer::Lost;
            }
        }
    }

    /// Whether the other side is reached, by the newest ping sent at `since` or later that was
    /// answered or lost; nothing where none was yet.
    #[must_use]
    pub fn is_reached(&self, since: Instant) -> Option<bool> {
        let judged = self.pings.iter().rev();
        let mut judged = judged.filter(|ping| ping.sent >= since && ping.answer != Answer::Due);
        let newest = judged.next()?;
        Some(newest.answer != Answer::Lost)
    }

    /// When the newest ping was sent that was answered.
    #[must_use]
    pub fn answered_at(&self) -> Option<Instant> {
        let answered = self.pings.iter().rev();
        let mut answered = answered.filter(|ping| matches!(ping.answer, Answer::After(_)));
        answered.next().map(|ping| ping.sent)
    }

    /// What is known of the path.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let mut times = Vec::with_capacity(WINDOW);
        let mut lost = 0;
        for ping in &self.pings {
            match ping.answer {
                Answer::Due => {}
                Answer::Lost => lost += 1,
                Answer::After(rtt) => times.push(rtt),
            }
        }
        times.sort_unstable();
        Seen {
            judged: u32::try_from(times.len()).unwrap_or(u32::MAX) + lost,
            lost,
            rtt: times.get(times.len() / 2).copied(),
            jitter: self.jitter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn round_trips_losses_and_jitter_are_told() {
        let begin = now();
        let mut path = Path::default();
        // Round trips of 10, 14, 10 ms, and one that is never answered.
        for (n, rtt) in [10, 14, 10].into_iter().enumerate() {
            let at = begin + MS * 1000 * u32::try_from(n).unwrap();
            let number = path.handle_send(at);
            path.handle_answer(number, at + MS * rtt);
        }
        path.handle_send(begin + MS * 5000);
        let seen = path.seen();
        assert_eq!((seen.judged, seen.lost, seen.rtt), (3, 0, Some(MS * 10)));
        // 4/16, and then that less a sixteenth, and 4/16 more.
        assert_eq!(seen.jitter, Duration::from_nanos(484_375));
        path.handle_timeout(begin + MS * 7000);
        assert_eq!(path.seen().judged, 3, "two seconds are not over");
        path.handle_timeout(begin + MS * 7001);
        let seen = path.seen();
        assert_eq!((seen.judged, seen.lost), (4, 1));
    }

    #[test]
    fn what_was_reached_before_says_nothing_of_now() {
        let begin = now();
        let mut path = Path::default();
        let number = path.handle_send(begin);
        path.handle_answer(number, begin + MS);
        assert_eq!(path.is_reached(begin), Some(true));
        assert_eq!(path.is_reached(begin + MS), None);
        path.handle_send(begin + MS * 2);
        assert_eq!(path.is_reached(begin + MS), None, "it is under way");
        path.handle_gone();
        assert_eq!(path.is_reached(begin + MS), Some(false));
        assert_eq!(path.answered_at(), Some(begin));
    }

    proptest! {
        /// Whatever answers come, in any order, doubled, late or invented: what is told is
        /// possible.
        #[test]
        fn any_answers_tell_what_is_possible(
            events in proptest::collection::vec((0u64..200, 0u64..3000, any::<bool>()), 0..300),
        ) {
            let mut now = now();
            let mut path = Path::default();
            for (number, pause, sends) in events {
                now += Duration::from_millis(pause);
                if sends {
                    path.handle_send(now);
                } else {
                    path.handle_answer(number, now);
                }
                let seen = path.seen();
                prop_assert!(seen.lost <= seen.judged);
                prop_assert!(usize::try_from(seen.judged).unwrap() <= WINDOW);
                prop_assert!(seen.rtt.is_none_or(|rtt| rtt <= PATIENCE));
                prop_assert!(seen.jitter <= PATIENCE);
                prop_assert_eq!(seen.rtt.is_some(), seen.lost < seen.judged);
            }
        }
    }
}
