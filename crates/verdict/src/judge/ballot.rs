//! The votes of one agent on one target, level by level.
//!
//! A level is what a failure may be about: the protocol, or one configured tool. Results fold per
//! level: a probe that did not come to a level leaves the vote on it as it was, until its time to
//! live ends.

use std::collections::VecDeque;

use model::{Reason, Step};

use super::latency::Latency;
use crate::Ms;
use crate::mesh::Attested;

/// Failures in a row, over so long, that make a witness of a lasting fault.
pub(super) const LASTING_FAILS: u32 = 3;
const LASTING: Ms = 12_000;
/// Good results in a row that end it.
const LASTING_OKS: u32 = 3;
/// How far back changes between good and bad are counted.
const MIXED_WINDOW: Ms = 300_000;
/// What was said before a pause stands for so long at most: the longest that a target may ask an
/// agent for.
const MOST_HELD: Ms = 3_600_000;
/// Changes that are remembered.
const MAX_FLIPS: usize = 16;

/// What an agent says of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Say {
    /// Nothing yet.
    #[default]
    Nothing,
    /// It works; `is_degraded` where checks of severity `degrade` were violated.
    Ok { is_degraded: bool },
    /// It fails.
    Fail { step: Step, reason: Reason },
    /// The server turned the agent away.
    Refused { step: Step, reason: Reason },
}

impl Say {
    pub(super) const fn is_ok(self) -> bool {
        matches!(self, Self::Ok { .. })
    }

    pub(super) const fn is_fail(self) -> bool {
        matches!(self, Self::Fail { .. })
    }

    pub(super) const fn is_limited(self) -> bool {
        matches!(
            self,
            Self::Refused {
                reason: Reason::RateLimited,
                ..
            }
        )
    }

    /// Why it does not work.
    pub(super) const fn trouble(self) -> Option<(Step, Reason)> {
        match self {
            Self::Fail { step, reason } | Self::Refused { step, reason } => Some((step, reason)),
            Self::Nothing | Self::Ok { .. } => None,
        }
    }
}

/// The vote of one agent on one level.
#[derive(Debug, Clone, Default)]
pub(super) struct Vote {
    pub(super) say: Say,
    /// When the probe began that says so, and when it was heard.
    pub(super) began: Ms,
    pub(super) heard: Ms,
    /// When a slot was last passed over because the target, or what it runs on, asked for a pause:
    /// until then the vote stands as it was.
    pub(super) held: Ms,
    /// Since when the agent is told to come back later.
    pub(super) limited_since: Option<Ms>,
    /// In a row.
    pub(super) fails: u32,
    pub(super) oks: u32,
    /// When the first failure of the row began.
    pub(super) first_fail: Ms,
    /// When the last failure began, of any row.
    pub(super) last_fail: Option<Ms>,
    /// When the last good probe began, and the one before it.
    pub(super) last_ok: Option<Ms>,
    pub(super) ok_before: Option<Ms>,
    /// Whether enough references vouched for the agent.
    pub(super) is_vouched: bool,
    /// Whether the fault lasts, as rule 4 wants it.
    pub(super) is_lasting: bool,
    flips: VecDeque<Ms>,
}

impl Vote {
    /// Takes a result.
    pub(super) fn fold(&mut self, say: Say, began: Ms, heard: Ms, ttl: Ms, is_vouched: bool) {
        if heard.saturating_sub(self.last()) > ttl {
            // What was said too long ago begins no row.
            *self = Self::default();
        }
        if say.is_limited() {
            // Neither good nor bad: it breaks no row, and begins none.
            (self.say, self.began, self.heard) = (say, began, heard);
            self.limited_since.get_or_insert(began);
            return;
        }
        self.limited_since = None;
        let is_good = say.is_ok();
        let was_good = self.say.is_ok();
        let is_known = self.say != Say::Nothing && !self.say.is_limited();
        if is_known && is_good != was_good {
            self.flips.push_back(began);
            if self.flips.len() > MAX_FLIPS {
                self.flips.pop_front();
            }
        }
        if is_good {
            (self.fails, self.oks) = (0, self.oks + 1);
            self.ok_before = self.last_ok.replace(began);
            self.is_lasting &= self.oks < LASTING_OKS;
        } else {
            if self.fails == 0 {
                self.first_fail = began;
            }
            (self.fails, self.oks) = (self.fails + 1, 0);
            self.last_fail = Some(began);
            let lasted = began.saturating_sub(self.first_fail);
            self.is_lasting |= self.fails >= LASTING_FAILS && lasted >= LASTING;
        }
        (self.say, self.began, self.heard, self.is_vouched) = (say, began, heard, is_vouched);
    }

    /// What was wrong is over: a failure that goes on is another one.
    pub(super) fn begin_anew(&mut self) {
        self.is_lasting = false;
        self.fails = self.fails.min(1);
        self.first_fail = self.began;
    }

    /// Whether the agent still says it.
    pub(super) fn is_fresh(&self, ttl: Ms, now: Ms) -> bool {
        self.say != Say::Nothing && now.saturating_sub(self.last()) <= ttl
    }

    /// A slot was passed over at `at`. What was said before stands, but not for ever.
    pub(super) fn hold(&mut self, ttl: Ms, at: Ms, now: Ms) {
        if self.is_fresh(ttl, now) {
            let most = self.heard.saturating_add(MOST_HELD);
            self.held = self.held.max(at.min(most));
        }
    }

    /// When the vote was last heard, or could not be heard anew.
    fn last(&self) -> Ms {
        self.heard.max(self.held)
    }

    /// Changes between good and bad of late.
    pub(super) fn flips(&self, now: Ms) -> usize {
        let recent = |at: &&Ms| now.saturating_sub(**at) <= MIXED_WINDOW;
        self.flips.iter().filter(recent).count()
    }

    /// When a change drops out of the count.
    pub(super) fn flips_end(&self, now: Ms) -> Option<Ms> {
        let ends = self.flips.iter().map(|at| at + MIXED_WINDOW + 1);
        ends.filter(|end| *end > now).min()
    }
}

/// A failure that waits for its self-test.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) seq: u64,
    pub(super) says: Says,
    pub(super) began: Ms,
    pub(super) heard: Ms,
    /// Whether it made the others look already.
    pub(super) is_suspected: bool,
    /// The pause that the target asked for.
    pub(super) retry_after: Option<Ms>,
    /// Then the self-test is missing.
    pub(super) until: Ms,
}

/// What one result says, by level: nothing where it did not come to the level.
pub(super) type Says = Vec<Option<Say>>;

/// Everything that one agent says of one target.
#[derive(Debug, Clone, Default)]
pub(super) struct Ballot {
    /// The protocol first, then the configured tools.
    pub(super) levels: Vec<Vote>,
    pub(super) pending: Option<Pending>,
    /// Self-tests that came before the failures that they are of.
    pub(super) early: Vec<(u64, Attested)>,
    /// When its failures made the others look, of late.
    pub(super) rounds: Vec<Ms>,
    /// The last result says nothing of the target: it was the agent's own fault.
    pub(super) is_mute: bool,
    /// When the last probe began.
    pub(super) began: Option<Ms>,
    /// When something was last heard.
    pub(super) heard: Option<Ms>,
    pub(super) latency: Latency,
    /// How long the last good probe took.
    pub(super) took: Option<Ms>,
    /// Until when an answer to a confirmation is waited for.
    pub(super) asked_until: Option<Ms>,
    /// Since when a probe runs that takes longer than its path ever needed.
    pub(super) slow_since: Option<Ms>,
}

impl Ballot {
    pub(super) fn new(levels: usize) -> Self {
        Self {
            levels: vec![Vote::default(); levels],
            ..Self::default()
        }
    }

    /// Takes what a result says.
    pub(super) fn fold(&mut self, says: &Says, began: Ms, heard: Ms, ttl: Ms, is_vouched: bool) {
        for (vote, say) in self.levels.iter_mut().zip(says) {
            if let Some(say) = say {
                vote.fold(*say, began, heard, ttl, is_vouched);
            }
        }
        self.is_mute = false;
    }

    /// Whether the agent said until now that something works that fails by this.
    pub(super) fn flips_by(&self, says: &Says, ttl: Ms, now: Ms) -> bool {
        says.iter().zip(&self.levels).any(|(say, vote)| {
            let fails = say.is_some_and(|say| !say.is_ok());
            fails && vote.say.is_ok() && vote.is_fresh(ttl, now)
        })
    }

    /// Whether the agent has something to say now.
    pub(super) fn has_say(&self, ttl: Ms, now: Ms) -> bool {
        let is_fresh = |vote: &Vote| vote.is_fresh(ttl, now);
        !self.is_mute && self.levels.iter().any(is_fresh)
    }

    /// Whether a failure waits for a self-test that may still come in time.
    pub(super) fn is_waiting(&self) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|pending| pending.until != Ms::MAX)
    }

    /// The vote on a level. One that says that it works stands back while a failure waits for its
    /// self-test.
    pub(super) fn vote(&self, level: usize, ttl: Ms, now: Ms) -> Option<&Vote> {
        let vote = self
            .levels
            .get(level)
            .filter(|vote| vote.is_fresh(ttl, now))?;
        let pending = self.pending.as_ref();
        let says = pending.and_then(|pending| pending.says.get(level).copied().flatten());
        let is_doubted = says.is_some_and(|say| !say.is_ok()) && vote.say.is_ok();
        (!is_doubted).then_some(vote)
    }
}
