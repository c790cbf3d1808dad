//! One axis of time for everything that is judged: it goes on evenly, whatever happens to the wall
//! clock, and its values can be shown.

use std::time::{Duration, Instant};

use verdict::Ms;

use crate::keeper::millis;

/// Our monotonic clock, numbered as the wall clock was when we started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    origin: Instant,
    wall_ms: Ms,
}

impl Axis {
    /// An axis that begins now.
    pub(crate) fn begin(now: Instant, wall: jiff::Timestamp) -> Self {
        Self {
            origin: now,
            wall_ms: millis(wall),
        }
    }

    /// A moment on the axis, milliseconds.
    pub(crate) fn ms(&self, at: Instant) -> Ms {
        let whole = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        match at.checked_duration_since(self.origin) {
            Some(since) => self.wall_ms.saturating_add(whole(since)),
            None => self.wall_ms.saturating_sub(whole(self.origin - at)),
        }
    }

    /// A moment of the axis on our monotonic clock.
    pub(crate) fn instant(&self, at: Ms) -> Instant {
        let ahead = Duration::from_millis(at.saturating_sub(self.wall_ms));
        let behind = Duration::from_millis(self.wall_ms.saturating_sub(at));
        let ahead = self.origin.checked_add(ahead).unwrap_or(self.origin);
        ahead.checked_sub(behind).unwrap_or(self.origin)
    }
}

/// A moment of an axis for people, RFC 3339 UTC.
pub(crate) fn shown(at: Ms) -> String {
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(at)
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_and_after_the_start_lie_on_it() {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do as the origin"
        )]
        let now = Instant::now();
        let axis = Axis::begin(now, "2026-01-01T00:00:10Z".parse().unwrap());
        let second = Duration::from_secs(1);
        let begin = axis.ms(now);
        assert_eq!(axis.ms(now + second), begin + 1000);
        assert_eq!(axis.instant(begin + 1000), now + second);
        assert_eq!(shown(begin + 500), "2026-01-01T00:00:10.5Z");
        if let Some(before) = now.checked_sub(second) {
            assert_eq!(axis.ms(before), begin - 1000);
            assert_eq!(axis.instant(begin - 1000), before);
        }
    }
}
