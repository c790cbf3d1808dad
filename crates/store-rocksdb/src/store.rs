//! The store itself.

mod evidence;
mod transitions;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use delivery::Applied;
use model::{Monitor, MonitorId, MonitorSpec};
use rocksdb::{DB, WriteBatch, WriteOptions};
use store::{Batch, EvidenceKey, Kept, Kind, Position, Put, Store, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use vault::Key;

use crate::control::{self, Control, family, io, prefixed};
use crate::open::{self, Durability, OpenError, Options};
use crate::writer::{QUEUE, Work, Writer};
use crate::{keys, rows};

/// Appends of one life of the store: their numbers come after the life's.
const LIFE_BITS: u32 = 40;
/// Spools of one agent that are remembered. An agent with a disk has one; one without has another
/// in each of its lives, and the one on a disk that failed must not be forgotten over them.
const MAX_SPOOLS: usize = 64;
/// How long to wait for the writer before the store is said not to keep up.
const PATIENCE: Duration = Duration::from_secs(10);

/// One coordinator's store, in a folder.
pub struct RocksStore {
    db: Arc<DB>,
    key: Key,
    durability: Durability,
    control: Mutex<Control>,
    position: Mutex<Position>,
    work: Option<mpsc::Sender<Work>>,
    durable: watch::Receiver<Position>,
    writer: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for RocksStore {
    /// It holds keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RocksStore")
    }
}

impl RocksStore {
    /// Opens the store of a folder; makes it where there is none.
    ///
    /// # Errors
    /// Names the folder, the problem and the way out.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        let (db, key) = open::open(folder, options.seed)?;
        let problem = |problem: String| OpenError::Io {
            path: folder.to_owned(),
            problem,
        };
        let failed = |error: StoreError| problem(error.to_string());
        let control = Control::read(&db, &key).map_err(failed)?;
        let begin = control::begin_life(&db).map_err(failed)? << LIFE_BITS;
        let db = Arc::new(db);
        let (work, queue) = mpsc::channel(QUEUE);
        let (durable, watched) = watch::channel(begin);
        let writer = Writer {
            db: Arc::clone(&db),
            durability: options.durability,
            work: queue,
            durable,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| problem(error.to_string()))?;
        Ok(Self {
            db,
            key,
            durability: options.durability,
            control: Mutex::new(control),
            position: Mutex::new(begin),
            work: Some(work),
            durable: watched,
            writer: Some(writer),
        })
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is not evidence, as durable as evidence is.
    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(self.durability == Durability::Power);
        self.db.write_opt(batch, &options).map_err(io)
    }

    /// Waits until everything that was appended is written.
    async fn settled(&self) -> Result<(), StoreError> {
        let work = self.work.as_ref().ok_or(StoreError::Closed)?;
        let settled = async {
            let (done, wait) = oneshot::channel();
            let sent = work.send(Work::Barrier(done)).await;
            sent.map_err(|_| StoreError::Closed)?;
            wait.await.map_err(|_| StoreError::Closed)
        };
        let late = |_| StoreError::Io("the medium does not keep up".to_owned());
        tokio::time::timeout(PATIENCE, settled)
            .await
            .map_err(late)?
    }

    /// Forgets all but the newest spools of an agent: those of an agent without a disk are many.
    fn prune_spools(&self, agent: &str, batch: &mut WriteBatch) -> Result<(), StoreError> {
        let spools = family(&self.db, keys::SPOOLS)?;
        let applied = family(&self.db, keys::APPLIED)?;
        let known = prefixed(&self.db, keys::SPOOLS, &keys::of(agent, &[]))?;
        for (spool, _) in known.iter().rev().skip(MAX_SPOOLS) {
            batch.delete_cf(spools, spool);
            let mut end = spool.clone();
            end.extend([0xff; 3]);
            batch.delete_range_cf(applied, spool, &end);
        }
        Ok(())
    }
}

impl Drop for RocksStore {
    /// What was appended is written before the store is gone.
    fn drop(&mut self) {
        self.work = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer failed");
        }
    }
}

impl Store for RocksStore {
    async fn put_monitor(&self, id: &MonitorId, spec: MonitorSpec) -> Result<Put, StoreError> {
        let mut control = self.control();
        let known = control.monitors.get(id);
        if let Some(monitor) = known.filter(|monitor| monitor.spec == spec) {
            return Ok(Put {
                monitor: monitor.clone(),
                created: false,
                changed: false,
            });
        }
        let created = known.is_none();
        let generation = control.generations + 1;
        let monitor = Monitor {
            id: id.clone(),
            generation,
            spec,
        };
        let row = rows::monitor(&monitor, &self.key)?;
        let mut batch = WriteBatch::default();
        batch.put_cf(family(&self.db, keys::MONITORS)?, id.as_str(), row);
        let counters = family(&self.db, keys::CONTROL)?;
        batch.put_cf(counters, keys::GENERATIONS, generation.to_be_bytes());
        self.write(batch)?;
        control.generations = generation;
        control.monitors.insert(id.clone(), monitor.clone());
        Ok(Put {
            monitor,
            created,
            changed: true,
        })
    }

    async fn monitor(&self, id: &MonitorId) -> Result<Option<Monitor>, StoreError> {
        Ok(self.control().monitors.get(id).cloned())
    }

    async fn monitors(&self) -> Result<Vec<Monitor>, StoreError> {
        Ok(self.control().monitors.values().cloned().collect())
    }

    async fn delete_monitor(&self, id: &MonitorId) -> Result<bool, StoreError> {
        let mut control = self.control();
        if !control.monitors.contains_key(id) {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        batch.delete_cf(family(&self.db, keys::MONITORS)?, id.as_str());
        let ordinals = family(&self.db, keys::ORDINALS)?;
        for agent in control
            .ordinals
            .get(id)
            .into_iter()
            .flat_map(|of| of.keys())
        {
            batch.delete_cf(ordinals, keys::of(id.as_str(), agent.as_bytes()));
        }
        transitions::forget(&self.db, &mut batch, id)?;
        self.write(batch)?;
        control.ordinals.remove(id);
        control.monitors.remove(id);
        Ok(true)
    }

    async fn entry(&self, kind: Kind, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let control = self.control();
        Ok(control.entries.get(&(kind, id.to_owned())).cloned())
    }

    async fn entries(&self, kind: Kind) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let control = self.control();
        let from = control.entries.range((kind, String::new())..);
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
        let mut control = self.control();
        let at = (kind, id.to_owned());
        if control.entries.get(&at).map(Vec::as_slice) != expected {
            return Ok(false);
        }
        let family = family(&self.db, keys::ENTRIES)?;
        let key = keys::entry(kind, id);
        let mut batch = WriteBatch::default();
        match &new {
            Some(new) => {
                let sealed = self.key.seal(&key, new);
                let sealed = sealed.map_err(|error| StoreError::Io(error.to_string()))?;
                batch.put_cf(family, &key, sealed);
            }
            None => batch.delete_cf(family, &key),
        }
        // An identity or a token that was handed out must not be forgotten by a power cut. Who
        // watches a monitor can be worked out again, and is written for every monitor there is. That
        // a file has a monitor is written before the monitor, and so is never lost without it. A
        // surface is asked for again.
        let is_handed_out = !matches!(kind, Kind::Assignment | Kind::Managed | Kind::Surface);
        let mut options = WriteOptions::default();
        options.set_sync(is_handed_out || self.durability == Durability::Power);
        self.db.write_opt(batch, &options).map_err(io)?;
        match new {
            Some(new) => control.entries.insert(at, new),
            None => control.entries.remove(&at),
        };
        Ok(true)
    }

    async fn ordinal(&self, monitor: &MonitorId, agent: &str) -> Result<u32, StoreError> {
        let mut control = self.control();
        let given = control.ordinals.get(monitor);
        if let Some(ordinal) = given.and_then(|agents| agents.get(agent)) {
            return Ok(*ordinal);
        }
        let next = u32::try_from(given.map_or(0, |agents| agents.len())).unwrap_or(u32::MAX);
        let mut batch = WriteBatch::default();
        let key = keys::of(monitor.as_str(), agent.as_bytes());
        batch.put_cf(family(&self.db, keys::ORDINALS)?, key, next.to_be_bytes());
        self.write(batch)?;
        let agents = control.ordinals.entry(monitor.clone()).or_default();
        agents.insert(agent.to_owned(), next);
        Ok(next)
    }

    async fn spool_epoch(&self, agent: &str, claimed: u64) -> Result<u64, StoreError> {
        let mut control = self.control();
        let spools = family(&self.db, keys::SPOOLS)?;
        let known = self.db.get_cf(spools, keys::spool(agent, claimed));
        if known.map_err(io)?.is_some() {
            return Ok(claimed);
        }
        let epoch = control.spool_epochs + 1;
        let mut batch = WriteBatch::default();
        self.prune_spools(agent, &mut batch)?;
        batch.put_cf(spools, keys::spool(agent, epoch), []);
        let counters = family(&self.db, keys::CONTROL)?;
        batch.put_cf(counters, keys::SPOOL_EPOCHS, epoch.to_be_bytes());
        self.write(batch)?;
        control.spool_epochs = epoch;
        Ok(epoch)
    }

    async fn applied(
        &self,
        agent: &str,
        spool_epoch: u64,
    ) -> Result<Vec<(u16, Applied)>, StoreError> {
        self.settled().await?;
        let spool = keys::spool(agent, spool_epoch);
        let rows = prefixed(&self.db, keys::APPLIED, &spool)?;
        let lanes = rows.iter().map(|(key, row)| {
            let lane = keys::lane_of(key);
            let lane = lane.ok_or_else(|| StoreError::Io("a run table is damaged".to_owned()))?;
            Ok((lane, rows::applied_of(row)?))
        });
        lanes.collect()
    }

    async fn take_shard(&self, shard: u16) -> Result<u64, StoreError> {
        let mut control = self.control();
        let key = keys::fence(shard);
        let fence = control::number(&self.db, &key)?.unwrap_or_default() + 1;
        let mut batch = WriteBatch::default();
        batch.put_cf(family(&self.db, keys::CONTROL)?, key, fence.to_be_bytes());
        self.write(batch)?;
        control.fences.insert(shard, fence);
        Ok(fence)
    }

    async fn append(&self, fence: u64, batch: Batch) -> Result<Position, StoreError> {
        self.control().check(batch.lane, fence)?;
        let work = self.work.as_ref().ok_or(StoreError::Closed)?;
        let place = work.reserve().await.map_err(|_| StoreError::Closed)?;
        // Numbered and queued in one step: the order of positions is the order of writing.
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        *position += 1;
        place.send(Work::Append {
            position: *position,
            batch,
        });
        Ok(*position)
    }

    async fn transition(
        &self,
        fence: u64,
        monitor: &MonitorId,
        expected: u64,
        row: Vec<u8>,
    ) -> Result<bool, StoreError> {
        // Held until it is written: whoever takes the shard or drops the monitor comes after.
        let control = self.control();
        control.check(monitor.lane(), fence)?;
        let is_known = control.monitors.contains_key(monitor);
        if !is_known || transitions::last(&self.db, monitor)? != expected {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        transitions::append(&self.db, &mut batch, monitor, expected + 1, &row)?;
        self.write(batch)?;
        Ok(true)
    }

    async fn transitions(
        &self,
        monitor: &MonitorId,
        most: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        transitions::newest(&self.db, monitor, most)
    }

    async fn evidence(
        &self,
        since_ms: u64,
        after: Option<EvidenceKey>,
        most: usize,
    ) -> Result<Vec<Kept>, StoreError> {
        evidence::page(&self.db, since_ms, after, most)
    }

    async fn forget_evidence(&self, before_ms: u64) -> Result<(), StoreError> {
        evidence::forget(&self.db, before_ms)
    }

    fn durable(&self) -> watch::Receiver<Position> {
        self.durable.clone()
    }
}

#[cfg(test)]
mod tests;
