//! `down`: ends the processes of a mesh by their pid files, and never by a name.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::mesh::folder::Folder;
use crate::mesh::plan::{COORDINATOR, WORLD};
use crate::mesh::process::Process;
use crate::mesh::progress::{done, line};
use crate::mesh::wait_for;
use crate::world::layout::AGENTS;

/// How long processes may take to end in order.
const ORDERLY: Duration = Duration::from_secs(12);
/// How long the kernel may take to end those that did not.
const KILLED: Duration = Duration::from_secs(5);

/// Ends the mesh of a folder; what it wrote is kept, unless `purge` says that it goes too.
///
/// # Errors
/// No mesh was made in the folder, or a process cannot be ended.
pub async fn run(path: &Path, purge: bool) -> anyhow::Result<()> {
    let folder = Folder::open(path)?;
    let stopped = stop_all(&folder).await?;
    if stopped == 0 {
        done("down", "nothing was running");
    } else {
        done("down", &format!("{stopped} processes ended"));
    }
    if !purge {
        line(&format!("    data   stays in {}", path.display()));
    } else if folder.purge()? {
        done("purge", &format!("{} is gone", path.display()));
    } else {
        let text = format!("{} keeps what others put there", path.display());
        done("purge", &text);
    }
    Ok(())
}

/// Ends all processes of a folder: first agents, which hand in what they have, then the
/// coordinator, and last the world. How many there were.
pub(crate) async fn stop_all(folder: &Folder) -> anyhow::Result<usize> {
    let agents: Vec<&str> = AGENTS.iter().map(|agent| agent.name).collect();
    let mut stopped = 0;
    for names in [agents.as_slice(), &[COORDINATOR], &[WORLD]] {
        stopped += stop(folder, names).await?;
    }
    Ok(stopped)
}

async fn stop(folder: &Folder, names: &[&str]) -> anyhow::Result<usize> {
    let found = names
        .iter()
        .map(|name| (*name, Process::find(folder, name)));
    let running: Vec<(&str, Process)> = found
        .filter_map(|(name, process)| process.map(|process| (name, process)))
        .collect();
    for (_, process) in &running {
        process.signal(Signal::TERM)?;
    }
    if !ended(&running, ORDERLY).await? {
        for (name, process) in &running {
            if process.is_alive() {
                let log = folder.shown(&format!("logs/{name}.log"));
                line(&format!(
                    " · {name} did not end in order and is killed; its log is {log}"
                ));
                process.signal(Signal::KILL)?;
            }
        }
        anyhow::ensure!(
            ended(&running, KILLED).await?,
            "{} cannot be ended",
            names.join(", ")
        );
    }
    for name in names {
        Process::forget(folder, name)?;
    }
    Ok(running.len())
}

async fn ended(running: &[(&str, Process)], bound: Duration) -> anyhow::Result<bool> {
    let seen = wait_for(bound, async || {
        let is_over = !running.iter().any(|(_, process)| process.is_alive());
        Ok(is_over.then_some(()))
    });
    Ok(seen.await?.is_some())
}
