//! Starts the processes of a mesh one after the other, and waits for each until it is ready.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;

use super::Addresses;
use crate::mesh::api::Api;
use crate::mesh::folder::Folder;
use crate::mesh::plan::{COORDINATOR, Plan, WORLD};
use crate::mesh::process::Process;
use crate::mesh::wait_for;
use crate::mesh::world::World;
use crate::world::layout::AGENTS;

/// How long a part may take: a slow machine that opens a large store.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says which address is taken before anything is started; the world looks at its own.
pub(super) fn ports_are_free(addresses: Addresses) -> anyhow::Result<()> {
    let Addresses {
        http,
        grpc,
        control,
        ..
    } = addresses;
    let table: [(SocketAddr, &str); 3] =
        [(http, "--http"), (grpc, "--grpc"), (control, "--control")];
    for (address, flag) in table {
        TcpListener::bind(address).map_err(|error| {
            let way_out = "stop what listens there";
            anyhow::anyhow!("{address}: {error}; {way_out}, or name another address with {flag}")
        })?;
    }
    Ok(())
}

/// Starts the world.
pub(super) async fn world(plan: &Plan<'_>) -> anyhow::Result<()> {
    let process = Process::start(plan.folder, WORLD, &plan.command(WORLD)?)?;
    let world = World::new(plan.addresses.control);
    ready(plan.folder, WORLD, &process, async || world.is_open().await).await
}

/// Starts the coordinator.
pub(super) async fn coordinator(plan: &Plan<'_>) -> anyhow::Result<()> {
    let folder = plan.folder;
    let process = Process::start(folder, COORDINATOR, &plan.command(COORDINATOR)?)?;
    let http = plan.addresses.http;
    ready(folder, COORDINATOR, &process, async || {
        let Ok(key) = admin_key(folder) else {
            return false;
        };
        Api::new(http, Some(key)).is_ready().await
    })
    .await
}

/// Starts all agents, each with a token of its own, and waits until the mesh has them all.
pub(super) async fn agents(plan: &Plan<'_>, api: &Api) -> anyhow::Result<()> {
    let folder = plan.folder;
    let mut processes = Vec::new();
    for agent in &AGENTS {
        // A new token each time: it is the way out of every state that an agent may be in.
        let token = api
            .token(agent, agent.link(plan.addresses.grpc.port()))
            .await?;
        folder.write_private(&format!("tokens/{}", agent.name), &token)?;
        let process = Process::start(folder, agent.name, &plan.command(agent.name)?)?;
        processes.push((agent.name, process));
    }
    let mut missing: Vec<&str> = Vec::new();
    let seen = wait_for(PATIENCE, async || {
        for (name, process) in &processes {
            still_alive(folder, name, process)?;
        }
        let members = api.members().await?;
        let is_there = |name: &str| members.iter().any(|m| m.id == name && m.connected);
        missing = AGENTS.iter().map(|agent| agent.name).collect();
        missing.retain(|name| !is_there(name));
        Ok(missing.is_empty().then_some(()))
    })
    .await?;
    if seen.is_some() {
        return Ok(());
    }
    let first = processes.iter().find(|(name, _)| missing.contains(name));
    let words = first.map(|(name, process)| process.last_words(folder, name));
    anyhow::bail!(
        "agents: not enrolled within {} s: {}; of the first, {}",
        PATIENCE.as_secs(),
        missing.join(", "),
        words.unwrap_or_default()
    )
}

/// The key that the coordinator wrote.
pub(super) fn admin_key(folder: &Folder) -> anyhow::Result<String> {
    let path = folder.path("coordinator/admin.key");
    let key = std::fs::read_to_string(&path);
    let key = key.with_context(|| format!("reading {}", path.display()))?;
    Ok(key.trim().to_owned())
}

async fn ready(
    folder: &Folder,
    name: &str,
    process: &Process,
    is_ready: impl AsyncFn() -> bool,
) -> anyhow::Result<()> {
    let seen = wait_for(PATIENCE, async || {
        still_alive(folder, name, process)?;
        Ok(is_ready().await.then_some(()))
    })
    .await?;
    seen.with_context(|| {
        let words = process.last_words(folder, name);
        format!("{name}: not ready within {} s; {words}", PATIENCE.as_secs())
    })
}

fn still_alive(folder: &Folder, name: &str, process: &Process) -> anyhow::Result<()> {
    anyhow::ensure!(
        process.is_alive(),
        "{name}: ended at its start; {}",
        process.last_words(folder, name)
    );
    Ok(())
}
