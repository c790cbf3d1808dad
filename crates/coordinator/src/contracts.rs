//! The tools of servers as contracts: keeps how each stands and the surfaces themselves, asks agents
//! for those that nobody holds, and works out what has changed.
//!
//! What agents said is folded on the board at once and kept here a moment later. A crash in between
//! loses nothing: the evidence is read again at the start, and each agent says anew what it sees once
//! its stream is open.

mod kept;

use std::sync::Arc;
use std::time::Duration;

use contract::{Lock, NotPinned, Standing, Surface};
use model::contract::{ChangeClass, Drift};
use model::monitor::{ContractPin, FieldError};
use model::{MonitorId, MonitorSpec};
use rpc::v1;
use store::{Store, StoreError};
use tokio::time::Instant;

use crate::Hub;
use crate::board::{Come, Place};
use crate::keeper::millis;
pub(crate) use kept::{begin, forget, surface};

/// How often what nobody holds is looked after, without news.
const LOOK: Duration = Duration::from_secs(30);
/// How long to leave a store alone that did not take something.
const AGAIN: Duration = Duration::from_secs(1);

/// Why a surface is not pinned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// There is no such monitor, or its contract is not watched.
    #[error("`contract.watch` of the monitor is false: nothing is known of its tools")]
    NotWatched,
    /// It may not be.
    #[error(transparent)]
    NotPinned(#[from] NotPinned),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with the pin of a spec beyond its shape.
pub(crate) fn problem(spec: &MonitorSpec) -> Option<FieldError> {
    let pin = spec.contract.pin.as_ref()?;
    let wrong = match lock_of(pin)? {
        Ok(lock) if lock.surface.is_packable() => return None,
        Ok(_) => "has more values than a probe keeps; pin its fingerprint instead".to_owned(),
        Err(wrong) => wrong.to_string(),
    };
    Some(FieldError::new(
        "/contract/pin",
        format!("the lock file {wrong}"),
    ))
}

/// The content of a lock file that a spec pins, if that is what it does.
fn lock_of(pin: &ContractPin) -> Option<Result<Lock, contract::Damaged>> {
    match pin {
        ContractPin::Fingerprint(_) => None,
        ContractPin::Lock(members) => {
            // Members of JSON are always JSON.
            let text = serde_json::to_string(members).unwrap_or_default();
            Some(Lock::read(&text))
        }
    }
}

/// Looks after contracts until it is aborted.
pub(crate) async fn run<S: Store>(hub: Arc<Hub<S>>) {
    let mut look = Instant::now() + LOOK;
    loop {
        tokio::select! {
            () = hub.board.contract_news() => {}
            () = tokio::time::sleep_until(look) => {
                hub.board.mark_wanted();
                look = Instant::now() + LOOK;
            }
        }
        loop {
            while let Some(come) = hub.board.poll_surface() {
                let monitor = come.from.monitor.clone();
                if let Err(error) = take(&hub, come).await {
                    // It is asked for again.
                    tracing::error!(%monitor, %error, "a surface is not kept");
                    tokio::time::sleep(AGAIN).await;
                }
                hub.board.mark_contract(&monitor);
            }
            let Some(monitor) = hub.board.poll_contract() else {
                break;
            };
            if let Err(error) = look_after(&hub, &monitor).await {
                tracing::error!(%monitor, %error, "a contract is not kept yet");
                tokio::time::sleep(AGAIN).await;
                hub.board.mark_contract(&monitor);
            }
        }
    }
}

/// Keeps a surface that has come, if it is what it should be.
async fn take<S: Store>(hub: &Hub<S>, come: Come) -> Result<(), StoreError> {
    let Come { from, packed } = come;
    let Place {
        monitor,
        fingerprint,
        agent,
    } = from;
    let bytes = packed.clone();
    // The most that an agent sends is unpacked one after the other.
    let read = tokio::task::spawn_blocking(move || Surface::unpack(&bytes)).await;
    let is_it = |surface: &Surface| surface.fingerprint() == fingerprint;
    let what = match read {
        Ok(Ok(surface)) if is_it(&surface) => None,
        Ok(Ok(_)) => Some("is another than it is said to be".to_owned()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(what) = what {
        hub.board.rejected();
        tracing::warn!(%monitor, %agent, what, "a surface that an agent handed in");
        return Ok(());
    }
    hub.board.answer_surface(&monitor);
    kept::hold(hub, &monitor, &fingerprint, packed).await
}

/// Brings what is kept of a contract up to date, compares what can be compared, and asks for what is
/// missing.
async fn look_after<S: Store>(hub: &Hub<S>, monitor: &str) -> Result<(), StoreError> {
    let Ok(id) = monitor.parse::<MonitorId>() else {
        return Ok(());
    };
    let Some(standing) = hub.board.contract(monitor) else {
        let _writing = hub.writes.lock().await;
        // It may be another since the lock is held.
        return match hub.board.contract(monitor) {
            None => forget(&hub.store, &id).await,
            Some(_) => Ok(()),
        };
    };
    if standing.pin().is_some_and(|pin| {
        standing
            .entry(&pin.fingerprint)
            .is_none_or(|known| known.held_bytes == 0)
    }) {
        hold_declared(hub, &id).await?;
    }
    judge(hub, monitor).await?;
    let now = Instant::now().into_std();
    if hub.board.is_to_keep(monitor, now) {
        kept::write(hub, &id).await?;
    }
    if let Some((fingerprint, agent)) = hub.board.ask_surface(monitor, now) {
        let request = v1::SurfaceRequest {
            monitor_id: monitor.to_owned(),
            // It was made of bytes.
            fingerprint: contract::digest_of(&fingerprint).unwrap_or_default(),
        };
        hub.orders.ask_surface(&agent, request);
    }
    Ok(())
}

/// Holds what the monitor itself says is pinned, where it says it in full.
async fn hold_declared<S: Store>(hub: &Hub<S>, id: &MonitorId) -> Result<(), StoreError> {
    let Some(monitor) = hub.store.monitor(id).await? else {
        return Ok(());
    };
    let pin = monitor.spec.contract.pin.as_ref();
    let Some(Ok(lock)) = pin.and_then(lock_of) else {
        return Ok(());
    };
    let now = millis(telemetry::clock::wall());
    let (known, packed) = kept::declared(&lock, now);
    kept::hold_as(hub, id.as_str(), known, packed).await
}

/// Compares with the pin what was not compared yet.
async fn judge<S: Store>(hub: &Hub<S>, monitor: &str) -> Result<(), StoreError> {
    for _ in 0..contract::limits::MAX_KNOWN {
        let standing = hub.board.contract(monitor);
        let Some((pin, other)) = standing.and_then(|standing| standing.poll_unjudged()) else {
            return Ok(());
        };
        let Some(drift) = compare(hub, monitor, &pin, &other).await? else {
            continue; // one of them was lost, and is asked for again
        };
        let worst = drift.worst();
        hub.board
            .change_contract(monitor, |standing| standing.judge(&pin, &other, worst));
        let class = worst.map_or("none", ChangeClass::as_str);
        let counts = drift.counts();
        tracing::warn!(%monitor, %pin, surface = %other, class, %counts, "other tools than those that are pinned");
    }
    Ok(())
}

/// What changed from one surface that is held to another; none where one of them is not to be found.
pub(crate) async fn compare<S: Store>(
    hub: &Hub<S>,
    monitor: &str,
    old: &str,
    new: &str,
) -> Result<Option<Drift>, StoreError> {
    let mut both = Vec::new();
    for fingerprint in [old, new] {
        let Some(surface) = surface(&hub.store, monitor, fingerprint).await? else {
            let lost = |standing: &mut Standing| standing.handle_lost(fingerprint);
            hub.board.change_contract(monitor, lost);
            return Ok(None);
        };
        both.push(surface);
    }
    let compared = tokio::task::spawn_blocking(move || match &both[..] {
        [old, new] => Some(contract::diff(old, new)),
        _ => None,
    });
    compared
        .await
        .map_err(|error| StoreError::Io(error.to_string()))
}

/// Pins a surface that somebody approves, and keeps that before it is answered.
pub(crate) async fn approve<S: Store>(
    hub: &Hub<S>,
    id: &MonitorId,
    fingerprint: &str,
    actor: &str,
    comment: Option<&str>,
) -> Result<(), Refused> {
    let now = millis(telemetry::clock::wall());
    let approved = hub.board.change_contract(id.as_str(), |standing| {
        standing.approve(fingerprint, actor, comment, now)
    });
    approved.ok_or(Refused::NotWatched)??;
    let actor = model::text::line(actor, 64);
    tracing::info!(monitor = %id, %fingerprint, %actor, "tools approved");
    // What is compared anew is not waited for.
    hub.board.mark_contract(id.as_str());
    kept::write(hub, id).await?;
    hub.board.ring_contract();
    Ok(())
}
