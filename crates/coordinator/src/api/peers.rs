//! The mesh as it sees itself: the path from each agent to its peers.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use rpc::v1;
use schemars::JsonSchema;
use serde::Serialize;
use store::Store;

use super::Shared;
use super::openapi::Time;
use super::problem::Problem;

/// Who reaches whom, and how well.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PeerMatrix")]
pub(super) struct Matrix {
    #[schemars(with = "Time")]
    as_of: String,
    agents: Vec<Watcher>,
}

/// An agent, and the paths that it watches.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PeerAgent")]
struct Watcher {
    agent: String,
    region: String,
    provider: String,
    /// Whether others can watch the path to it; null where it does not answer others, or it was not
    /// tried yet.
    reachable: Option<bool>,
    paths: Vec<Path>,
}

/// A path, over the last five minutes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PeerPath")]
struct Path {
    peer: String,
    region: String,
    provider: String,
    connected: bool,
    /// The median round trip.
    rtt_ms: Option<f64>,
    /// How much round trips differ from one to the next (RFC 3550, 6.4.1).
    jitter_ms: f64,
    /// Of the last QUIC handshake.
    handshake_ms: Option<f64>,
    /// Share of pings that were not answered, 0 to 1; null before the first.
    loss: Option<f64>,
    samples: u32,
}

pub(super) async fn matrix<S: Store>(State(hub): Shared<S>) -> Result<Response, Problem> {
    let now = tokio::time::Instant::now().into_std();
    let mut paths: BTreeMap<String, Vec<Path>> = BTreeMap::new();
    for path in hub.peering.paths(now) {
        let of = paths.entry(path.agent.agent).or_default();
        of.push(shown(path.peer, path.seen));
    }
    let agents = hub.peering.standings().into_iter().map(|standing| Watcher {
        paths: paths.remove(&standing.agent.agent).unwrap_or_default(),
        agent: standing.agent.agent,
        region: standing.agent.region,
        provider: standing.agent.provider,
        reachable: standing.is_reachable,
    });
    let matrix = Matrix {
        as_of: telemetry::clock::wall().to_string(),
        agents: agents.collect(),
    };
    Ok(axum::Json(matrix).into_response())
}

fn shown(peer: crate::fleet::Identity, seen: v1::PeerPath) -> Path {
    let ms = |us: u32| f64::from(us) / 1000.0;
    Path {
        peer: peer.agent,
        region: peer.region,
        provider: peer.provider,
        connected: seen.connected,
        rtt_ms: (seen.rtt_us > 0).then(|| ms(seen.rtt_us)),
        jitter_ms: ms(seen.jitter_us),
        handshake_ms: (seen.handshake_us > 0).then(|| ms(seen.handshake_us)),
        loss: (seen.judged > 0)
            .then(|| f64::from(seen.lost.min(seen.judged)) / f64::from(seen.judged)),
        samples: seen.judged,
    }
}
