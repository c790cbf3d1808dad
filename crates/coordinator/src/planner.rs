//! Which monitors an agent gets, and when their slots are.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Monitor, MonitorId};
use rpc::v1;
use store::{Store, StoreError};

use crate::fleet::Identity;

/// The items of one agent, by monitor.
pub(crate) type Plan = BTreeMap<MonitorId, v1::ScheduleItem>;

/// Everything that an agent should probe. `since_epoch` is the coordinator's clock, on whose axis
/// slots are numbered.
pub(crate) async fn plan<S: Store>(
    store: &S,
    identity: &Identity,
    since_epoch: Duration,
) -> Result<Plan, StoreError> {
    let mut plan = Plan::new();
    for monitor in store.monitors().await? {
        let regions = &monitor.spec.regions;
        // "Everywhere" is every place that is open to all.
        let is_everywhere = regions.is_empty() && !identity.is_private;
        if is_everywhere || regions.contains(&identity.region) {
            let ordinal = store.ordinal(&monitor.id, &identity.agent).await?;
            let item = item(&monitor, ordinal, since_epoch);
            plan.insert(monitor.id, item);
        }
    }
    Ok(plan)
}

/// What turns `old` into `new`: items to set, monitors to drop. Slot times differ with the moment
/// of planning and are no change by themselves.
pub(crate) fn delta(old: &Plan, new: &Plan) -> (Vec<v1::ScheduleItem>, Vec<String>) {
    let changed = |id: &MonitorId, item: &v1::ScheduleItem| {
        old.get(id)
            .is_none_or(|known| known.generation != item.generation)
    };
    let upserts = new.iter().filter(|(id, item)| changed(id, item));
    let removed = old.keys().filter(|id| !new.contains_key(id));
    (
        upserts.map(|(_, item)| item.clone()).collect(),
        removed.map(MonitorId::to_string).collect(),
    )
}

fn item(monitor: &Monitor, ordinal: u32, since_epoch: Duration) -> v1::ScheduleItem {
    let spec = &monitor.spec;
    let interval = spec.interval.duration();
    let phase = schedule::slot::phase(monitor.id.as_str(), ordinal, interval);
    let (next_slot, begins) = schedule::slot::next(since_epoch, phase, interval);
    v1::ScheduleItem {
        monitor_id: monitor.id.to_string(),
        generation: monitor.generation,
        lane: monitor.id.lane().into(),
        interval_ms: millis(interval),
        next_slot,
        next_slot_in_ms: millis(begins.saturating_sub(since_epoch)),
        probe: Some(v1::ProbeSpec {
            url: spec.url.to_string(),
            era: spec.era.to_string(),
            calls: spec
                .calls
                .iter()
                .map(|call| v1::ToolCall {
                    name: call.name.clone(),
                    arguments_json: serde_json::Value::Object(call.arguments.clone()).to_string(),
                    idempotent: call.idempotent,
                })
                .collect(),
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
        }),
        hosting: spec.hosting.clone().unwrap_or_default(),
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::MonitorSpec;
    use store::MemoryStore;

    fn agent(region: &str) -> Identity {
        Identity {
            agent: format!("{region}-1"),
            region: region.into(),
            provider: "p".into(),
            is_private: false,
        }
    }

    async fn put(store: &MemoryStore, name: &str, regions: &[&str], url: &str) {
        let mut spec = MonitorSpec::new(url.parse().unwrap());
        spec.regions = regions.iter().map(|&region| region.to_owned()).collect();
        store
            .put_monitor(&name.parse().unwrap(), spec)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn agents_get_the_monitors_of_their_region_and_then_only_changes() {
        let store = MemoryStore::new(0);
        put(&store, "everywhere", &[], "https://a/mcp").await;
        put(&store, "only-eu", &["eu"], "https://b/mcp").await;
        let now = Duration::from_secs(1_000_000);
        let eu = plan(&store, &agent("eu"), now).await.unwrap();
        let us = plan(&store, &agent("us"), now).await.unwrap();
        assert_eq!((eu.len(), us.len()), (2, 1));
        let later = plan(&store, &agent("eu"), now + Duration::from_secs(30))
            .await
            .unwrap();
        assert_eq!(
            delta(&eu, &later),
            (vec![], vec![]),
            "time alone is no change"
        );
        put(&store, "only-eu", &["eu"], "https://c/mcp").await;
        store
            .delete_monitor(&"everywhere".parse().unwrap())
            .await
            .unwrap();
        let next = plan(&store, &agent("eu"), now).await.unwrap();
        let (upserts, removed) = delta(&eu, &next);
        assert_eq!(upserts.len(), 1);
        assert_eq!(upserts[0].probe.as_ref().unwrap().url, "https://c/mcp");
        assert_eq!(removed, ["everywhere"]);
    }

    #[tokio::test]
    async fn a_private_agent_gets_what_names_its_region() {
        let store = MemoryStore::new(0);
        put(&store, "everywhere", &[], "https://a/mcp").await;
        put(&store, "inside", &["vpc"], "https://b/mcp").await;
        let mut private = agent("vpc");
        private.is_private = true;
        let plan = plan(&store, &private, Duration::from_secs(1))
            .await
            .unwrap();
        let names: Vec<String> = plan.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["inside"]);
    }

    #[tokio::test]
    async fn two_agents_of_a_monitor_have_different_slots() {
        let store = MemoryStore::new(0);
        put(&store, "docs", &[], "https://a/mcp").await;
        let now = Duration::from_secs(1_000_000);
        let one = plan(&store, &agent("eu"), now).await.unwrap();
        let two = plan(&store, &agent("us"), now).await.unwrap();
        let begins = |plan: &Plan| plan.values().next().unwrap().next_slot_in_ms;
        assert!(begins(&one).abs_diff(begins(&two)) > 10_000);
    }
}
