//! Probes on demand: what agents see of a target now.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json as Answer};
use http::StatusCode;
use model::MonitorSpec;
use model::monitor::FieldError;
use model::period::Period;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use store::Store;

use super::Shared;
use super::keys::Caller;
use super::problem::{Json, Problem, told};
use crate::on_demand::{self, Asked, From, LONGEST, MAX_PER_REGION, Refused};

/// Where they are asked for.
pub(super) const PATH: &str = "/api/v1/probes";

/// What a run may take beside the probe: closing, and the way there and back.
const BESIDE: Duration = Duration::from_secs(10);
/// Names in a list.
const MAX_NAMES: usize = 64;

/// What a monitor and a probe on demand have in common. What is not here is of schedules and
/// verdicts, and whoever sends it expects something that does not happen.
const TAKEN: [&str; 21] = [
    "url",
    "era",
    "regions",
    "agent_labels",
    "calls",
    "lists",
    "subscribe",
    "idle_stream",
    "profile",
    "health",
    "expect",
    "step_timeout",
    "call_timeout",
    "total_timeout",
    "headers",
    "severities",
    "connect_to",
    "sni",
    "host_header",
    "ca",
    "family",
];

/// A target to probe now, and where from.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Probe")]
pub(super) struct Wanted {
    /// Names of agents to ask, beside those of the regions.
    #[serde(default)]
    agents: Vec<String>,
    /// How many agents of each region are asked, 1 to 8.
    #[serde(default = "one")]
    agents_per_region: u32,
    /// How long the answer may take, up to 120 s; by default what the probe may, and 10 s.
    #[serde(default)]
    timeout: Option<Period>,
    /// The target, the sequence and the demands as a monitor has them. `regions` names regions, or
    /// `all`; what is of schedules and verdicts is refused.
    #[serde(flatten)]
    #[schemars(with = "MonitorSpec")]
    probe: Map<String, Value>,
}

const fn one() -> u32 {
    1
}

pub(super) async fn run<S: Store>(
    State(hub): Shared<S>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Problem> {
    let asked = wanted.read()?;
    // Whoever goes away drops this, and ends the work.
    let probed = on_demand::run(&hub, caller.as_str(), &asked).await?;
    Ok((StatusCode::OK, Answer(probed)).into_response())
}

impl Wanted {
    /// What is asked for, whole.
    fn read(self) -> Result<Asked, Problem> {
        let foreign = self.probe.keys();
        let foreign = foreign.filter(|name| !TAKEN.contains(&name.as_str()));
        let foreign: Vec<FieldError> = foreign.map(|name| of_nothing(name)).collect();
        if !foreign.is_empty() {
            return Err(Problem::fields(foreign));
        }
        let spec = serde_path_to_error::deserialize::<_, MonitorSpec>(Value::Object(self.probe));
        let mut spec = spec.map_err(|error| {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Problem::new(status, "invalid-body", told(&error))
        })?;
        let mut problems = spec.problems();
        if self.agents.len() > MAX_NAMES {
            let detail = format!("{} names; at most {MAX_NAMES}", self.agents.len());
            problems.push(FieldError::new("/agents", detail));
        }
        if !(1..=MAX_PER_REGION).contains(&self.agents_per_region) {
            let detail = format!(
                "{} is not within 1 to {MAX_PER_REGION}",
                self.agents_per_region
            );
            problems.push(FieldError::new("/agents_per_region", detail));
        }
        let total = spec.total_timeout.duration();
        if total + BESIDE > LONGEST {
            let detail = "a probe on demand may take at most 110s; a monitor may take longer";
            problems.push(FieldError::new("/total_timeout", detail));
        }
        let time = self.timeout.map_or(total + BESIDE, Period::duration);
        if !(Duration::from_secs(2)..=LONGEST).contains(&time) {
            let detail = format!(
                "{} is not within 2s to 120s",
                Period::seconds(time.as_secs())
            );
            problems.push(FieldError::new("/timeout", detail));
        }
        if !problems.is_empty() {
            return Err(Problem::fields(problems));
        }
        let from = From {
            regions: std::mem::take(&mut spec.regions),
            agents: self.agents,
            labels: std::mem::take(&mut spec.agent_labels),
            per_region: self.agents_per_region,
        };
        Ok(Asked { spec, from, time })
    }
}

/// A field that a probe on demand does not have.
fn of_nothing(name: &str) -> FieldError {
    let pointer = format!("/{}", model::text::line(name, 64));
    let detail = if is_of_monitors(name) {
        "is of monitors; a probe on demand runs once, and has no schedule and no verdict"
    } else {
        "is no field of a probe on demand"
    };
    FieldError::new(pointer, detail)
}

/// Whether a spec of this one field more would be one.
fn is_of_monitors(name: &str) -> bool {
    let mut spec: BTreeMap<&str, Value> = BTreeMap::from([("url", "https://x".into())]);
    spec.insert(name, Value::Null);
    let read = serde_json::from_value::<MonitorSpec>(serde_json::json!(spec));
    !read.is_err_and(|error| error.to_string().starts_with("unknown field"))
}

impl std::convert::From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Fields(errors) => Self::fields(errors),
            Refused::TooMany { after, .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-probes", detail).after(after)
            }
            Refused::Store(error) => error.into(),
            Refused::NoRandomness(_) => Self::internal(detail),
        }
    }
}
