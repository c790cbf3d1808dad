//! Which monitors there are, and whose they are: the API's, or those of the folder that the
//! coordinator follows. Both change them here.

use std::collections::BTreeSet;

use model::monitor::FieldError;
use model::{Monitor, MonitorId, MonitorSpec};
use schemars::JsonSchema;
use serde::Serialize;
use store::{Kind, Put, Store, StoreError};

use crate::{Hub, assigning, contracts, credentials};

/// Monitors of one coordinator: what its memory is for.
pub(crate) const MAX_MONITORS: usize = 100_000;
/// What is kept of a monitor that a file has.
const MARK: &[u8] = b"file";

/// Who says what a monitor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ManagedBy {
    /// The API.
    Api,
    /// A file of the folder that the coordinator follows.
    File,
}

/// What a put does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "PutChange")]
pub(crate) enum Change {
    /// There was no such monitor.
    Created,
    /// Its meaning is another.
    Changed,
    /// Nothing.
    Unchanged,
}

/// Why the registry stays as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Fields are wrong.
    #[error("fields are wrong")]
    Fields(Vec<FieldError>),
    /// A file has it.
    #[error(
        "{0} is kept in a file of --monitors-dir; change it there, and it is followed within seconds"
    )]
    InFile(MonitorId),
    /// There is no place for another.
    #[error("this coordinator has {MAX_MONITORS} monitors; delete some first")]
    Full,
    /// There is none of this name.
    #[error("there is no monitor {0}")]
    Unknown(MonitorId),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whose a monitor is.
pub(crate) async fn manager<S: Store>(store: &S, id: &MonitorId) -> Result<ManagedBy, StoreError> {
    let mark = store.entry(Kind::Managed, id.as_str()).await?;
    Ok(match mark {
        Some(_) => ManagedBy::File,
        None => ManagedBy::Api,
    })
}

/// The names that files have, or had when they were last followed.
pub(crate) async fn of_files<S: Store>(store: &S) -> Result<BTreeSet<String>, StoreError> {
    let marks = store.entries(Kind::Managed).await?;
    Ok(marks.into_iter().map(|(id, _)| id).collect())
}

/// What a put by the API would do, and the monitor as it would be, but with the generation that it
/// has: 0 where there is none.
pub(crate) async fn look<S: Store>(
    hub: &Hub<S>,
    id: MonitorId,
    spec: MonitorSpec,
) -> Result<(Change, Monitor), Refused> {
    check(&spec)?;
    free(hub, &id).await?;
    let (change, generation) = match hub.store.monitor(&id).await? {
        None if hub.board.len() >= MAX_MONITORS => return Err(Refused::Full),
        None => (Change::Created, 0),
        Some(known) if known.spec == spec => (Change::Unchanged, known.generation),
        Some(known) => (Change::Changed, known.generation),
    };
    let monitor = Monitor {
        id,
        generation,
        spec,
    };
    Ok((change, monitor))
}

/// Replaces the whole spec for the API; an equal one changes nothing.
pub(crate) async fn put<S: Store>(
    hub: &Hub<S>,
    id: &MonitorId,
    spec: MonitorSpec,
) -> Result<Put, Refused> {
    check(&spec)?;
    let _writing = hub.writes.lock().await;
    free(hub, id).await?;
    if hub.store.monitor(id).await?.is_none() {
        if hub.board.len() >= MAX_MONITORS {
            return Err(Refused::Full);
        }
        // What another of this name may have left, if the store failed while it was removed.
        contracts::forget(&hub.store, id).await?;
    }
    // Of a folder that is not followed any more, it is the API's from now on.
    unmark(&hub.store, id).await?;
    let put = hub.store.put_monitor(id, spec).await?;
    if put.changed {
        show(hub, &put.monitor);
        assigning::settle(hub, &put.monitor).await?;
        hub.changes.send_modify(|revision| *revision += 1);
    }
    Ok(put)
}

/// Removes a monitor for the API.
pub(crate) async fn remove<S: Store>(hub: &Hub<S>, id: &MonitorId) -> Result<(), Refused> {
    let _writing = hub.writes.lock().await;
    free(hub, id).await?;
    if !drop_one(hub, id).await? {
        return Err(Refused::Unknown(id.clone()));
    }
    hub.changes.send_modify(|revision| *revision += 1);
    Ok(())
}

/// What following files did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Followed {
    pub(crate) created: usize,
    pub(crate) changed: usize,
    pub(crate) removed: usize,
}

/// Why files are not followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotFollowed {
    /// The API has monitors of the same names.
    #[error("{}", taken(.0))]
    Taken(Vec<MonitorId>),
    /// There is no place for so many.
    #[error("with these files there would be more than {MAX_MONITORS} monitors")]
    Full,
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn taken(names: &[MonitorId]) -> String {
    let way_out = "the API has registered it; delete it there, or give it another name in the file";
    let shown = names.iter().take(10);
    let mut lines: Vec<String> = shown.map(|id| format!("monitor {id}: {way_out}")).collect();
    if names.len() > lines.len() {
        lines.push(format!("and {} more", names.len() - lines.len()));
    }
    lines.join("\n")
}

/// Makes the monitors of files those that are given. Either all of them may be so, or nothing
/// changes; a store that fails in between is asked again later, for the same.
pub(crate) async fn follow<S: Store>(
    hub: &Hub<S>,
    wanted: &[(MonitorId, MonitorSpec)],
) -> Result<Followed, NotFollowed> {
    let _writing = hub.writes.lock().await;
    let marked = of_files(&hub.store).await?;
    let mut new = 0;
    let mut conflicts = Vec::new();
    for (id, _) in wanted
        .iter()
        .filter(|(id, _)| !marked.contains(id.as_str()))
    {
        if hub.store.monitor(id).await?.is_some() {
            conflicts.push(id.clone());
        }
        new += 1;
    }
    if !conflicts.is_empty() {
        return Err(NotFollowed::Taken(conflicts));
    }
    let names: BTreeSet<&str> = wanted.iter().map(|(id, _)| id.as_str()).collect();
    let gone: Vec<MonitorId> = marked
        .iter()
        .filter(|name| !names.contains(name.as_str()))
        .filter_map(|name| name.parse().ok())
        .collect();
    if (hub.board.len() + new).saturating_sub(gone.len()) > MAX_MONITORS {
        return Err(NotFollowed::Full);
    }
    let mut followed = Followed::default();
    for id in &gone {
        followed.removed += usize::from(drop_one(hub, id).await?);
    }
    for (id, spec) in wanted {
        // First: a monitor without its mark would be the API's.
        if !marked.contains(id.as_str()) {
            contracts::forget(&hub.store, id).await?;
            mark(&hub.store, id).await?;
        }
        let put = hub.store.put_monitor(id, spec.clone()).await?;
        if put.changed {
            show(hub, &put.monitor);
            followed.created += usize::from(put.created);
            followed.changed += usize::from(!put.created);
        }
    }
    if followed != Followed::default() {
        assigning::settle_all(hub).await?;
        hub.changes.send_modify(|revision| *revision += 1);
    }
    Ok(followed)
}

/// Everything that is wrong with a spec.
fn check(spec: &MonitorSpec) -> Result<(), Refused> {
    let mut problems = spec.problems();
    problems.extend(credentials::problems(spec));
    if problems.is_empty() {
        problems.extend(contracts::problem(spec));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Refused::Fields(problems))
    }
}

/// Whether the API may change a monitor. What files had is anybody's while no folder is followed.
async fn free<S: Store>(hub: &Hub<S>, id: &MonitorId) -> Result<(), Refused> {
    let is_followed = hub.folder.is_some();
    match manager(&hub.store, id).await? {
        ManagedBy::File if is_followed => Err(Refused::InFile(id.clone())),
        ManagedBy::File | ManagedBy::Api => Ok(()),
    }
}

fn show<S: Store>(hub: &Hub<S>, monitor: &Monitor) {
    let now = tokio::time::Instant::now().into_std();
    hub.board.set(monitor, now);
    hub.credentials.set(monitor);
}

/// Removes a monitor and all that belongs to it; whether there was one.
async fn drop_one<S: Store>(hub: &Hub<S>, id: &MonitorId) -> Result<bool, StoreError> {
    let existed = hub.store.delete_monitor(id).await?;
    hub.board.remove(id.as_str());
    hub.credentials.remove(id);
    assigning::forget(hub, id).await?;
    contracts::forget(&hub.store, id).await?;
    unmark(&hub.store, id).await?;
    Ok(existed)
}

async fn mark<S: Store>(store: &S, id: &MonitorId) -> Result<(), StoreError> {
    let new = Some(MARK.to_vec());
    store.replace(Kind::Managed, id.as_str(), None, new).await?;
    Ok(())
}

async fn unmark<S: Store>(store: &S, id: &MonitorId) -> Result<(), StoreError> {
    let known = store.entry(Kind::Managed, id.as_str()).await?;
    if known.is_some() {
        let (kind, id) = (Kind::Managed, id.as_str());
        store.replace(kind, id, known.as_deref(), None).await?;
    }
    Ok(())
}
