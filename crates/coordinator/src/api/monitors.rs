//! Monitors: registered by name, or by their URL.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use model::monitor::FieldError;
use model::{Monitor, MonitorId, MonitorSpec};
use serde::{Deserialize, Serialize};
use store::Store;

use super::Shared;
use super::problem::{Id, Json, Problem};
use crate::Hub;
use crate::registry::{self, Change, ManagedBy};

/// A list.
#[derive(Debug, Serialize)]
pub(super) struct List {
    monitors: Vec<Shown>,
}

/// A monitor, and whose it is.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    monitor: Monitor,
    managed_by: ManagedBy,
}

/// How to put.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    /// Only say what it would do.
    #[serde(default)]
    dry_run: bool,
}

/// What a put would do.
#[derive(Debug, Serialize)]
struct DryRun {
    id: MonitorId,
    dry_run: Change,
}

/// The body of POST: a spec, and perhaps a name.
#[derive(Debug, Deserialize)]
pub(super) struct Posted {
    #[serde(default)]
    name: Option<String>,
    #[serde(flatten)]
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
    };
    let monitors = hub.store.monitors().await?;
    let monitors = monitors.into_iter().map(shown).collect();
    Ok(axum::Json(List { monitors }).into_response())
}

pub(super) async fn show<S: Store>(State(hub): Shared<S>, Id(id): Id) -> Result<Response, Problem> {
    let monitor = hub.store.monitor(&parse(&id)?).await?;
    let monitor = monitor.ok_or_else(|| Problem::no_monitor(&id))?;
    shown(&hub, StatusCode::OK, monitor).await
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
    let spec = serde_json::from_value::<MonitorSpec>(posted.rest.into()).map_err(|error| {
        let detail = model::text::line(&error.to_string(), 300);
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", detail)
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
        let dry_run = registry::look(hub, &id, &spec).await?;
        return Ok(axum::Json(DryRun { id, dry_run }).into_response());
    }
    let put = registry::put(hub, &id, spec).await?;
    let status = if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    shown(hub, status, put.monitor).await
}

async fn shown<S: Store>(
    hub: &Hub<S>,
    status: StatusCode,
    monitor: Monitor,
) -> Result<Response, Problem> {
    let tag = HeaderValue::from_str(&format!("\"{}\"", monitor.generation));
    let managed_by = registry::manager(&hub.store, &monitor.id).await?;
    let shown = Shown {
        monitor,
        managed_by,
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
