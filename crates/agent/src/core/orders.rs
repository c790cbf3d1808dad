//! What the link says: streams opened and closed, acknowledgements, the schedule.

use std::collections::BTreeSet;
use std::time::Duration;

use rpc::v1;

use super::{Core, now};
use crate::frames::Frames;
use crate::item;
use crate::link::LinkEvent;

impl Core {
    pub(super) fn handle_link(&mut self, event: LinkEvent) {
        if !matches!(event, LinkEvent::Down) {
            self.heard = now();
        }
        match event {
            LinkEvent::Opened { opened, requests } => {
                let frames = Frames::open(&opened, &self.spool, now());
                for state in &opened.lanes {
                    // What the coordinator has of a lane already may leave the spool.
                    if let Ok(lane) = u16::try_from(state.lane) {
                        self.spool
                            .release(lane, state.prefix_end.min(self.spool.next(lane)));
                    }
                }
                self.frames = Some((frames, requests));
                self.next_beat = now();
            }
            LinkEvent::Ack(ack) => {
                if let Some((frames, _)) = self.frames.as_mut() {
                    frames.handle_ack(&ack, &mut self.spool);
                    self.tell_starts();
                }
            }
            LinkEvent::Down => self.frames = None,
            LinkEvent::Snapshot(snapshot) => {
                self.lease = Some(Duration::from_secs(snapshot.lease_seconds.into()));
                self.partial = Some(BTreeSet::new());
                self.part(snapshot.revision, &snapshot.items, snapshot.more);
            }
            LinkEvent::Delta(delta) => {
                self.remove(&delta.removed_monitor_ids);
                self.part(delta.revision, &delta.upserts, delta.more);
            }
        }
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
            let known = self.items.get(&item.monitor).map(|known| known.generation);
            if known == Some(item.generation) {
                continue; // a snapshot after a reconnect: nobody's slots move
            }
            self.windows.close_monitor(&item.monitor);
            let next_at = now() + Duration::from_millis(sent.next_slot_in_ms.into());
            self.timetable
                .upsert(&item.monitor, item.interval, sent.next_slot, next_at);
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
        let _ = self.schedule_results.try_send(result);
    }

    pub(super) fn remove(&mut self, monitors: &[String]) {
        for monitor in monitors {
            self.timetable.remove(monitor);
            // What was measured must find its lane while the item still knows it.
            self.windows.close_monitor(monitor);
            self.spool_windows();
            self.items.remove(monitor);
        }
    }

    /// Says where the lanes of the spool begin, for the next time that the link opens a stream.
    pub(super) fn tell_starts(&self) {
        let starts = self.spool.lanes().map(|lane| v1::LaneStart {
            lane: lane.into(),
            oldest_seq: self.spool.oldest(lane),
        });
        self.lane_starts.send_replace(starts.collect());
    }
}
