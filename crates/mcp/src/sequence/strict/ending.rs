//! Whether a response stream ends once its response is there: the final response should end it
//! (2026-07-28 transports/streamable-http, "Receiving Messages"). A stream that stays holds a
//! connection, and the place of another client at whatever limits them.

use std::time::Instant;

use super::super::Sequence;
use crate::exchange::ExchangeId;
use crate::limits::STREAM_END;

impl Sequence {
    /// The answer came on a stream whose end is waited for; whether it did.
    pub(super) fn follow(&mut self, now: Instant) -> bool {
        let latest = self.deadline;
        let Some(running) = self.running.as_mut() else {
            return false;
        };
        let is_followed = running.trial.as_ref().is_some_and(|t| t.follows_stream);
        let is_stream = running.reader.is_stream() && running.is_open;
        if !(is_followed && is_stream) {
            return false;
        }
        running.followed_since = Some(now);
        running.deadline = (now + STREAM_END).min(latest);
        // What comes after the answer is nobody's latency.
        running.timer.stop(now);
        true
    }

    /// Whether the answer is there and this exchange has nothing more to say but its end.
    pub(in super::super) fn is_followed(&self, exchange: ExchangeId) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|r| r.exchange == exchange && r.followed_since.is_some())
    }

    /// The stream ended, or time is up; whether that is what was waited for.
    pub(in super::super) fn followed(&mut self, is_ended: bool, now: Instant) -> bool {
        let Some(running) = self.running.as_mut() else {
            return false;
        };
        let Some(since) = running.followed_since else {
            return false;
        };
        let waited = now.saturating_duration_since(since);
        if !is_ended && waited < STREAM_END {
            // The probe's own time is up first: nothing is known.
            self.leave_trial("the probe's time is used up", now);
            return true;
        }
        running.is_open &= !is_ended;
        let Some(trial) = running.trial.take() else {
            return false;
        };
        let after = format!("{:.1} s after its response", waited.as_secs_f64());
        let answer = match is_ended {
            true => format!("it ended {after}"),
            false => format!("it is still open {after}"),
        };
        self.judge(&trial, is_ended, &answer, now);
        true
    }
}
