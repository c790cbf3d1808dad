//! Every operation of the API. What is not here is not answered, and not in the document.

use http::StatusCode;
use model::MonitorSpec;
use model::regional::RegionalProbe;
use serde_json::{Map, Value, json};
use store::Store;

use super::operation::{Body, Operation};
use crate::credentials::Given;

use super::{
    contract, credential, health, keys, members, monitors, openapi, peers, probes, status, summary,
};

/// What `/metrics` is written in.
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;
const NO_CONTENT: StatusCode = StatusCode::NO_CONTENT;
/// A name that is none.
const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
const FULL: StatusCode = StatusCode::INSUFFICIENT_STORAGE;

/// A parameter of those that register a monitor.
const DRY_RUN: &str = "Only says in `dry_run` what the call would do";

/// All of them; `/metrics` needs no key where it is open.
pub(super) fn operations<S: Store>(open_metrics: bool) -> Vec<Operation<S>> {
    let mut all = Vec::from(monitors());
    all.push(probe());
    all.extend(contracts());
    all.extend(mesh());
    all.extend(coordinator(open_metrics));
    all
}

fn no_unless_said() -> Value {
    json!({ "type": "boolean", "default": false })
}

fn monitors<S: Store>() -> [Operation<S>; 8] {
    let one = "/api/v1/monitors/{id}";
    [
        Operation::get("/api/v1/monitors", monitors::list::<S>)
            .named("listMonitors", "All monitors; values of headers are hidden")
            .answers::<monitors::List>(OK),
        Operation::post("/api/v1/monitors", monitors::post::<S>)
            .named(
                "registerMonitor",
                "Registers a monitor, or replaces its spec; without a name its URL is the key",
            )
            .asks("dry_run", DRY_RUN, no_unless_said())
            .takes::<monitors::Posted>()
            .answers::<monitors::Shown>(CREATED)
            .answers::<monitors::Shown>(OK)
            .tagged()
            .or(&[StatusCode::CONFLICT, FULL]),
        Operation::get(one, monitors::show::<S>)
            .named("getMonitor", "A monitor; values of headers are hidden")
            .answers::<monitors::Shown>(OK)
            .tagged()
            .or(&[INVALID]),
        Operation::put(one, monitors::put::<S>)
            .named(
                "putMonitor",
                "Registers a monitor, or replaces its whole spec; an equal one changes nothing",
            )
            .asks("dry_run", DRY_RUN, no_unless_said())
            .takes::<MonitorSpec>()
            .answers::<monitors::Shown>(CREATED)
            .answers::<monitors::Shown>(OK)
            .tagged()
            .or(&[StatusCode::CONFLICT, FULL]),
        Operation::delete(one, monitors::delete::<S>)
            .named("deleteMonitor", "Forgets a monitor and its verdicts")
            .answers_with(NO_CONTENT, Body::Empty)
            .or(&[StatusCode::CONFLICT, INVALID]),
        Operation::put("/api/v1/monitors/{id}/credential", credential::put::<S>)
            .named(
                "putCredential",
                "Another credential for the monitor's authorization; everything else stays",
            )
            .takes::<Given>()
            .answers_with(NO_CONTENT, Body::Empty),
        Operation::get("/api/v1/monitors/{id}/status", status::monitor::<S>)
            .named("getStatus", "The verdict, who says so, and each region")
            .answers::<status::Status>(OK)
            .or(&[INVALID]),
        Operation::get(
            "/api/v1/monitors/{id}/transitions",
            status::transitions::<S>,
        )
        .named(
            "listTransitions",
            "The last changes of the verdict, oldest first",
        )
        .asks(
            "limit",
            "How many at most",
            json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }),
        )
        .answers::<status::Transitions>(OK)
        .or(&[INVALID]),
    ]
}

fn probe<S: Store>() -> Operation<S> {
    Operation::post(probes::PATH, probes::run::<S>)
        .named(
            "runProbe",
            "Probes a target now from regions of the mesh, and waits for their reports",
        )
        .takes::<probes::Wanted>()
        .answers::<RegionalProbe>(OK)
        .or(&[
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::INTERNAL_SERVER_ERROR,
        ])
}

/// What servers list, held against what is pinned.
fn contracts<S: Store>() -> [Operation<S>; 3] {
    [
        Operation::get("/api/v1/monitors/{id}/contract", contract::show::<S>)
            .named(
                "getContract",
                "The tools that are pinned, who sees which, and what has changed",
            )
            .answers::<contract::Contract>(OK)
            .or(&[INVALID]),
        Operation::get(
            "/api/v1/monitors/{id}/contract/surfaces/{fingerprint}",
            contract::surface::<S>,
        )
        .named("getSurface", "The tools of a fingerprint, as a lock file")
        .answers::<contract::LockFile>(OK)
        .or(&[INVALID, StatusCode::INTERNAL_SERVER_ERROR]),
        Operation::post(
            "/api/v1/monitors/{id}/contract/approve",
            contract::approve::<S>,
        )
        .named("approveSurface", "Pins a surface that was seen")
        .takes::<contract::Approval>()
        .answers::<contract::Contract>(OK)
        .or(&[StatusCode::CONFLICT]),
    ]
}

/// Agents, and who may call.
fn mesh<S: Store>() -> [Operation<S>; 7] {
    [
        Operation::get("/api/v1/agents", status::agents::<S>)
            .named(
                "listAgents",
                "The members of the mesh, and what was heard of them",
            )
            .answers::<status::Agents>(OK),
        Operation::get("/api/v1/peers", peers::matrix::<S>)
            .named(
                "listPeers",
                "Who reaches whom: the paths between agents, as they measure them",
            )
            .answers::<peers::Matrix>(OK),
        Operation::post("/api/v1/agents/{id}/revoke", members::revoke::<S>)
            .named(
                "revokeAgent",
                "Turns an agent out; a new token lets it in again",
            )
            .answers_with(NO_CONTENT, Body::Empty),
        Operation::post("/api/v1/tokens", members::create_token::<S>)
            .named("createToken", "A token that lets one agent in, once")
            .takes::<members::Wanted>()
            .answers::<members::Token>(CREATED)
            .or(&[
                StatusCode::CONFLICT,
                StatusCode::INTERNAL_SERVER_ERROR,
                FULL,
            ]),
        Operation::get("/api/v1/keys", keys::list::<S>)
            .named("listKeys", "The keys of the API, without their values")
            .answers::<keys::Keys>(OK),
        Operation::post("/api/v1/keys", keys::create::<S>)
            .named(
                "createKey",
                "A new key; its value is in this answer and nowhere else",
            )
            .takes::<keys::Wanted>()
            .answers::<keys::Shown>(CREATED)
            .or(&[FULL]),
        Operation::delete("/api/v1/keys/{id}", keys::delete::<S>)
            .named("deleteKey", "Removes a key")
            .answers_with(NO_CONTENT, Body::Empty),
    ]
}

/// The coordinator itself.
fn coordinator<S: Store>(open_metrics: bool) -> [Operation<S>; 6] {
    let metrics = Operation::get("/metrics", super::metrics::<S>)
        .named(
            "getMetrics",
            "The metrics of coordinator, agents and monitors",
        )
        .answers_with(OK, Body::Text(OPENMETRICS))
        .or(&[StatusCode::INTERNAL_SERVER_ERROR]);
    [
        Operation::get("/api/v1/openapi.json", openapi::show)
            .named("getDocument", "This document")
            .open()
            .answers::<Map<String, Value>>(OK),
        if open_metrics {
            metrics.open()
        } else {
            metrics
        },
        Operation::get("/api/v1/summary", summary::summary::<S>)
            .named(
                "getSummary",
                "The verdicts, for everybody where that is wanted",
            )
            .open()
            .answers::<summary::Summary>(OK)
            .or(&[StatusCode::NOT_FOUND]),
        Operation::get("/livez", health::live)
            .named("isAlive", "Whether the process answers")
            .open()
            .answers_with(OK, Body::Empty),
        Operation::get("/readyz", health::ready::<S>)
            .named("isReady", "Whether the coordinator can serve")
            .open()
            .answers_with(OK, Body::Empty)
            .or(&[StatusCode::SERVICE_UNAVAILABLE]),
        Operation::get("/health", health::health::<S>)
            .named(
                "getHealth",
                "The coordinator's own health, never a target's",
            )
            .open()
            .answers::<health::Health>(OK),
    ]
}
