//! Whether the coordinator itself is well. A target's failure never makes it unready.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use store::Store;

use super::Shared;
use super::openapi::Time;
use super::problem::Problem;
use crate::axis::shown;
use crate::folder::{Folder, Standing};

/// The coordinator's own health.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// `ok` while it answers.
    status: &'static str,
    version: &'static str,
    /// The commit that it was built from, where that was known.
    revision: Option<&'static str>,
    /// How many are registered.
    monitors: usize,
    agents_connected: usize,
    /// When evidence last came.
    #[schemars(with = "Option<Time>")]
    last_evidence_at: Option<String>,
    /// Where a folder is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    monitors_dir: Option<MonitorsDir>,
}

/// How the folder of monitors stands.
#[derive(Debug, Serialize, JsonSchema)]
struct MonitorsDir {
    /// `ok`, or `error`: then the last good files hold.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// When it was last looked at.
    #[schemars(with = "Time")]
    as_of: String,
}

impl MonitorsDir {
    fn of(folder: &Folder) -> Self {
        let Standing {
            status,
            problem,
            as_of,
        } = folder.standing();
        Self {
            status,
            problem,
            as_of,
        }
    }
}

pub(super) async fn live() -> StatusCode {
    StatusCode::OK
}

pub(super) async fn ready<S: Store>(State(hub): Shared<S>) -> Result<StatusCode, Problem> {
    if hub.leaving.is_cancelled() {
        let detail = "the coordinator is shutting down";
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "leaving",
            detail,
        ));
    }
    if hub.store.durable().has_changed().is_err() {
        let detail = "the store takes nothing more";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Err(Problem::new(status, "storage", detail));
    }
    Ok(StatusCode::OK)
}

pub(super) async fn health<S: Store>(State(hub): Shared<S>) -> Response {
    let health = Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        revision: option_env!("PARALLAX_REVISION").filter(|revision| !revision.is_empty()),
        monitors: hub.board.len(),
        agents_connected: hub.fleet.connected(),
        last_evidence_at: hub.board.last_evidence().map(shown),
        monitors_dir: hub.folder.as_ref().map(MonitorsDir::of),
    };
    axum::Json(health).into_response()
}
