//! What the agent shows of itself.

use super::{Core, now};
use crate::telling;

impl Core {
    /// Says how things stand, for whoever looks.
    pub(super) fn tell(&mut self) {
        self.telling.is(telling::State {
            is_connected: self.frames.is_some(),
            acknowledged_at: self.acknowledged,
            monitors: self.items.len(),
            lag: self.lag.worst(now()),
            spool_records: self.spool.len(),
            spool_bytes: self.spool.bytes(),
            spool_in_memory: !self.spool.has_disk(),
            dropped: self.spool.dropped(),
            canaries: self.self_test.last().map(|(_, masks)| masks),
        });
    }
}
