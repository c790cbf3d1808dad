//! What is known of every target, region by region: fed by the ledger, read by API and metrics.
//! Beside what was counted stands what is judged of it.

mod answerer;
mod contract;
mod judged;
mod region;
mod sparing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{Monitor, Outcome, RegionState};
use rpc::convert::{self, ConvertError};
use rpc::v1;
use tokio::sync::Notify;
use verdict::{AgentChange, Ask, Judge, Mesh, Ms, Transition};
use window::{Latencies, Samples};

use answerer::Answerer;
pub(crate) use contract::{Come, Place, ToolsSaid};
pub(crate) use judged::Said;
use region::Region;
pub(crate) use region::{Percentiles, RegionView, Voice};

use crate::axis::Axis;
use crate::fleet::Identity;

/// Regions of one monitor that are shown.
const MAX_REGIONS: usize = 256;

/// Under which circumstances a record arrived.
#[derive(Debug)]
pub(crate) struct Sighting<'a> {
    pub(crate) identity: &'a Identity,
    /// The life of the agent that made it, and its number in its lane.
    pub(crate) boot: &'a str,
    pub(crate) seq: u64,
    /// When it came, and when the probe began, on our monotonic clock.
    pub(crate) received: Instant,
    pub(crate) observed: Instant,
    pub(crate) started_at: jiff::Timestamp,
    /// Whether the agent's clock of the outcome is the one it runs on now.
    pub(crate) is_live: bool,
    /// Whether it was counted before a restart.
    pub(crate) is_recalled: bool,
}

/// Everything that is known, by monitor and region.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) axis: Axis,
    state: Mutex<State>,
    /// Rings when something is to be passed on, or is due earlier than before.
    news: Notify,
    /// Rings when a contract is to be looked after.
    contract_news: Notify,
    rejected: AtomicU64,
    gap_records: AtomicU64,
    /// When evidence last came, on the axis; 0 for never.
    last_evidence: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    monitors: BTreeMap<String, Watched>,
    mesh: Mesh,
    /// What each agent watches.
    watching: BTreeMap<String, BTreeSet<String>>,
    /// When time matters next, by monitor.
    due: BTreeSet<(Ms, String)>,
    /// What is to be passed on.
    asks: VecDeque<(String, u64, Ask)>,
    holds: VecDeque<(String, Ms)>,
    transitions: VecDeque<(String, Transition)>,
    changes: VecDeque<AgentChange>,
    contracts: contract::Contracts,
}

#[derive(Debug)]
struct Watched {
    generation: u64,
    /// How often it is probed, where that was decided.
    interval: Option<Duration>,
    labels: BTreeMap<String, String>,
    /// The regions of the spec; all where empty.
    wanted: Vec<String>,
    regions: BTreeMap<String, Region>,
    judge: Judge,
    due: Ms,
    contract: contract::Contract,
}

/// A region of a monitor, as metrics read it.
pub(crate) struct Row<'a> {
    pub(crate) monitor: &'a str,
    pub(crate) region: &'a str,
    pub(crate) state: RegionState,
    pub(crate) counted: &'a Region,
}

impl Board {
    /// A board on which nothing is written.
    pub(crate) fn new(axis: Axis) -> Self {
        Self {
            axis,
            state: Mutex::default(),
            news: Notify::new(),
            contract_news: Notify::new(),
            rejected: AtomicU64::default(),
            gap_records: AtomicU64::default(),
            last_evidence: AtomicU64::default(),
        }
    }

    /// A monitor exists, with this spec. What was counted of it stays.
    pub(crate) fn set(&self, monitor: &Monitor, now: Instant) {
        let spec = &monitor.spec;
        let at = self.axis.ms(now);
        let mut state = self.lock();
        let id = monitor.id.to_string();
        let known = state.monitors.get(&id);
        let interval = known.and_then(|watched| watched.interval);
        let policy = judged::policy(spec, interval.unwrap_or(spec.interval.duration()));
        let watched = state.monitors.entry(id.clone()).or_insert_with(|| Watched {
            generation: monitor.generation,
            interval: None,
            labels: BTreeMap::new(),
            wanted: Vec::new(),
            regions: BTreeMap::new(),
            judge: Judge::new(policy.clone(), at),
            due: at,
            contract: contract::Contract::default(),
        });
        if watched.generation != monitor.generation {
            // What agents said of another meaning of the monitor says nothing of this one.
            watched.regions.values_mut().for_each(Region::forget_voices);
            watched.judge.handle_policy(policy, at);
        }
        watched.generation = monitor.generation;
        watched.wanted.clone_from(&spec.regions);
        watched.labels.clone_from(&spec.labels);
        let wanted = |region: &String| spec.regions.is_empty() || spec.regions.contains(region);
        watched.regions.retain(|region, _| wanted(region));
        for region in &spec.regions {
            watched.regions.entry(region.clone()).or_default();
        }
        if watched.contract.set(&spec.contract, at) {
            state.mark_contract(&id);
            self.contract_news.notify_one();
        }
        state.settle(&id);
        drop(state);
        self.news.notify_one();
    }

    /// A monitor is gone, and with it everything that was seen of it.
    pub(crate) fn remove(&self, monitor: &str) {
        let mut state = self.lock();
        if let Some(watched) = state.monitors.remove(monitor) {
            let before = watched.judge.panel().witnesses().to_vec();
            state.watch(monitor, &before, &[]);
            state.due.remove(&(watched.due, monitor.to_owned()));
        }
        state.mesh.handle_target_gone(monitor);
        state.asks.retain(|(of, ..)| of != monitor);
        state.transitions.retain(|(of, _)| of != monitor);
        state.contracts.remove(monitor);
    }

    /// How many monitors there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().monitors.len()
    }

    /// An outcome was applied.
    pub(crate) fn outcome(
        &self,
        sighting: &Sighting<'_>,
        record: &v1::ProbeOutcome,
    ) -> Result<(), ConvertError> {
        let monitor = convert::id_from("monitor_id", &record.monitor_id)?;
        let outcome = convert::outcome_from(record)?;
        if record.total_us > 600_000_000 {
            return Err(ConvertError::new("total_us", "is longer than any probe"));
        }
        if record.confirmation_id.len() > 64 {
            return Err(ConvertError::new("confirmation_id", "is too long"));
        }
        let received = self.axis.ms(sighting.received);
        self.last_evidence.fetch_max(received, Ordering::Relaxed);
        let is_confirmation = !record.confirmation_id.is_empty();
        let mut state = self.lock();
        let Some((watched, region)) = state.region(&monitor, &sighting.identity.region) else {
            return Ok(());
        };
        if !sighting.is_recalled {
            region.count(&outcome, is_confirmation);
        }
        if sighting.is_live && !is_confirmation {
            region.sample(&outcome, record.total_us, sighting.observed);
        }
        // Evidence of an older meaning of the monitor, or of another life of the agent, is
        // history: it is counted, and says nothing about now.
        if record.generation != watched || !sighting.is_live {
            return Ok(());
        }
        let detail = record.detail.as_ref().map(|detail| detail.text.as_str());
        let voice = Voice {
            outcome: outcome.clone(),
            started_at: sighting.started_at,
            observed: sighting.observed,
            era: model::text::line(&record.era, 16),
            protocol_version: model::text::line(&record.protocol_version, 16),
            detail: detail.map(|text| model::text::line(text, 200)),
            answerer: record.answerer.as_ref().map(Answerer::of),
            named_us: record.answerer.as_ref().map(|_| record.started_at_us),
            boot: sighting.boot.to_owned(),
            order_us: record.started_at_us,
        };
        if region.hear(&sighting.identity.agent, voice) {
            let agent = &sighting.identity.agent;
            let outcome = state.held_to_contract(&monitor, agent, outcome);
            let seen = judged::seen(record, outcome, sighting, &self.axis);
            state.hear(&monitor, sighting, &seen, &self.axis);
            drop(state);
            self.news.notify_one();
        }
        Ok(())
    }

    /// A latency window was applied.
    pub(crate) fn window(
        &self,
        region: &str,
        record: v1::LatencyWindow,
    ) -> Result<(), ConvertError> {
        let monitor = convert::id_from("monitor_id", &record.monitor_id)?;
        let is_total = record.step() == v1::Step::Probe;
        let series = if is_total {
            None
        } else {
            Some((
                convert::step_from(record.step)?,
                convert::phase_from(record.phase)?,
            ))
        };
        let latencies = if record.hdr_v2.is_empty() {
            Latencies::Sparse(record.sparse_us)
        } else {
            Latencies::Hdr(record.hdr_v2)
        };
        let samples = Samples::read(&latencies)
            .map_err(|error| ConvertError::new("window", error.to_string()))?;
        let most = samples.count().saturating_mul(window::HIGHEST_US);
        if samples.count() != record.count || record.sum_us > most {
            return Err(ConvertError::new(
                "count",
                "count or sum contradict the values",
            ));
        }
        if let Some((_, region)) = self.lock().region(&monitor, region) {
            region.buckets(series).add(&samples, record.sum_us);
        }
        Ok(())
    }

    /// A missed slot was applied. One that was held says something of the target: it is to be left
    /// alone.
    pub(crate) fn missed(
        &self,
        sighting: &Sighting<'_>,
        record: &v1::Missed,
    ) -> Result<(), ConvertError> {
        let monitor = convert::id_from("monitor_id", &record.monitor_id)?;
        let reason = match record.reason() {
            v1::MissedReason::Overrun => "overrun",
            v1::MissedReason::Busy => "busy",
            v1::MissedReason::Absent => "absent",
            v1::MissedReason::Held => "held",
            v1::MissedReason::Unspecified => {
                return Err(ConvertError::new("reason", "is missing"));
            }
        };
        let mut state = self.lock();
        let Some((_, region)) = state.region(&monitor, &sighting.identity.region) else {
            return Ok(());
        };
        if !sighting.is_recalled {
            region.miss(reason);
        }
        let is_held = record.reason() == v1::MissedReason::Held && record.missed_at_us > 0;
        if is_held && sighting.is_live {
            state.hear_held(&monitor, sighting, record.limited, &self.axis);
            drop(state);
            self.news.notify_one();
        }
        Ok(())
    }

    /// A gap was applied: so many records are lost for ever.
    pub(crate) fn gap(&self, records: u64) {
        self.gap_records.fetch_add(records, Ordering::Relaxed);
    }

    /// A record broke the contract.
    pub(crate) fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that broke the contract, and records lost in gaps.
    pub(crate) fn losses(&self) -> (u64, u64) {
        (
            self.rejected.load(Ordering::Relaxed),
            self.gap_records.load(Ordering::Relaxed),
        )
    }

    /// When an outcome last came.
    pub(crate) fn last_evidence(&self) -> Option<Ms> {
        let at = self.last_evidence.load(Ordering::Relaxed);
        (at > 0).then_some(at)
    }

    /// The monitors with their labels.
    pub(crate) fn labels(&self) -> Vec<(String, BTreeMap<String, String>)> {
        let state = self.lock();
        let named = state.monitors.iter();
        named
            .map(|(monitor, watched)| (monitor.clone(), watched.labels.clone()))
            .collect()
    }

    /// Everything, for metrics.
    pub(crate) fn each(&self, now: Instant, mut show: impl FnMut(&Row<'_>)) {
        let at = self.axis.ms(now);
        let state = self.lock();
        for (monitor, watched) in &state.monitors {
            let said = watched.judge.regions(&state.mesh, at);
            for (name, region) in &watched.regions {
                let said = said.iter().find(|said| said.region == *name);
                show(&Row {
                    monitor,
                    region: name,
                    state: said.map_or(RegionState::Unknown, |said| said.state),
                    counted: region,
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A region of a monitor that exists and wants it, and the monitor's generation. Evidence of
    /// others is applied and shown nowhere.
    fn region(&mut self, monitor: &str, region: &str) -> Option<(u64, &mut Region)> {
        let watched = self.monitors.get_mut(monitor)?;
        let is_wanted = watched.wanted.is_empty() || watched.wanted.iter().any(|w| w == region);
        let has_room = watched.regions.contains_key(region) || watched.regions.len() < MAX_REGIONS;
        let region = (is_wanted && has_room).then(|| region.to_owned())?;
        Some((
            watched.generation,
            watched.regions.entry(region).or_default(),
        ))
    }
}

/// The label of an outcome's reason in metrics.
pub(crate) fn reason_of(outcome: &Outcome) -> &'static str {
    outcome.reason().map_or("", model::Reason::as_str)
}

/// The states, for state sets.
pub(crate) const STATES: &[RegionState] = RegionState::ALL;

#[cfg(test)]
mod tests;
