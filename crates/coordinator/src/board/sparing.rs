//! What judges are told of how targets are spared, and what they say of it.

use std::time::{Duration, Instant};

use verdict::Ms;

use super::{Board, Sighting, State};
use crate::axis::Axis;
use crate::keeper::whole_ms;

impl State {
    /// A slot of a monitor was held.
    pub(super) fn hear_held(
        &mut self,
        monitor: &str,
        sighting: &Sighting<'_>,
        is_limited: bool,
        axis: &Axis,
    ) {
        let (began, now) = (axis.ms(sighting.observed), axis.ms(sighting.received));
        let agent = &sighting.identity.agent;
        if let Some(watched) = self.monitors.get_mut(monitor) {
            let judge = &mut watched.judge;
            judge.handle_held(agent, is_limited, began, &self.mesh, now);
        }
        self.settle(monitor);
    }
}

impl Board {
    /// A monitor is probed so often from now on.
    pub(crate) fn pace(&self, monitor: &str, interval: Duration, now: Instant) {
        let at = self.axis.ms(now);
        let mut state = self.lock();
        if let Some(watched) = state.monitors.get_mut(monitor) {
            watched.interval = Some(interval);
            watched.judge.handle_interval(whole_ms(interval), at);
            state.settle(monitor);
            drop(state);
            self.news.notify_one();
        }
    }

    /// The next monitor whose target is to be left alone by all, and for how long.
    pub(crate) fn poll_hold(&self) -> Option<(String, Ms)> {
        self.lock().holds.pop_front()
    }
}
