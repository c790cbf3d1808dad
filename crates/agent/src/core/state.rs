//! What outlives the process: opened at the start, resumed, and closed at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use delivery::Span;
use rpc::v1;
use tokio::sync::mpsc;

use super::{Core, Inbox, now};
use crate::config::Config;
use crate::disk::{Disk, DiskEvent, OpenError};
use crate::item;
use crate::record;
use crate::spool::Spool;

/// How often the end of the lease is kept.
const KEEP_LEASE: Duration = Duration::from_secs(600);
/// The longest that a kept schedule holds, whatever the clock says.
const LONGEST_LEASE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the last changes may take to reach the disk.
const CLOSE: Duration = Duration::from_secs(3);

/// What a former life left behind.
pub(super) struct Found {
    pub(super) disk: Option<Disk>,
    pub(super) spool: Spool,
    pub(super) epoch: u64,
    pub(super) damaged: Vec<(u16, Span)>,
    pub(super) items: Vec<(String, Option<Vec<u8>>)>,
    pub(super) lease_ends_ms: u64,
    /// When canaries last answered, milliseconds since the Unix epoch.
    pub(super) canaries: BTreeMap<String, u64>,
}

/// Opens the state folder. A medium that refuses does not keep the agent from probing.
pub(super) fn open(
    config: &Config,
    boot_id: &str,
    events: mpsc::Sender<DiskEvent>,
) -> Result<Found, OpenError> {
    let in_memory = || Found {
        disk: None,
        spool: Spool::in_memory(boot_id, config.spool_bytes),
        epoch: 0,
        damaged: Vec::new(),
        items: Vec::new(),
        lease_ends_ms: 0,
        canaries: BTreeMap::new(),
    };
    let Some(folder) = &config.state_dir else {
        tracing::warn!("nothing is kept: what is not handed in is lost at exit");
        return Ok(in_memory());
    };
    match Disk::open(folder, events) {
        Ok((disk, state)) => Ok(Found {
            disk: Some(disk),
            spool: Spool::on_disk(boot_id, config.spool_bytes, state.lanes),
            epoch: state.epoch,
            damaged: state.damaged,
            items: state.items,
            lease_ends_ms: state.lease_ends_ms,
            canaries: state.canaries,
        }),
        Err(error) if error.is_of_medium() => {
            tracing::error!(%error, "probing goes on, and what is not handed in is kept in memory only");
            Ok(in_memory())
        }
        Err(error) => Err(error),
    }
}

/// The wall clock, milliseconds since the Unix epoch.
pub(super) fn wall_ms() -> u64 {
    u64::try_from(telemetry::clock::wall().as_millisecond()).unwrap_or_default()
}

/// How long ago canaries answered, as far as that is known. Those that are asked no more are
/// forgotten.
pub(super) fn canary_ages(config: &Config, found: &Found) -> BTreeMap<String, Duration> {
    let at_ms = wall_ms();
    let mut ages = BTreeMap::new();
    for (canary, answered_ms) in &found.canaries {
        if config.canaries.contains(canary) {
            let age = Duration::from_millis(at_ms.saturating_sub(*answered_ms));
            ages.insert(canary.clone(), age);
        } else if let Some(disk) = &found.disk {
            disk.canary(canary, None);
        }
    }
    ages
}

impl Core {
    /// Goes on where the former life ended: its schedule holds until the coordinator says
    /// otherwise, or the lease ends.
    pub(super) fn resume(
        &mut self,
        damaged: Vec<(u16, Span)>,
        items: Vec<(String, Option<Vec<u8>>)>,
        ends_ms: u64,
    ) {
        for (lane, span) in damaged {
            tracing::error!(lane, records = span.len(), "the spool has a hole");
            self.push(lane, record::gap(span, v1::GapReason::SpoolDamaged), false);
        }
        self.tell_starts();
        let (at, at_ms) = (now(), wall_ms());
        // A clock that was set back gives nobody more than a lease.
        let left = Duration::from_millis(ends_ms.saturating_sub(at_ms)).min(LONGEST_LEASE);
        for (monitor, bytes) in items {
            let sent = bytes.and_then(|bytes| item::resumed(&bytes, at_ms));
            let sent = sent.filter(|_| !left.is_zero());
            let item = sent.as_ref().and_then(|sent| item::read(sent).ok());
            let (Some(sent), Some(item)) = (sent, item) else {
                // Of no use any more, and perhaps with a credential: the coordinator sends it
                // again if it is still wanted.
                if let Some(disk) = &self.disk {
                    disk.item(&monitor, None);
                }
                continue;
            };
            self.restored.insert(item.monitor.clone());
            let next_at = at + Duration::from_millis(sent.next_slot_in_ms.into());
            self.timetable
                .upsert(&item.monitor, item.interval, sent.next_slot, next_at);
            self.items.insert(item.monitor.clone(), item);
        }
        self.lease = (!self.items.is_empty()).then_some(left);
        tracing::info!(
            monitors = self.items.len(),
            records = self.spool.len(),
            "resumed"
        );
    }

    /// Keeps how long the schedule holds, now and then.
    pub(super) fn keep_lease(&mut self, at: Instant) {
        let is_due = self
            .lease_kept
            .is_none_or(|kept| at.saturating_duration_since(kept) >= KEEP_LEASE);
        if let (Some(lease), Some(disk), true) = (self.lease, &self.disk, is_due) {
            let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
            disk.lease_ends(wall_ms().saturating_add(lease));
            self.lease_kept = Some(at);
        }
    }

    /// Closes the disk once it has everything: a medium that hangs is not waited for.
    pub(super) async fn close(mut self, mut inbox: Inbox) {
        let deadline = tokio::time::Instant::now() + CLOSE;
        while self.disk.is_some() && self.spool.is_waiting() {
            self.keep();
            match tokio::time::timeout_at(deadline, inbox.disk.recv()).await {
                Ok(event) => self.handle_disk_or_end(event),
                Err(_) => break,
            }
        }
        // Nobody listens any more: the thread waits for nobody.
        drop(inbox);
        let Some(thread) = self.disk.take().and_then(Disk::finish) else {
            return;
        };
        while !thread.is_finished() {
            if tokio::time::Instant::now() > deadline {
                tracing::warn!("the disk does not take the last records");
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
