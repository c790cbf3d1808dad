//! What the store has of contracts: a row for each monitor, and its surfaces.

use contract::{Known, Lock, Standing, Surface};
use model::MonitorId;
use serde::{Deserialize, Serialize};
use store::{Kind, Store, StoreError};

use crate::Hub;
use crate::board::Board;

/// A standing as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    version: u32,
    standing: Standing,
}

/// Where a surface lies. Neither names nor fingerprints have a space in them.
fn place(monitor: &str, fingerprint: &str) -> String {
    format!("{monitor} {fingerprint}")
}

/// Puts on the board what was known before a restart, and lets go of what is left of monitors that are
/// gone.
pub(crate) async fn begin<S: Store>(store: &S, board: &Board) -> Result<(), StoreError> {
    let now = tokio::time::Instant::now().into_std();
    for (monitor, bytes) in store.entries(Kind::Contract).await? {
        if !board.has(&monitor) {
            // It was removed, and the coordinator ended before this was.
            if let Ok(id) = monitor.parse() {
                forget(store, &id).await?;
            }
            continue;
        }
        match serde_json::from_slice::<Row>(&bytes) {
            Ok(row) => board.restore_contract(&monitor, row.standing, now),
            // The agents say again what they see; only the pin and its history are lost.
            Err(error) => tracing::error!(%monitor, %error, "a kept contract cannot be read"),
        }
    }
    Ok(())
}

/// Keeps how a contract stands, and lets go of the surfaces that it does not know any more.
pub(super) async fn write<S: Store>(hub: &Hub<S>, id: &MonitorId) -> Result<(), StoreError> {
    let _writing = hub.writes.lock().await;
    let dropped = hub.board.change_contract(id.as_str(), |standing| {
        let mut dropped = Vec::new();
        while let Some(fingerprint) = standing.poll_dropped() {
            dropped.push(fingerprint);
        }
        dropped
    });
    for fingerprint in dropped.unwrap_or_default() {
        set(
            &hub.store,
            Kind::Surface,
            &place(id.as_str(), &fingerprint),
            None,
        )
        .await?;
    }
    // One that was removed meanwhile leaves nothing.
    let Some(standing) = hub.board.contract(id.as_str()) else {
        return Ok(());
    };
    let revision = standing.revision();
    let row = Row {
        version: 1,
        standing,
    };
    let row = serde_json::to_vec(&row).map_err(|error| StoreError::Io(error.to_string()))?;
    set(&hub.store, Kind::Contract, id.as_str(), Some(row)).await?;
    let now = tokio::time::Instant::now().into_std();
    hub.board.handle_kept(id.as_str(), revision, now);
    Ok(())
}

/// Sets an entry to what it should be, if it is not that already.
async fn set<S: Store>(
    store: &S,
    kind: Kind,
    id: &str,
    new: Option<Vec<u8>>,
) -> Result<(), StoreError> {
    let known = store.entry(kind, id).await?;
    if known == new || store.replace(kind, id, known.as_deref(), new).await? {
        return Ok(());
    }
    Err(StoreError::Io("somebody else wrote the entry".to_owned()))
}

/// Holds a surface that an agent handed in.
pub(super) async fn hold<S: Store>(
    hub: &Hub<S>,
    monitor: &str,
    fingerprint: &str,
    packed: Vec<u8>,
) -> Result<(), StoreError> {
    let standing = hub.board.contract(monitor);
    let known = standing.and_then(|standing| standing.entry(fingerprint).cloned());
    match known {
        Some(known) => hold_as(hub, monitor, known, packed).await,
        None => Ok(()), // dropped meanwhile
    }
}

/// Holds a surface of which this is known.
pub(super) async fn hold_as<S: Store>(
    hub: &Hub<S>,
    monitor: &str,
    known: Known,
    packed: Vec<u8>,
) -> Result<(), StoreError> {
    let _writing = hub.writes.lock().await;
    if hub.board.contract(monitor).is_none() {
        return Ok(());
    }
    let bytes = packed.len();
    let at = place(monitor, &known.fingerprint);
    // First: what is said to be held is there.
    set(&hub.store, Kind::Surface, &at, Some(packed)).await?;
    hub.board
        .change_contract(monitor, |standing| standing.handle_held(known, bytes));
    Ok(())
}

/// The content of a lock file, as if it had been seen.
pub(super) fn declared(lock: &Lock, now_ms: u64) -> (Known, Vec<u8>) {
    let known = Known {
        fingerprint: lock.surface.fingerprint().to_owned(),
        tools: u32::try_from(lock.surface.tools().len()).unwrap_or(u32::MAX),
        first_seen_ms: now_ms,
        seen: lock.seen.clone(),
        is_sendable: false,
        held_bytes: 0,
        class: None,
    };
    (known, lock.surface.pack())
}

/// A surface that is held.
pub(crate) async fn surface<S: Store>(
    store: &S,
    monitor: &str,
    fingerprint: &str,
) -> Result<Option<Surface>, StoreError> {
    let at = place(monitor, fingerprint);
    let Some(packed) = store.entry(Kind::Surface, &at).await? else {
        return Ok(None);
    };
    let read = tokio::task::spawn_blocking(move || Surface::unpack(&packed)).await;
    let read = read.map_err(|error| StoreError::Io(error.to_string()))?;
    match read {
        Ok(surface) if surface.fingerprint() == fingerprint => Ok(Some(surface)),
        Ok(_) | Err(_) => {
            tracing::error!(%monitor, %fingerprint, "a kept surface is damaged");
            Ok(None)
        }
    }
}

/// Forgets a monitor's contract and its surfaces. The caller holds the lock of writes.
pub(crate) async fn forget<S: Store>(store: &S, id: &MonitorId) -> Result<(), StoreError> {
    let Some(bytes) = store.entry(Kind::Contract, id.as_str()).await? else {
        return Ok(());
    };
    if let Ok(row) = serde_json::from_slice::<Row>(&bytes) {
        for known in row.standing.known() {
            let at = place(id.as_str(), &known.fingerprint);
            set(store, Kind::Surface, &at, None).await?;
        }
    }
    set(store, Kind::Contract, id.as_str(), None).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Axis;
    use model::{Monitor, MonitorSpec};
    use store::MemoryStore;

    /// The rows and the surfaces that a store has.
    async fn left(store: &MemoryStore) -> Vec<String> {
        let mut left = Vec::new();
        for kind in [Kind::Contract, Kind::Surface] {
            let entries = store.entries(kind).await.unwrap();
            left.extend(entries.into_iter().map(|(id, _)| id));
        }
        left
    }

    #[tokio::test]
    async fn what_is_left_of_a_monitor_that_is_gone_is_swept_at_the_start() {
        let store = MemoryStore::new(0);
        let surface = Surface::new(&[serde_json::json!({ "name": "a" })], None).unwrap();
        let lock = Lock {
            surface,
            seen: contract::Seen::default(),
        };
        let (known, packed) = declared(&lock, 1);
        let mut standing = Standing::default();
        standing.declare(Some(&known.fingerprint), 1);
        standing.handle_held(known.clone(), packed.len());
        for monitor in ["gone", "here"] {
            let row = serde_json::to_vec(&Row {
                version: 1,
                standing: standing.clone(),
            });
            set(&store, Kind::Contract, monitor, Some(row.unwrap()))
                .await
                .unwrap();
            let at = place(monitor, &known.fingerprint);
            set(&store, Kind::Surface, &at, Some(packed.clone()))
                .await
                .unwrap();
        }
        let now = tokio::time::Instant::now().into_std();
        let board = Board::new(Axis::begin(now, jiff::Timestamp::UNIX_EPOCH));
        let here = Monitor {
            id: "here".parse().unwrap(),
            generation: 1,
            spec: MonitorSpec::new("https://a/mcp".parse().unwrap()),
        };
        board.set(&here, now);
        begin(&store, &board).await.unwrap();
        let standing = board.contract("here").unwrap();
        assert_eq!(standing.pin().unwrap().fingerprint, known.fingerprint);
        let surface = place("here", &known.fingerprint);
        assert_eq!(left(&store).await, ["here".to_owned(), surface]);
    }
}
