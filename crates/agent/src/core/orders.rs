//! What the link says: streams opened and closed, acknowledgements, the schedule.

use std::time::Duration;

use rpc::v1;

use super::{Core, now};
use crate::frames::Frames;
use crate::item;
use crate::link::LinkEvent;

impl Core {
    pub(super) fn handle_link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Opened { opened, requests } => {
                let frames = Frames::open(&opened, &self.spool, now());
                self.frames = Some((frames, requests));
                self.next_beat = now();
            }
            LinkEvent::Ack(ack) => {
                if let Some((frames, _)) = self.frames.as_mut() {
                    frames.handle_ack(&ack, &mut self.spool);
                }
            }
            LinkEvent::Down => self.frames = None,
            LinkEvent::Snapshot(snapshot) => {
                let named: Vec<&str> = snapshot
                    .items
                    .iter()
                    .map(|item| item.monitor_id.as_str())
                    .collect();
                let gone = self
                    .items
                    .keys()
                    .filter(|known| !named.contains(&known.as_str()));
                let gone: Vec<String> = gone.cloned().collect();
                self.remove(&gone);
                self.upsert(snapshot.revision, &snapshot.items);
            }
            LinkEvent::Delta(delta) => {
                self.remove(&delta.removed_monitor_ids);
                self.upsert(delta.revision, &delta.upserts);
            }
        }
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

    fn remove(&mut self, monitors: &[String]) {
        for monitor in monitors {
            self.timetable.remove(monitor);
            // What was measured must find its lane while the item still knows it.
            self.windows.close_monitor(monitor);
            self.spool_windows();
            self.items.remove(monitor);
        }
    }
}
