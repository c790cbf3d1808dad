//! What a coordinator keeps besides evidence: small, and held in memory too, because every plan of
//! every agent reads it.

use std::collections::BTreeMap;

use model::{Monitor, MonitorId};
use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, WriteBatch};
use store::{Kind, StoreError};
use vault::Key;

use crate::{keys, rows};

/// The state in memory: always what the database has.
#[derive(Default)]
pub(crate) struct Control {
    pub(crate) monitors: BTreeMap<MonitorId, Monitor>,
    pub(crate) entries: BTreeMap<(Kind, String), Vec<u8>>,
    pub(crate) ordinals: BTreeMap<MonitorId, BTreeMap<String, u32>>,
    pub(crate) fences: BTreeMap<u16, u64>,
    pub(crate) generations: u64,
    pub(crate) spool_epochs: u64,
}

pub(crate) fn io(error: rocksdb::Error) -> StoreError {
    StoreError::Io(error.into_string())
}

/// A column family; it was opened with the database.
pub(crate) fn family<'a>(db: &'a DB, name: &str) -> Result<&'a ColumnFamily, StoreError> {
    let family = db.cf_handle(name);
    family.ok_or_else(|| StoreError::Io(format!("column family {name} is missing")))
}

/// A number of the control family.
pub(crate) fn number(db: &DB, key: &[u8]) -> Result<Option<u64>, StoreError> {
    let control = family(db, keys::CONTROL)?;
    let Some(bytes) = db.get_cf(control, key).map_err(io)? else {
        return Ok(None);
    };
    let bytes: [u8; 8] = bytes
        .try_into()
        .map_err(|_| StoreError::Io("a counter is damaged".to_owned()))?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

/// Key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Rows of a family whose keys begin so.
pub(crate) fn prefixed(db: &DB, name: &str, prefix: &[u8]) -> Result<Vec<Row>, StoreError> {
    let mut found = Vec::new();
    let begin = IteratorMode::From(prefix, Direction::Forward);
    for row in db.iterator_cf(family(db, name)?, begin) {
        let (key, value) = row.map_err(io)?;
        if !key.starts_with(prefix) {
            break;
        }
        found.push((key.into_vec(), value.into_vec()));
    }
    Ok(found)
}

/// Writes what every store begins with.
pub(crate) fn found(db: &DB, format: u64, seed: u64) -> Result<(), StoreError> {
    let control = family(db, keys::CONTROL)?;
    let mut batch = WriteBatch::default();
    batch.put_cf(control, keys::GENERATIONS, seed.to_be_bytes());
    batch.put_cf(control, keys::SPOOL_EPOCHS, seed.to_be_bytes());
    batch.put_cf(control, keys::FORMAT, format.to_be_bytes());
    db.write(batch).map_err(io)
}

/// Another life of the store: its number.
pub(crate) fn begin_life(db: &DB) -> Result<u64, StoreError> {
    let life = number(db, keys::LIVES)?.unwrap_or_default() + 1;
    let control = family(db, keys::CONTROL)?;
    db.put_cf(control, keys::LIVES, life.to_be_bytes())
        .map_err(io)?;
    Ok(life)
}

impl Control {
    /// Whether a fence is the one in force.
    pub(crate) fn check(&self, shard: u16, fence: u64) -> Result<(), StoreError> {
        let current = self.fences.get(&shard).copied().unwrap_or_default();
        if fence == current {
            return Ok(());
        }
        Err(StoreError::Fenced {
            shard,
            fence: current,
        })
    }

    /// Everything that is kept.
    pub(crate) fn read(db: &DB, key: &Key) -> Result<Self, StoreError> {
        let mut control = Self {
            generations: number(db, keys::GENERATIONS)?.unwrap_or_default(),
            spool_epochs: number(db, keys::SPOOL_EPOCHS)?.unwrap_or_default(),
            ..Self::default()
        };
        for row in db.iterator_cf(family(db, keys::MONITORS)?, IteratorMode::Start) {
            let (id, sealed) = row.map_err(io)?;
            let monitor = rows::monitor_of(&id, &sealed, key)?;
            control.monitors.insert(monitor.id.clone(), monitor);
        }
        for row in db.iterator_cf(family(db, keys::ENTRIES)?, IteratorMode::Start) {
            let (at, sealed) = row.map_err(io)?;
            let damaged = |why: &str| StoreError::Io(format!("an entry is of no use: {why}"));
            let entry = keys::entry_of(&at).ok_or_else(|| damaged("its key"))?;
            let value = key.open_sealed(&at, &sealed);
            let value = value.map_err(|error| damaged(&error.to_string()))?;
            control.entries.insert(entry, value);
        }
        for row in db.iterator_cf(family(db, keys::ORDINALS)?, IteratorMode::Start) {
            let (name, ordinal) = row.map_err(io)?;
            let read = ordinal_of(&name, &ordinal);
            let (monitor, agent, ordinal) =
                read.ok_or_else(|| StoreError::Io("an ordinal is damaged".to_owned()))?;
            let agents = control.ordinals.entry(monitor).or_default();
            agents.insert(agent, ordinal);
        }
        Ok(control)
    }
}

fn ordinal_of(key: &[u8], value: &[u8]) -> Option<(MonitorId, String, u32)> {
    let (monitor, agent) = std::str::from_utf8(key).ok()?.split_once('\0')?;
    let ordinal = u32::from_be_bytes(value.try_into().ok()?);
    Some((monitor.parse().ok()?, agent.to_owned(), ordinal))
}
