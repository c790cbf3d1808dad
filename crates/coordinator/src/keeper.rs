//! What the store is for besides acknowledging: to know after a restart what was known before it,
//! and to forget what is old.

use std::sync::Arc;
use std::time::Duration;

use store::{Store, StoreError};
use tokio::time::Instant;

use crate::board::Board;
use crate::{Hub, judging, ledger, roster};

/// How far back the board is read: what percentiles look at, and the longest intervals but those
/// of hours.
const RECALL: Duration = Duration::from_secs(2 * 3600);
/// Batches that are read at once.
const PAGE: usize = 256;
/// How often old evidence is dropped.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Reads recent evidence onto the board, which has the monitors and who watches them. Nothing is
/// counted: counters begin with the process, as Prometheus expects. Nothing is decided either: each
/// monitor stands as its last transition left it.
pub(crate) async fn recall<S: Store>(store: &S, board: &Board) -> Result<(), StoreError> {
    let monitors = store.monitors().await?;
    for monitor in &monitors {
        board.begin_reading(monitor.id.as_str());
    }
    let wall = telemetry::clock::wall();
    let now = Instant::now().into_std();
    let since = millis(wall).saturating_sub(u64::try_from(RECALL.as_millis()).unwrap_or(0));
    let mut after = None;
    let mut records = 0;
    loop {
        let page = store.evidence(since, after, PAGE).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.key);
        for kept in page {
            records += kept.records.len();
            ledger::recall(board, kept);
        }
        tokio::task::yield_now().await;
    }
    for monitor in &monitors {
        let past = judging::past(store, &monitor.id, judging::RECALLED).await?;
        let past: Vec<_> = past.into_iter().map(|(_, change)| change).collect();
        board.end_reading(monitor.id.as_str(), &past, now);
    }
    if records > 0 {
        tracing::info!(records, "read what was known");
    }
    Ok(())
}

/// Drops evidence that is older than so many hours, for ever.
pub(crate) async fn forget<S: Store>(hub: Arc<Hub<S>>, hours: u32) {
    let retention = u64::from(hours) * store::PIECE_MS;
    loop {
        let now = millis(telemetry::clock::wall());
        let before = now.saturating_sub(retention);
        if let Err(error) = roster::forget_tokens(&hub.store, now).await {
            tracing::error!(%error, "old tokens cannot be dropped");
        }
        if let Err(error) = hub.store.forget_evidence(before).await {
            tracing::error!(%error, "old evidence cannot be dropped");
        }
        tokio::time::sleep(FORGET_EVERY).await;
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn millis(wall: jiff::Timestamp) -> u64 {
    u64::try_from(wall.as_millisecond()).unwrap_or_default()
}

/// A duration in milliseconds.
pub(crate) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
