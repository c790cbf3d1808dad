//! Who watches what: the agents of each monitor, chosen by [`schedule::Pool`] and told to the
//! board and to the streams of agents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Monitor, MonitorId, MonitorSpec};
use schedule::{Candidate, Pool};
use store::{Kind, Store, StoreError};
use tokio::time::Instant;
use verdict::Witness;

use crate::Hub;
use crate::roster::{self, Place};

/// How often it is asked who is alive.
const LOOK: Duration = Duration::from_secs(5);
/// After a start everybody counts as alive for so long: agents come back within it.
const GRACE: Duration = Duration::from_secs(90);

/// Who watches what, both ways.
#[derive(Debug, Default)]
pub(crate) struct Assigned {
    both: Mutex<Both>,
}

#[derive(Debug, Default)]
struct Both {
    monitors: BTreeMap<MonitorId, Vec<String>>,
    agents: BTreeMap<String, BTreeSet<MonitorId>>,
}

impl Assigned {
    /// What an agent watches.
    pub(crate) fn of(&self, agent: &str) -> Vec<MonitorId> {
        let both = self.lock();
        let monitors = both.agents.get(agent).into_iter().flatten();
        monitors.cloned().collect()
    }

    /// Who watches a monitor.
    pub(crate) fn watchers(&self, monitor: &MonitorId) -> Option<Vec<String>> {
        self.lock().monitors.get(monitor).cloned()
    }

    /// These agents watch a monitor now; none where it is gone.
    pub(crate) fn set(&self, monitor: &MonitorId, agents: Option<Vec<String>>) {
        let mut both = self.lock();
        for agent in both.monitors.remove(monitor).into_iter().flatten() {
            if let Some(monitors) = both.agents.get_mut(&agent) {
                monitors.remove(monitor);
                if monitors.is_empty() {
                    both.agents.remove(&agent);
                }
            }
        }
        let Some(agents) = agents else {
            return;
        };
        for agent in &agents {
            let monitors = both.agents.entry(agent.clone()).or_default();
            monitors.insert(monitor.clone());
        }
        both.monitors.insert(monitor.clone(), agents);
    }

    fn lock(&self) -> MutexGuard<'_, Both> {
        self.both.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The members that may be assigned, and which of them are there.
pub(crate) struct Members {
    places: BTreeMap<String, Place>,
    away: BTreeSet<String>,
}

impl Members {
    /// Those that may watch a monitor, ready to be chosen from.
    fn pool(&self, spec: &MonitorSpec) -> Pool<'_> {
        let places = self.places.values().filter(|place| may(spec, place));
        let candidates = places.map(|place| Candidate {
            agent: &place.agent,
            region: &place.region,
            provider: &place.provider,
            is_alive: !self.away.contains(&place.agent),
        });
        Pool::new(&candidates.collect::<Vec<_>>())
    }

    fn witness(&self, agent: &str) -> Option<Witness> {
        let place = self.places.get(agent)?;
        Some(Witness {
            agent: place.agent.clone(),
            region: place.region.clone(),
            provider: place.provider.clone(),
            place: on_earth(place),
            ..Witness::default()
        })
    }
}

/// Where an agent is, in thousandths of a degree: a hundred metres.
#[expect(
    clippy::cast_possible_truncation,
    reason = "degrees, at most 180 of them"
)]
fn on_earth(place: &Place) -> Option<verdict::Place> {
    let thousandths = |degrees: f64| (degrees * 1000.0).round() as i32;
    let (latitude, longitude) = place.latitude.zip(place.longitude)?;
    Some(verdict::Place {
        latitude: thousandths(latitude),
        longitude: thousandths(longitude),
    })
}

/// Who may be assigned now.
pub(crate) async fn members<S: Store>(hub: &Hub<S>) -> Result<Members, StoreError> {
    let members = roster::members(&hub.store).await?.into_iter();
    let members = members.filter(|member| member.revoked_at_ms.is_none());
    let places = members.map(|member| (member.place.agent.clone(), member.place));
    let places: BTreeMap<String, Place> = places.collect();
    let now = Instant::now().into_std();
    let is_settled = now.saturating_duration_since(hub.started) > GRACE;
    let away = if is_settled {
        let away = places
            .keys()
            .filter(|agent| !hub.fleet.is_alive(agent, now));
        away.cloned().collect()
    } else {
        BTreeSet::new()
    };
    Ok(Members { places, away })
}

/// At the start everybody who may be assigned counts as heard: agents come back soon, and nobody
/// is silent for want of a question.
pub(crate) async fn begin<S: Store>(hub: &Hub<S>) -> Result<(), StoreError> {
    for agent in members(hub).await?.places.into_keys() {
        hub.board.heard(&agent, hub.started);
    }
    settle_all(hub).await?;
    Ok(())
}

/// Chooses the agents of a monitor; whether they are others than before.
pub(crate) async fn settle<S: Store>(hub: &Hub<S>, monitor: &Monitor) -> Result<bool, StoreError> {
    let members = members(hub).await?;
    let is_new = settle_from(hub, monitor, &members, &members.pool(&monitor.spec)).await?;
    Ok(pace(hub) || is_new)
}

/// How many agents a monitor would have, if it were so.
pub(crate) async fn would<S: Store>(hub: &Hub<S>, monitor: &Monitor) -> Result<usize, StoreError> {
    let members = members(hub).await?;
    let kept = hub.assigned.watchers(&monitor.id).unwrap_or_default();
    let most = usize::try_from(monitor.spec.max_agents).unwrap_or(usize::MAX);
    let pool = members.pool(&monitor.spec);
    Ok(pool.assign(monitor.id.as_str(), &kept, most).len())
}

/// Probes monitors as often as their origins bear; whether that is another interval for any.
fn pace<S: Store>(hub: &Hub<S>) -> bool {
    let now = Instant::now().into_std();
    let paced = hub.loads.settle();
    for (id, interval) in &paced {
        hub.board.pace(id.as_str(), *interval, now);
    }
    !paced.is_empty()
}

async fn settle_from<S: Store>(
    hub: &Hub<S>,
    monitor: &Monitor,
    members: &Members,
    pool: &Pool<'_>,
) -> Result<bool, StoreError> {
    let known = hub.assigned.watchers(&monitor.id);
    let kept = match &known {
        Some(kept) => kept.clone(),
        None => read(&hub.store, &monitor.id).await?,
    };
    let most = usize::try_from(monitor.spec.max_agents).unwrap_or(usize::MAX);
    let chosen = pool.assign(monitor.id.as_str(), &kept, most);
    if kept != chosen && chosen.len() >= most {
        // Only a choice must be remembered. First, so that a store that fails leaves all as it was.
        write(&hub.store, &monitor.id, &chosen).await?;
    }
    let witnesses = chosen.iter().filter_map(|agent| members.witness(agent));
    let now = Instant::now().into_std();
    let id = monitor.id.as_str();
    hub.board.assign(id, witnesses.collect(), now);
    let is_new = known.as_ref() != Some(&chosen);
    hub.loads.set(&monitor.id, &monitor.spec, chosen.len());
    hub.assigned.set(&monitor.id, Some(chosen));
    Ok(is_new)
}

/// Whether an agent of this place may watch the monitor: it is in one of the regions, and carries
/// all the labels. A monitor that names neither means every place that is open to all.
fn may(spec: &MonitorSpec, place: &Place) -> bool {
    let is_in = spec.regions.is_empty() || spec.regions.contains(&place.region);
    let wanted = &spec.agent_labels;
    let carries = wanted
        .iter()
        .all(|(name, value)| place.labels.get(name) == Some(value));
    let is_named = !spec.regions.is_empty() || !wanted.is_empty();
    is_in && carries && (is_named || !place.private)
}

/// Chooses anew for every monitor; whether anything changed.
pub(crate) async fn settle_all<S: Store>(hub: &Hub<S>) -> Result<bool, StoreError> {
    let members = members(hub).await?;
    // Most monitors are watched from everywhere: candidates are prepared once for each choice of
    // regions and labels.
    let mut pools: BTreeMap<_, Pool<'_>> = BTreeMap::new();
    let mut is_new = false;
    for monitor in hub.store.monitors().await? {
        let spec = &monitor.spec;
        let pool = pools
            .entry((spec.regions.clone(), spec.agent_labels.clone()))
            .or_insert_with(|| members.pool(spec));
        is_new |= settle_from(hub, &monitor, &members, pool).await?;
        tokio::task::yield_now().await;
    }
    is_new |= pace(hub);
    Ok(is_new)
}

/// A monitor is gone.
pub(crate) async fn forget<S: Store>(hub: &Hub<S>, monitor: &MonitorId) -> Result<(), StoreError> {
    hub.assigned.set(monitor, None);
    hub.loads.remove(monitor);
    pace(hub);
    let known = hub.store.entry(Kind::Assignment, monitor.as_str()).await?;
    if known.is_some() {
        let (kind, id) = (Kind::Assignment, monitor.as_str());
        hub.store.replace(kind, id, known.as_deref(), None).await?;
    }
    Ok(())
}

/// Follows members that come, go, and fall silent, until it is aborted.
pub(crate) async fn run<S: Store>(hub: Arc<Hub<S>>) {
    let mut roster = hub.roster_changes.subscribe();
    let mut away = BTreeSet::new();
    // What could not be settled is tried again at the next look.
    let mut is_owed = false;
    loop {
        let is_changed = tokio::select! {
            changed = roster.changed() => {
                if changed.is_err() {
                    return;
                }
                true
            }
            () = tokio::time::sleep(LOOK) => false,
        };
        let settled = async {
            let members = members(&hub).await?;
            if !is_changed && !is_owed && members.away == away {
                return Ok::<_, StoreError>(false);
            }
            is_owed = true;
            away = members.away;
            let _writing = hub.writes.lock().await;
            let is_new = settle_all(&hub).await?;
            is_owed = false;
            Ok(is_new)
        };
        let settled = settled.await;
        match settled {
            Ok(true) => hub.changes.send_modify(|revision| *revision += 1),
            Ok(false) => {}
            Err(error) => {
                is_owed = true;
                // Some may have been settled before it failed.
                hub.changes.send_modify(|revision| *revision += 1);
                tracing::error!(%error, "monitors cannot be assigned; tried again soon");
            }
        }
    }
}

async fn read<S: Store>(store: &S, monitor: &MonitorId) -> Result<Vec<String>, StoreError> {
    let known = store.entry(Kind::Assignment, monitor.as_str()).await?;
    let read = known.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(read.unwrap_or_default())
}

async fn write<S: Store>(
    store: &S,
    monitor: &MonitorId,
    agents: &[String],
) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(agents).map_err(|error| StoreError::Io(error.to_string()))?;
    let known = store.entry(Kind::Assignment, monitor.as_str()).await?;
    let (kind, id) = (Kind::Assignment, monitor.as_str());
    // Changes of one monitor are made one after the other: nobody comes between.
    store
        .replace(kind, id, known.as_deref(), Some(bytes))
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = text
            .iter()
            .map(|&(name, value)| (name.into(), value.into()));
        pairs.collect()
    }

    #[test]
    fn regions_labels_and_privacy_say_who_may_watch() {
        let place = |region: &str, private, carried: &[(&str, &str)]| Place {
            agent: "x".into(),
            region: region.into(),
            provider: "p".into(),
            latitude: None,
            longitude: None,
            private,
            labels: labels(carried),
        };
        let spec = |regions: &[&str], wanted: &[(&str, &str)]| {
            let mut spec = MonitorSpec::new("https://a/mcp".parse().unwrap());
            spec.regions = regions.iter().map(|&region| region.into()).collect();
            spec.agent_labels = labels(wanted);
            spec
        };
        let (prod, both) = (("env", "prod"), [("env", "prod"), ("net", "v6")]);
        let everywhere = spec(&[], &[]);
        let inside = spec(&["vpc", "lab"], &[]);
        let labelled = spec(&[], &[prod]);
        let narrow = spec(&["vpc"], &both);
        let table = [
            (&everywhere, place("eu", false, &[]), true),
            (&everywhere, place("eu", false, &both), true),
            (&everywhere, place("vpc", true, &both), false),
            (&inside, place("eu", false, &both), false),
            (&inside, place("vpc", true, &[]), true),
            (&inside, place("vpc", false, &[]), true),
            (&labelled, place("eu", false, &[]), false),
            (&labelled, place("eu", false, &[("env", "test")]), false),
            (&labelled, place("eu", false, &both), true),
            (&labelled, place("vpc", true, &[prod]), true),
            (&narrow, place("vpc", true, &both), true),
            (&narrow, place("vpc", true, &[prod]), false),
            (&narrow, place("eu", false, &both), false),
        ];
        for (spec, place, expected) in table {
            assert_eq!(may(spec, &place), expected, "{spec:?} {place:?}");
        }
    }
}
