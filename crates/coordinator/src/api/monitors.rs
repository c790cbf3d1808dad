//! Monitors: registered by name, or by their URL.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use model::monitor::FieldError;
use model::{Monitor, MonitorId, MonitorSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Put, Store};

use super::Shared;
use super::problem::{Id, Json, Problem};
use crate::{Hub, assigning};

/// Monitors of one coordinator: what its memory is for.
const MAX_MONITORS: usize = 100_000;

/// The monitors, by name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MonitorList")]
pub(super) struct List {
    monitors: Vec<Monitor>,
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
    let monitors = hub.store.monitors().await?;
    Ok(axum::Json(List { monitors }).into_response())
}

pub(super) async fn show<S: Store>(State(hub): Shared<S>, Id(id): Id) -> Result<Response, Problem> {
    let monitor = hub.store.monitor(&parse(&id)?).await?;
    let monitor = monitor.ok_or_else(|| Problem::no_monitor(&id))?;
    Ok(shown(StatusCode::OK, &monitor))
}

/// Replaces the whole spec: what is absent gets its default. An equal spec changes nothing.
pub(super) async fn put<S: Store>(
    State(hub): Shared<S>,
    Id(id): Id,
    Json(spec): Json<MonitorSpec>,
) -> Result<Response, Problem> {
    upsert(&hub, &parse(&id)?, spec).await
}

/// Like PUT; without a name the URL is the name, so that the same call never makes a second
/// monitor.
pub(super) async fn post<S: Store>(
    State(hub): Shared<S>,
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
    upsert(&hub, &id, spec).await
}

pub(super) async fn delete<S: Store>(
    State(hub): Shared<S>,
    Id(id): Id,
) -> Result<Response, Problem> {
    let _writing = hub.writes.lock().await;
    if !hub.store.delete_monitor(&parse(&id)?).await? {
        return Err(Problem::no_monitor(&id));
    }
    hub.board.remove(&id);
    assigning::forget(&hub, &parse(&id)?).await?;
    hub.changes.send_modify(|revision| *revision += 1);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn upsert<S: Store>(
    hub: &Hub<S>,
    id: &MonitorId,
    spec: MonitorSpec,
) -> Result<Response, Problem> {
    let mut problems = spec.problems();
    for (name, value) in &spec.headers {
        let pointer = || format!("/headers/{}", model::text::line(name, 40));
        if name.parse::<http::HeaderName>().is_err() {
            problems.push(FieldError::new(pointer(), "this is no legal header name"));
        }
        if HeaderValue::from_str(value.expose()).is_err() {
            problems.push(FieldError::new(
                pointer(),
                "its value is no legal header value",
            ));
        }
    }
    if !problems.is_empty() {
        return Err(Problem::fields(problems));
    }
    let _writing = hub.writes.lock().await;
    if hub.board.len() >= MAX_MONITORS && hub.store.monitor(id).await?.is_none() {
        let detail = format!("this coordinator has {MAX_MONITORS} monitors; delete some first");
        return Err(Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "too-many-monitors",
            detail,
        ));
    }
    let Put {
        monitor,
        created,
        changed,
    } = hub.store.put_monitor(id, spec).await?;
    if changed {
        hub.board
            .set(&monitor, tokio::time::Instant::now().into_std());
        assigning::settle(hub, &monitor).await?;
        hub.changes.send_modify(|revision| *revision += 1);
    }
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(shown(status, &monitor))
}

fn shown(status: StatusCode, monitor: &Monitor) -> Response {
    let mut response = (status, axum::Json(monitor)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", monitor.generation)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

pub(super) fn parse(id: &str) -> Result<MonitorId, Problem> {
    id.parse().map_err(|error: model::monitor::MonitorIdError| {
        Problem::fields(vec![FieldError::new("/name", error.to_string())])
    })
}
