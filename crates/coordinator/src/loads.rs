//! What the schedule costs targets, and how often each monitor may be probed for that: see
//! [`schedule::load`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{MonitorId, MonitorSpec, Period};
use schedule::Demand;
use schemars::JsonSchema;
use serde::Serialize;

/// What a monitor costs its target by schedule; confirmations come on top, as far as their budget
/// goes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Load {
    /// Requests a minute of all its agents.
    pub(crate) requests_per_minute: f64,
    /// Agents that are assigned to it.
    pub(crate) agents: u32,
    /// Requests that one probe makes of a server that behaves.
    pub(crate) requests_per_probe: u32,
    /// Requests a minute of all monitors of its origin.
    pub(crate) origin_requests_per_minute: f64,
    /// The lower of its own cap and that of all monitors of its origin together.
    pub(crate) cap: u32,
    /// How it is thinned to keep the cap; null where it is probed as often as it wants.
    pub(crate) thinned: Option<Thinned>,
}

/// How far an interval is stretched.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Thinned {
    /// How often each agent probes.
    pub(crate) interval: Period,
    /// How often it would.
    pub(crate) from: Period,
}

/// The monitors, and what their origins bear.
#[derive(Debug)]
pub(crate) struct Loads {
    /// Requests a minute that all monitors of an origin may make together.
    cap: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    monitors: BTreeMap<MonitorId, Known>,
    origins: BTreeMap<String, Origin>,
    /// Origins whose monitors have changed.
    changed: BTreeSet<String>,
}

#[derive(Debug)]
struct Known {
    origin: String,
    demand: Demand,
    /// How often it may be probed, once that was decided.
    interval: Option<Duration>,
}

#[derive(Debug, Default)]
struct Origin {
    monitors: BTreeSet<MonitorId>,
    /// Whether its cap thins them: told once.
    is_thinned: bool,
}

impl Loads {
    /// No monitors, and this cap for each origin.
    pub(crate) fn new(cap: u32) -> Self {
        Self {
            cap,
            state: Mutex::default(),
        }
    }

    /// A monitor is probed by so many agents. Counts once [`Self::settle`] is asked.
    pub(crate) fn set(&self, id: &MonitorId, spec: &MonitorSpec, agents: usize) {
        let demand = demand(spec, agents);
        let origin = spec.url.origin();
        let mut state = self.lock();
        let known = state.monitors.get(id);
        if known.is_some_and(|known| known.demand == demand && known.origin == origin) {
            return;
        }
        let interval = known.and_then(|known| known.interval);
        state.leave(id);
        state.changed.insert(origin.clone());
        let at = state.origins.entry(origin.clone()).or_default();
        at.monitors.insert(id.clone());
        let known = Known {
            origin,
            demand,
            interval,
        };
        state.monitors.insert(id.clone(), known);
    }

    /// A monitor is gone.
    pub(crate) fn remove(&self, id: &MonitorId) {
        let mut state = self.lock();
        state.leave(id);
        state.monitors.remove(id);
    }

    /// Decides anew where something has changed: whose interval is another now.
    pub(crate) fn settle(&self) -> Vec<(MonitorId, Duration)> {
        let mut state = self.lock();
        let mut paced = Vec::new();
        for name in std::mem::take(&mut state.changed) {
            let State {
                monitors, origins, ..
            } = &mut *state;
            let Some(origin) = origins.get_mut(&name) else {
                continue;
            };
            let ids: Vec<&MonitorId> = origin.monitors.iter().collect();
            let demands: Vec<Demand> = ids
                .iter()
                .filter_map(|id| Some(monitors.get(*id)?.demand))
                .collect();
            let intervals = schedule::thin(&demands, self.cap);
            for (id, interval) in ids.into_iter().zip(intervals) {
                if let Some(known) = monitors.get_mut(id)
                    && known.interval.replace(interval) != Some(interval)
                {
                    paced.push((id.clone(), interval));
                }
            }
            let wanted = total(&demands, |demand| demand.interval);
            let is_thinned = wanted > f64::from(self.cap);
            if is_thinned && !origin.is_thinned {
                tracing::warn!(
                    origin = %model::text::line(&name, 120),
                    requests_per_minute = rounded(wanted),
                    cap = self.cap,
                    "max-requests-per-minute: the monitors of this origin want more; all of them \
                     are probed less often"
                );
            }
            origin.is_thinned = is_thinned;
        }
        paced
    }

    /// How often a monitor may be probed.
    pub(crate) fn interval(&self, id: &MonitorId) -> Option<Duration> {
        self.lock().monitors.get(id)?.interval
    }

    /// What a monitor costs.
    pub(crate) fn load(&self, id: &MonitorId) -> Option<Load> {
        let state = self.lock();
        let known = state.monitors.get(id)?;
        let origin = state.origins.get(&known.origin)?;
        let all = origin.monitors.iter();
        let all = all.filter_map(|id| state.monitors.get(id));
        let all = all.map(|known| known.demand.per_minute(known.interval()));
        Some(self.told(&known.demand, known.interval(), all.sum()))
    }

    /// What a monitor would cost, if it were so.
    pub(crate) fn would(&self, id: &MonitorId, spec: &MonitorSpec, agents: usize) -> Load {
        let state = self.lock();
        let origin = state.origins.get(&spec.url.origin());
        let others = origin.into_iter().flat_map(|origin| &origin.monitors);
        let others = others.filter(|other| *other != id);
        let others = others.filter_map(|other| Some(state.monitors.get(other)?.demand));
        let mut demands: Vec<Demand> = others.collect();
        let own = demand(spec, agents);
        demands.push(own);
        let intervals = schedule::thin(&demands, self.cap);
        let pairs = demands.iter().zip(&intervals);
        let all = pairs.map(|(demand, interval)| demand.per_minute(*interval));
        let interval = intervals.last().copied().unwrap_or(own.interval);
        self.told(&own, interval, all.sum())
    }

    /// What every monitor costs: requests a minute, how often it is probed, and whether that is
    /// less often than it wants.
    pub(crate) fn all(&self) -> Vec<(MonitorId, f64, Duration, bool)> {
        let state = self.lock();
        let all = state.monitors.iter().map(|(id, known)| {
            let interval = known.interval();
            let load = known.demand.per_minute(interval);
            (id.clone(), load, interval, interval > known.demand.interval)
        });
        all.collect()
    }

    /// What an origin bears a minute, and what the schedule makes of it: the lowest of the caps of
    /// its monitors and of the mesh, and the sum of its monitors' requests.
    pub(crate) fn of(&self, origin: &str) -> (u32, u32) {
        let state = self.lock();
        let ids = state.origins.get(origin).into_iter();
        let ids = ids.flat_map(|origin| &origin.monitors);
        let known = ids.filter_map(|id| state.monitors.get(id));
        let (mut cap, mut all) = (self.cap, 0.0);
        for known in known {
            cap = known.demand.cap.map_or(cap, |own| own.min(cap));
            all += known.demand.per_minute(known.interval());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a sum of rates, each far below"
        )]
        let all = all.ceil() as u32;
        (cap, all)
    }

    /// A monitor's origin, and all monitors of it.
    pub(crate) fn of_origin(&self, id: &MonitorId) -> Option<(String, Vec<MonitorId>)> {
        let state = self.lock();
        let origin = &state.monitors.get(id)?.origin;
        let monitors = &state.origins.get(origin)?.monitors;
        Some((origin.clone(), monitors.iter().cloned().collect()))
    }

    fn told(&self, demand: &Demand, interval: Duration, all: f64) -> Load {
        let thinned = (interval > demand.interval).then(|| Thinned {
            interval: Period::seconds(interval.as_secs()),
            from: Period::seconds(demand.interval.as_secs()),
        });
        Load {
            requests_per_minute: rounded(demand.per_minute(interval)),
            agents: demand.agents,
            requests_per_probe: demand.requests,
            origin_requests_per_minute: rounded(all),
            cap: demand.cap.map_or(self.cap, |own| own.min(self.cap)),
            thinned,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A monitor leaves its origin, which may be another's from now on.
    fn leave(&mut self, id: &MonitorId) {
        let Some(known) = self.monitors.get(id) else {
            return;
        };
        let name = known.origin.clone();
        if let Some(origin) = self.origins.get_mut(&name) {
            origin.monitors.remove(id);
            if origin.monitors.is_empty() {
                self.origins.remove(&name);
            } else {
                self.changed.insert(name);
            }
        }
    }
}

impl Known {
    fn interval(&self) -> Duration {
        self.interval.unwrap_or(self.demand.interval)
    }
}

fn demand(spec: &MonitorSpec, agents: usize) -> Demand {
    Demand {
        interval: spec.interval.duration(),
        agents: u32::try_from(agents).unwrap_or(u32::MAX),
        requests: spec.requests_per_probe(),
        cap: spec.max_requests_per_minute,
    }
}

fn total(demands: &[Demand], interval: impl Fn(&Demand) -> Duration) -> f64 {
    let each = demands.iter();
    each.map(|demand| demand.per_minute(interval(demand))).sum()
}

/// To a tenth: an estimate has no more.
fn rounded(load: f64) -> f64 {
    (load * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> MonitorId {
        name.parse().unwrap()
    }

    fn spec(url: &str) -> MonitorSpec {
        MonitorSpec::new(url.parse().unwrap())
    }

    fn paced(loads: &Loads) -> Vec<(String, u64)> {
        let paced = loads.settle().into_iter();
        let mut paced: Vec<_> = paced
            .map(|(id, interval)| (id.to_string(), interval.as_secs()))
            .collect();
        paced.sort();
        paced
    }

    fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
        let pairs = pairs.iter();
        pairs
            .map(|(id, seconds)| ((*id).to_owned(), *seconds))
            .collect()
    }

    /// Ten agents at 60 s with six requests each make sixty a minute.
    #[test]
    fn monitors_of_an_origin_share_its_cap_and_no_others() {
        let loads = Loads::new(100);
        loads.set(&id("a"), &spec("https://x/mcp"), 10);
        loads.set(&id("c"), &spec("https://y/mcp"), 10);
        assert_eq!(paced(&loads), named(&[("a", 60), ("c", 60)]));
        assert_eq!(loads.load(&id("a")).unwrap().thinned, None);
        let would = loads.would(&id("b"), &spec("https://x/sse"), 10);
        loads.set(&id("b"), &spec("https://x/sse"), 10);
        assert_eq!(paced(&loads), named(&[("a", 72), ("b", 72)]));
        let load = loads.load(&id("b")).unwrap();
        assert_eq!(load, would, "what was foretold");
        let expected = Load {
            requests_per_minute: 50.0,
            agents: 10,
            requests_per_probe: 6,
            origin_requests_per_minute: 100.0,
            cap: 100,
            thinned: Some(Thinned {
                interval: Period::seconds(72),
                from: Period::seconds(60),
            }),
        };
        assert_eq!(load, expected);
        let (origin, all) = loads.of_origin(&id("a")).unwrap();
        assert_eq!((&origin[..], all), ("https://x", vec![id("a"), id("b")]));
        // Nothing new: nothing to tell.
        loads.set(&id("b"), &spec("https://x/sse"), 10);
        assert_eq!(paced(&loads), []);
        loads.remove(&id("b"));
        assert_eq!(paced(&loads), named(&[("a", 60)]));
        assert_eq!(loads.interval(&id("b")), None);
        // To another origin.
        loads.set(&id("a"), &spec("https://y/mcp"), 10);
        assert_eq!(paced(&loads), named(&[("a", 72), ("c", 72)]));
        assert_eq!(loads.lock().origins.len(), 1);
    }

    #[test]
    fn a_lower_cap_of_its_own_holds() {
        let loads = Loads::new(600);
        let mut modest = spec("https://x/mcp");
        modest.max_requests_per_minute = Some(20);
        loads.set(&id("a"), &modest, 10);
        assert_eq!(paced(&loads), named(&[("a", 180)]));
        assert_eq!(loads.load(&id("a")).unwrap().cap, 20);
        modest.max_requests_per_minute = Some(100_000);
        assert_eq!(loads.would(&id("a"), &modest, 200).cap, 600);
    }
}
