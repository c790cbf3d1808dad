//! Tries who is reached, and tells agents their peers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peer::Client;
use store::{Store, StoreError};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Hub;
use crate::roster;

/// How often it is asked who is there.
const LOOK: Duration = Duration::from_secs(5);
/// Agents that are tried at once.
const TRIALS: usize = 32;

/// Keeps the lists of peers, for ever.
pub(crate) async fn run<S: Store>(hub: Arc<Hub<S>>) {
    // Without a certificate: it is only seen whether the agent is there, and who it is.
    let client = match Client::new(None) {
        Ok(client) => Arc::new(client),
        Err(error) => {
            tracing::warn!(%error, "no socket: agents do not watch the paths between them");
            return;
        }
    };
    let mut changes = hub.roster_changes.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            changed = changes.changed() => if changed.is_err() {
                return;
            },
        }
        look(&hub, &client).await;
    }
}

async fn look<S: Store>(hub: &Arc<Hub<S>>, client: &Arc<Client>) {
    let now = || Instant::now().into_std();
    match members(hub).await {
        Ok(members) => hub.peering.keep(&members, now()),
        Err(error) => {
            tracing::warn!(%error, "the roster cannot be read");
            return;
        }
    }
    let mut trials = JoinSet::new();
    for trial in hub.peering.trials(TRIALS, now()) {
        let client = Arc::clone(client);
        trials.spawn(async move {
            let opened = client.open(trial.address, trial.key).await;
            (trial, opened.map(|_| ()))
        });
    }
    while let Some(tried) = trials.join_next().await {
        let Ok((trial, opened)) = tried else {
            continue; // a fault of ours: it is tried again
        };
        if let Err(error) = &opened {
            let (agent, address) = (&trial.agent, trial.address);
            tracing::info!(%agent, %address, %error, "other agents cannot watch the path to this one");
        }
        hub.peering.tried(&trial, opened.is_ok(), now());
    }
    for (agent, list) in hub.peering.lists() {
        if !hub.orders.peers(&agent, list) {
            hub.peering.untold(&agent);
        }
    }
}

/// Their keys, by name.
async fn members<S: Store>(hub: &Hub<S>) -> Result<BTreeMap<String, String>, StoreError> {
    let members = roster::members(&hub.store).await?.into_iter();
    let members = members.filter(|member| member.revoked_at_ms.is_none());
    let keyed = members.map(|member| (member.place.agent, member.key_sha256));
    Ok(keyed.collect())
}
