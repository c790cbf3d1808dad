//! A small internet on loopback: MCP servers over TLS, canaries, and for every agent a name server
//! and paths of its own that break on command.
//!
//! Every agent asks its own name server and is sent to addresses of its own, so a path is cut for
//! one agent and for nobody else, and the agents need to know nothing of it. [`layout`] says who
//! is where.

mod canary;
mod control;
mod hosted;
pub mod layout;
mod names;
mod resolver;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::ca::{Ca, Flaw};
use crate::proxy::Path;
use canary::Canary;
use hosted::Hosted;
use layout::{AGENTS, Agent, Host, Ports};
use resolver::NameServer;

pub use control::{Paths, paths_router};

/// How a world is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where `ca.pem` is written.
    pub folder: PathBuf,
    /// Where the world is told what to break; on loopback.
    pub control: SocketAddr,
    /// Where the agents' links lead.
    pub coordinator: SocketAddr,
    /// How many agents get paths, of those in [`layout`].
    pub agents: usize,
    /// Where targets and name servers listen.
    pub ports: Ports,
}

/// Runs a world until `shutdown` fires.
///
/// # Errors
/// A setting that cannot be used, an address that is taken, or a certificate that cannot be made.
pub async fn run(options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.control.ip().is_loopback(),
        "control: {} is not on loopback, and whoever reaches it may break things; use 127.0.0.1",
        options.control
    );
    let agents = AGENTS
        .get(..options.agents)
        .filter(|agents| !agents.is_empty())
        .with_context(|| format!("agents: {} is not within 1 to 8", options.agents))?;
    // First, so that a second world breaks nothing of the first one.
    let listener = TcpListener::bind(options.control).await;
    let listener = taken(listener, options.control, "--control")?;

    std::fs::create_dir_all(&options.folder)
        .with_context(|| format!("folder: {}", options.folder.display()))?;
    let ca = Ca::new()?;
    let mut servers = BTreeMap::new();
    let mut canaries = Vec::new();
    for host in layout::hosts() {
        let tls = ca.server(&[&host.name()], Flaw::None)?;
        let bind = host.real(options.ports.targets);
        match host {
            Host::Target(target) => {
                let hosted = Hosted::new(target, bind, tls);
                taken(hosted.up().await, bind, "--port")?;
                servers.insert(target.name, hosted);
            }
            Host::Canary(_) => {
                canaries.push(taken(Canary::start(bind, tls).await, bind, "--port")?)
            }
        }
    }
    let (mut paths, mut name_servers) = (BTreeMap::new(), Vec::new());
    for agent in agents {
        open_paths(agent, &options, &mut paths)?;
        let bind = agent.resolver(options.ports.dns);
        name_servers.push(taken(
            NameServer::start(agent, bind).await,
            bind,
            "--dns-port",
        )?);
    }
    // Last: who sees the file may use it.
    let pem = options.folder.join("ca.pem");
    std::fs::write(&pem, ca.pem()).with_context(|| format!("writing {}", pem.display()))?;
    tracing::info!(
        servers = servers.len(),
        canaries = canaries.len(),
        paths = paths.len(),
        control = %options.control,
        "the world is open"
    );
    let router = control::router(paths, servers);
    let ended = shutdown.clone();
    tokio::select! {
        served = axum::serve(listener, router)
            .with_graceful_shutdown(async move { ended.cancelled().await }) =>
            served.context("serving control")?,
        // A client that keeps its connection must not keep the world.
        () = shutdown.cancelled() => {}
    }
    Ok(())
}

/// The paths of one agent: to every server and canary, and its link.
fn open_paths(
    agent: &'static Agent,
    options: &Options,
    paths: &mut BTreeMap<String, Path>,
) -> anyhow::Result<()> {
    let link = agent.link(options.coordinator.port());
    let path = taken(Path::open(link, options.coordinator), link, "--coordinator")?;
    paths.insert(agent.path(layout::LINK), path);
    for host in layout::hosts() {
        let port = options.ports.targets;
        let bind = SocketAddr::from((agent.address(host.last_byte()), port));
        let path = taken(Path::open(bind, host.real(port)), bind, "--port")?;
        paths.insert(agent.path(&host.short()), path);
    }
    Ok(())
}

/// Says of an address that cannot be bound which it is, and the way out.
fn taken<T>(bound: io::Result<T>, address: SocketAddr, flag: &str) -> anyhow::Result<T> {
    bound.map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            let way_out = "stop what listens there, or name another port with";
            return anyhow::anyhow!("{address} is in use; {way_out} {flag}");
        }
        anyhow::anyhow!("{address} cannot be bound: {error}")
    })
}

type Servers = BTreeMap<&'static str, Arc<Hosted>>;

#[cfg(test)]
mod tests;
