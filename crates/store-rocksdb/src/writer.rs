//! The thread that writes evidence: what waits together is written together.

use std::sync::Arc;
use std::time::Duration;

use rocksdb::{DB, WriteBatch, WriteOptions};
use store::{Batch, EvidenceKey, Position, StoreError};
use tokio::sync::{mpsc, oneshot, watch};

use crate::control::{family, io};
use crate::open::Durability;
use crate::{keys, rows};

/// Appends that may wait; then whoever appends waits.
pub(crate) const QUEUE: usize = 1024;
/// Appends of one write.
const GROUP: usize = 512;
/// How long to leave a medium alone that takes no write.
const RETRY: Duration = Duration::from_secs(1);
/// How often to try again where it is not full: then RocksDB takes no write any more before it is
/// opened anew.
const TRIES: u64 = 30;

/// What the thread is asked for.
pub(crate) enum Work {
    /// To append.
    Append { position: Position, batch: Batch },
    /// To say when everything before is written.
    Barrier(oneshot::Sender<()>),
}

/// The thread's side of things.
pub(crate) struct Writer {
    pub(crate) db: Arc<DB>,
    pub(crate) durability: Durability,
    pub(crate) work: mpsc::Receiver<Work>,
    pub(crate) durable: watch::Sender<Position>,
}

impl Writer {
    /// Writes until nobody appends any more.
    pub(crate) fn run(mut self) {
        let mut options = WriteOptions::default();
        options.set_sync(self.durability == Durability::Power);
        while let Some(first) = self.work.blocking_recv() {
            let mut barriers = Vec::new();
            let mut appends = Vec::new();
            let mut next = Some(first);
            while let Some(work) = next {
                match work {
                    Work::Append { position, batch } => appends.push((position, batch)),
                    Work::Barrier(done) => barriers.push(done),
                }
                let has_room = appends.len() < GROUP;
                next = has_room.then(|| self.work.try_recv().ok()).flatten();
            }
            if !self.write(appends, &options) {
                return;
            }
            for done in barriers {
                // Who asked may have gone.
                let _ = done.send(());
            }
        }
    }

    /// Writes a group, again and again while the medium is full: nothing may be left out, because
    /// what comes after counts on it. `false` where it could not be written: then nothing more is.
    fn write(&self, appends: Vec<(Position, Batch)>, options: &WriteOptions) -> bool {
        let Some(last) = appends.last().map(|(position, _)| *position) else {
            return true;
        };
        let group = match self.group(appends) {
            Ok(group) => group,
            Err(error) => {
                tracing::error!(%error, "evidence cannot be written");
                return false;
            }
        };
        let group = group.data().to_vec();
        let mut failures = 0_u64;
        loop {
            let Err(error) = self.db.write_opt(WriteBatch::from_data(&group), options) else {
                self.durable.send_replace(last);
                return true;
            };
            let error = io(error);
            if failures.is_multiple_of(60) {
                tracing::error!(%error, "evidence cannot be written, and is not acknowledged");
            }
            failures += 1;
            let is_full = error.to_string().contains("No space left");
            if self.work.is_closed() || (!is_full && failures >= TRIES) {
                return false;
            }
            std::thread::sleep(RETRY);
        }
    }

    fn group(&self, appends: Vec<(Position, Batch)>) -> Result<WriteBatch, StoreError> {
        let evidence = family(&self.db, keys::EVIDENCE)?;
        let applied = family(&self.db, keys::APPLIED)?;
        let mut group = WriteBatch::default();
        for (position, batch) in appends {
            let from = batch.provenance;
            let lane = keys::lane(&from.agent, from.spool_epoch, batch.lane);
            group.put_cf(applied, lane, rows::applied(&batch.applied));
            if !batch.records.is_empty() {
                let key = EvidenceKey {
                    hour: EvidenceKey::hour_of(from.received_at_ms),
                    lane: batch.lane,
                    position,
                };
                let row = rows::batch(from, batch.records);
                group.put_cf(evidence, keys::evidence(key), row);
            }
        }
        Ok(group)
    }
}
