//! Which era an origin spoke last time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::{Revision, Transport};

/// What a successful negotiation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EraRecord {
    /// The revision that was agreed.
    pub revision: Revision,
    /// How the messages travelled.
    pub transport: Transport,
}

/// The eras of origins, remembered so that a monitor does not pay for negotiation on each probe.
///
/// A stale *legacy* record never fails by itself, because servers of both eras go on answering
/// (PROTOCOL, versioning): so every record expires, and a failure forgets it.
#[derive(Debug, Default)]
pub struct EraCache {
    records: BTreeMap<String, (EraRecord, Instant)>,
}

impl EraCache {
    /// How long a record is trusted.
    pub const TTL: Duration = Duration::from_secs(24 * 3600);
    /// Origins that are remembered; the one that expires first makes room.
    pub const MAX_ORIGINS: usize = 100_000;

    /// What is known of `origin`.
    #[must_use]
    pub fn lookup(&self, origin: &str, now: Instant) -> Option<EraRecord> {
        self.records
            .get(origin)
            .filter(|(_, expires)| now < *expires)
            .map(|(record, _)| *record)
    }

    /// Remembers what a successful probe found.
    pub fn record(&mut self, origin: &str, found: EraRecord, now: Instant) {
        if self.lookup(origin, now) == Some(found) {
            return; // keep the first expiry: a record must not live for ever by being used
        }
        if self.records.len() >= Self::MAX_ORIGINS && !self.records.contains_key(origin) {
            let first = self.records.iter().min_by_key(|(_, (_, expires))| *expires);
            if let Some(origin) = first.map(|(origin, _)| origin.clone()) {
                self.records.remove(&origin);
            }
        }
        self.records
            .insert(origin.to_owned(), (found, now + Self::TTL));
    }

    /// Forgets an origin whose probe failed: the next probe negotiates anew.
    pub fn forget(&mut self, origin: &str) {
        self.records.remove(origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the origin"
    )]
    fn a_record_expires_although_it_is_used() {
        let start = Instant::now();
        let found = EraRecord {
            revision: Revision::V2025_11_25,
            transport: Transport::StreamableHttp,
        };
        let mut cache = EraCache::default();
        cache.record("https://a", found, start);
        let late = start + EraCache::TTL - Duration::from_secs(1);
        assert_eq!(cache.lookup("https://a", late), Some(found));
        cache.record("https://a", found, late);
        assert_eq!(cache.lookup("https://a", start + EraCache::TTL), None);
        cache.record("https://a", found, start + EraCache::TTL);
        cache.forget("https://a");
        assert_eq!(cache.lookup("https://a", start + EraCache::TTL), None);
        assert_eq!(cache.lookup("https://b", start), None);
    }
}
