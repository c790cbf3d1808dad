//! The tools of a monitor's server: what is pinned, who sees what, what has changed, and approving it.

use axum::extract::{Extension, FromRequestParts, Path, State};
use axum::response::{IntoResponse as _, Response};
use contract::{Group, Lock, Pinned, Standing};
use http::StatusCode;
use http::request::Parts;
use model::contract::{ChangeClass, Drift, PinnedBy, is_fingerprint};
use model::monitor::FieldError;
use model::report::ServerInfo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::Store;

use super::Shared;
use super::keys::Actor;
use super::monitors::parse;
use super::openapi::Time;
use super::problem::{Id, Json, Problem};
use crate::Hub;
use crate::axis::shown;
use crate::contracts::{self, Refused};

/// How the tools that agents see stand to those that are pinned.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Contract {
    monitor: String,
    /// When this was true, RFC 3339 UTC.
    #[schemars(with = "Time")]
    as_of: String,
    /// Whether agents say what they see (`contract.watch` of the monitor).
    watched: bool,
    /// What is pinned; null until something was seen.
    pin: Option<Pin>,
    /// What drifts; null while all agents see what is pinned.
    drift: Option<Drifting>,
    /// Who sees what: what is pinned first.
    seen: Vec<Seen>,
    /// The surfaces that are known, the oldest first.
    surfaces: Vec<Surface>,
    /// What was pinned, the oldest first; the last 100.
    history: Vec<Pin>,
}

/// A surface that was pinned, and why.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ContractPinned")]
struct Pin {
    fingerprint: String,
    by: PinnedBy,
    /// The name of the key that approved it.
    actor: Option<String>,
    comment: Option<String>,
    #[schemars(with = "Time")]
    at: String,
}

/// That tools drift, without saying how.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ContractDrift")]
pub(super) struct Drifting {
    /// The worst change that any agent sees; null while none could be compared.
    worst: Option<ChangeClass>,
    #[schemars(with = "Time")]
    since: String,
    /// Whether agents see more than one surface.
    mixed: bool,
    /// Which regions see which surface.
    surfaces: Vec<Where>,
}

/// Where a surface is seen.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ContractWhere")]
struct Where {
    /// Null where the list is no surface.
    fingerprint: Option<String>,
    pinned: bool,
    class: Option<ChangeClass>,
    regions: Vec<String>,
}

/// Agents that see the same.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ContractSeen")]
struct Seen {
    #[serde(flatten)]
    place: Where,
    agents: Vec<Sees>,
    /// What changed since the pin; null for the pin, and where one of the two is not held.
    changes: Option<Drift>,
}

/// What an agent sees.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ContractAgent")]
struct Sees {
    agent: String,
    region: String,
    /// Since when it sees this surface, and when it last said so.
    #[schemars(with = "Time")]
    since: String,
    #[schemars(with = "Time")]
    at: String,
    /// Names of the headers that carried the monitor's credential; empty for none.
    credential: Vec<String>,
    /// The monitor's generation then: whose credential it was.
    generation: u64,
    /// Why the list is no surface: `too_large`, `too_deep` or `nameless`.
    unfit: Option<String>,
}

/// A surface that is known.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ContractSurface")]
struct Surface {
    fingerprint: String,
    tools: u32,
    #[schemars(with = "Time")]
    first_seen_at: String,
    /// Whether it can be read: `GET …/contract/surfaces/{fingerprint}`.
    held: bool,
    server: Option<ServerInfo>,
}

/// What to approve.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Approval")]
pub(super) struct Approval {
    /// The surface: one that is known.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    fingerprint: String,
    /// For whoever reads the history: up to 500 characters.
    #[serde(default)]
    comment: Option<String>,
}

/// The `{id}` and the `{fingerprint}` of a path.
#[derive(Debug)]
pub(super) struct Both(String, String);

impl<S: Send + Sync> FromRequestParts<S> for Both {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        path.map(|Path((id, fingerprint))| Self(id, fingerprint))
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "path", "the path is not UTF-8"))
    }
}

pub(super) async fn show<S: Store>(State(hub): Shared<S>, Id(id): Id) -> Result<Response, Problem> {
    exists(&hub, &id).await?;
    told(&hub, &id).await
}

/// The lock file of a surface, byte for byte as `parallax probe --write-baseline` writes it.
pub(super) async fn surface<S: Store>(
    State(hub): Shared<S>,
    Both(id, fingerprint): Both,
) -> Result<Response, Problem> {
    exists(&hub, &id).await?;
    let unknown = || {
        let detail = "the surface is not held; `surfaces` of the contract says which are";
        Problem::new(StatusCode::NOT_FOUND, "no-such-surface", detail)
    };
    let standing = hub.board.contract(&id).ok_or_else(unknown)?;
    let known = standing.entry(&fingerprint).ok_or_else(unknown)?;
    let found = contracts::surface(&hub.store, &id, &fingerprint).await?;
    let lock = Lock {
        surface: found.ok_or_else(unknown)?,
        seen: known.seen.clone(),
    };
    let text = lock
        .write()
        .map_err(|error| Problem::internal(error.to_string()))?;
    let media = [(http::header::CONTENT_TYPE, "application/json")];
    Ok((media, text).into_response())
}

/// The schema of [`surface`].
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LockFile")]
pub(super) struct LockFile {
    schema_version: u64,
    fingerprint: String,
    /// What answered when it was seen first; compared with nothing.
    seen: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    /// The tools, whole and in canonical order.
    tools: Vec<Value>,
}

pub(super) async fn approve<S: Store>(
    State(hub): Shared<S>,
    Id(id): Id,
    Extension(Actor(actor)): Extension<Actor>,
    Json(approval): Json<Approval>,
) -> Result<Response, Problem> {
    let monitor = parse(&id)?;
    if !is_fingerprint(&approval.fingerprint) {
        let detail = "write it as it is shown: `sha256:` and 64 hexadecimal digits";
        return Err(Problem::fields(vec![FieldError::new(
            "/fingerprint",
            detail,
        )]));
    }
    exists(&hub, &id).await?;
    let comment = approval.comment.as_deref();
    contracts::approve(&hub, &monitor, &approval.fingerprint, &actor, comment).await?;
    told(&hub, &id).await
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        let conflict = |kind| Self::new(StatusCode::CONFLICT, kind, &detail[..]);
        match refused {
            Refused::NotWatched => conflict("not-watched"),
            Refused::NotPinned(contract::NotPinned::NotSeen) => conflict("not-seen"),
            Refused::NotPinned(contract::NotPinned::Declared) => conflict("pinned-by-monitor"),
            Refused::Store(error) => error.into(),
        }
    }
}

async fn exists<S: Store>(hub: &Hub<S>, id: &str) -> Result<(), Problem> {
    let known = hub.store.monitor(&parse(id)?).await?;
    known.map(|_| ()).ok_or_else(|| Problem::no_monitor(id))
}

async fn told<S: Store>(hub: &Hub<S>, id: &str) -> Result<Response, Problem> {
    let standing = hub.board.contract(id);
    let watched = standing.is_some();
    let standing = standing.unwrap_or_default();
    let pin = standing.pin().map(|pin| pin.fingerprint.as_str());
    let mut seen = Vec::new();
    for group in standing.groups() {
        let changes = match (pin, group.fingerprint) {
            (Some(pin), Some(other)) if !group.is_pinned && is_held(&standing, pin, other) => {
                contracts::compare(hub, id, pin, other).await?
            }
            _ => None,
        };
        let agents = group.agents.iter().map(|(agent, saw)| Sees {
            agent: (*agent).to_owned(),
            region: saw.region.clone(),
            since: shown(saw.since_ms),
            at: shown(saw.at_ms),
            credential: names(&saw.credential),
            generation: saw.generation,
            unfit: saw.unfit.clone(),
        });
        seen.push(Seen {
            agents: agents.collect(),
            place: place(&group),
            changes,
        });
    }
    let surfaces = standing.known().iter().map(|known| Surface {
        fingerprint: known.fingerprint.clone(),
        tools: known.tools,
        first_seen_at: shown(known.first_seen_ms),
        held: known.held_bytes > 0,
        server: known.seen.server.clone(),
    });
    let contract = Contract {
        monitor: id.to_owned(),
        as_of: telemetry::clock::wall().to_string(),
        watched,
        pin: standing.pin().map(pinned),
        drift: drifting(&standing),
        seen,
        surfaces: surfaces.collect(),
        history: standing.history().iter().map(pinned).collect(),
    };
    Ok(axum::Json(contract).into_response())
}

fn is_held(standing: &Standing, pin: &str, other: &str) -> bool {
    let held = |fingerprint: &str| {
        let entry = standing.entry(fingerprint);
        entry.is_some_and(|known| known.held_bytes > 0)
    };
    held(pin) && held(other)
}

fn names(credential: &str) -> Vec<String> {
    let names = credential.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn pinned(pin: &Pinned) -> Pin {
    Pin {
        fingerprint: pin.fingerprint.clone(),
        by: pin.by,
        actor: pin.actor.clone(),
        comment: pin.comment.clone(),
        at: shown(pin.at_ms),
    }
}

fn place(group: &Group<'_>) -> Where {
    let mut regions: Vec<String> = group
        .agents
        .iter()
        .map(|(_, saw)| saw.region.clone())
        .collect();
    regions.sort_unstable();
    regions.dedup();
    Where {
        fingerprint: group.fingerprint.map(str::to_owned),
        pinned: group.is_pinned,
        class: group.class,
        regions,
    }
}

/// What drifts, if anything does.
pub(super) fn drifting(standing: &Standing) -> Option<Drifting> {
    let since = standing.drift_since_ms()?;
    let groups = standing.groups();
    Some(Drifting {
        worst: standing.worst(),
        since: shown(since),
        mixed: groups.len() > 1,
        surfaces: groups.iter().map(place).collect(),
    })
}
