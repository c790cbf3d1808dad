//! Agents as members of the mesh: tokens for new ones, and turning one out.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use model::monitor::{FieldError, is_id, label_problems};
use model::period::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Kind, Store};

use super::Shared;
use super::openapi::Time;
use super::problem::{Id, Json, Problem};
use crate::keeper::millis;
use crate::roster::{self, Place};
use crate::secret;

/// The longest that a token may wait to be used.
const LONGEST: u64 = 24 * 3600;
/// Tokens that may wait to be used, or to be forgotten.
const MAX_TOKENS: usize = 10_000;

/// A place for an agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Token")]
pub(super) struct Wanted {
    /// Its name; one is made up where it is absent.
    #[serde(default)]
    agent: Option<String>,
    region: String,
    provider: String,
    /// Degrees; with `longitude` or not at all.
    #[serde(default)]
    latitude: Option<f64>,
    #[serde(default)]
    longitude: Option<f64>,
    /// Whether the agent serves only monitors that name its region or its labels.
    #[serde(default)]
    private: bool,
    /// What monitors may choose it by, with `agent_labels`.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// How long the token lasts, 1 s to 24 h.
    #[serde(default = "ten_minutes")]
    ttl: Period,
    /// Where the agent will reach this coordinator, `host:port`.
    #[serde(default)]
    endpoint: Option<String>,
    /// Whether an agent of this name may be replaced.
    #[serde(default)]
    replace: bool,
}

const fn ten_minutes() -> Period {
    Period::seconds(600)
}

/// A token, shown once.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Token {
    token: String,
    agent: String,
    #[schemars(with = "Time")]
    expires_at: String,
}

impl Wanted {
    fn problems(&self) -> Vec<FieldError> {
        let mut problems = Vec::new();
        let names = [
            ("/agent", self.agent.as_deref()),
            ("/region", Some(self.region.as_str())),
            ("/provider", Some(self.provider.as_str())),
        ];
        for (pointer, name) in names {
            if name.is_some_and(|name| !is_id(name)) {
                let detail = "use 1 to 64 letters, digits, `-`, `_` and `.`";
                problems.push(FieldError::new(pointer, detail));
            }
        }
        let degrees = [
            ("/latitude", self.latitude, 90.0),
            ("/longitude", self.longitude, 180.0),
        ];
        for (pointer, value, most) in degrees {
            if value.is_some_and(|value: f64| !(-most..=most).contains(&value)) {
                let detail = format!("degrees are within -{most} to {most}");
                problems.push(FieldError::new(pointer, detail));
            }
        }
        if self.latitude.is_some() != self.longitude.is_some() {
            let detail = "latitude and longitude come together";
            problems.push(FieldError::new("/latitude", detail));
        }
        problems.extend(label_problems("/labels", &self.labels));
        let seconds = self.ttl.duration().as_secs();
        if !(1..=LONGEST).contains(&seconds) {
            let detail = format!("{} is not within 1s to 24h", self.ttl);
            problems.push(FieldError::new("/ttl", detail));
        }
        problems
    }
}

pub(super) async fn create_token<S: Store>(
    State(hub): Shared<S>,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Problem> {
    let mut problems = wanted.problems();
    let endpoint = wanted.endpoint.as_deref().or(hub.endpoint.as_deref());
    let is_endpoint = |text: &&str| model::target::is_endpoint(text);
    let endpoint = endpoint.filter(is_endpoint).unwrap_or_else(|| {
        let detail = "say where agents reach this coordinator, like mesh.example.com:7443, \
                      here or with --endpoint";
        problems.push(FieldError::new("/endpoint", detail));
        ""
    });
    if !problems.is_empty() {
        return Err(Problem::fields(problems));
    }
    if hub.store.entries(Kind::Token).await?.len() >= MAX_TOKENS {
        let detail = format!("{MAX_TOKENS} tokens wait already; they end by themselves");
        let status = StatusCode::INSUFFICIENT_STORAGE;
        return Err(Problem::new(status, "too-many-tokens", detail));
    }
    let internal = |error: secret::NoRandomness| Problem::internal(error.to_string());
    let agent = match &wanted.agent {
        Some(agent) => agent.clone(),
        None => format!("agent-{}", secret::id().map_err(internal)?),
    };
    let known = roster::members(&hub.store).await?;
    let is_member = |m: &roster::Member| m.place.agent == agent && m.revoked_at_ms.is_none();
    if !wanted.replace && known.iter().any(is_member) {
        let detail = format!("{agent} is enrolled already; revoke it, or say `replace: true`");
        return Err(Problem::new(StatusCode::CONFLICT, "agent-exists", detail));
    }
    let place = Place {
        agent: agent.clone(),
        region: wanted.region,
        provider: wanted.provider,
        latitude: wanted.latitude,
        longitude: wanted.longitude,
        private: wanted.private,
        labels: wanted.labels,
    };
    let wall = telemetry::clock::wall();
    let ttl = jiff::SignedDuration::try_from(wanted.ttl.duration()).unwrap_or_default();
    let expires_at = wall.checked_add(ttl).unwrap_or(wall);
    let secret =
        roster::create_token(&hub.store, place, millis(expires_at), wanted.replace).await?;
    let pin = secret::hex(&hub.authority.pin());
    let token = Token {
        token: format!("plxj_{secret}@{endpoint}#sha256:{pin}"),
        agent,
        expires_at: expires_at.to_string(),
    };
    Ok((StatusCode::CREATED, axum::Json(token)).into_response())
}

/// Turns an agent out: its streams end, and it gets no others.
pub(super) async fn revoke<S: Store>(
    State(hub): Shared<S>,
    Id(agent): Id,
) -> Result<StatusCode, Problem> {
    let now = millis(telemetry::clock::wall());
    let revoked = roster::revoke(&hub.store, &agent, now).await;
    let revoked = revoked.map_err(|refusal| {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Problem::new(status, "storage", refusal.to_string())
    })?;
    if !revoked {
        let detail = format!("there is no agent {}", model::text::line(&agent, 64));
        return Err(Problem::new(StatusCode::NOT_FOUND, "no-such-agent", detail));
    }
    tracing::info!(%agent, "revoked");
    hub.board
        .gone(&agent, tokio::time::Instant::now().into_std());
    hub.roster_changes.send_modify(|revision| *revision += 1);
    Ok(StatusCode::NO_CONTENT)
}
