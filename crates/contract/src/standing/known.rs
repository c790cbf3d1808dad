//! The surfaces that were seen of a server: which of them are held, and how they compare with the pin.

use model::contract::ChangeClass;
use serde::{Deserialize, Serialize};

use super::Standing;
use crate::limits::{MAX_HELD_BYTES, MAX_KNOWN};
use crate::lock::Seen;

/// A surface that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Which.
    pub fingerprint: String,
    /// How many tools it has.
    pub tools: u32,
    /// When it was seen first, milliseconds since the Unix epoch.
    pub first_seen_ms: u64,
    /// What answered then.
    pub seen: Seen,
    /// Whether who saw it can hand it in.
    pub is_sendable: bool,
    /// Bytes of it that are held, packed; 0 where it is not.
    #[serde(default)]
    pub held_bytes: usize,
    /// How bad the worst change since the pin is, once that was worked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ChangeClass>,
}

impl Standing {
    /// The surfaces that are known, the oldest first.
    #[must_use]
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// What is known of a surface.
    #[must_use]
    pub fn entry(&self, fingerprint: &str) -> Option<&Known> {
        let mut known = self.known.iter();
        known.find(|known| known.fingerprint == fingerprint)
    }

    fn entry_mut(&mut self, fingerprint: &str) -> Option<&mut Known> {
        let mut known = self.known.iter_mut();
        known.find(|known| known.fingerprint == fingerprint)
    }

    /// Remembers a surface; whether it was not known, or could not be had before.
    pub(super) fn learn(&mut self, facts: Known) -> bool {
        let Some(known) = self.entry_mut(&facts.fingerprint) else {
            self.known.push(facts);
            return true;
        };
        let is_new = facts.is_sendable && !known.is_sendable;
        known.is_sendable |= facts.is_sendable;
        is_new
    }

    /// A surface is held from now on, in so many bytes.
    pub fn handle_held(&mut self, facts: Known, bytes: usize) {
        let fingerprint = facts.fingerprint.clone();
        self.learn(facts);
        if let Some(known) = self.entry_mut(&fingerprint) {
            known.held_bytes = bytes;
        }
        self.revision += 1;
        // It may have been dropped a moment ago, and is there again.
        self.dropped.retain(|dropped| *dropped != fingerprint);
        self.evict();
    }

    /// A surface that should be held is not to be found: it is asked for again.
    pub fn handle_lost(&mut self, fingerprint: &str) {
        if let Some(known) = self.entry_mut(fingerprint) {
            known.held_bytes = 0;
        }
        self.revision += 1;
    }

    /// Keeps few: the oldest go first, those that an agent sees last, and the pin never.
    pub(super) fn evict(&mut self) {
        let held = |known: &[Known]| known.iter().map(|known| known.held_bytes).sum::<usize>();
        while self.known.len() > MAX_KNOWN || held(&self.known) > MAX_HELD_BYTES {
            let pin = self.pin().map(|pin| pin.fingerprint.clone());
            let others = self.known.iter().enumerate();
            let others = others.filter(|(_, known)| Some(&known.fingerprint) != pin.as_ref());
            let next = others.min_by_key(|(at, known)| (self.is_seen(&known.fingerprint), *at));
            let Some((at, _)) = next else {
                return; // the pin alone
            };
            let gone = self.known.remove(at);
            // What its agents see is as bad as it was found to be.
            let sightings = self.sightings.values_mut();
            let class = gone.class;
            for seen in
                sightings.filter(|seen| seen.fingerprint.as_ref() == Some(&gone.fingerprint))
            {
                seen.judged = class.or(seen.judged);
            }
            if gone.held_bytes > 0 {
                self.revision += 1;
                self.dropped.push(gone.fingerprint);
            }
        }
    }

    /// The next surface that was held and is not known any more.
    pub fn poll_dropped(&mut self) -> Option<String> {
        self.dropped.pop()
    }

    /// The pin, and the next surface that is to be compared with it; both are held.
    #[must_use]
    pub fn poll_unjudged(&self) -> Option<(String, String)> {
        let pin = self.entry(&self.pin()?.fingerprint)?;
        let mut others = self.known.iter();
        let other = others.find(|known| {
            let is_other = known.fingerprint != pin.fingerprint;
            is_other && known.class.is_none() && known.held_bytes > 0
        })?;
        (pin.held_bytes > 0).then(|| (pin.fingerprint.clone(), other.fingerprint.clone()))
    }

    /// A surface was compared with `pin`; nothing if that is not the pin any more.
    pub fn judge(&mut self, pin: &str, fingerprint: &str, class: Option<ChangeClass>) {
        if self.pin().is_none_or(|known| known.fingerprint != pin) {
            return;
        }
        if let Some(known) = self.entry_mut(fingerprint) {
            known.class = class;
        }
        self.revision += 1;
    }

    pub(super) fn forget_classes(&mut self) {
        for known in &mut self.known {
            known.class = None;
        }
        for seen in self.sightings.values_mut() {
            seen.judged = None;
        }
    }

    /// Surfaces that some agent sees and can hand in, and nobody holds: with those agents. The pin
    /// first, then what agents see of whom nothing is known to be bad.
    #[must_use]
    pub fn wanted(&self) -> Vec<(&str, Vec<&str>)> {
        let mut wanted = Vec::new();
        let mut groups = self.groups();
        groups.sort_by_key(|group| (!group.is_pinned, group.class.is_some()));
        for group in groups {
            let entry = group.fingerprint.and_then(|seen| self.entry(seen));
            let entry = entry.filter(|known| known.held_bytes == 0 && known.is_sendable);
            if let Some(entry) = entry {
                let agents = group.agents.iter().map(|(agent, _)| *agent).collect();
                wanted.push((entry.fingerprint.as_str(), agents));
            }
        }
        wanted
    }
}
