//! What is known of every target, region by region: fed by the ledger, read by API and metrics.

mod region;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{Monitor, Outcome, RegionState};
use rpc::convert::{self, ConvertError};
use rpc::v1;
use window::{Latencies, Samples};

pub(crate) use region::{Percentiles, RegionView};
use region::{Region, Voice};

use crate::fleet::Identity;

/// Beyond interval and timeout: what evidence may take to get here.
const TRAVEL: Duration = Duration::from_secs(10);

/// Regions of one monitor that are shown.
const MAX_REGIONS: usize = 256;

/// Under which circumstances an outcome arrived.
#[derive(Debug)]
pub(crate) struct Sighting<'a> {
    pub(crate) identity: &'a Identity,
    /// When the probe began, on our monotonic clock.
    pub(crate) observed: Instant,
    pub(crate) started_at: jiff::Timestamp,
    /// Whether the agent's clock of the outcome is the one it runs on now.
    pub(crate) is_live: bool,
    /// Whether it was counted before a restart.
    pub(crate) is_recalled: bool,
}

/// Everything that is known, by monitor and region.
#[derive(Debug, Default)]
pub(crate) struct Board {
    monitors: Mutex<BTreeMap<String, Watched>>,
    rejected: AtomicU64,
    gap_records: AtomicU64,
}

#[derive(Debug, Default)]
struct Watched {
    generation: u64,
    ttl: Duration,
    interval: Duration,
    labels: BTreeMap<String, String>,
    /// The regions of the spec; all where empty.
    wanted: Vec<String>,
    regions: BTreeMap<String, Region>,
}

impl Board {
    /// A monitor exists, with this spec. What was seen of it stays.
    pub(crate) fn set(&self, monitor: &Monitor) {
        let spec = &monitor.spec;
        let mut monitors = self.lock();
        let watched = monitors.entry(monitor.id.to_string()).or_default();
        if watched.generation != monitor.generation {
            // What agents said of another meaning of the monitor says nothing of this one.
            watched.regions.values_mut().for_each(Region::forget_voices);
        }
        watched.generation = monitor.generation;
        watched.wanted.clone_from(&spec.regions);
        watched.labels.clone_from(&spec.labels);
        watched.interval = spec.interval.duration();
        watched.ttl = spec.interval.duration() + spec.total_timeout.duration() + TRAVEL;
        let wanted = |region: &String| spec.regions.is_empty() || spec.regions.contains(region);
        watched.regions.retain(|region, _| wanted(region));
        for region in &spec.regions {
            watched.regions.entry(region.clone()).or_default();
        }
    }

    /// A monitor is gone, and with it everything that was seen of it.
    pub(crate) fn remove(&self, monitor: &str) {
        self.lock().remove(monitor);
    }

    /// How many monitors there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
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
        self.in_region(&monitor, &sighting.identity.region, |watched, name| {
            let current = record.generation == watched.generation;
            let region = watched.regions.entry(name.to_owned()).or_default();
            if !sighting.is_recalled {
                region.count(&outcome);
            }
            if sighting.is_live {
                region.sample(&outcome, record.total_us, sighting.observed);
            }
            // Evidence of an older meaning of the monitor, or of another life of the agent, is
            // history: it is counted, and says nothing about now.
            let is_due = is_due(record.slot, sighting.started_at, watched.interval);
            if current && sighting.is_live && is_due {
                let detail = record.detail.as_ref().map(|detail| detail.text.as_str());
                let voice = Voice {
                    outcome: outcome.clone(),
                    slot: record.slot,
                    started_at: sighting.started_at,
                    observed: sighting.observed,
                    era: model::text::line(&record.era, 16),
                    protocol_version: model::text::line(&record.protocol_version, 16),
                    detail: detail.map(|text| model::text::line(text, 200)),
                    fails_in_a_row: 0,
                };
                region.hear(&sighting.identity.agent, voice, watched.ttl);
            }
        });
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
        self.in_region(&monitor, region, |watched, name| {
            let region = watched.regions.entry(name.to_owned()).or_default();
            region.buckets(series).add(&samples, record.sum_us);
        });
        Ok(())
    }

    /// A missed slot was applied.
    pub(crate) fn missed(&self, region: &str, record: &v1::Missed) -> Result<(), ConvertError> {
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
        self.in_region(&monitor, region, |watched, name| {
            watched
                .regions
                .entry(name.to_owned())
                .or_default()
                .miss(reason);
        });
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

    /// What is known of one monitor, by region.
    pub(crate) fn view(&self, monitor: &str, now: Instant) -> Option<Vec<RegionView>> {
        let monitors = self.lock();
        let watched = monitors.get(monitor)?;
        let regions = watched.regions.iter();
        Some(
            regions
                .map(|(name, region)| region.view(name, watched.ttl, now))
                .collect(),
        )
    }

    /// The monitors with their labels.
    pub(crate) fn labels(&self) -> Vec<(String, BTreeMap<String, String>)> {
        let monitors = self.lock();
        let named = monitors.iter();
        named
            .map(|(monitor, watched)| (monitor.clone(), watched.labels.clone()))
            .collect()
    }

    /// Everything, for metrics.
    pub(crate) fn each(
        &self,
        now: Instant,
        mut show: impl FnMut(&str, &str, RegionState, &Region),
    ) {
        for (monitor, watched) in self.lock().iter() {
            for (name, region) in &watched.regions {
                show(monitor, name, region.state(watched.ttl, now), region);
            }
        }
    }

    /// Evidence of a monitor that no longer exists is applied and shown nowhere.
    fn in_region(&self, monitor: &str, region: &str, change: impl FnOnce(&mut Watched, &str)) {
        if let Some(watched) = self.lock().get_mut(monitor) {
            let is_wanted = watched.wanted.is_empty() || watched.wanted.iter().any(|w| w == region);
            let has_room =
                watched.regions.contains_key(region) || watched.regions.len() < MAX_REGIONS;
            if is_wanted && has_room {
                change(watched, region);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Watched>> {
        self.monitors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a slot can have begun by `at`, our clock. An agent that resumed its schedule by a wall
/// clock that is ahead numbers slots of the future: they must not outrank those that follow once
/// its clock is put right.
fn is_due(slot: u64, at: jiff::Timestamp, interval: Duration) -> bool {
    let since_epoch = at.duration_since(jiff::Timestamp::UNIX_EPOCH).as_millis();
    let interval = i128::try_from(interval.as_millis()).unwrap_or(i128::MAX);
    i128::from(slot) <= since_epoch / interval.max(1) + 1
}

/// The label of an outcome's reason in metrics.
pub(crate) fn reason_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ok | Outcome::Degraded { .. } => "",
        Outcome::Failed(failure) => failure.reason.as_str(),
        Outcome::Inconclusive { reason } => reason.as_str(),
    }
}

/// The states, for state sets.
pub(crate) const STATES: &[RegionState] = RegionState::ALL;

#[cfg(test)]
mod tests;
