//! Monitors: registered by name, or by their URL.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use model::monitor::FieldError;
use model::{Monitor, MonitorId, MonitorSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Store;

use super::Shared;
use super::problem::{Id, Json, Problem, told};
use crate::loads::Load;
use crate::registry::{self, Change, ManagedBy};
use crate::{Hub, assigning};

/// The monitors, by name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MonitorList")]
pub(super) struct List {
    monitors: Vec<Shown>,
}

/// A monitor, and whose it is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Monitor")]
pub(super) struct Shown {
    #[serde(flatten)]
    monitor: Monitor,
    managed_by: ManagedBy,
    /// What it costs the target, or would; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
    /// What the call would have done, where it was only asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<Change>,
}

/// How to put.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    /// Only say what it would do.
    #[serde(default)]
    dry_run: bool,
}

/// A spec, and perhaps a name.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Monitor")]
pub(super) struct Posted {
    /// Its name; without one the URL is the key.
    #[serde(default)]
    #[schemars(with = "Option<MonitorId>")]
    name: Option<String>,
    #[serde(flatten)]
    #[schemars(with = "MonitorSpec")]
    rest: serde_json::Map<String, serde_json::Value>,
}

pub(super) async fn list<S: Store>(State(hub): Shared<S>) -> Result<Response, Problem> {
    let of_files = registry::of_files(&hub.store).await?;
    let shown = |monitor: Monitor| Shown {
        managed_by: if of_files.contains(monitor.id.as_str()) {
            ManagedBy::File
        } else {
            ManagedBy::Api
        },
        monitor,
        load: None,
        dry_run: None,
    };
    let monitors = hub.store.monitors().await?;
    let monitors = monitors.into_iter().map(shown).collect();
    Ok(axum::Json(List { monitors }).into_response())
}

pub(super) async fn show<S: Store>(State(hub): Shared<S>, Id(id): Id) -> Result<Response, Problem> {
    let monitor = hub.store.monitor(&parse(&id)?).await?;
    let monitor = monitor.ok_or_else(|| Problem::no_monitor(&id))?;
    shown(&hub, StatusCode::OK, monitor, None).await
}

/// Replaces the whole spec: what is absent gets its default. An equal spec changes nothing.
pub(super) async fn put<S: Store>(
    State(hub): Shared<S>,
    Id(id): Id,
    how: Result<Query<How>, QueryRejection>,
    Json(spec): Json<MonitorSpec>,
) -> Result<Response, Problem> {
    upsert(&hub, parse(&id)?, how, spec).await
}

/// Like PUT; without a name the URL is the name, so that the same call never makes a second
/// monitor.
pub(super) async fn post<S: Store>(
    State(hub): Shared<S>,
    how: Result<Query<How>, QueryRejection>,
    Json(posted): Json<Posted>,
) -> Result<Response, Problem> {
    let rest = serde_json::Value::Object(posted.rest);
    let spec = serde_path_to_error::deserialize::<_, MonitorSpec>(rest).map_err(|error| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Problem::new(status, "invalid-body", told(&error))
    })?;
    let id = match posted.name {
        Some(name) => parse(&name)?,
        None => MonitorId::of_url(&spec.url),
    };
    upsert(&hub, id, how, spec).await
}

pub(super) async fn delete<S: Store>(
    State(hub): Shared<S>,
    Id(id): Id,
) -> Result<Response, Problem> {
    registry::remove(&hub, &parse(&id)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn upsert<S: Store>(
    hub: &Hub<S>,
    id: MonitorId,
    how: Result<Query<How>, QueryRejection>,
    spec: MonitorSpec,
) -> Result<Response, Problem> {
    let Query(how) = how.map_err(|error| {
        let detail = model::text::line(&error.body_text(), 300);
        Problem::new(StatusCode::BAD_REQUEST, "query", detail)
    })?;
    if how.dry_run {
        let (change, monitor) = registry::look(hub, id, spec).await?;
        return shown(hub, StatusCode::OK, monitor, Some(change)).await;
    }
    let put = registry::put(hub, &id, spec).await?;
    let status = if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    shown(hub, status, put.monitor, None).await
}

async fn shown<S: Store>(
    hub: &Hub<S>,
    status: StatusCode,
    monitor: Monitor,
    dry_run: Option<Change>,
) -> Result<Response, Problem> {
    let tag = HeaderValue::from_str(&format!("\"{}\"", monitor.generation));
    let managed_by = registry::manager(&hub.store, &monitor.id).await?;
    let load = match dry_run {
        None => hub.loads.load(&monitor.id),
        Some(_) => {
            let agents = assigning::would(hub, &monitor).await?;
            Some(hub.loads.would(&monitor.id, &monitor.spec, agents))
        }
    };
    let shown = Shown {
        monitor,
        load,
        managed_by,
        dry_run,
    };
    let mut response = (status, axum::Json(shown)).into_response();
    if let Ok(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

pub(super) fn parse(id: &str) -> Result<MonitorId, Problem> {
    id.parse().map_err(|error: model::monitor::MonitorIdError| {
        Problem::fields(vec![FieldError::new("/name", error.to_string())])
    })
}
