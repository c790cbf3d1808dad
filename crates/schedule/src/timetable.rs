//! Which slot is due.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// A slot that should be run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The monitor.
    pub monitor: String,
    /// The slot's number.
    pub slot: u64,
    /// How late the slot is noticed: the scheduler's own lag.
    pub lag: Duration,
}

/// Why a slot was not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissedReason {
    /// The probe before was still running.
    Overrun,
    /// The agent, or its machine, slept through it.
    Absent,
}

/// A slot that was not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The monitor.
    pub monitor: String,
    /// The slot's number.
    pub slot: u64,
    /// Why.
    pub reason: MissedReason,
}

/// Missed slots of one monitor that are told apart; a longer absence is told by its last ones.
const MAX_ABSENT: u64 = 100;

#[derive(Debug)]
struct Line {
    interval: Duration,
    next_slot: u64,
    next_at: Instant,
}

/// The slots of all monitors of an agent.
#[derive(Debug, Default)]
pub struct Timetable {
    lines: BTreeMap<String, Line>,
    order: BTreeSet<(Instant, String)>,
    running: BTreeSet<String>,
    missed: VecDeque<Missed>,
}

impl Timetable {
    /// Puts a monitor into the timetable, or moves its slots.
    pub fn upsert(&mut self, monitor: &str, interval: Duration, next_slot: u64, next_at: Instant) {
        self.remove(monitor);
        let interval = interval.max(Duration::from_millis(1));
        self.order.insert((next_at, monitor.to_owned()));
        self.lines.insert(
            monitor.to_owned(),
            Line {
                interval,
                next_slot,
                next_at,
            },
        );
    }

    /// Gives a monitor slots of another interval, the first of them `next_slot` at `next_at`. Those
    /// that would begin sooner after its last slot than the shorter of both intervals are passed
    /// over: who is to probe less often must not probe twice for that.
    pub fn repace(&mut self, monitor: &str, interval: Duration, next_slot: u64, next_at: Instant) {
        let interval = interval.max(Duration::from_millis(1));
        let (mut slot, mut at) = (next_slot, next_at);
        if let Some(line) = self.lines.get(monitor) {
            let sooner = line.interval.saturating_sub(interval);
            let earliest = line.next_at.checked_sub(sooner).unwrap_or(line.next_at);
            while at < earliest {
                (slot, at) = (slot + 1, at + interval);
            }
        }
        self.upsert(monitor, interval, slot, at);
    }

    /// Takes a monitor out. A probe that runs is not stopped.
    pub fn remove(&mut self, monitor: &str) {
        if let Some(line) = self.lines.remove(monitor) {
            self.order.remove(&(line.next_at, monitor.to_owned()));
        }
    }

    /// The next slot of a monitor.
    #[must_use]
    pub fn next_slot(&self, monitor: &str) -> Option<u64> {
        self.lines.get(monitor).map(|line| line.next_slot)
    }

    /// When the next slot begins.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The next slot to run now. It counts as running until [`Self::finished`].
    pub fn poll_due(&mut self, now: Instant) -> Option<Due> {
        loop {
            let (at, monitor) = self.order.first().filter(|(at, _)| *at <= now).cloned()?;
            self.order.remove(&(at, monitor.clone()));
            let line = self.lines.get_mut(&monitor)?;
            let (slot, begun) = (line.next_slot, line.next_at);
            // Slots that passed unnoticed: the machine slept, or time stood still.
            let late = now.saturating_duration_since(begun);
            let passed = late.as_micros() / line.interval.as_micros().max(1);
            let passed = u32::try_from(passed).unwrap_or(u32::MAX);
            let current = slot + u64::from(passed);
            let current_at = begun + line.interval * passed;
            line.next_slot = current + 1;
            line.next_at = current_at + line.interval;
            self.order.insert((line.next_at, monitor.clone()));
            for slot in slot.max(current.saturating_sub(MAX_ABSENT))..current {
                self.miss(&monitor, slot, MissedReason::Absent);
            }
            if !self.running.insert(monitor.clone()) {
                self.miss(&monitor, current, MissedReason::Overrun);
                continue;
            }
            let lag = now.saturating_duration_since(current_at);
            return Some(Due {
                monitor,
                slot: current,
                lag,
            });
        }
    }

    /// The probe of a monitor is over.
    pub fn finished(&mut self, monitor: &str) {
        self.running.remove(monitor);
    }

    /// The next slot that was not run.
    pub fn poll_missed(&mut self) -> Option<Missed> {
        self.missed.pop_front()
    }

    fn miss(&mut self, monitor: &str, slot: u64, reason: MissedReason) {
        let monitor = monitor.to_owned();
        self.missed.push_back(Missed {
            monitor,
            slot,
            reason,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the origin"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn due(monitor: &str, slot: u64, lag_ms: u64) -> Due {
        Due {
            monitor: monitor.to_owned(),
            slot,
            lag: Duration::from_millis(lag_ms),
        }
    }

    #[test]
    fn slots_come_in_order_and_at_their_time() {
        let t = start();
        let mut table = Timetable::default();
        table.upsert("a", TEN, 7, t + Duration::from_secs(3));
        table.upsert("b", TEN, 1, t + Duration::from_secs(2));
        assert_eq!(table.poll_timeout(), Some(t + Duration::from_secs(2)));
        assert_eq!(table.poll_due(t + Duration::from_secs(1)), None);
        let now = t + Duration::from_millis(3050);
        assert_eq!(table.poll_due(now), Some(due("b", 1, 1050)));
        assert_eq!(table.poll_due(now), Some(due("a", 7, 50)));
        assert_eq!(table.poll_due(now), None);
        assert_eq!(table.poll_timeout(), Some(t + Duration::from_secs(12)));
    }

    #[test]
    fn a_probe_that_is_still_running_makes_an_overrun() {
        let t = start();
        let mut table = Timetable::default();
        table.upsert("a", TEN, 0, t);
        assert_eq!(table.poll_due(t), Some(due("a", 0, 0)));
        assert_eq!(table.poll_due(t + TEN), None);
        let missed = table.poll_missed().unwrap();
        assert_eq!((missed.slot, missed.reason), (1, MissedReason::Overrun));
        table.finished("a");
        assert_eq!(table.poll_due(t + 2 * TEN), Some(due("a", 2, 0)));
        assert_eq!(table.poll_missed(), None);
    }

    #[test]
    fn slots_slept_through_are_missed_and_the_current_one_is_run() {
        let t = start();
        let mut table = Timetable::default();
        table.upsert("a", TEN, 0, t);
        assert_eq!(
            table.poll_due(t + Duration::from_secs(35)),
            Some(due("a", 3, 5000))
        );
        let slots: Vec<u64> = std::iter::from_fn(|| table.poll_missed())
            .map(|m| m.slot)
            .collect();
        assert_eq!(slots, [0, 1, 2]);
        assert_eq!(table.poll_timeout(), Some(t + 4 * TEN));
        // a long absence is told by its last slots, not by a million records
        table.finished("a");
        let long = t + Duration::from_secs(86_400 * 30);
        assert!(table.poll_due(long).is_some());
        assert_eq!(std::iter::from_fn(|| table.poll_missed()).count(), 100);
    }

    #[test]
    fn another_interval_brings_no_probe_sooner_than_either() {
        let t = start();
        let s = Duration::from_secs;
        let table = [
            // The last slot began at 0. From 10 s to this; where the new slots lie; the first one.
            (20, 3, 23),
            (20, 9, 29),
            (20, 10, 10),
            (20, 19, 19),
            (5, 1, 6),
            (5, 4, 9),
            (5, 5, 5),
            (10, 4, 14),
        ];
        for (interval, first, expected) in table {
            let mut table = Timetable::default();
            table.upsert("a", TEN, 4, t);
            assert!(table.poll_due(t).is_some());
            table.repace("a", s(interval), 70, t + s(first));
            assert_eq!(
                table.poll_timeout(),
                Some(t + s(expected)),
                "{interval} {first}"
            );
            let passed = (expected - first) / interval;
            assert_eq!(
                table.next_slot("a"),
                Some(70 + passed),
                "{interval} {first}"
            );
        }
    }

    #[test]
    fn removing_and_moving_a_monitor() {
        let t = start();
        let mut table = Timetable::default();
        table.upsert("a", TEN, 0, t);
        table.upsert("a", TEN, 5, t + TEN);
        assert_eq!(table.poll_due(t), None);
        table.remove("a");
        assert_eq!(table.poll_timeout(), None);
        assert_eq!(table.poll_due(t + 9 * TEN), None);
    }
}
