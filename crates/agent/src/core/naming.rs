//! Who answered, told when that changes: a record of a probe that went well is small otherwise.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use rpc::v1;

/// It is told again after so long: a coordinator that starts reads two hours back.
const AGAIN: Duration = Duration::from_secs(3600);

/// What was told last, by monitor; as many as there are monitors.
#[derive(Debug, Default)]
pub(super) struct Naming(BTreeMap<String, Told>);

#[derive(Debug)]
struct Told {
    generation: u64,
    /// Of what was told: two that differ have the same one in 2⁶⁴.
    hash: u64,
    at: Instant,
}

impl Naming {
    /// Whether it must be told who answered: where it must be anyway, or it is news.
    pub(super) fn must_tell(
        &mut self,
        (monitor, generation): (&str, u64),
        answerer: &v1::Answerer,
        anyway: bool,
        now: Instant,
    ) -> bool {
        let mut hasher = DefaultHasher::new();
        let v1::Answerer {
            edge_provider,
            edge_pop,
            // Another one for each request.
            edge_id: _,
            instance,
            server_name,
            server_version,
        } = answerer;
        let texts = [
            edge_provider,
            edge_pop,
            instance,
            server_name,
            server_version,
        ];
        texts.hash(&mut hasher);
        let hash = hasher.finish();
        let known = self.0.get(monitor);
        let is_known = known.is_some_and(|told| {
            let is_fresh = now.saturating_duration_since(told.at) < AGAIN;
            (told.generation, told.hash) == (generation, hash) && is_fresh
        });
        if is_known && !anyway {
            return false;
        }
        let told = Told {
            generation,
            hash,
            at: now,
        };
        self.0.insert(monitor.to_owned(), told);
        true
    }

    /// Forgets monitors that are gone, once there are more than there should be.
    pub(super) fn keep(&mut self, monitors: usize, is_known: impl Fn(&str) -> bool) {
        if self.0.len() > monitors {
            self.0.retain(|monitor, _| is_known(monitor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answerer(version: &str, edge_id: &str) -> v1::Answerer {
        v1::Answerer {
            server_version: version.to_owned(),
            edge_id: edge_id.to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn it_is_told_first_when_it_changes_and_once_an_hour() {
        let mut naming = Naming::default();
        let start = crate::core::now();
        let mut tell = |generation, version: &str, id: &str, anyway, at: u64| {
            let now = start + Duration::from_secs(at);
            naming.must_tell(("docs", generation), &answerer(version, id), anyway, now)
        };
        assert!(tell(1, "1", "a", false, 0));
        assert!(!tell(1, "1", "b", false, 60), "only the request is another");
        assert!(tell(1, "2", "c", false, 120));
        assert!(tell(1, "2", "d", true, 180), "a failure");
        assert!(!tell(1, "2", "e", false, 240));
        assert!(tell(2, "2", "f", false, 300), "another meaning");
        assert!(tell(2, "2", "g", false, 300 + 3600));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut naming = Naming::default();
        for n in 0..100 {
            let monitor = n.to_string();
            naming.must_tell((&monitor, 1), &answerer("1", ""), false, crate::core::now());
            naming.keep(1, |known| known == monitor);
        }
        assert_eq!(naming.0.len(), 1);
    }
}
