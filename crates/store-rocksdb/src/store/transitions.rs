//! Changes of verdicts, in rows of their own. They hold no secrets, so they are not sealed.

use model::MonitorId;
use rocksdb::{DB, Direction, IteratorMode, WriteBatch};
use store::{MAX_TRANSITIONS, StoreError};

use crate::control::{family, io};
use crate::keys;

/// Those of a monitor, the newest first, at most `most`.
pub(super) fn newest(
    db: &DB,
    monitor: &MonitorId,
    most: usize,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let prefix = keys::of(monitor.as_str(), &[]);
    let last = keys::transition(monitor.as_str(), u64::MAX);
    let begin = IteratorMode::From(&last, Direction::Reverse);
    let mut found = Vec::new();
    for row in db
        .iterator_cf(family(db, keys::TRANSITIONS)?, begin)
        .take(most)
    {
        let (key, value) = row.map_err(io)?;
        if !key.starts_with(&prefix) {
            break;
        }
        let number = keys::number_of(&key);
        let number =
            number.ok_or_else(|| StoreError::Io("a transition's key is damaged".to_owned()))?;
        found.push((number, value.into_vec()));
    }
    Ok(found)
}

/// The number of the last one of a monitor; 0 for none.
pub(super) fn last(db: &DB, monitor: &MonitorId) -> Result<u64, StoreError> {
    let newest = newest(db, monitor, 1)?;
    Ok(newest.first().map_or(0, |(number, _)| *number))
}

/// Adds one; the one that is too many makes room.
pub(super) fn append(
    db: &DB,
    batch: &mut WriteBatch,
    monitor: &MonitorId,
    number: u64,
    row: &[u8],
) -> Result<(), StoreError> {
    let family = family(db, keys::TRANSITIONS)?;
    batch.put_cf(family, keys::transition(monitor.as_str(), number), row);
    // Numbers are in a row, so one is too many at most.
    let kept = u64::try_from(MAX_TRANSITIONS).unwrap_or(u64::MAX);
    if let Some(oldest) = number.checked_sub(kept) {
        batch.delete_cf(family, keys::transition(monitor.as_str(), oldest));
    }
    Ok(())
}

/// Drops all of a monitor.
pub(super) fn forget(
    db: &DB,
    batch: &mut WriteBatch,
    monitor: &MonitorId,
) -> Result<(), StoreError> {
    let begin = keys::of(monitor.as_str(), &[]);
    // Beyond every number, and before every other monitor: no name has a byte below 2.
    let end = [monitor.as_str().as_bytes(), &[1]].concat();
    batch.delete_range_cf(family(db, keys::TRANSITIONS)?, &begin, &end);
    Ok(())
}
