//! The agent: probes what the coordinator schedules, and hands the evidence in.
//!
//! ```text
//!  coordinator ─► link ─► core (timetable, windows, spool, couriers) ─► probes
//!       ▲                   │  ▲
//!       └────── link ◄──────┘  └─► disk (a thread: schedule and records)
//! ```
//!
//! What it says of itself, so that its own faults are not taken for a target's: `self_test`
//! (canaries: public references), `peers` (paths to other agents), `others` (its monitors on other
//! hostings), `lag` (its machine).
//! Each failure is followed by a record of these, the attestation.
//!
//! Invariants:
//! - Who the agent is, and where, comes from its enrolment: the key is made here and stays here,
//!   and the coordinator is known by the authority that the token pinned.
//! - One task, the core, owns all state; probes and the link are tasks that talk to it by bounded
//!   queues.
//! - Which tools a target lists is said by a record of its own, and the tools themselves are handed in
//!   by one agent, once somebody asks for them; credentials were taken out of them before.
//! - A slot that is not run is a record too; nothing is left out in silence.
//! - A record is sent once it is on disk, and leaves the disk once it is acknowledged: no restart
//!   loses it or gives its sequence to another.
//! - A failure is vouched for by a self-test that began after the probe did, within 2.5 s, also
//!   while the link is down.
//! - A confirmation, a probe that the coordinator asks for at once, moves no slot, and its
//!   latencies are in no window.
//! - The agent keeps probing and spooling while the coordinator is away.
//! - A proxy that the settings name is for enrolment and link. Probes and canaries go without.
//! - Targets are of remote origin, also those that requests to `/probe` name: only this host's own
//!   allow list opens private addresses.
//! - Probes of requests are in no slot, record, window or vote: they are for who asks.

mod canary;
mod config;
mod core;
mod disk;
mod enrol;
mod exporter;
mod frames;
mod identity;
mod item;
mod lag;
mod link;
mod module;
mod origins;
mod others;
mod peers;
mod record;
mod self_test;
mod spool;
mod surfaces;
mod telling;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use dial::{AddressPolicy, Dialer};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use config::{Config, ConfigError, Http, HttpTls, Peering, ProbeToken, Reread};
pub use module::{DEFAULT_MODULE, ModuleError, Modules};
use origins::Origins;
use peers::Peers;
use telling::Telling;
pub use token::{Token, TokenError};

/// Whether a state folder has the identity of an enrolled agent.
#[must_use]
pub fn is_enrolled(state_dir: &std::path::Path) -> bool {
    identity::Identity::is_in(state_dir)
}

/// Runs an agent until `shutdown` fires, then drains. An agent that is not a member yet enrols
/// first, and waits for its coordinator as long as it takes. One that is to serve HTTP only has no
/// coordinator.
///
/// # Errors
/// The host's settings or the state folder cannot be used, or the token is refused.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (bound, _) = oneshot::channel();
    run_bound(config, shutdown, bound).await
}

/// Runs an agent like [`run`]; `bound` learns where it serves HTTP, if it does.
///
/// # Errors
/// As [`run`]; and the address cannot be bound.
pub async fn run_bound(
    config: Config,
    shutdown: CancellationToken,
    bound: oneshot::Sender<SocketAddr>,
) -> anyhow::Result<()> {
    let dialer = config.dialer().context("setting the dialer up")?;
    let shared: Shared = (Arc::default(), Arc::default());
    let config = Arc::new(config);
    // Whatever ends the agent ends it too.
    let ends = shutdown.child_token();
    let mut serving = None;
    if let Some(http) = &config.http {
        let listener = exporter::Listener::bind(http).await?;
        tracing::info!(address = %listener.address, "serving /probe and /metrics");
        // Nobody may want to know.
        let _ = bound.send(listener.address);
        let contact = config.contact.clone();
        let dialer = dialer.clone();
        let shared = shared.clone();
        let current = Arc::clone(&listener.current);
        let served = exporter::Served::new(current, dialer, contact, shared, ends.clone());
        serving = Some(tokio::spawn(exporter::serve(listener, served)));
    }
    let ran = if config.http.as_ref().is_some_and(|http| http.only) {
        tracing::info!("serving only: this agent is in no mesh");
        shutdown.cancelled().await;
        Ok(())
    } else {
        watch(config, dialer, shared, shutdown).await
    };
    ends.cancel();
    if let Some(serving) = serving {
        serving.await.context("serving HTTP")?;
    }
    ran
}

/// What the schedule and the exporter share: what is told of both, and what both do to origins.
type Shared = (Arc<Telling>, Arc<Origins>);

/// Enrols where needed, and does what the coordinator says.
async fn watch(
    config: Arc<Config>,
    dialer: Dialer,
    shared: Shared,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let folder = config.state_dir.as_deref();
    let known = folder.map(identity::Identity::load).transpose()?.flatten();
    let identity = match (known, &config.token) {
        (Some(identity), None) => identity,
        // The one that it came with stays where it was put.
        (Some(identity), Some(token)) if identity.is_of(token) => identity,
        // Another one: whoever put it there wants the agent enrolled anew.
        (_, Some(token)) => {
            if let Some(folder) = folder {
                disk::private_folder(folder)
                    .with_context(|| format!("state-dir: {}", folder.display()))?;
            }
            let coordinators = &config.coordinators;
            let route = link::Route {
                dialer: dialer.clone(),
                proxy: config.link_proxy.clone(),
            };
            match enrol::enrol(&route, token, coordinators, folder, &shutdown).await {
                Err(enrol::EnrolError::Stopped) => return Ok(()),
                enrolled => enrolled?,
            }
        }
        (None, None) => anyhow::bail!(
            "token-file: this agent is not enrolled yet; make a token with `parallax token create`"
        ),
    };
    let (agent, region) = (identity.agent(), identity.region());
    tracing::info!(agent, region, "starting");
    shared.0.became(agent, region);
    let credentials = identity.credentials().context("the identity")?;
    let policy = AddressPolicy::new(config.allow.clone());
    let peers = Peers::begin(config.peering, policy, credentials).map_err(anyhow::Error::msg)?;
    core::run(config, identity, peers, dialer, shared, shutdown).await?;
    Ok(())
}
