//! Ages from the wall clocks of agents, for worlds that record no ages as frames do.

use verdict::Ms;

/// How long the offset of a clock is believed without news.
const OFFSET_LIFE: Ms = 3_600_000;
/// Heartbeats that must agree before a clock that went back is believed.
const AGREEING: usize = 4;
/// Less than this is the way here.
const STEP: i64 = 1500;

/// What is known of the clock of one agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    /// How far it is ahead at the most, and since when.
    ahead: Option<(i64, Ms)>,
    /// The last heartbeats: when they came, and by how much the clock was ahead then.
    beats: Vec<(Ms, i64)>,
}

impl Clock {
    /// Something that ended at `end` of the agent's clock came at `at`.
    pub(crate) fn hear(&mut self, end: i64, at: Ms) {
        let ahead = end - signed(at);
        let is_better = self
            .ahead
            .is_none_or(|(known, since)| ahead > known || at.saturating_sub(since) > OFFSET_LIFE);
        if is_better {
            self.ahead = Some((ahead, at));
        }
    }

    /// A heartbeat came. Where several that come as regularly as they were sent agree that the clock
    /// is behind what was known, it went back; a burst after a stall is not regular.
    pub(crate) fn beat(&mut self, sent: i64, at: Ms, heartbeat: Ms) {
        self.hear(sent, at);
        if self.beats.len() == AGREEING {
            self.beats.remove(0);
        }
        self.beats.push((at, sent - signed(at)));
        let Some((known, _)) = self.ahead.filter(|_| self.beats.len() == AGREEING) else {
            return;
        };
        let is_regular = self.beats.windows(2).all(|pair| {
            let (came, slower) = (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
            came.abs_diff(heartbeat) * 10 <= heartbeat && slower.abs() <= STEP
        });
        let newest = self.beats.iter().map(|(_, ahead)| *ahead).max();
        if let Some(newest) = newest.filter(|newest| is_regular && known - newest > STEP) {
            self.ahead = Some((newest, at));
        }
    }

    /// When something of the agent's clock was on ours.
    pub(crate) fn ours(&self, then: i64) -> Ms {
        let ahead = self.ahead.map_or(0, |(ahead, _)| ahead);
        u64::try_from(then - ahead).unwrap_or(0)
    }
}

fn signed(ms: Ms) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
