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

/// Puts on the board what was known before a restart.
pub(crate) async fn begin<S: Store>(store: &S, board: &Board) -> Result<(), StoreError> {
    let now = tokio::time::Instant::now().into_std();
    for (monitor, bytes) in store.entries(Kind::Contract).await? {
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
    let row = Row {
        version: 1,
        standing,
    };
    let row = serde_json::to_vec(&row).map_err(|error| StoreError::Io(error.to_string()))?;
    set(&hub.store, Kind::Contract, id.as_str(), Some(row)).await
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
