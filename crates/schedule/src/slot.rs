//! Where slots lie in time.

use std::time::Duration;

/// The golden ratio's fraction: multiples of it are near-even on a circle, for any number of
/// them, and nobody moves when another joins (three-distance theorem).
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The offset of an agent's slots within the interval. `ordinal` is the agent's persistent
/// number among the monitor's agents.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fraction of an interval of at most a day"
)]
pub fn phase(monitor: &str, ordinal: u32, interval: Duration) -> Duration {
    let hash = xxhash_rust::xxh3::xxh3_64(monitor.as_bytes());
    let begin = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    let fraction = (begin + f64::from(ordinal) * GOLDEN).fract();
    Duration::from_micros((fraction * interval.as_micros() as f64) as u64)
}

/// The next slot after `now` (a time since any fixed origin), and when it begins.
///
/// A monitor whose interval changes has other slots, with other numbers. Where the origin is long
/// ago, as the Unix epoch is, those that come again are old: from one minute to 61 seconds, eleven
/// months.
#[must_use]
pub fn next(now: Duration, phase: Duration, interval: Duration) -> (u64, Duration) {
    let interval_us = interval.as_micros().max(1);
    let since = now.saturating_sub(phase).as_micros();
    let slot = if now < phase {
        0
    } else {
        since / interval_us + 1
    };
    let begins = phase.as_micros() + slot * interval_us;
    let begins = Duration::from_micros(u64::try_from(begins).unwrap_or(u64::MAX));
    (u64::try_from(slot).unwrap_or(u64::MAX), begins)
}

/// The next slot after `now` of a line whose slot `slot` begins at `at`, and how far away it is.
/// Both times are on one clock, which may have been set back since.
#[must_use]
pub fn resume(slot: u64, at: Duration, interval: Duration, now: Duration) -> (u64, Duration) {
    let interval_us = interval.as_micros().max(1);
    let pause = |us: u128| Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX));
    let count = |slots: u128| u64::try_from(slots).unwrap_or(u64::MAX);
    if now < at {
        let ahead = (at - now).as_micros();
        let slots = (ahead - 1) / interval_us;
        let slot = slot.saturating_sub(count(slots));
        return (slot, pause(ahead - slots * interval_us));
    }
    let passed = (now - at).as_micros();
    let slots = passed / interval_us + 1;
    let slot = slot.saturating_add(count(slots));
    (slot, pause(slots * interval_us - passed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    proptest! {
        /// The largest time without a probe is at most twice the even distance.
        #[test]
        fn slots_are_near_even_for_any_number(monitor in "[a-z]{1,8}", agents in 1u32..64) {
            let mut phases: Vec<Duration> =
                (0..agents).map(|ordinal| phase(&monitor, ordinal, MINUTE)).collect();
            phases.sort_unstable();
            let first = phases[0];
            let ends = phases.iter().skip(1).copied().chain([first + MINUTE]);
            let largest = phases.iter().zip(ends).map(|(a, b)| b - *a).max().unwrap();
            prop_assert!(largest <= MINUTE * 2 / agents + Duration::from_micros(2));
        }

        #[test]
        fn nobody_moves_when_another_joins(monitor in "[a-z]{1,8}", ordinal in 0u32..64) {
            prop_assert_eq!(phase(&monitor, ordinal, MINUTE), phase(&monitor, ordinal, MINUTE));
            prop_assert!(phase(&monitor, ordinal, MINUTE) < MINUTE);
        }

        #[test]
        fn the_next_slot_is_ahead_and_near(now_us in 0u64..10_000_000_000, phase_us in 0u64..60_000_000) {
            let (now, phase) = (Duration::from_micros(now_us), Duration::from_micros(phase_us));
            let (slot, begins) = next(now, phase, MINUTE);
            prop_assert!(begins >= now && begins - now <= MINUTE);
            // the slot's number is its place on the axis, so it never depends on when one asks
            prop_assert_eq!(begins.as_micros(), phase.as_micros() + u128::from(slot) * 60_000_000);
        }
    }

    #[test]
    fn a_line_goes_on_where_its_slots_lie() {
        let s = Duration::from_secs;
        let table = [
            // now, next slot, pause: slot 7 begins at 1000, a slot a minute
            (990, 7, 10),
            (1000, 8, 60),
            (1001, 8, 59),
            (1059, 8, 1),
            (1060, 9, 60),
            (4600, 68, 60),
            // the clock was set back
            (940, 7, 60),
            (939, 6, 1),
            (0, 0, 40),
        ];
        for (now, slot, pause) in table {
            let got = resume(7, s(1000), MINUTE, s(now));
            assert_eq!(got, (slot, s(pause)), "at {now}");
        }
    }
}
