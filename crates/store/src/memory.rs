//! A store that forgets with its process: for tests, and for trying things out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use delivery::Applied;
use model::{Monitor, MonitorId, MonitorSpec};
use tokio::sync::watch;

use crate::{Batch, EvidenceKey, Kept, Kind, MAX_TRANSITIONS, Position, Put, Store, StoreError};

/// Batches that are kept; the oldest make room.
const MAX_BATCHES: usize = 50_000;

/// Everything in memory. A position is durable as soon as it exists: the store and its process
/// end together.
/// Clones are the same store.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    durable: watch::Sender<Position>,
}

#[derive(Default)]
struct State {
    monitors: BTreeMap<MonitorId, Monitor>,
    /// Never reused, so that a monitor that comes back does not look unchanged.
    generations: u64,
    entries: BTreeMap<(Kind, String), Vec<u8>>,
    ordinals: BTreeMap<MonitorId, BTreeMap<String, u32>>,
    next_spool_epoch: u64,
    spool_epochs: BTreeSet<(String, u64)>,
    applied: BTreeMap<(String, u64, u16), Applied>,
    fences: BTreeMap<u16, u64>,
    /// Numbers are in a row, the newest last.
    transitions: BTreeMap<MonitorId, VecDeque<(u64, Vec<u8>)>>,
    evidence: BTreeMap<EvidenceKey, Kept>,
    position: Position,
}

impl State {
    /// Whether a fence is the one in force.
    fn check(&self, shard: u16, fence: u64) -> Result<(), StoreError> {
        let current = self.fences.get(&shard).copied().unwrap_or_default();
        if fence == current {
            return Ok(());
        }
        Err(StoreError::Fenced {
            shard,
            fence: current,
        })
    }
}

impl std::fmt::Debug for MemoryStore {
    /// It holds keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryStore")
    }
}

impl MemoryStore {
    /// An empty store whose numbers begin at `seed`. Agents and pipelines remember epochs and
    /// generations: those of a store that has forgotten everything must be others, so the seed
    /// grows from one life of the process to the next, as the wall clock does.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                generations: seed,
                next_spool_epoch: seed,
                ..State::default()
            })),
            durable: watch::Sender::new(0),
        }
    }
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    async fn put_monitor(&self, id: &MonitorId, spec: MonitorSpec) -> Result<Put, StoreError> {
        let mut state = self.lock();
        let known = state.monitors.get(id);
        if let Some(monitor) = known.filter(|monitor| monitor.spec == spec) {
            return Ok(Put {
                monitor: monitor.clone(),
                created: false,
                changed: false,
            });
        }
        let created = known.is_none();
        state.generations += 1;
        let monitor = Monitor {
            id: id.clone(),
            generation: state.generations,
            spec,
        };
        state.monitors.insert(id.clone(), monitor.clone());
        Ok(Put {
            monitor,
            created,
            changed: true,
        })
    }

    async fn monitor(&self, id: &MonitorId) -> Result<Option<Monitor>, StoreError> {
        Ok(self.lock().monitors.get(id).cloned())
    }

    async fn monitors(&self) -> Result<Vec<Monitor>, StoreError> {
        Ok(self.lock().monitors.values().cloned().collect())
    }

    async fn delete_monitor(&self, id: &MonitorId) -> Result<bool, StoreError> {
        let mut state = self.lock();
        state.ordinals.remove(id);
        state.transitions.remove(id);
        Ok(state.monitors.remove(id).is_some())
    }

    async fn entry(&self, kind: Kind, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().entries.get(&(kind, id.to_owned())).cloned())
    }

    async fn entries(&self, kind: Kind) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let state = self.lock();
        let from = state.entries.range((kind, String::new())..);
        let of_kind = from.take_while(|((of, _), _)| *of == kind);
        Ok(of_kind
            .map(|((_, id), value)| (id.clone(), value.clone()))
            .collect())
    }

    async fn replace(
        &self,
        kind: Kind,
        id: &str,
        expected: Option<&[u8]>,
        new: Option<Vec<u8>>,
    ) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let at = (kind, id.to_owned());
        if state.entries.get(&at).map(Vec::as_slice) != expected {
            return Ok(false);
        }
        match new {
            Some(new) => state.entries.insert(at, new),
            None => state.entries.remove(&at),
        };
        Ok(true)
    }

    async fn ordinal(&self, monitor: &MonitorId, agent: &str) -> Result<u32, StoreError> {
        let mut state = self.lock();
        let agents = state.ordinals.entry(monitor.clone()).or_default();
        let next = u32::try_from(agents.len()).unwrap_or(u32::MAX);
        Ok(*agents.entry(agent.to_owned()).or_insert(next))
    }

    async fn spool_epoch(&self, agent: &str, claimed: u64) -> Result<u64, StoreError> {
        let mut state = self.lock();
        if state.spool_epochs.contains(&(agent.to_owned(), claimed)) {
            return Ok(claimed);
        }
        state.next_spool_epoch += 1;
        let epoch = state.next_spool_epoch;
        state.spool_epochs.insert((agent.to_owned(), epoch));
        Ok(epoch)
    }

    async fn applied(
        &self,
        agent: &str,
        spool_epoch: u64,
    ) -> Result<Vec<(u16, Applied)>, StoreError> {
        let first = (agent.to_owned(), spool_epoch, 0);
        let last = (agent.to_owned(), spool_epoch, u16::MAX);
        let state = self.lock();
        let lanes = state.applied.range(first..=last);
        Ok(lanes
            .map(|((_, _, lane), applied)| (*lane, applied.clone()))
            .collect())
    }

    async fn take_shard(&self, shard: u16) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let fence = state.fences.entry(shard).or_default();
        *fence += 1;
        Ok(*fence)
    }

    async fn append(&self, fence: u64, batch: Batch) -> Result<Position, StoreError> {
        let mut state = self.lock();
        state.check(batch.lane, fence)?;
        state.position += 1;
        let position = state.position;
        let from = batch.provenance;
        let lane = (from.agent.clone(), from.spool_epoch, batch.lane);
        state.applied.insert(lane, batch.applied);
        if !batch.records.is_empty() {
            let key = EvidenceKey {
                hour: EvidenceKey::hour_of(from.received_at_ms),
                lane: batch.lane,
                position,
            };
            let kept = Kept {
                key,
                provenance: from,
                records: batch.records,
            };
            state.evidence.insert(key, kept);
        }
        while state.evidence.len() > MAX_BATCHES {
            state.evidence.pop_first();
        }
        drop(state);
        self.durable.send_replace(position);
        Ok(position)
    }

    async fn transition(
        &self,
        fence: u64,
        monitor: &MonitorId,
        expected: u64,
        row: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let mut state = self.lock();
        state.check(monitor.lane(), fence)?;
        if !state.monitors.contains_key(monitor) {
            return Ok(false);
        }
        let kept = state.transitions.entry(monitor.clone()).or_default();
        if kept.back().map_or(0, |(number, _)| *number) != expected {
            return Ok(false);
        }
        kept.push_back((expected + 1, row));
        if kept.len() > MAX_TRANSITIONS {
            kept.pop_front();
        }
        Ok(true)
    }

    async fn transitions(
        &self,
        monitor: &MonitorId,
        most: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let state = self.lock();
        let kept = state.transitions.get(monitor).into_iter().flatten();
        Ok(kept.rev().take(most).cloned().collect())
    }

    async fn evidence(
        &self,
        since_ms: u64,
        after: Option<EvidenceKey>,
        most: usize,
    ) -> Result<Vec<Kept>, StoreError> {
        let first = EvidenceKey {
            hour: EvidenceKey::hour_of(since_ms),
            lane: 0,
            position: 0,
        };
        let begin = match after {
            Some(after) if after >= first => Bound::Excluded(after),
            Some(_) | None => Bound::Included(first),
        };
        let state = self.lock();
        let kept = state.evidence.range((begin, Bound::Unbounded));
        Ok(kept.take(most).map(|(_, kept)| kept.clone()).collect())
    }

    async fn forget_evidence(&self, before_ms: u64) -> Result<(), StoreError> {
        let hour = EvidenceKey::hour_of(before_ms);
        self.lock().evidence.retain(|key, _| key.hour >= hour);
        Ok(())
    }

    fn durable(&self) -> watch::Receiver<Position> {
        self.durable.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_store_conforms() {
        crate::conformance::all(|| MemoryStore::new(7)).await;
    }
}
