//! What the link says: streams opened and closed, acknowledgements, the schedule.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rpc::v1;
use rpc::v1::watch_request::Message;
use tokio::sync::mpsc;

use super::state::wall_ms;
use super::{Core, now};
use crate::frames::Frames;
use crate::item::{self, Item};
use crate::link::LinkEvent;

impl Core {
    pub(super) fn handle_link(&mut self, event: LinkEvent) {
        if !matches!(event, LinkEvent::Down | LinkEvent::TurnedOut) {
            self.heard = now();
        }
        match event {
            LinkEvent::Opened { life, .. } if life != self.claim.life => {
                // Opened for the spool before this one: the link begins anew.
            }
            LinkEvent::Opened {
                opened, requests, ..
            } => {
                match &self.disk {
                    // Sent is only what a restart would know as sent.
                    Some(disk) if opened.epoch != self.kept_epoch => {
                        disk.epoch(opened.epoch);
                        self.opening = Some((opened, requests));
                    }
                    Some(_) | None => self.open(opened, requests),
                }
            }
            LinkEvent::Ack(ack) => {
                let at = telemetry::clock::wall().as_duration();
                self.acknowledged = Some(at.as_secs_f64());
                if let Some((frames, _)) = self.frames.as_mut() {
                    frames.handle_ack(&ack, &mut self.spool);
                    self.tell_starts();
                }
            }
            LinkEvent::Down => {
                (self.frames, self.opening) = (None, None);
                // Who waits has been told that this agent is lost.
                self.on_demand.cancel(None);
            }
            LinkEvent::TurnedOut => {
                (self.frames, self.opening) = (None, None);
                self.on_demand.cancel(None);
                let all: Vec<String> = self.items.keys().cloned().collect();
                self.remove(&all);
                self.lease = None;
            }
            LinkEvent::Snapshot(snapshot) => {
                self.lease = Some(Duration::from_secs(snapshot.lease_seconds.into()));
                self.lease_kept = None;
                self.keep_lease(now());
                self.partial = Some(BTreeSet::new());
                self.part(snapshot.revision, &snapshot.items, snapshot.more);
            }
            LinkEvent::Confirm(request) => self.confirm(request),
            LinkEvent::Hold(hold) => self.hold(&hold),
            LinkEvent::OnDemand(request) => self.probe_on_demand(&request),
            LinkEvent::OnDemandCancel(run) => self.on_demand.cancel(Some(&run)),
            LinkEvent::Peers(list) => self.peers.set(&list),
            LinkEvent::Surface(request) => self.hand_surface(request),
            LinkEvent::Delta(delta) => {
                self.remove(&delta.removed_monitor_ids);
                self.part(delta.revision, &delta.upserts, delta.more);
            }
        }
    }

    /// Evidence can be handed in.
    pub(super) fn open(
        &mut self,
        opened: v1::ReportOpened,
        requests: mpsc::Sender<v1::ReportRequest>,
    ) {
        self.streams += 1;
        self.surfaces.handle_opened();
        let frames = Frames::open(self.streams, &opened, &self.spool, now());
        for state in &opened.lanes {
            // What the coordinator has of a lane already may leave the spool.
            if let Ok(lane) = u16::try_from(state.lane) {
                let end = state.prefix_end.min(self.spool.end(lane));
                self.spool.release(lane, end);
            }
        }
        self.claim.epoch = opened.epoch;
        self.tell_starts();
        self.frames = Some((frames, requests));
        self.next_beat = now();
    }

    /// A part of a schedule. What a snapshot does not name is removed once all its parts are here.
    fn part(&mut self, revision: u64, items: &[v1::ScheduleItem], more: bool) {
        if let Some(named) = self.partial.as_mut() {
            named.extend(items.iter().map(|item| item.monitor_id.clone()));
        }
        if !more && let Some(named) = self.partial.take() {
            let gone = self.items.keys().filter(|known| !named.contains(*known));
            let gone: Vec<String> = gone.cloned().collect();
            self.remove(&gone);
        }
        self.upsert(revision, items);
    }

    fn upsert(&mut self, revision: u64, items: &[v1::ScheduleItem]) {
        let mut rejected = Vec::new();
        for sent in items {
            let item = match item::read(sent) {
                Ok(item) => item,
                Err(error) => {
                    // The last good version of the item stays in force.
                    rejected.push(v1::RejectedItem {
                        monitor_id: sent.monitor_id.clone(),
                        problem: error.to_string(),
                    });
                    continue;
                }
            };
            let known = self.items.get(&item.monitor);
            let is_dressed = known.is_some_and(|known| known.is_dressed_like(&item));
            let known = known.map(|known| (known.generation, known.interval));
            let is_restored = self.restored.remove(&item.monitor);
            let same = known.is_some_and(|(generation, _)| generation == item.generation);
            let is_repaced = same && known.is_some_and(|(_, interval)| interval != item.interval);
            let is_moved = !same || is_repaced || is_restored;
            if !is_moved && is_dressed {
                continue; // a snapshot after a reconnect: nobody's slots move
            }
            if let Some(disk) = &self.disk {
                disk.item(&item.monitor, Some(item::kept(sent, wall_ms())));
            }
            if !is_moved {
                // Another token: nothing else is touched, and a probe that runs ends with the old.
                self.items.insert(item.monitor.clone(), item);
                continue;
            }
            self.windows.close_monitor(&item.monitor);
            if !same {
                // Perhaps another target: what its wall was says nothing.
                self.looks.forget(&item.monitor);
            }
            let next_at = now() + Duration::from_millis(sent.next_slot_in_ms.into());
            if is_repaced {
                // It means the same, and no slot that was due is lost.
                self.start_due(now());
                self.timetable
                    .repace(&item.monitor, item.interval, sent.next_slot, next_at);
            } else {
                let (slot, next_at) = self.next_slot(&item, sent.next_slot, next_at, same);
                self.timetable
                    .upsert(&item.monitor, item.interval, slot, next_at);
            }
            self.items.insert(item.monitor.clone(), item);
        }
        self.spool_windows();
        tracing::info!(
            revision,
            monitors = self.items.len(),
            rejected = rejected.len(),
            "schedule"
        );
        let result = v1::ScheduleResult { revision, rejected };
        // A link that is down takes no answers; the next snapshot is answered.
        let _ = self.says.try_send(Message::Result(result));
    }

    /// The next slot of an item whose line was resumed from disk and is now moved to the
    /// coordinator's axis: the two differ by what a message takes, and no slot is run twice.
    fn next_slot(
        &mut self,
        item: &Item,
        sent: u64,
        sent_at: Instant,
        is_resumed: bool,
    ) -> (u64, Instant) {
        let line = self.timetable.next_slot(&item.monitor);
        let Some(line) = line.filter(|_| is_resumed) else {
            return (sent, sent_at);
        };
        if line == sent + 1 {
            return (line, sent_at + item.interval); // run a moment ago
        }
        if line + 1 == sent {
            self.miss(&item.monitor, line, v1::MissedReason::Absent);
        }
        (sent, sent_at)
    }

    pub(super) fn remove(&mut self, monitors: &[String]) {
        for monitor in monitors {
            self.timetable.remove(monitor);
            // What was measured must find its lane while the item still knows it.
            self.windows.close_monitor(monitor);
            self.spool_windows();
            self.items.remove(monitor);
            self.restored.remove(monitor);
            self.others.remove(monitor);
            self.looks.forget(monitor);
            self.surfaces.remove(monitor);
            if let Some(disk) = &self.disk {
                disk.item(monitor, None);
            }
        }
    }

    /// Says what the spool is and where its lanes begin, for the next stream that the link opens.
    pub(super) fn tell_starts(&mut self) {
        let starts = self.spool.lanes().map(|lane| v1::LaneStart {
            lane: lane.into(),
            oldest_seq: self.spool.begin(lane),
        });
        self.claim.lanes = starts.collect();
        self.claims.send_replace(self.claim.clone());
    }
}
