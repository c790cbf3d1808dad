//! The agent's self-test: does it reach what it should reach in any case?
//!
//! Canaries are asked in rounds. A failure is vouched for by a round that began after the failing
//! probe did: what was reached before says nothing of now. A canary counts while it has answered
//! this agent within a day, so that a network where it is out of reach mutes nobody.
//!
//! Decides only: time is an argument, and the asking is done elsewhere.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::canary::PATIENCE;

/// Rounds begin this far apart at least, also where each of many failures wants its own: with the
/// patience of a round, a failure is vouched for within 2.5 s.
const GAP: Duration = Duration::from_millis(500);
/// How often canaries are asked while all is well.
const IDLE: Duration = Duration::from_secs(60);
/// And while it is not, and until two rounds in a row were good.
const DOUBT: Duration = Duration::from_secs(15);
/// A round that ended so long ago says nothing of now.
const FRESH: Duration = Duration::from_secs(5);
/// A round ends by then, even where one who asks is lost.
const LATEST: Duration = PATIENCE.saturating_add(Duration::from_millis(200));
/// How long a canary counts after it answered.
const COUNTS: Duration = Duration::from_secs(24 * 3600);
/// How often it is kept that a canary answers.
const KEEP: Duration = Duration::from_secs(600);
/// Failures that may wait for a round: one of each monitor that an agent may have, with room.
const MAX_WAITING: usize = 32_768;

/// Numbers rounds.
pub(crate) type RoundId = u64;

/// What a round found: one bit for each canary, in the order of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Masks {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
}

impl Masks {
    /// Fewer than half of those that count.
    pub(crate) const fn is_bad(self) -> bool {
        self.answered.count_ones() * 2 < self.asked.count_ones()
    }
}

/// A failed probe whose outcome has its sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) monitor: String,
    pub(crate) lane: u16,
    pub(crate) seq: u64,
    /// When the probe began.
    pub(crate) began: Instant,
}

#[derive(Debug)]
struct Canary {
    name: String,
    counts_until: Option<Instant>,
    kept: Option<Instant>,
}

#[derive(Debug)]
struct Round {
    id: RoundId,
    began: Instant,
    ended: Option<Instant>,
    /// Canaries that counted when it began.
    counted: u64,
    /// Those whose answer ends it.
    needed: u64,
    /// Those not heard yet.
    missing: u64,
    answered: u64,
}

impl Round {
    /// One that answers in this very round counts in it.
    const fn masks(&self) -> Masks {
        Masks {
            asked: self.counted | self.answered,
            answered: self.answered,
        }
    }
}

/// The self-test of an agent.
#[derive(Debug)]
pub(crate) struct SelfTest {
    canaries: Vec<Canary>,
    rounds: VecDeque<Round>,
    rounds_so_far: RoundId,
    /// When the next round is due by the clock.
    next_at: Instant,
    /// Failures, and after when the round must begin that vouches for them.
    waiting: Vec<(Instant, Failure)>,
    /// The latest of these instants, also of those that wait no more.
    wanted: Option<Instant>,
    ready: VecDeque<(Failure, Masks)>,
    to_keep: VecDeque<String>,
    good_in_a_row: u32,
    is_bad: bool,
    has_changed: bool,
}

impl SelfTest {
    /// A self-test with these canaries. `ages` says how long ago they answered a former life of
    /// the agent.
    pub(crate) fn new(
        names: &[String],
        ages: &BTreeMap<String, Duration>,
        first_at: Instant,
        now: Instant,
    ) -> Self {
        let canaries = names.iter().map(|name| {
            let left = ages.get(name).and_then(|age| COUNTS.checked_sub(*age));
            Canary {
                name: name.clone(),
                counts_until: left.map(|left| now + left),
                kept: None,
            }
        });
        Self {
            canaries: canaries.collect(),
            rounds: VecDeque::new(),
            rounds_so_far: 0,
            next_at: first_at,
            waiting: Vec::new(),
            wanted: None,
            ready: VecDeque::new(),
            to_keep: VecDeque::new(),
            good_in_a_row: 0,
            is_bad: false,
            has_changed: false,
        }
    }

    /// A probe failed. Without canaries nothing is waited for.
    pub(crate) fn handle_failure(&mut self, failure: Failure, now: Instant) {
        if self.canaries.is_empty() {
            self.ready.push_back((failure, Masks::default()));
            return;
        }
        let is_fresh = |ended: Instant| now.saturating_duration_since(ended) <= FRESH;
        let mut later = self.rounds.iter().filter(|r| r.began > failure.began);
        let fits = later
            .clone()
            .rfind(|round| round.ended.is_some_and(is_fresh));
        if let Some(round) = fits {
            self.ready.push_back((failure, round.masks()));
            return;
        }
        let after = if later.any(|round| round.ended.is_none()) {
            failure.began
        } else {
            let newest = self.rounds.back().map(|round| round.began);
            newest.map_or(failure.began, |newest| newest.max(failure.began))
        };
        if self.waiting.len() >= MAX_WAITING {
            // The coordinator takes a missing one for a bad one: so much fails nowhere else.
            tracing::warn!(monitor = %failure.monitor, "too many failures wait for the self-test");
            return;
        }
        self.wanted = self.wanted.max(Some(after));
        self.waiting.push((after, failure));
    }

    /// A canary answered, or did not.
    pub(crate) fn handle_answer(&mut self, id: RoundId, bit: usize, answers: bool, now: Instant) {
        if let (true, Some(canary)) = (answers, self.canaries.get_mut(bit)) {
            canary.counts_until = Some(now + COUNTS);
            let kept = canary.kept.map(|kept| now.saturating_duration_since(kept));
            if kept.is_none_or(|age| age >= KEEP) {
                canary.kept = Some(now);
                self.to_keep.push_back(canary.name.clone());
            }
        }
        let Some(at) = self.rounds.iter().position(|round| round.id == id) else {
            return; // ended without it
        };
        let round = &mut self.rounds[at];
        round.missing &= !(1 << bit);
        round.answered |= u64::from(answers) << bit;
        if round.ended.is_none() && round.missing & round.needed == 0 {
            self.end(at, now);
        }
    }

    /// Time passes: a round that lost one of its askers ends without it.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for at in 0..self.rounds.len() {
            let round = &self.rounds[at];
            if round.ended.is_none() && round.began + LATEST <= now {
                self.end(at, now);
            }
        }
        // All that run, and the newest of those that ended.
        let newest = self.newest().map(|round| round.id);
        self.rounds
            .retain(|round| round.ended.is_none() || Some(round.id) >= newest);
    }

    fn end(&mut self, at: usize, now: Instant) {
        let newest = self.newest().map(|round| round.began);
        let round = &mut self.rounds[at];
        round.ended = Some(now);
        let (began, masks) = (round.began, round.masks());
        let done = self.waiting.extract_if(.., |(after, _)| began > *after);
        self.ready.extend(done.map(|(_, failure)| (failure, masks)));
        if newest.is_some_and(|newest| newest > began) {
            return; // a younger one ended before it
        }
        self.good_in_a_row = if masks.is_bad() {
            0
        } else {
            self.good_in_a_row.saturating_add(1)
        };
        if self.good_in_a_row >= 2 {
            self.next_at = self.next_at.max(began + IDLE);
        }
        self.has_changed |= self.is_bad != masks.is_bad();
        self.is_bad = masks.is_bad();
    }

    /// When there is something to do by the clock.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let running = self.rounds.iter().filter(|round| round.ended.is_none());
        let ends = running.map(|round| round.began + LATEST).min();
        let begins = (!self.canaries.is_empty()).then(|| self.begins());
        [ends, begins].into_iter().flatten().min()
    }

    /// When the next round begins. One that was asked for by a failure is as good as one by the
    /// clock.
    fn begins(&self) -> Instant {
        let newest = self.rounds.back().map(|round| round.began);
        let wanted = self.wanted.filter(|after| Some(*after) >= newest);
        wanted.map_or(self.next_at, |after| {
            let from = newest.map_or(after, |newest| newest + GAP);
            self.next_at.min(from)
        })
    }

    /// A round that begins now: every canary is to be asked.
    pub(crate) fn poll_round(&mut self, now: Instant) -> Option<RoundId> {
        if self.canaries.is_empty() || self.begins() > now {
            return None;
        }
        let all = self.canaries.iter().enumerate();
        let (mut counted, mut everyone) = (0, 0);
        for (bit, canary) in all {
            everyone |= 1 << bit;
            counted |= u64::from(canary.counts_until.is_some_and(|until| now < until)) << bit;
        }
        // Those that never answer are asked too, and not waited for once that is known.
        let needed = if self.newest().is_some() {
            counted
        } else {
            everyone
        };
        self.rounds_so_far += 1;
        self.next_at = now + DOUBT;
        self.rounds.push_back(Round {
            id: self.rounds_so_far,
            began: now,
            ended: None,
            counted,
            needed,
            missing: everyone,
            answered: 0,
        });
        if needed == 0 {
            self.end(self.rounds.len() - 1, now);
        }
        Some(self.rounds_so_far)
    }

    /// A failure that can be vouched for now, and the round that does.
    pub(crate) fn poll_tested(&mut self) -> Option<(Failure, Masks)> {
        self.ready.pop_front()
    }

    /// A canary of which it is to be kept that it answers.
    pub(crate) fn poll_kept(&mut self) -> Option<String> {
        self.to_keep.pop_front()
    }

    /// Whether it became good or bad since this was asked last.
    pub(crate) fn poll_change(&mut self) -> Option<Masks> {
        let has_changed = std::mem::take(&mut self.has_changed);
        let newest = self.newest().filter(|_| has_changed);
        newest.map(Round::masks)
    }

    /// What the newest round found that ended, and when it began.
    pub(crate) fn last(&self) -> Option<(Instant, Masks)> {
        self.newest().map(|round| (round.began, round.masks()))
    }

    /// Whether there are canaries.
    pub(crate) const fn has_canaries(&self) -> bool {
        !self.canaries.is_empty()
    }

    /// Whether failures wait.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.ready.is_empty()
    }

    /// The spool is another: in each lane what was `first` is now 0, and what was before is left
    /// to the disk, with what vouches for it.
    pub(crate) fn handle_renumbered(&mut self, firsts: &BTreeMap<u16, u64>) {
        let renumber = |failure: &mut Failure| {
            let first = firsts.get(&failure.lane);
            let seq = first.and_then(|first| failure.seq.checked_sub(*first));
            failure.seq = seq.unwrap_or_default();
            seq.is_some()
        };
        self.waiting.retain_mut(|(_, failure)| renumber(failure));
        self.ready.retain_mut(|(failure, _)| renumber(failure));
    }

    fn newest(&self) -> Option<&Round> {
        self.rounds.iter().rfind(|round| round.ended.is_some())
    }
}

#[cfg(test)]
mod tests;
