//! What a stranger meets at a target that is probed with a credential: told by one agent, hourly.

use model::credential::WallState;
use model::{CheckId, MonitorId};
use rpc::v1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Kind, Store, StoreError};

use super::is_looker;
use crate::Hub;
use crate::api::Time;
use crate::axis::shown;
use crate::fleet::Identity;
use crate::keeper::millis;

/// How soon after a look another one counts, in milliseconds: an agent looks once an hour, and one
/// that looks more often is not heard.
const LEAST_PAUSE_MS: u64 = 10 * 60 * 1000;
/// Findings of one look, and characters of each.
const MAX_FINDINGS: usize = 8;
const MAX_DETAIL: usize = 200;

/// What was met, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wall {
    pub(super) state: WallState,
    generation: u64,
    since_ms: u64,
    looked_at_ms: u64,
    agent: String,
    findings: Vec<Finding>,
}

/// A rule about authorization that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WallFinding")]
struct Finding {
    check: CheckId,
    /// Untrusted, escaped.
    detail: String,
}

/// What somebody without a credential meets at the target.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "WallStatus")]
pub(crate) struct WallView {
    state: WallState,
    /// Whether that concerns security: strangers are served where a credential is used.
    security_relevant: bool,
    #[schemars(with = "Time")]
    since: String,
    #[schemars(with = "Time")]
    looked_at: String,
    /// Who looked.
    agent: String,
    findings: Vec<Finding>,
}

impl Wall {
    /// Whether somebody has just looked; a clock that was set does not make it so for long.
    const fn is_recent(&self, at: u64) -> bool {
        self.looked_at_ms.abs_diff(at) < LEAST_PAUSE_MS
    }

    pub(super) fn view(&self) -> WallView {
        WallView {
            state: self.state,
            security_relevant: self.state == WallState::Open,
            since: shown(self.since_ms),
            looked_at: shown(self.looked_at_ms),
            agent: self.agent.clone(),
            findings: self.findings.clone(),
        }
    }
}

/// An agent looked. What it says counts if it is the one whose task that is.
pub(crate) async fn handle<S: Store>(hub: &Hub<S>, identity: &Identity, look: v1::WallLook) {
    let Ok(id) = look.monitor_id.parse::<MonitorId>() else {
        return;
    };
    let Ok(state) = look.state.parse::<WallState>() else {
        return; // of another version
    };
    if !is_looker(&id, &identity.agent, &hub.assigned) {
        return;
    }
    let findings = look.findings.into_iter().take(MAX_FINDINGS);
    let findings = findings.filter_map(|finding| {
        Some(Finding {
            check: finding.check.parse().ok()?,
            detail: model::text::line(&finding.detail, MAX_DETAIL),
        })
    });
    let at = millis(telemetry::clock::wall());
    let mut wall = Wall {
        state,
        generation: look.generation,
        since_ms: at,
        looked_at_ms: at,
        agent: identity.agent.clone(),
        findings: findings.collect(),
    };
    let before = {
        let mut all = hub.credentials.lock();
        let Some(known) = all.known.get_mut(&id) else {
            return;
        };
        if !known.has_credential || known.generation != look.generation {
            return; // of what it was before
        }
        if known.wall.as_ref().is_some_and(|wall| wall.is_recent(at)) {
            return;
        }
        let before = known.wall.take();
        if let Some(before) = before.as_ref().filter(|before| before.state == state) {
            wall.since_ms = before.since_ms;
        }
        known.wall = Some(wall.clone());
        before
    };
    let said = |wall: &Wall| (wall.state, wall.findings.clone());
    if before.as_ref().map(said) == Some(said(&wall)) {
        return;
    }
    match (before.map(|before| before.state), state) {
        (Some(WallState::Open), WallState::Open) => {}
        (before, WallState::Open) => {
            let before = before.map(WallState::as_str);
            tracing::warn!(monitor = %id, before, "the target lets strangers in");
        }
        (_, WallState::Healthy | WallState::Malformed) => {}
    }
    if let Err(error) = keep(&hub.store, &id, &wall).await {
        tracing::error!(%error, monitor = %id, "what its wall is cannot be kept");
    }
}

/// Reads what was known before the start.
pub(super) async fn recall<S: Store>(hub: &Hub<S>) -> Result<(), StoreError> {
    for (name, bytes) in hub.store.entries(Kind::Wall).await? {
        let wall: Option<Wall> = serde_json::from_slice(&bytes).ok();
        if wall.is_none_or(|wall| !take(hub, &name, wall)) {
            let gone = hub.store.replace(Kind::Wall, &name, Some(&bytes), None);
            gone.await?;
        }
    }
    Ok(())
}

/// Whether there is still such a monitor; then what was known of its wall is known again.
fn take<S: Store>(hub: &Hub<S>, name: &str, wall: Wall) -> bool {
    let Ok(id) = name.parse::<MonitorId>() else {
        return false;
    };
    let mut state = hub.credentials.lock();
    let known = state.known.get_mut(&id);
    let Some(known) = known.filter(|known| known.generation == wall.generation) else {
        return false;
    };
    // Somebody may have looked since the start.
    known.wall.get_or_insert(wall);
    true
}

async fn keep<S: Store>(store: &S, id: &MonitorId, wall: &Wall) -> Result<(), StoreError> {
    let new = serde_json::to_vec(wall).map_err(|error| StoreError::Io(error.to_string()))?;
    let known = store.entry(Kind::Wall, id.as_str()).await?;
    // Looks of one monitor come an hour apart, from one agent.
    let kept = store.replace(Kind::Wall, id.as_str(), known.as_deref(), Some(new));
    kept.await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_counts_some_minutes_after_the_last_one() {
        let wall = Wall {
            state: WallState::Healthy,
            generation: 1,
            since_ms: 0,
            looked_at_ms: 10_000_000,
            agent: "a".to_owned(),
            findings: Vec::new(),
        };
        assert!(wall.is_recent(10_000_000));
        assert!(wall.is_recent(10_000_000 + LEAST_PAUSE_MS - 1));
        assert!(!wall.is_recent(10_000_000 + LEAST_PAUSE_MS));
        // A clock that was set back by hours.
        assert!(!wall.is_recent(10_000));
    }
}
