//! How long to leave a coordinator alone.

use std::time::Duration;

/// Full-jitter backoff: the first pause is at most this …
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// … and the longest at most this. No coordinator may ask for more either.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Full jitter: anything up to a doubling bound.
pub(crate) fn pause(failures: u32, random: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE).mul_f64(random.clamp(0.0, 1.0))
}

/// The pause after a coordinator asked for one, of so many milliseconds: at least that, and up to
/// a quarter more, so that not all agents come back at once.
pub(crate) fn asked_pause(ms: u32, random: f64) -> Duration {
    let asked = Duration::from_millis(ms.into()).min(LONGEST_PAUSE);
    asked.mul_f64(1.0 + random.clamp(0.0, 1.0) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_have_full_jitter_and_a_bound() {
        assert_eq!(pause(1, 1.0), FIRST_PAUSE);
        assert_eq!(pause(3, 1.0), 4 * FIRST_PAUSE);
        assert_eq!(pause(3, 0.0), Duration::ZERO);
        assert_eq!(pause(3, 0.5), 2 * FIRST_PAUSE);
        assert_eq!(pause(u32::MAX, 1.0), LONGEST_PAUSE);
    }

    #[test]
    fn a_pause_that_is_asked_for_is_kept_within_bounds() {
        assert_eq!(asked_pause(0, 1.0), Duration::ZERO);
        assert_eq!(asked_pause(1000, 0.0), Duration::from_secs(1));
        assert_eq!(asked_pause(1000, 1.0), Duration::from_millis(1250));
        assert_eq!(asked_pause(u32::MAX, 0.0), LONGEST_PAUSE);
    }
}
