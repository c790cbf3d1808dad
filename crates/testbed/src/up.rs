//! `up`: a whole mesh on one machine, with everything that it watches, in the background.
//!
//! It may be called at any time: what runs is left, what is half there is started anew, and
//! monitors are registered again, which changes nothing.

mod register;
mod start;

use std::path::PathBuf;

use tokio::time::Instant;

use crate::mesh::api::{Api, UP};
use crate::mesh::folder::Folder;
use crate::mesh::plan::{COORDINATOR, Plan, WORLD, names};
use crate::mesh::process::Process;
use crate::mesh::progress::{done, line, seconds};
use crate::world::layout::{AGENTS, CANARIES, TARGETS};

pub use crate::mesh::plan::Addresses;

/// What is brought up, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept.
    pub folder: PathBuf,
    /// Where the binaries are; by default beside this one.
    pub binaries: Option<PathBuf>,
    /// URLs to watch beside the servers of the world.
    pub targets: Vec<String>,
    /// Where the parts listen.
    pub addresses: Addresses,
}

/// What runs already.
enum Found {
    Everything,
    Nothing,
    /// Some of it, or all of it with other settings; the text says which.
    Half(String),
}

/// Brings a mesh up, and waits until its monitors are up.
///
/// # Errors
/// A part that does not start, with the last lines of its log; a port in use; a verdict that does
/// not come.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let folder = Folder::make(&options.folder)?;
    let plan = Plan::new(&folder, options.addresses, options.binaries.as_deref())?;
    match survey(&plan)? {
        Found::Everything => {
            done(
                "running",
                "everything is up already; monitors are registered again",
            );
        }
        Found::Nothing => start(&plan).await?,
        Found::Half(why) => {
            line(&format!(
                " · {why}; what is left is stopped, and all is started anew"
            ));
            crate::down::stop_all(&folder).await?;
            start(&plan).await?;
        }
    }
    let api = api(&plan)?;
    register::keys(&folder, &api).await?;
    let began = Instant::now();
    let others = register::monitors(&api, &options.targets, plan.addresses.ports).await?;
    let count = TARGETS.len() + others.len();
    done("targets", &format!("{count} monitors registered"));
    register::verdicts(&api).await?;
    let all = TARGETS.len();
    let took = seconds(began.elapsed());
    done("verdicts", &format!("{all}/{all} {UP} in {took}"));
    register::others(&api, &others).await?;
    next(&plan, options.targets.is_empty());
    Ok(())
}

/// Looks for the processes of the plan.
fn survey(plan: &Plan<'_>) -> anyhow::Result<Found> {
    let mut dead = Vec::new();
    let mut changed = Vec::new();
    for name in names() {
        match Process::find(plan.folder, name) {
            None => dead.push(name),
            Some(process) => {
                if process.is_outdated() || process.command != plan.command(name)? {
                    changed.push(name);
                }
            }
        }
    }
    Ok(if dead.len() == names().count() {
        Found::Nothing
    } else if !dead.is_empty() {
        Found::Half(format!("not everything runs: {} ended", dead.join(", ")))
    } else if !changed.is_empty() {
        let changed = changed.join(", ");
        Found::Half(format!("other settings or binaries: {changed}"))
    } else {
        Found::Everything
    })
}

/// Starts world, coordinator and agents.
async fn start(plan: &Plan<'_>) -> anyhow::Result<()> {
    let Addresses { http, grpc, .. } = plan.addresses;
    start::ports_are_free(plan.addresses)?;
    let began = Instant::now();
    start::world(plan).await?;
    let text = format!(
        "{} MCP servers over TLS, {CANARIES} canaries, {} × {} fault-proxy paths",
        TARGETS.len(),
        AGENTS.len(),
        TARGETS.len() + usize::from(CANARIES) + 1,
    );
    done(WORLD, &format!("{text:<66} {}", seconds(began.elapsed())));
    start::coordinator(plan).await?;
    let store = plan.folder.shown("coordinator");
    let text = format!("gRPC {grpc} (mTLS)  API http://{http}  store {store}");
    done(COORDINATOR, &text);
    start::agents(plan, &api(plan)?).await?;
    let all = AGENTS.len();
    let text = format!("{all}/{all} enrolled: 4 regions × 4 providers, two agents each");
    done("agents", &text);
    Ok(())
}

/// The API, with the key that the coordinator wrote.
fn api(plan: &Plan<'_>) -> anyhow::Result<Api> {
    let key = start::admin_key(plan.folder)?;
    Ok(Api::new(plan.addresses.http, Some(key)))
}

/// What to do next.
fn next(plan: &Plan<'_>, with_offer: bool) {
    let folder = plan.folder;
    let header = folder.shown("read.header");
    let key = folder.shown("read.key");
    let first = TARGETS[0].name;
    let http = plan.addresses.http;
    let parallax = plan.binary("parallax");
    let elsewhere = if http.to_string() == Addresses::HTTP {
        String::new()
    } else {
        format!("PARALLAX_API=http://{http} ")
    };
    line("");
    line(&format!(
        "    ask    curl -s -H @{header} {http}/api/v1/monitors/{first}/status"
    ));
    line(&format!(
        "    watch  {elsewhere}PARALLAX_API_KEY_FILE={key} {parallax} status --watch"
    ));
    line("    break  make demo");
    if with_offer {
        line("    yours  make up TARGET=https://mcp.example.com/mcp");
    }
    line("    stop   make down");
}
