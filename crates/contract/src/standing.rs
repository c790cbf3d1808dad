//! How the tools that many agents see of one server stand to those that are pinned.
//!
//! Times are arguments, milliseconds since the Unix epoch. Which change is how bad is worked out by
//! the caller, who has the surfaces: [`Standing::poll_unjudged`] says which two to compare. The value
//! as a whole is what is kept of it.

mod known;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use model::contract::{ChangeClass, PinnedBy};
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_COMMENT_CHARS, MAX_HISTORY, MAX_SIGHTINGS};
pub use known::Known;

/// A surface that was pinned, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Which.
    pub fingerprint: String,
    /// Why.
    pub by: PinnedBy,
    /// Who approved it; escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What they had to say; escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When.
    pub at_ms: u64,
}

/// What an agent sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The surface; none where `unfit` says why.
    pub fingerprint: Option<String>,
    /// The word for why the list is no surface ([`crate::Unfit::as_str`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
    /// Where the agent is.
    pub region: String,
    /// Which headers carried the monitor's credential; empty for none.
    pub credential: String,
    /// Of the monitor: tells which credential it was, where the names are the same.
    pub generation: u64,
    /// When it was seen last, as far as the agent said so.
    pub at_ms: u64,
    /// Since when the agent sees this one.
    pub since_ms: u64,
    /// How bad the last was of what the agent saw that was compared with the pin: true until what it
    /// sees now is compared, or is the pin. A list that is another every time is none the better for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<ChangeClass>,
    /// Whether it is of the life that the agent lives now: else it is history.
    #[serde(skip)]
    pub is_live: bool,
}

impl Sighting {
    /// Whether it says the same as another, at whatever time.
    fn is_as(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.unfit == other.unfit
    }
}

/// Why a surface is not pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPinned {
    /// No agent has ever said that it sees it, or that is too long ago.
    #[error("no agent has seen this surface; approve one that `contract show` lists")]
    NotSeen,
    /// The monitor says what is pinned.
    #[error("the monitor's `contract.pin` says what is pinned; change it there")]
    Declared,
}

/// Everything that is known of the tools of one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// What was pinned, the newest last: that is the pin.
    history: Vec<Pinned>,
    /// What the monitor says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declared: Option<String>,
    sightings: BTreeMap<String, Sighting>,
    /// Who watches now; everybody until that is said.
    #[serde(skip)]
    watching: Option<BTreeSet<String>>,
    /// The oldest first.
    known: Vec<Known>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drift_since_ms: Option<u64>,
    /// Surfaces that were held and are not any more.
    #[serde(skip)]
    dropped: Vec<String>,
    /// How often a surface came up that no agent saw just before.
    #[serde(skip)]
    changes: u64,
    /// How often anything changed but who sees what.
    #[serde(skip)]
    revision: u64,
}

/// Agents that see the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// What they see; none where it is no surface.
    pub fingerprint: Option<&'a str>,
    /// Whether it is what is pinned.
    pub is_pinned: bool,
    /// How bad the worst change since the pin is that these agents were found to see.
    pub class: Option<ChangeClass>,
    /// The agents.
    pub agents: Vec<(&'a str, &'a Sighting)>,
}

impl Standing {
    /// What is pinned.
    #[must_use]
    pub fn pin(&self) -> Option<&Pinned> {
        self.history.last()
    }

    /// What was pinned, the oldest first.
    #[must_use]
    pub fn history(&self) -> &[Pinned] {
        &self.history
    }

    /// What each agent saw last, also of those that watch no more.
    #[must_use]
    pub const fn sightings(&self) -> &BTreeMap<String, Sighting> {
        &self.sightings
    }

    /// An agent said what it sees; `facts` of the surface, if it is one. The first that anybody
    /// sees is pinned. Whether there is something new to keep: that an agent still sees what it saw
    /// is not, nor is what an agent that does not watch says, or what is of another life of it.
    pub fn handle_sighting(
        &mut self,
        agent: &str,
        mut seen: Sighting,
        facts: Option<Known>,
        now: u64,
    ) -> bool {
        if !seen.is_live || !self.watches(agent) {
            return false;
        }
        let last = self.sightings.get(agent).map(|before| before.at_ms);
        match last {
            // It comes late: it says nothing of now.
            Some(last) if seen.at_ms < last => return false,
            None if !self.has_room() => return false,
            Some(_) | None => {}
        }
        let before = self.sightings.get(agent);
        seen.since_ms = seen.at_ms;
        seen.judged = before.and_then(|before| self.class_of(before));
        let is_same = before.is_some_and(|before| before.is_as(&seen));
        let mut is_new = !is_same;
        if let Some(before) = before.filter(|_| is_same) {
            seen.since_ms = before.since_ms;
            is_new |= before.credential != seen.credential || before.generation != seen.generation;
        }
        if before.is_some() && !self.current().any(|(_, known)| known.is_as(&seen)) {
            self.changes += 1;
        }
        if let Some(facts) = facts {
            is_new |= self.learn(facts);
        }
        let first = seen.fingerprint.clone();
        self.sightings.insert(agent.to_owned(), seen);
        if let (None, Some(fingerprint)) = (self.pin(), first) {
            self.pin_to(fingerprint, PinnedBy::FirstSeen, None, None, now);
        }
        self.evict();
        self.settle(now);
        is_new
    }

    /// Only these agents watch from now on: what others saw says nothing until they are back. None at
    /// all is no news.
    pub fn assign(&mut self, agents: BTreeSet<String>, now: u64) {
        if !agents.is_empty() {
            self.watching = Some(agents);
        }
        self.settle(now);
    }

    /// It is of another life of the coordinator, whose clock may have been ahead.
    pub fn handle_restored(&mut self, now: u64) {
        for seen in self.sightings.values_mut() {
            seen.at_ms = seen.at_ms.min(now);
        }
    }

    /// Whether an agent is one of those that watch; everybody is until that is said.
    fn watches(&self, agent: &str) -> bool {
        let watching = self.watching.as_ref();
        watching.is_none_or(|watching| watching.contains(agent))
    }

    /// What those see who watch now.
    fn current(&self) -> impl Iterator<Item = (&str, &Sighting)> {
        let current = self
            .sightings
            .iter()
            .filter(move |(agent, _)| self.watches(agent));
        current.map(|(agent, seen)| (agent.as_str(), seen))
    }

    /// Makes room for another agent, if need be by one that watches no more.
    fn has_room(&mut self) -> bool {
        if self.sightings.len() < MAX_SIGHTINGS {
            return true;
        }
        let current: BTreeSet<&str> = self.current().map(|(agent, _)| agent).collect();
        let others = self.sightings.iter();
        let others = others.filter(|(agent, _)| !current.contains(agent.as_str()));
        let oldest = others.min_by_key(|(_, seen)| seen.at_ms);
        let Some(oldest) = oldest.map(|(agent, _)| agent.clone()) else {
            return false;
        };
        self.sightings.remove(&oldest).is_some()
    }

    /// The monitor says what is pinned, or nothing (any more: then the pin stays, and may be
    /// changed by approval). Whether that changes anything.
    pub fn declare(&mut self, fingerprint: Option<&str>, now: u64) -> bool {
        if self.declared.as_deref() == fingerprint {
            return false;
        }
        self.declared = fingerprint.map(str::to_owned);
        self.revision += 1;
        if let Some(fingerprint) = fingerprint {
            self.pin_to(fingerprint.to_owned(), PinnedBy::Monitor, None, None, now);
        }
        self.settle(now);
        true
    }

    /// Somebody approves of a surface: it is pinned.
    ///
    /// # Errors
    /// Nobody has seen it, or the monitor itself says what is pinned.
    pub fn approve(
        &mut self,
        fingerprint: &str,
        actor: &str,
        comment: Option<&str>,
        now: u64,
    ) -> Result<(), NotPinned> {
        if self.declared.is_some() {
            return Err(NotPinned::Declared);
        }
        if self.entry(fingerprint).is_none() && !self.is_seen(fingerprint) {
            return Err(NotPinned::NotSeen);
        }
        let actor = Some(model::text::line(actor, 64));
        let comment = comment.map(|text| model::text::line(text, MAX_COMMENT_CHARS));
        self.pin_to(
            fingerprint.to_owned(),
            PinnedBy::Approval,
            actor,
            comment,
            now,
        );
        self.settle(now);
        Ok(())
    }

    fn pin_to(
        &mut self,
        fingerprint: String,
        by: PinnedBy,
        actor: Option<String>,
        comment: Option<String>,
        at_ms: u64,
    ) {
        if self.pin().is_none_or(|pin| pin.fingerprint != fingerprint) {
            // Another comparison: whatever drifts does so since now.
            self.forget_classes();
            self.drift_since_ms = None;
        }
        self.revision += 1;
        self.history.push(Pinned {
            fingerprint,
            by,
            actor,
            comment,
            at_ms,
        });
        if self.history.len() > MAX_HISTORY {
            self.history.remove(0);
        }
    }

    fn settle(&mut self, now: u64) {
        if !self.is_drifting() {
            self.drift_since_ms = None;
        } else if self.drift_since_ms.is_none() {
            self.drift_since_ms = Some(now);
        }
    }

    fn is_pinned(&self, seen: &Sighting) -> bool {
        let pin = self.pin().map(|pin| pin.fingerprint.as_str());
        seen.fingerprint.is_some() && seen.fingerprint.as_deref() == pin
    }

    fn is_seen(&self, fingerprint: &str) -> bool {
        let mut seen = self.current();
        seen.any(|(_, seen)| seen.fingerprint.as_deref() == Some(fingerprint))
    }

    /// Whether any agent sees something else than what is pinned.
    #[must_use]
    pub fn is_drifting(&self) -> bool {
        self.pin().is_some() && !self.current().all(|(_, seen)| self.is_pinned(seen))
    }

    /// Since when any agent does.
    #[must_use]
    pub const fn drift_since_ms(&self) -> Option<u64> {
        self.drift_since_ms
    }

    /// How bad the worst change is that any agent sees; none while nothing drifts, or nothing that
    /// drifts could be compared.
    #[must_use]
    pub fn worst(&self) -> Option<ChangeClass> {
        let seen = self.current();
        seen.filter_map(|(_, seen)| self.class_of(seen)).min()
    }

    /// Whether what an agent sees has changed in one of these ways.
    #[must_use]
    pub fn is_changed(&self, agent: &str, classes: &BTreeSet<ChangeClass>) -> bool {
        let seen = self.sightings.get(agent);
        let class = seen.and_then(|seen| self.class_of(seen));
        class.is_some_and(|class| classes.contains(&class))
    }

    fn class_of(&self, seen: &Sighting) -> Option<ChangeClass> {
        if self.is_pinned(seen) {
            return None;
        }
        let entry = seen
            .fingerprint
            .as_deref()
            .and_then(|seen| self.entry(seen));
        entry.and_then(|known| known.class).or(seen.judged)
    }

    /// Who sees what: what is pinned first. More than one is a mixed rollout.
    #[must_use]
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for (agent, seen) in self.current() {
            let fits = |group: &&mut Group<'_>| group.agents.iter().all(|(_, g)| g.is_as(seen));
            if let Some(group) = groups.iter_mut().find(fits) {
                let classes = [group.class, self.class_of(seen)];
                group.class = classes.into_iter().flatten().min();
                group.agents.push((agent, seen));
            } else {
                groups.push(Group {
                    fingerprint: seen.fingerprint.as_deref(),
                    is_pinned: self.is_pinned(seen),
                    class: self.class_of(seen),
                    agents: vec![(agent, seen)],
                });
            }
        }
        groups.sort_by_key(|group| !group.is_pinned);
        groups
    }

    /// How often a surface came up that no agent saw just before, since this value was read.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Another number whenever more has changed than who sees what, since this value was read.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }
}
