//! Evidence, read in pages and dropped by the hour. The writer's thread writes it.

use rocksdb::{DB, Direction, IteratorMode};
use store::{EvidenceKey, Kept, StoreError};

use crate::control::{family, io};
use crate::{keys, rows};

/// Batches of the hour of `since_ms` and later, beyond `after`, at most `most`.
pub(super) fn page(
    db: &DB,
    since_ms: u64,
    after: Option<EvidenceKey>,
    most: usize,
) -> Result<Vec<Kept>, StoreError> {
    let first = first_of(EvidenceKey::hour_of(since_ms));
    let begin = keys::evidence(after.map_or(first, |after| after.max(first)));
    let begin = IteratorMode::From(&begin, Direction::Forward);
    let mut found = Vec::new();
    for row in db.iterator_cf(family(db, keys::EVIDENCE)?, begin) {
        let (key, value) = row.map_err(io)?;
        let key = keys::evidence_of(&key);
        let key = key.ok_or_else(|| StoreError::Io("a batch's key is damaged".to_owned()))?;
        if Some(key) == after {
            continue;
        }
        if found.len() == most {
            break;
        }
        found.push(rows::kept(key, &value)?);
    }
    Ok(found)
}

/// Drops the hours that ended before `before_ms`.
pub(super) fn forget(db: &DB, before_ms: u64) -> Result<(), StoreError> {
    let evidence = family(db, keys::EVIDENCE)?;
    let begin = keys::evidence(first_of(0));
    let end = keys::evidence(first_of(EvidenceKey::hour_of(before_ms)));
    // Whole files go at once; the rest with the next compaction.
    let dropped = db.delete_file_in_range_cf(evidence, &begin, &end);
    dropped.map_err(io)?;
    db.delete_range_cf(evidence, &begin, &end).map_err(io)
}

fn first_of(hour: u32) -> EvidenceKey {
    EvidenceKey {
        hour,
        lane: 0,
        position: 0,
    }
}
