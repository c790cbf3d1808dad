//! The end of an agent: what runs ends, and what it found is handed in.

use std::mem::take;
use std::time::Duration;

use super::{Core, Inbox, RETRY, now};

/// How long running probes and unacknowledged records may take when the agent stops.
const DRAIN: Duration = Duration::from_secs(5);

impl Core {
    /// Stops probing, hands in what there is, and waits for the acknowledgements. With a disk
    /// nothing is lost without them: then a link that is down is not waited for.
    pub(super) async fn drain(&mut self, inbox: &mut Inbox) {
        tracing::info!(
            probes = self.probes.len(),
            records = self.spool.len(),
            "draining"
        );
        self.is_draining = true;
        self.beat(now());
        for monitor in take(&mut self.items).into_keys() {
            self.timetable.remove(&monitor);
        }
        // Probes end soon, and close what they hold at their servers.
        self.cancel.cancel();
        let deadline = tokio::time::Instant::now() + DRAIN;
        let work = async {
            // What has failed already is vouched for: without that it would speak against us.
            while !self.probes.is_empty()
                || !self.on_demand.is_idle()
                || self.self_test.is_waiting()
                || !self.looks.running.is_empty()
            {
                self.test(now());
                self.keep();
                self.flush(true);
                self.turn(inbox, now() + RETRY).await;
            }
            self.windows.close_all();
            self.spool_windows();
            while self.spool.len() > 0 {
                self.keep();
                self.flush(true);
                let is_kept = self.spool.has_disk() && !self.spool.is_waiting();
                if is_kept && self.frames.is_none() && self.opening.is_none() {
                    return;
                }
                self.turn(inbox, now() + RETRY).await;
            }
        };
        let _ = tokio::time::timeout_at(deadline, work).await;
        let records = self.spool.len();
        if records > 0 && self.spool.has_disk() {
            tracing::info!(records, "stopping; what is not handed in is kept");
        } else if records > 0 {
            tracing::warn!(records, "stopping with records not handed in");
        }
    }
}
