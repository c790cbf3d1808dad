//! The coordinator: schedules down to agents, evidence up from them, and what is known of every
//! target by API and metrics.
//!
//! ```text
//!  API ─► store ─► planner ─► gRPC Watch ─► agents
//!                                             │
//!  API, metrics ◄─ board ◄─ ledger ◄─ gRPC Report
//! ```
//!
//! Invariants:
//! - A record is counted on the board exactly when the ledger applies it, and acknowledged only
//!   when the store says that it is durable.
//! - Region and provider of an agent come from the fleet, never from a record.
//! - Only `grpc` and `api` know status codes.

mod api;
mod board;
mod config;
mod fleet;
mod grpc;
mod ledger;
mod metrics;
mod planner;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use store::{MemoryStore, Store};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use config::{Config, ConfigError};

use board::Board;
use fleet::Fleet;
use ledger::Ledger;

/// How long open streams and requests may take to end.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Where a coordinator listens, once it does.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// For agents.
    pub grpc: SocketAddr,
    /// For API and metrics.
    pub http: SocketAddr,
}

/// What the parts of a coordinator share.
#[derive(Debug)]
pub(crate) struct Hub<S> {
    pub(crate) store: S,
    pub(crate) board: Board,
    pub(crate) fleet: Fleet,
    pub(crate) ledger: Ledger,
    /// Held while store and board change together.
    pub(crate) writes: Mutex<()>,
    /// Counts changes of the monitors; watch streams follow it.
    pub(crate) changes: watch::Sender<u64>,
    /// Fires when the coordinator is about to leave.
    pub(crate) leaving: CancellationToken,
}

/// Runs a coordinator until `shutdown` fires. `bound` learns where it listens.
///
/// # Errors
/// An address cannot be bound, or a server fails.
pub async fn run(
    config: Config,
    shutdown: CancellationToken,
    bound: oneshot::Sender<Bound>,
) -> anyhow::Result<()> {
    let grpc = listen(config.grpc_listen).await?;
    let http = listen(config.http_listen).await?;
    let addresses = Bound {
        grpc: grpc.local_addr().context("reading the gRPC address")?,
        http: http.local_addr().context("reading the HTTP address")?,
    };
    let life = telemetry::clock::wall().as_microsecond();
    let store = MemoryStore::new(u64::try_from(life).unwrap_or_default());
    let ledger = Ledger::open(&store)
        .await
        .context("taking the shards over")?;
    let hub = Arc::new(Hub {
        store,
        board: Board::default(),
        fleet: Fleet::default(),
        ledger,
        writes: Mutex::new(()),
        changes: watch::Sender::new(0),
        leaving: shutdown.clone(),
    });
    tracing::info!(grpc = %addresses.grpc, http = %addresses.http, "listening");
    // A test that did not wait for the addresses has no use for them.
    let _ = bound.send(addresses);
    serve(hub, grpc, http, shutdown).await
}

async fn serve<S: Store>(
    hub: Arc<Hub<S>>,
    grpc: TcpListener,
    http: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let agents = tokio::spawn(grpc::serve(Arc::clone(&hub), grpc, shutdown.clone()));
    let api = tokio::spawn(api::serve(hub, http, shutdown.clone()));
    let both = async {
        let (agents, api) = tokio::join!(agents, api);
        agents.context("the gRPC task")?.context("serving gRPC")?;
        api.context("the HTTP task")?.context("serving HTTP")
    };
    tokio::pin!(both);
    tokio::select! {
        ended = &mut both => return ended,
        () = shutdown.cancelled() => {}
    }
    tracing::info!("shutting down");
    if let Ok(ended) = tokio::time::timeout(SHUTDOWN, both).await {
        ended
    } else {
        tracing::warn!("some streams did not end within {} s", SHUTDOWN.as_secs());
        Ok(())
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}: is the port in use?"))
}
