//! The coordinator: schedules down to agents, evidence up from them, and what is known of every
//! target by API and metrics.
//!
//! ```text
//!  API, files ─► store ─► planner ─► gRPC Watch ─► agents
//!                                             │
//!  API, metrics ◄─ board ◄─ ledger ◄─ gRPC Report
//!                   └─► judging ─► confirmations to agents, transitions to the store
//! ```
//!
//! Invariants:
//! - A record is counted on the board exactly when the ledger applies it, and acknowledged only
//!   when the store says that it is durable.
//! - What was known before a restart is known after it: monitors, run tables and evidence are in
//!   the store, and the board is read from there.
//! - An agent is who its certificate says; region and provider come from the roster, never from
//!   a message.
//! - Only `grpc` and `api` know status codes.

mod api;
mod assigning;
mod authority;
mod axis;
mod board;
mod config;
mod contracts;
mod credentials;
mod fleet;
mod folder;
mod grpc;
mod judging;
mod keeper;
mod ledger;
mod loads;
mod metrics;
mod on_demand;
mod orders;
mod pauses;
mod peering;
mod planner;
mod registry;
mod roster;
mod secret;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Config, ConfigError, Durability, Storage};

use dial::{Dialer, SetupError};

use assigning::Assigned;
use authority::Authority;
use axis::Axis;
use board::Board;
use credentials::{Credentials, renewer};
use fleet::Fleet;
use folder::Folder;
use ledger::Ledger;
use loads::Loads;
use on_demand::OnDemand;
use orders::Orders;
use peering::Peering;

/// How long open streams and requests may take to end.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// How long the store may be held by streams that have ended, in hundredths of a second.
const CLOSING: u32 = 200;

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
    /// Who watches what.
    pub(crate) assigned: Assigned,
    /// What that costs targets, and how often each monitor is probed for it.
    pub(crate) loads: Loads,
    /// What is asked of agents at once.
    pub(crate) orders: Orders,
    /// The credentials of monitors.
    pub(crate) credentials: Credentials,
    /// Probes that users wait for.
    pub(crate) on_demand: OnDemand,
    /// Which agents watch the paths to which others.
    pub(crate) peering: Peering,
    /// Whether everybody may read the verdicts.
    pub(crate) public_summary: bool,
    /// When this coordinator began.
    pub(crate) started: std::time::Instant,
    /// Held while store and board change together.
    pub(crate) writes: Mutex<()>,
    /// Counts changes of the monitors; watch streams follow it.
    pub(crate) changes: watch::Sender<u64>,
    /// Signs for agents.
    pub(crate) authority: Authority,
    /// Where agents reach this coordinator.
    pub(crate) endpoint: Option<String>,
    /// Counts changes of the roster; streams of agents follow it.
    pub(crate) roster_changes: watch::Sender<u64>,
    /// The folder whose monitors are followed.
    pub(crate) folder: Option<Folder>,
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
    let storage = config.storage.clone();
    let listeners = Listeners {
        grpc,
        http,
        addresses,
        bound,
    };
    match storage {
        Storage::Memory(store) => {
            tracing::warn!("everything is kept in memory, and forgotten at exit");
            run_on(store, &config, listeners, shutdown).await
        }
        #[cfg(feature = "rocksdb")]
        Storage::Embedded { folder, durability } => {
            let options = store_rocksdb::Options {
                durability: match durability {
                    Durability::Process => store_rocksdb::Durability::Process,
                    Durability::Power => store_rocksdb::Durability::Power,
                },
                seed: u64::try_from(telemetry::clock::wall().as_microsecond()).unwrap_or_default(),
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
    let started = tokio::time::Instant::now().into_std();
    let board = Board::new(Axis::begin(started, telemetry::clock::wall()));
    let credentials = Credentials::default();
    for monitor in store.monitors().await.context("reading the monitors")? {
        board.set(&monitor, started);
        credentials.set(&monitor);
    }
    // Without one nothing else is worse.
    let dialer = config.dialer();
    contracts::begin(&store, &board)
        .await
        .context("reading the contracts")?;
    let now = telemetry::clock::wall().into();
    let authority = Authority::open(&store, now).await.context("authority")?;
    if let Some(path) = &config.admin_key_file {
        api::admin_key_file(&store, path).await?;
    }
    let Listeners {
        grpc,
        http,
        addresses,
        bound,
    } = listeners;
    let agents = tls::for_agents(&authority, authority.server(now)?)?;
    let http_tls = config.http_tls.as_ref();
    let http_tls =
        http_tls.map(|(chain, key)| listen::tls::from_files(chain, key, &["h2", "http/1.1"]));
    let incoming = Incoming {
        grpc: tls::incoming(grpc, Some(agents), true, shutdown.clone()),
        http: tls::incoming(http, http_tls.transpose()?, false, shutdown.clone()),
    };
    let is_reachable = !addresses.grpc.ip().is_unspecified();
    let listens = is_reachable.then(|| addresses.grpc.to_string());
    let hub = Arc::new(Hub {
        store,
        board,
        fleet: Fleet::default(),
        ledger,
        assigned: Assigned::default(),
        loads: Loads::new(config.max_requests_per_minute),
        orders: Orders::default(),
        credentials,
        on_demand: OnDemand::default(),
        peering: Peering::default(),
        public_summary: config.public_summary,
        started,
        writes: Mutex::new(()),
        changes: watch::Sender::new(0),
        authority,
        endpoint: config.endpoint.clone().or(listens),
        roster_changes: watch::Sender::new(0),
        folder: config.monitors_dir.clone().map(Folder::new),
        leaving: shutdown.clone(),
    });
    assigning::begin(&hub).await.context("assigning")?;
    keeper::recall(&hub.store, &hub.board)
        .await
        .context("reading what was known")?;
    folder::look(&hub).await;
    tracing::info!(grpc = %addresses.grpc, http = %addresses.http, "listening");
    // A test that did not wait for the addresses has no use for them.
    let _ = bound.send(addresses);
    run_hub(hub, incoming, config, dialer, shutdown).await
}

/// Works until `shutdown` fires, or the store fails.
async fn run_hub<S: Store>(
    hub: Arc<Hub<S>>,
    incoming: Incoming,
    config: &Config,
    dialer: Result<Dialer, SetupError>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // Not among the tasks that are aborted: what was asked for is kept first.
    let renewer = tokio::spawn(renewer::run(Arc::clone(&hub), dialer));
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper::forget(Arc::clone(&hub), config.retention_hours));
    judging::begin(&hub, &mut tasks);
    tasks.spawn(assigning::run(Arc::clone(&hub)));
    tasks.spawn(peering::run(Arc::clone(&hub)));
    tasks.spawn(contracts::run(Arc::clone(&hub)));
    if hub.folder.is_some() {
        tasks.spawn(folder::run(Arc::clone(&hub)));
    }
    let mut durable = hub.store.durable();
    let last = Arc::downgrade(&hub);
    let serving = serve(hub, incoming, config.open_metrics, shutdown.clone());
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
    tasks.shutdown().await;
    shutdown.cancel();
    if let Err(error) = renewer.await {
        tracing::error!(%error, "the renewer of credentials failed");
    }
    // Streams that have just ended may hold the store for a moment: it is closed when this returns.
    for _ in 0..CLOSING {
        if last.strong_count() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    served
}

/// Connections as they come.
struct Incoming {
    grpc: mpsc::Receiver<tls::Accepted>,
    http: mpsc::Receiver<tls::Accepted>,
}

async fn serve<S: Store>(
    hub: Arc<Hub<S>>,
    incoming: Incoming,
    open_metrics: bool,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let agents = grpc::serve(Arc::clone(&hub), incoming.grpc, shutdown.clone());
    let agents = tokio::spawn(agents);
    let api = api::serve(hub, incoming.http, open_metrics, shutdown.clone());
    let api = tokio::spawn(api);
    let both = async {
        let (agents, api) = tokio::join!(agents, api);
        agents.context("the gRPC task")?.context("serving gRPC")?;
        api.context("the HTTP task")
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
