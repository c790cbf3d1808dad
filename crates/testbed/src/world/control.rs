//! Where paths and servers are told what to break: JSON over HTTP, on loopback.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path as Param, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use http::StatusCode;

use super::Servers;
use super::hosted::Shown;
use crate::proxy::{Fault, Path};
use crate::server::script::Script;

/// Paths by name.
pub type Paths = Arc<BTreeMap<String, Path>>;

/// A refusal: the status, and a sentence that says why.
type Refused = (StatusCode, String);

/// `GET /paths` and `PUT /paths/{name}`; a name may have slashes.
pub fn paths_router(paths: Paths) -> Router {
    Router::new()
        .route("/paths", get(list))
        .route("/paths/{*name}", put(set))
        .with_state(paths)
}

/// The paths, and `GET /servers`, `PUT /servers/{name}/script`, `…/down`, `…/up`.
pub(super) fn router(paths: BTreeMap<String, Path>, servers: Servers) -> Router {
    let servers = Router::new()
        .route("/servers", get(list_servers))
        .route("/servers/{name}/script", put(script))
        .route("/servers/{name}/down", put(down))
        .route("/servers/{name}/up", put(up))
        .with_state(Arc::new(servers));
    paths_router(Arc::new(paths)).merge(servers)
}

async fn list(State(paths): State<Paths>) -> Json<BTreeMap<String, Fault>> {
    let faults = paths
        .iter()
        .map(|(name, path)| (name.clone(), path.fault()));
    Json(faults.collect())
}

async fn set(
    State(paths): State<Paths>,
    Param(name): Param<String>,
    Json(fault): Json<Fault>,
) -> Result<StatusCode, Refused> {
    let path = paths.get(&name).ok_or_else(|| absent("path", "/paths"))?;
    path.set(fault);
    tracing::info!(%name, ?fault, "path changed");
    Ok(StatusCode::NO_CONTENT)
}

async fn list_servers(State(servers): State<Arc<Servers>>) -> Json<BTreeMap<&'static str, Shown>> {
    let mut shown = BTreeMap::new();
    for (name, server) in servers.iter() {
        shown.insert(*name, server.shown().await);
    }
    Json(shown)
}

async fn script(
    State(servers): State<Arc<Servers>>,
    Param(name): Param<String>,
    Json(script): Json<Script>,
) -> Result<StatusCode, Refused> {
    let server = servers.get(name.as_str());
    let server = server.ok_or_else(|| absent("server", "/servers"))?;
    tracing::info!(%name, ?script, "script changed");
    let refused = "the server is on the official SDK and takes no script";
    let set = server.script(script).await;
    set.map_err(|_| (StatusCode::CONFLICT, refused.to_owned()))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn down(
    State(servers): State<Arc<Servers>>,
    Param(name): Param<String>,
) -> Result<StatusCode, Refused> {
    let server = servers.get(name.as_str());
    server
        .ok_or_else(|| absent("server", "/servers"))?
        .down()
        .await;
    tracing::info!(%name, "server down");
    Ok(StatusCode::NO_CONTENT)
}

async fn up(
    State(servers): State<Arc<Servers>>,
    Param(name): Param<String>,
) -> Result<StatusCode, Refused> {
    let server = servers.get(name.as_str());
    let server = server.ok_or_else(|| absent("server", "/servers"))?;
    let started = server.up().await;
    started.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    tracing::info!(%name, "server up");
    Ok(StatusCode::NO_CONTENT)
}

fn absent(what: &str, list: &str) -> Refused {
    let detail = format!("there is no such {what}; GET {list} names them");
    (StatusCode::NOT_FOUND, detail)
}
