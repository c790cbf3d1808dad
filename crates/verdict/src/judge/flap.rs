//! Failures that are too short to wake anybody: kept and counted, and told once they come again
//! and again.

use std::collections::VecDeque;

use super::Judge;
use super::decide::Finding;
use super::tally::Tally;
use crate::Ms;
use crate::transition::Transition;
use model::verdict::Verdict;

/// So many short failures …
const REPEATED: usize = 3;
/// … within so long are flapping, until there was none for half of it.
const WINDOW: Ms = 1_800_000;
/// Short failures that are kept.
const MAX_FLAPS: usize = 64;

/// Short failures come again and again; and some of them were outages.
const FLAPPING: &str = "3";
pub(crate) const FLAPPING_OUT: &str = "3b";

/// A failure that a quorum saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flap {
    /// When the first probe began that failed.
    pub from: Ms,
    /// When it was over.
    pub to: Ms,
    /// Whether it was called an outage.
    pub was_outage: bool,
}

/// The short failures of a target.
#[derive(Debug, Default)]
pub(super) struct Flaps {
    past: VecDeque<Flap>,
    /// One that goes on: since when, and whether it is an outage.
    now: Option<(Ms, bool)>,
}

impl Flaps {
    fn recent(&self, now: Ms) -> impl Iterator<Item = &Flap> {
        let is_recent = move |flap: &&Flap| now.saturating_sub(flap.to) <= WINDOW;
        self.past.iter().filter(is_recent)
    }

    /// How long the longest of late was.
    fn longest(&self, now: Ms) -> Ms {
        let flaps = self.recent(now);
        flaps.map(|flap| flap.to - flap.from).max().unwrap_or(0)
    }

    /// Of the short failures of late, whether any was an outage.
    pub(super) fn had_outage(&self, now: Ms) -> bool {
        self.recent(now).any(|flap| flap.was_outage)
    }

    /// Which of the failures that were read again were called outages, by what was said then, newest
    /// first.
    pub(super) fn recall(&mut self, past: &[Transition]) {
        let is_outage = |change: &&Transition| change.verdict == Verdict::Outage;
        for outage in past.iter().filter(is_outage) {
            let mut flaps = self.past.iter_mut();
            if let Some(flap) = flaps.find(|flap| (flap.from..=flap.to).contains(&outage.at)) {
                flap.was_outage = true;
            }
        }
    }

    /// How far its failures lie apart, where it flaps.
    pub(super) fn rhythm(&self, now: Ms) -> Option<Ms> {
        let begins: Vec<Ms> = self.recent(now).map(|flap| flap.from).collect();
        let last = self.past.back()?.to;
        if begins.len() < REPEATED || now.saturating_sub(last) > WINDOW / 2 {
            return None;
        }
        let mut gaps: Vec<Ms> = begins
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }
}

impl Judge {
    /// Short failures come again and again.
    pub(super) fn flapping(&self, now: Ms) -> Option<Finding> {
        let rhythm = self.flaps.rhythm(now)?;
        let rule = if self.flaps.had_outage(now) {
            FLAPPING_OUT
        } else {
            FLAPPING
        };
        let mut finding = Finding::new(Verdict::Degraded, rule).because("flapping");
        finding.rhythm = Some(rhythm);
        Some(finding)
    }

    /// Whether somebody has failed for longer than any of the short failures of late: else it may
    /// be one of them.
    pub(super) fn outlasts(&self, found: &Finding, now: Ms) -> bool {
        let longest = self.flaps.longest(now);
        let mut failing = self.panel.members(found.failing);
        failing.any(|(at, _)| {
            let vote = &self.ballots[at].levels[found.level];
            let lasted = vote.began.saturating_sub(vote.first_fail);
            vote.say.trouble().is_some() && lasted > longest
        })
    }

    /// The failures of late that a quorum saw and that were soon over, oldest first.
    pub fn flaps(&self) -> impl Iterator<Item = &Flap> {
        self.flaps.past.iter()
    }

    /// Follows failures that a quorum sees, however short.
    pub(super) fn follow_flaps(&mut self, tally: &Tally, now: Ms) {
        let protocol = &tally.levels[0];
        let is_out = self.standing.verdict == Verdict::Outage;
        let is_seen = self.panel.independent(protocol.fail) >= self.quorum();
        let is_most = protocol.fail.count_ones() * 2 > tally.eligible.count_ones();
        if is_out || (is_seen && is_most) {
            let (_, was_outage) = *self.flaps.now.get_or_insert((now, false));
            let began = self.incident.as_ref().map_or(now, |incident| incident.wave);
            let from = self.flaps.now.map_or(now, |(from, _)| from).min(began);
            // A probe that hung may have begun before the last one was over: they do not overlap.
            let last = self.flaps.past.back().map_or(0, |flap| flap.to);
            let from = from.max(last);
            self.flaps.now = Some((from, was_outage || is_out));
        } else if protocol.fail == 0
            && let Some((from, was_outage)) = self.flaps.now.take()
        {
            if self.flaps.past.len() >= MAX_FLAPS {
                self.flaps.past.pop_front();
            }
            let flap = Flap {
                from,
                to: now,
                was_outage,
            };
            self.flaps.past.push_back(flap);
        }
    }
}
