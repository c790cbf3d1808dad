//! What is known: one GET a monitor, and the agents.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use model::{Outcome, RegionState};
use serde::Serialize;
use store::Store;

use super::Shared;
use super::monitors::parse;
use super::problem::{Id, Problem};
use crate::board::{Percentiles, RegionView};
use crate::fleet::AgentView;
use crate::roster;

/// The status of a monitor.
#[derive(Debug, Serialize)]
struct Status {
    monitor: String,
    generation: u64,
    url: String,
    /// When this was true, RFC 3339 UTC.
    as_of: String,
    regions: Vec<Region>,
}

#[derive(Debug, Serialize)]
struct Region {
    region: String,
    state: RegionState,
    reason: Option<&'static str>,
    since: Option<String>,
    last_probe_at: Option<String>,
    latency: Option<Latency>,
    agents: Vec<Agent>,
}

/// What target and network took for a whole probe, ok and degraded ones.
#[derive(Debug, Serialize)]
struct Latency {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    samples: u64,
    window_seconds: u64,
}

#[derive(Debug, Serialize)]
struct Agent {
    agent: String,
    outcome: Outcome,
    probe_at: String,
    era: String,
    protocol_version: String,
    /// Untrusted, escaped.
    detail: Option<String>,
}

#[derive(Debug, Serialize)]
struct Agents {
    as_of: String,
    agents: Vec<Listed>,
}

/// A member of the mesh, and what was heard of it since the coordinator started.
#[derive(Debug, Serialize)]
struct Listed {
    id: String,
    region: String,
    provider: String,
    latitude: Option<f64>,
    longitude: Option<f64>,
    private: bool,
    enrolled_at: String,
    revoked_at: Option<String>,
    certificate_generation: u64,
    connected: bool,
    #[serde(flatten)]
    heard: Option<AgentView>,
}

pub(super) async fn monitor<S: Store>(
    State(hub): Shared<S>,
    Id(id): Id,
) -> Result<Response, Problem> {
    let monitor = hub.store.monitor(&parse(&id)?).await?;
    let monitor = monitor.ok_or_else(|| Problem::no_monitor(&id))?;
    let now = tokio::time::Instant::now().into_std();
    let regions = hub.board.view(&id, now).unwrap_or_default();
    let status = Status {
        monitor: monitor.id.to_string(),
        generation: monitor.generation,
        url: monitor.spec.url.to_string(),
        as_of: telemetry::clock::wall().to_string(),
        regions: regions.into_iter().map(region).collect(),
    };
    Ok(axum::Json(status).into_response())
}

pub(super) async fn agents<S: Store>(State(hub): Shared<S>) -> Result<Response, Problem> {
    let now = tokio::time::Instant::now().into_std();
    let mut heard: BTreeMap<String, AgentView> = BTreeMap::new();
    for view in hub.fleet.views(now) {
        heard.insert(view.id.clone(), view);
    }
    let at = |ms: u64| {
        let at = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap_or_default());
        at.unwrap_or_default().to_string()
    };
    let members = roster::members(&hub.store).await?.into_iter();
    let agents = members.map(|member| {
        let heard = heard.remove(&member.place.agent);
        Listed {
            id: member.place.agent,
            region: member.place.region,
            provider: member.place.provider,
            latitude: member.place.latitude,
            longitude: member.place.longitude,
            private: member.place.private,
            enrolled_at: at(member.enrolled_at_ms),
            revoked_at: member.revoked_at_ms.map(at),
            certificate_generation: member.generation,
            connected: heard.as_ref().is_some_and(|heard| heard.connected),
            heard,
        }
    });
    let agents = Agents {
        as_of: telemetry::clock::wall().to_string(),
        agents: agents.collect(),
    };
    Ok(axum::Json(agents).into_response())
}

fn region(view: RegionView) -> Region {
    Region {
        region: view.name,
        state: view.state,
        reason: view.reason,
        since: view.since.map(|at| at.to_string()),
        last_probe_at: view.last_probe_at.map(|at| at.to_string()),
        latency: view.percentiles.map(latency),
        agents: view
            .voices
            .into_iter()
            .map(|(agent, voice)| Agent {
                agent,
                outcome: voice.outcome,
                probe_at: voice.started_at.to_string(),
                era: voice.era,
                protocol_version: voice.protocol_version,
                detail: voice.detail,
            })
            .collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown in milliseconds")]
fn latency(percentiles: Percentiles) -> Latency {
    let millis = |us: u64| us as f64 / 1000.0;
    Latency {
        p50_ms: millis(percentiles.p50_us),
        p95_ms: millis(percentiles.p95_us),
        p99_ms: millis(percentiles.p99_us),
        samples: percentiles.samples,
        window_seconds: percentiles.window.as_secs(),
    }
}
