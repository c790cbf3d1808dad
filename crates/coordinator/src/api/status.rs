//! What is known: one GET a monitor, and the agents.

use std::collections::BTreeMap;

use axum::extract::RawQuery;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use model::report::{Edge, ServerInfo};
use model::verdict::{Fault, Flag, Verdict};
use model::{Outcome, Reason, RegionState, Step};
use schemars::JsonSchema;
use serde::Serialize;
use store::Store;
use verdict::transition::Abstains;

use super::Shared;
use super::contract::{Drifting, drifting};
use super::monitors::parse;
use super::openapi::Time;
use super::problem::{Id, Problem};
use crate::axis::shown;
use crate::board::{Percentiles, RegionView, Voice};
use crate::credentials::{CredentialView, WallView};
use crate::fleet::AgentView;
use crate::loads::Load;
use crate::{judging, roster};

/// The status of a monitor.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status {
    monitor: String,
    generation: u64,
    url: String,
    /// When this was true, RFC 3339 UTC.
    #[schemars(with = "Time")]
    as_of: String,
    verdict: Verdict,
    /// What is affected: `protocol` or `tool NAME` of an outage, the explanations of a regional
    /// fault.
    scope: Option<String>,
    reason: Option<String>,
    /// The verdict in a sentence.
    why: String,
    #[schemars(with = "Time")]
    since: String,
    /// Since when something looks wrong that is not decided.
    #[schemars(with = "Option<Time>")]
    suspected_since: Option<String>,
    flags: Vec<Flag>,
    /// Where the tools are not those that are pinned (flag `contract_drift`).
    contract_drift: Option<Drifting>,
    witnesses: Witnesses,
    /// What it costs the target; null for a moment after it was registered.
    load: Option<Load>,
    /// How its credential stands; null where it has none, or nothing is known of it.
    credential: Option<CredentialView>,
    /// What somebody without a credential meets; null until somebody looked.
    wall: Option<WallView>,
    regions: Vec<Region>,
}

/// Who says so.
#[derive(Debug, Serialize, JsonSchema)]
struct Witnesses {
    /// Agents that watch the target.
    assigned: usize,
    /// How many of them differ in region and provider.
    independent: u32,
    /// How many of those an outage needs.
    quorum: u32,
    independent_failing: u32,
    independent_ok: u32,
    failing: Vec<Said>,
    ok: Vec<String>,
    abstaining: Vec<Abstains>,
    /// What would explain the failures without blaming the target.
    explanations: Vec<String>,
}

/// What the agents of a region see.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RegionStatus")]
struct Region {
    region: String,
    state: RegionState,
    reason: Option<&'static str>,
    #[schemars(with = "Option<Time>")]
    since: Option<String>,
    #[schemars(with = "Option<Time>")]
    last_probe_at: Option<String>,
    latency: Option<Latency>,
    agents: Vec<Agent>,
}

/// What target and network took for a whole probe, ok and degraded ones.
#[derive(Debug, Serialize, JsonSchema)]
struct Latency {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    samples: u64,
    window_seconds: u64,
}

/// The last probe of an agent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LastProbe")]
struct Agent {
    agent: String,
    outcome: Outcome,
    #[schemars(with = "Time")]
    probe_at: String,
    era: String,
    protocol_version: String,
    /// Untrusted, escaped.
    detail: Option<String>,
    /// What the server said it is. Untrusted, escaped.
    server: Option<ServerInfo>,
    /// The replica that answered, where the monitor says how it names itself. Untrusted, escaped.
    instance: Option<String>,
    /// The edge that answered, as its headers say.
    edge: Option<Edge>,
}

/// What one agent says.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FailingAgent")]
struct Said {
    agent: String,
    region: String,
    provider: String,
    step: Option<Step>,
    reason: Option<Reason>,
    #[schemars(with = "Time")]
    probe_at: String,
    in_a_row: u32,
}

/// The last changes of a verdict, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TransitionList")]
pub(super) struct Transitions {
    monitor: String,
    #[schemars(with = "Time")]
    as_of: String,
    transitions: Vec<Changed>,
}

/// A change of a verdict.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Transition")]
struct Changed {
    seq: u64,
    #[schemars(with = "Time")]
    at: String,
    #[schemars(with = "Time")]
    since: String,
    verdict: Verdict,
    previous: Verdict,
    scope: Option<String>,
    reason: Option<String>,
    flags: Vec<Flag>,
    why: String,
    page: bool,
    evidence: verdict::Evidence,
}

/// The members of the mesh.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgentList")]
pub(super) struct Agents {
    #[schemars(with = "Time")]
    as_of: String,
    agents: Vec<Listed>,
}

/// A member of the mesh, and what was heard of it since the coordinator started.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Agent")]
struct Listed {
    id: String,
    region: String,
    provider: String,
    latitude: Option<f64>,
    longitude: Option<f64>,
    private: bool,
    labels: BTreeMap<String, String>,
    #[schemars(with = "Time")]
    enrolled_at: String,
    #[schemars(with = "Option<Time>")]
    revoked_at: Option<String>,
    certificate_generation: u64,
    connected: bool,
    /// Whether its votes count: `healthy` or `fault`.
    #[schemars(extend("enum" = ["healthy", "fault"]))]
    state: &'static str,
    fault: Option<Fault>,
    /// Since when, if it was heard since the coordinator started.
    #[schemars(with = "Option<Time>")]
    state_since: Option<String>,
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
    let watch = hub.board.view(&id, now);
    let watch = watch.ok_or_else(|| Problem::no_monitor(&id))?;
    let standing = watch.standing;
    let why = verdict::transition::sentence(&standing);
    let evidence = standing.evidence;
    let mut flags = standing.flags;
    if watch.quorum == 2 && !flags.contains(&Flag::WeakQuorum) {
        flags.push(Flag::WeakQuorum);
    }
    let contract = hub.board.contract(&id);
    let contract_drift = contract.as_ref().and_then(drifting);
    if contract_drift.is_some() {
        flags.push(Flag::ContractDrift);
    }
    let status = Status {
        monitor: monitor.id.to_string(),
        generation: monitor.generation,
        url: monitor.spec.url.to_string(),
        as_of: telemetry::clock::wall().to_string(),
        verdict: standing.verdict,
        scope: standing.scope,
        reason: standing.reason,
        why,
        since: shown(standing.since),
        suspected_since: watch.suspected_since.map(shown),
        flags,
        contract_drift,
        witnesses: Witnesses {
            assigned: watch.assigned,
            independent: watch.independent,
            quorum: watch.quorum,
            independent_failing: evidence.independent_failing,
            independent_ok: evidence.independent_ok,
            failing: evidence.failing.into_iter().map(said).collect(),
            ok: evidence.ok,
            abstaining: evidence.abstaining,
            explanations: evidence.explanations,
        },
        load: hub.loads.load(&monitor.id),
        credential: hub.credentials.view(&monitor.id, telemetry::clock::wall()),
        wall: hub.credentials.wall(&monitor.id),
        regions: watch.regions.into_iter().map(region).collect(),
    };
    Ok(axum::Json(status).into_response())
}

/// The changes of a monitor's verdict, oldest first: the last `limit` of them.
pub(super) async fn transitions<S: Store>(
    State(hub): Shared<S>,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let monitor = parse(&id)?;
    let known = hub.store.monitor(&monitor).await?;
    known.ok_or_else(|| Problem::no_monitor(&id))?;
    let limit = limit(query.as_deref())?;
    let mut past = judging::past(&hub.store, &monitor, limit).await?;
    past.reverse();
    let transitions = past.into_iter().map(|(seq, change)| Changed {
        seq,
        at: shown(change.at),
        since: shown(change.since),
        verdict: change.verdict,
        previous: change.previous,
        scope: change.scope,
        reason: change.reason,
        flags: change.flags,
        why: change.why,
        page: change.page,
        evidence: change.evidence,
    });
    let transitions = Transitions {
        monitor: id,
        as_of: telemetry::clock::wall().to_string(),
        transitions: transitions.collect(),
    };
    Ok(axum::Json(transitions).into_response())
}

/// `limit=N`, 1 to 1000; 100 where it is absent.
fn limit(query: Option<&str>) -> Result<usize, Problem> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(100);
    };
    let bad = || {
        let detail = "limit: write it like ?limit=100, 1 to 1000; there is no other parameter";
        Problem::new(http::StatusCode::BAD_REQUEST, "invalid-query", detail)
    };
    let limit = query
        .strip_prefix("limit=")
        .and_then(|text| text.parse().ok());
    limit
        .filter(|limit| (1..=1000).contains(limit))
        .ok_or_else(bad)
}

fn said(said: verdict::transition::Said) -> Said {
    Said {
        agent: said.agent,
        region: said.region,
        provider: said.provider,
        step: said.step,
        reason: said.reason,
        probe_at: shown(said.began),
        in_a_row: said.in_a_row,
    }
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
        let (fault, since) = hub.board.told(&member.place.agent);
        Listed {
            id: member.place.agent,
            region: member.place.region,
            provider: member.place.provider,
            latitude: member.place.latitude,
            longitude: member.place.longitude,
            private: member.place.private,
            labels: member.place.labels,
            enrolled_at: at(member.enrolled_at_ms),
            revoked_at: member.revoked_at_ms.map(at),
            certificate_generation: member.generation,
            state: if fault.is_none() { "healthy" } else { "fault" },
            fault,
            state_since: since.map(shown),
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
        since: view.since.map(shown),
        last_probe_at: view.last_probe_at.map(|at| at.to_string()),
        latency: view.percentiles.map(latency),
        agents: view
            .voices
            .into_iter()
            .map(|(agent, voice)| last_probe(agent, voice))
            .collect(),
    }
}

fn last_probe(agent: String, voice: Voice) -> Agent {
    let answerer = voice.answerer.unwrap_or_default();
    Agent {
        agent,
        outcome: voice.outcome,
        probe_at: voice.started_at.to_string(),
        era: voice.era,
        protocol_version: voice.protocol_version,
        detail: voice.detail,
        server: answerer.server,
        instance: answerer.instance,
        edge: answerer.edge,
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
