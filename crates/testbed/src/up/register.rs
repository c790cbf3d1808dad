//! Keys and monitors of a mesh that runs, and the wait for its first verdicts.

use std::time::Duration;

use crate::mesh::api::{Api, Status, UP};
use crate::mesh::folder::Folder;
use crate::mesh::progress::{Waiting, line};
use crate::mesh::wait_for;
use crate::world::layout::{Ports, TARGETS};

/// How long the first verdicts may take: a probe, a confirmation, and what a slow machine adds.
const VERDICTS: Duration = Duration::from_secs(120);
/// The same for targets of the user, which may well be down.
const OTHERS: Duration = Duration::from_secs(60);

/// A monitor of the user.
#[derive(Debug)]
pub(super) struct Other {
    url: String,
    id: String,
}

/// Writes the keys of the mesh into its folder; one that may only read is made once.
pub(super) async fn keys(folder: &Folder, api: &Api) -> anyhow::Result<()> {
    let admin = super::start::admin_key(folder)?;
    folder.write_key("admin", &admin)?;
    let known = folder.key("read");
    let still_works = Api::new(api.address(), known.clone()).is_ready().await;
    let read = match known {
        Some(key) if still_works => key,
        _ => api.read_key().await?,
    };
    folder.write_key("read", &read)
}

/// Registers the servers of the world, and the user's.
pub(super) async fn monitors(
    api: &Api,
    urls: &[String],
    ports: Ports,
) -> anyhow::Result<Vec<Other>> {
    for target in &TARGETS {
        api.register(target, ports.targets).await?;
    }
    let mut others = Vec::new();
    for url in urls {
        let id = api.register_url(url).await?;
        let url = url.clone();
        others.push(Other { url, id });
    }
    Ok(others)
}

/// Waits until all servers of the world are up.
pub(super) async fn verdicts(api: &Api) -> anyhow::Result<()> {
    let mut waiting = Waiting::new();
    let mut seen: Vec<(&str, Status)> = Vec::new();
    let all = wait_for(VERDICTS, async || {
        seen.clear();
        for target in &TARGETS {
            seen.push((target.name, api.status(target.name).await?));
        }
        let texts: Vec<String> = seen
            .iter()
            .map(|(name, status)| format!("{name} {}", status.short()))
            .collect();
        let is_up = seen.iter().all(|(_, status)| status.verdict == UP);
        if !is_up {
            waiting.tell(&texts.join(", "));
        }
        Ok(is_up.then_some(()))
    })
    .await;
    waiting.clear();
    if all?.is_some() {
        return Ok(());
    }
    let down = seen.iter().filter(|(_, status)| status.verdict != UP);
    let down: Vec<String> = down
        .map(|(name, status)| {
            let why = status.why.as_deref().unwrap_or("nothing is said");
            format!("{name} is {}: {why}", status.short())
        })
        .collect();
    anyhow::bail!(
        "verdicts: not all {UP} within {} s; {}",
        VERDICTS.as_secs(),
        down.join("; ")
    )
}

/// Waits for a verdict on each of the user's targets, whatever it is.
pub(super) async fn others(api: &Api, others: &[Other]) -> anyhow::Result<()> {
    for Other { url, id } in others {
        let mut waiting = Waiting::new();
        let status = wait_for(OTHERS, async || {
            let status = api.status(id).await?;
            if status.verdict == "unknown" {
                waiting.tell(&format!("{url} {}", status.short()));
                return Ok(None);
            }
            Ok(Some(status))
        })
        .await;
        waiting.clear();
        let (mark, said) = match status? {
            Some(status) if status.verdict == UP => ("✔", status.short()),
            Some(status) => {
                let why = status.why.as_deref().unwrap_or_default();
                ("·", format!("{}: {why}", status.short()))
            }
            None => ("·", format!("no verdict yet; ask for monitor {id}")),
        };
        line(&format!(" {mark} yours        {url} {said}"));
    }
    Ok(())
}
