//! The end: what was asked for is awaited and kept.

use std::time::Duration;

use auth::renewal::Renewal;
use model::MonitorId;
use store::Store;

use super::{DRAIN, LOOK, Renewer, now};

impl<S: Store> Renewer<S> {
    /// Awaits what was asked, and keeps it, however often the store fails: nothing else is asked any
    /// more.
    pub(super) async fn drain(&mut self) {
        let ids: Vec<MonitorId> = self.held.keys().cloned().collect();
        for id in &ids {
            self.touch(id, Renewal::handle_leaving);
        }
        let work = async {
            while !self.exchanges.is_empty() || !self.due.is_empty() {
                let due = self.due.first().map(|(due, _)| due.saturating_sub(now()));
                let pause = due.map_or(LOOK, Duration::from_millis);
                tokio::select! {
                    Some(done) = self.exchanges.join_next() => self.ended(done).await,
                    () = tokio::time::sleep(pause) => self.keep_due().await,
                }
            }
        };
        if tokio::time::timeout(DRAIN, work).await.is_err() {
            tracing::warn!("some tokens that were asked for did not come, or could not be kept");
        }
    }

    /// Tries again to write what is not durable, whoever is still being asked.
    async fn keep_due(&mut self) {
        let at = now();
        let due: Vec<MonitorId> = self
            .due
            .iter()
            .take_while(|(due, _)| *due <= at)
            .map(|(_, id)| id.clone())
            .collect();
        for id in due {
            self.advance(&id).await;
        }
    }
}
