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
//! - What was known before a restart is known after it: monitors, run tables and evidence are in
//!   the store, and the board is read from there.
//! - Region and provider of an agent come from the fleet, never from a record.
//! - Only `grpc` and `api` know status codes.

mod api;
mod board;
mod config;
mod fleet;
mod grpc;
mod keeper;
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

pub use config::{Config, ConfigError, Durability, Storage};

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
    let wall = telemetry::clock::wall();
    let seed = u64::try_from(wall.as_microsecond()).unwrap_or_default();
    let storage = config.storage.clone();
    let listeners = Listeners {
        grpc,
        http,
        addresses,
        bound,
    };
    match storage {
        Storage::Memory => {
            tracing::warn!("everything is kept in memory, and forgotten at exit");
            run_on(MemoryStore::new(seed), &config, listeners, shutdown).await
        }
        #[cfg(feature = "rocksdb")]
        Storage::Embedded { folder, durability } => {
            let options = store_rocksdb::Options {
                durability: match durability {
                    Durability::Process => store_rocksdb::Durability::Process,
                    Durability::Power => store_rocksdb::Durability::Power,
                },
                seed,
            };
            let store = store_rocksdb::RocksStore::open(&folder, &options);
            let store = store.context("data-dir")?;
            run_on(store, &config, listeners, shutdown).await
        }
        #[cfg(not(feature = "rocksdb"))]
        Storage::Embedded { .. } => anyhow::bail!("data-dir: this build has no embedded store"),
    }
}

/// Sockets that listen, and who wants to know where.
struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
    addresses: Bound,
    bound: oneshot::Sender<Bound>,
}

async fn run_on<S: Store>(
    store: S,
    config: &Config,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let ledger = Ledger::open(&store)
        .await
        .context("taking the shards over")?;
    let board = Board::default();
    keeper::recall(&store, &board)
        .await
        .context("reading what was known")?;
    let hub = Arc::new(Hub {
        store,
        board,
        fleet: Fleet::default(),
        ledger,
        writes: Mutex::new(()),
        changes: watch::Sender::new(0),
        leaving: shutdown.clone(),
    });
    let Listeners {
        grpc,
        http,
        addresses,
        bound,
    } = listeners;
    tracing::info!(grpc = %addresses.grpc, http = %addresses.http, "listening");
    // A test that did not wait for the addresses has no use for them.
    let _ = bound.send(addresses);
    let keeper = tokio::spawn(keeper::forget(Arc::clone(&hub), config.retention));
    let mut durable = hub.store.durable();
    let serving = serve(hub, grpc, http, shutdown.clone());
    tokio::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = async { while durable.changed().await.is_ok() {} } => {
            // Started again, it opens its folder again.
            shutdown.cancel();
            let _ = serving.await;
            Err(anyhow::anyhow!("data-dir: the medium failed; nothing more can be kept"))
        }
    };
    keeper.abort();
    served
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
