//! Passes on what the judges decide: confirmations to agents, transitions to the store and the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::MonitorId;
use rpc::{limits, v1};
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use verdict::{Ask, Ms, Transition};

use crate::Hub;
use crate::axis::shown;
use crate::pauses::Pauses;

/// Transitions of a monitor that are read at the start: to stand as it stood, and to know of the
/// last outage.
pub(crate) const RECALLED: usize = 50;
/// The longest sleep: nothing is ever due later than this without being looked at.
const LONGEST: Duration = Duration::from_secs(60);
/// How long to leave a store alone that did not take a transition.
const AGAIN: Duration = Duration::from_secs(1);
/// Transitions that may wait for the store; more are only in the log.
const MOST_WAITING: usize = 10_000;

/// A transition as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    version: u32,
    change: Transition,
}

/// The last transitions of a monitor, newest first, with their numbers.
pub(crate) async fn past<S: Store>(
    store: &S,
    monitor: &MonitorId,
    most: usize,
) -> Result<Vec<(u64, Transition)>, StoreError> {
    let rows = store.transitions(monitor, most).await?;
    let read = |(seq, bytes): (u64, Vec<u8>)| match serde_json::from_slice::<Row>(&bytes) {
        Ok(row) => Some((seq, row.change)),
        Err(error) => {
            tracing::warn!(%monitor, seq, %error, "a kept transition cannot be read");
            None
        }
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Begins to judge, and to keep what was decided. Witnesses are waited for; what was decided is only
/// told: so each has a task, and the store delays nobody.
pub(crate) fn begin<S: Store>(hub: &Arc<Hub<S>>, tasks: &mut JoinSet<()>) {
    let (told, waiting) = mpsc::channel(MOST_WAITING);
    tasks.spawn(run(Arc::clone(hub), told));
    tasks.spawn(keep_all(Arc::clone(hub), waiting));
}

/// Works until it is aborted.
async fn run<S: Store>(hub: Arc<Hub<S>>, told: mpsc::Sender<(String, Transition)>) {
    let mut pauses = Pauses::default();
    loop {
        let now = Instant::now();
        let due = hub
            .board
            .poll_timeout()
            .map_or(now + LONGEST, Instant::from_std);
        tokio::select! {
            () = hub.board.news() => {}
            () = tokio::time::sleep_until(due.min(now + LONGEST)) => {}
        }
        hub.board.handle_timeout(Instant::now().into_std());
        while let Some((monitor, generation, ask)) = hub.board.poll_ask() {
            let request = request(monitor, generation, &ask);
            hub.orders.ask(&ask.agent, request);
        }
        while let Some((monitor, pause)) = hub.board.poll_hold() {
            hold(&hub, &mut pauses, &monitor, pause);
        }
        while let Some(change) = hub.board.poll_change() {
            let fault = change.fault.map_or("none", model::verdict::Fault::as_str);
            tracing::info!(agent = %change.agent, fault, "agent");
        }
        while let Some((monitor, change)) = hub.board.poll_transition() {
            tell(&monitor, &change);
            if told.try_send((monitor, change)).is_err() {
                tracing::error!("too many transitions wait for the store: one is only in the log");
            }
        }
    }
}

/// Keeps transitions in their order. A store that fails for a moment is asked again.
async fn keep_all<S: Store>(hub: Arc<Hub<S>>, mut waiting: mpsc::Receiver<(String, Transition)>) {
    while let Some((monitor, change)) = waiting.recv().await {
        loop {
            match keep(&hub, &monitor, &change).await {
                Ok(()) => break,
                Err(error @ StoreError::Fenced { .. }) => {
                    tracing::error!(%monitor, %error, "a transition is not kept");
                    break;
                }
                Err(error @ (StoreError::Io(_) | StoreError::Closed)) => {
                    tracing::error!(%monitor, %error, "a transition is not kept yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

fn request(monitor_id: String, generation: u64, ask: &Ask) -> v1::ConfirmationRequest {
    v1::ConfirmationRequest {
        confirmation_id: String::new(),
        monitor_id,
        generation,
        to_step: ask.to_step.to_string(),
        timeout_ms: u32::try_from(ask.timeout).unwrap_or(u32::MAX),
        with_calls: ask.with_calls,
    }
}

/// Tells everybody who watches anything on the origin of a monitor to leave it alone for so long.
/// They come back by their slots, which are spread over the interval.
fn hold<S: Store>(hub: &Hub<S>, pauses: &mut Pauses, monitor: &str, pause: Ms) {
    let Ok(id) = monitor.parse::<MonitorId>() else {
        return;
    };
    let Some((origin, monitors)) = hub.loads.of_origin(&id) else {
        return; // just deleted
    };
    let interval = hub.loads.interval(&id).unwrap_or_default();
    let now = Instant::now().into_std();
    if !pauses.begin(&origin, Duration::from_millis(pause), interval, now) {
        return;
    }
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for monitor in &monitors {
        for agent in hub.assigned.watchers(monitor).into_iter().flatten() {
            let named = told.entry(agent).or_default();
            if named.len() < limits::MAX_ITEMS {
                named.push(monitor.to_string());
            }
        }
    }
    let lasts = Duration::from_millis(pause);
    hub.on_demand
        .hold(&origin, lasts, Instant::now().into_std());
    let origin = model::text::line(&origin, 120);
    tracing::warn!(
        %monitor, %origin, agents = told.len(), pause_ms = pause,
        "several agents are told to come back later: all leave the origin alone"
    );
    let for_ms = u32::try_from(pause).unwrap_or(u32::MAX);
    for (agent, monitor_ids) in told {
        let hold = v1::Hold {
            monitor_ids,
            for_ms,
        };
        hub.orders.hold(&agent, hold);
    }
}

fn tell(monitor: &str, change: &Transition) {
    tracing::info!(
        %monitor,
        verdict = %change.verdict,
        previous = %change.previous,
        scope = change.scope.as_deref().unwrap_or_default(),
        reason = change.reason.as_deref().unwrap_or_default(),
        page = change.page,
        at = %shown(change.at),
        why = %change.why,
        "verdict"
    );
}

/// Keeps a transition as the next of its monitor.
async fn keep<S: Store>(
    hub: &Hub<S>,
    monitor: &str,
    change: &Transition,
) -> Result<(), StoreError> {
    let Ok(monitor) = monitor.parse::<MonitorId>() else {
        return Ok(());
    };
    let row = Row {
        version: 1,
        change: change.clone(),
    };
    let row = serde_json::to_vec(&row).map_err(|error| StoreError::Io(error.to_string()))?;
    let fence = hub.ledger.fence(monitor.lane()).unwrap_or_default();
    // We own the shard: nobody else appends. A monitor that is gone takes none.
    let last = hub.store.transitions(&monitor, 1).await?;
    let last = last.first().map_or(0, |(seq, _)| *seq);
    hub.store.transition(fence, &monitor, last, row).await?;
    Ok(())
}
