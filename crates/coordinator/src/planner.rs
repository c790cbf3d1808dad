//! Which monitors an agent gets, and when their slots are.

use std::collections::BTreeMap;
use std::time::Duration;

use model::monitor::CallSpec;
use model::{Monitor, MonitorId, MonitorSpec};
use rpc::v1;
use store::{Store, StoreError};

use crate::assigning::Assigned;
use crate::fleet::Identity;
use crate::loads::Loads;

/// The items of one agent, by monitor.
pub(crate) type Plan = BTreeMap<MonitorId, v1::ScheduleItem>;

/// Everything that an agent should probe. `since_epoch` is the coordinator's clock, on whose axis
/// slots are numbered.
pub(crate) async fn plan<S: Store>(
    store: &S,
    assigned: &Assigned,
    loads: &Loads,
    identity: &Identity,
    since_epoch: Duration,
) -> Result<Plan, StoreError> {
    let mut plan = Plan::new();
    for id in assigned.of(&identity.agent) {
        // One that is gone was only just deleted.
        if let Some(item) = one(store, loads, identity, &id, since_epoch).await? {
            plan.insert(id, item);
        }
    }
    Ok(plan)
}

/// One monitor, as an agent that watches it gets it.
pub(crate) async fn one<S: Store>(
    store: &S,
    loads: &Loads,
    identity: &Identity,
    id: &MonitorId,
    since_epoch: Duration,
) -> Result<Option<v1::ScheduleItem>, StoreError> {
    let Some(monitor) = store.monitor(id).await? else {
        return Ok(None);
    };
    let ordinal = store.ordinal(id, &identity.agent).await?;
    let wanted = monitor.spec.interval.duration();
    let interval = loads.interval(id).unwrap_or(wanted);
    Ok(Some(item(&monitor, interval, ordinal, since_epoch)))
}

/// What turns `old` into `new`: items to set, monitors to drop. Slot times differ with the moment
/// of planning and are no change by themselves.
pub(crate) fn delta(old: &Plan, new: &Plan) -> (Vec<v1::ScheduleItem>, Vec<String>) {
    let changed = |id: &MonitorId, item: &v1::ScheduleItem| {
        old.get(id).is_none_or(|known| {
            let token = |item: &v1::ScheduleItem| {
                let probe = item.probe.as_ref();
                probe.map(|probe| probe.access_token.clone())
            };
            known.generation != item.generation
                || known.interval_ms != item.interval_ms
                || known.looks_at_wall != item.looks_at_wall
                || token(known) != token(item)
        })
    };
    let upserts = new.iter().filter(|(id, item)| changed(id, item));
    let removed = old.keys().filter(|id| !new.contains_key(id));
    (
        upserts.map(|(_, item)| item.clone()).collect(),
        removed.map(MonitorId::to_string).collect(),
    )
}

fn item(
    monitor: &Monitor,
    interval: Duration,
    ordinal: u32,
    since_epoch: Duration,
) -> v1::ScheduleItem {
    let spec = &monitor.spec;
    let phase = schedule::slot::phase(monitor.id.as_str(), ordinal, interval);
    let (next_slot, begins) = schedule::slot::next(since_epoch, phase, interval);
    v1::ScheduleItem {
        monitor_id: monitor.id.to_string(),
        generation: monitor.generation,
        lane: monitor.id.lane().into(),
        interval_ms: millis(interval),
        next_slot,
        next_slot_in_ms: millis(begins.saturating_sub(since_epoch)),
        probe: Some(probe(spec)),
        looks_at_wall: false,
        hosting: spec.hosting.clone().unwrap_or_default(),
    }
}

/// What an agent is to do of a target, with the credentials for it.
pub(crate) fn probe(spec: &MonitorSpec) -> v1::ProbeSpec {
    v1::ProbeSpec {
        url: spec.url.to_string(),
        era: spec.era.to_string(),
        calls: spec.calls.iter().map(tool_call).collect(),
        step_timeout_ms: millis(spec.step_timeout.duration()),
        call_timeout_ms: millis(spec.call_timeout.duration()),
        total_timeout_ms: millis(spec.total_timeout.duration()),
        headers: spec
            .headers
            .iter()
            .map(|(name, value)| v1::Header {
                name: name.clone(),
                value: value.expose().as_bytes().to_vec(),
                secret: true,
            })
            .collect(),
        severities: spec
            .severities
            .iter()
            .map(|(check, severity)| v1::SeverityOverride {
                check: check.to_string(),
                severity: severity.to_string(),
            })
            .collect(),
        lists: spec.lists.iter().map(ToString::to_string).collect(),
        subscribe: spec.subscribe,
        profile: spec.profile.to_string(),
        expect_json: demanded(&spec.expect),
        health_json: spec.health.as_ref().map_or_else(String::new, |health| {
            serde_json::to_string(health).unwrap_or_default()
        }),
        idle_ms: spec.idle_stream.map_or(0, |idle| millis(idle.duration())),
        network: Some(network(spec)),
        instance_json: demanded(&spec.instance),
        // Put in by whoever has it.
        access_token: Vec::new(),
        watch_contract: spec.contract.watch,
    }
}

fn tool_call(call: &CallSpec) -> v1::ToolCall {
    let object = |members: &serde_json::Map<_, _>| serde_json::Value::Object(members.clone());
    let capture = call.capture.iter();
    v1::ToolCall {
        name: call.name.clone(),
        arguments_json: object(&call.arguments).to_string(),
        idempotent: call.idempotent,
        answers_json: object(&call.answers).to_string(),
        expect_json: demanded(&call.expect),
        capture: capture
            .map(|(name, path)| (name.clone(), path.to_string()))
            .collect(),
        cleanup: call.cleanup,
        progress: call.progress,
    }
}

/// Demands as JSON; nothing where nothing is demanded.
fn demanded<T: Default + PartialEq + serde::Serialize>(demands: &T) -> String {
    if *demands == T::default() {
        return String::new();
    }
    // Maps with text keys always become JSON.
    serde_json::to_string(demands).unwrap_or_default()
}

fn network(spec: &MonitorSpec) -> v1::NetworkSpec {
    v1::NetworkSpec {
        connect_to: spec.connect_to.iter().map(ToString::to_string).collect(),
        sni: spec.sni.clone().unwrap_or_default(),
        host: spec.host_header.clone().unwrap_or_default(),
        ca_pem: spec.ca.clone().unwrap_or_default(),
        family: spec.family.to_string(),
        http: spec.http.to_string(),
        alt_svc: spec.alt_svc,
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::MemoryStore;

    fn agent(name: &str) -> Identity {
        Identity {
            agent: name.into(),
            region: "r".into(),
            provider: "p".into(),
            is_private: false,
        }
    }

    fn loads() -> Loads {
        Loads::new(600)
    }

    fn set(assigned: &Assigned, monitor: &str, agents: &[&str]) {
        let agents = agents.iter().map(|&agent| agent.to_owned()).collect();
        assigned.set(&monitor.parse().unwrap(), Some(agents));
    }

    async fn put(store: &MemoryStore, name: &str, url: &str) {
        let spec = MonitorSpec::new(url.parse().unwrap());
        let id = name.parse().unwrap();
        store.put_monitor(&id, spec).await.unwrap();
    }

    #[tokio::test]
    async fn agents_get_what_they_are_assigned_and_then_only_changes() {
        let store = MemoryStore::new(0);
        let assigned = Assigned::default();
        put(&store, "both", "https://a/mcp").await;
        put(&store, "one", "https://b/mcp").await;
        set(&assigned, "both", &["eu-1", "us-1"]);
        set(&assigned, "one", &["eu-1"]);
        let now = Duration::from_secs(1_000_000);
        let (eu, us) = (agent("eu-1"), agent("us-1"));
        let of_eu = plan(&store, &assigned, &loads(), &eu, now).await.unwrap();
        let of_us = plan(&store, &assigned, &loads(), &us, now).await.unwrap();
        assert_eq!((of_eu.len(), of_us.len()), (2, 1));
        let later = now + Duration::from_secs(30);
        let later = plan(&store, &assigned, &loads(), &eu, later).await.unwrap();
        let none = (vec![], vec![]);
        assert_eq!(delta(&of_eu, &later), none, "time alone is no change");
        put(&store, "one", "https://c/mcp").await;
        set(&assigned, "both", &["us-1"]);
        let next = plan(&store, &assigned, &loads(), &eu, now).await.unwrap();
        let (upserts, removed) = delta(&of_eu, &next);
        assert_eq!(upserts.len(), 1);
        assert_eq!(upserts[0].probe.as_ref().unwrap().url, "https://c/mcp");
        assert_eq!(removed, ["both"]);
    }

    #[tokio::test]
    async fn another_interval_is_a_change_of_the_same_generation() {
        let store = MemoryStore::new(0);
        let assigned = Assigned::default();
        put(&store, "docs", "https://a/mcp").await;
        set(&assigned, "docs", &["eu-1"]);
        let now = Duration::from_secs(1_000_000);
        let eu = agent("eu-1");
        let loads = Loads::new(60);
        let id: MonitorId = "docs".parse().unwrap();
        let spec = MonitorSpec::new("https://a/mcp".parse().unwrap());
        loads.set(&id, &spec, 10);
        loads.settle();
        let before = plan(&store, &assigned, &loads, &eu, now).await.unwrap();
        loads.set(&id, &spec, 20);
        loads.settle();
        let after = plan(&store, &assigned, &loads, &eu, now).await.unwrap();
        let (upserts, removed) = delta(&before, &after);
        let interval = |plan: &Plan| plan[&id].interval_ms;
        assert_eq!((interval(&before), interval(&after)), (60_000, 120_000));
        assert_eq!(upserts.len() + removed.len(), 1);
        assert_eq!(upserts[0].generation, before[&id].generation);
        assert!(upserts[0].next_slot_in_ms <= 120_000);
    }

    #[tokio::test]
    async fn two_agents_of_a_monitor_have_different_slots() {
        let store = MemoryStore::new(0);
        let assigned = Assigned::default();
        put(&store, "docs", "https://a/mcp").await;
        set(&assigned, "docs", &["eu-1", "us-1"]);
        let now = Duration::from_secs(1_000_000);
        let one = plan(&store, &assigned, &loads(), &agent("eu-1"), now)
            .await
            .unwrap();
        let two = plan(&store, &assigned, &loads(), &agent("us-1"), now)
            .await
            .unwrap();
        let begins = |plan: &Plan| plan.values().next().unwrap().next_slot_in_ms;
        assert!(begins(&one).abs_diff(begins(&two)) > 10_000);
    }
}
