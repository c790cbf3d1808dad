//! Which era an endpoint spoke last time.

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

/// The eras of endpoints, remembered so that a monitor does not pay for negotiation on each probe.
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
    /// Endpoints that are remembered; the one that expires first makes room.
    pub const MAX_ENDPOINTS: usize = 100_000;

    /// What is known of an endpoint, named by its URL: `/mcp` and `/sse` of one origin may differ.
    #[must_use]
    pub fn lookup(&self, endpoint: &str, now: Instant) -> Option<EraRecord> {
        self.records
            .get(endpoint)
            .filter(|(_, expires)| now < *expires)
            .map(|(record, _)| *record)
    }

    /// Remembers what a successful probe found.
    pub fn record(&mut self, endpoint: &str, found: EraRecord, now: Instant) {
        if self.lookup(endpoint, now) == Some(found) {
            return; // keep the first expiry: a record must not live for ever by being used
        }
        if self.records.len() >= Self::MAX_ENDPOINTS && !self.records.contains_key(endpoint) {
            let first = self.records.iter().min_by_key(|(_, (_, expires))| *expires);
            if let Some(origin) = first.map(|(origin, _)| origin.clone()) {
                self.records.remove(&origin);
            }
        }
        self.records
            .insert(endpoint.to_owned(), (found, now + Self::TTL));
    }

    /// Forgets an endpoint whose probe failed: the next probe negotiates anew.
    pub fn forget(&mut self, endpoint: &str) {
        self.records.remove(endpoint);
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
