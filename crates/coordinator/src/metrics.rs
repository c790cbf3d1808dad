//! `/metrics`: what the board knows, in the names that the documentation promises.

mod contract;
mod credential;
mod load;
mod peers;
mod said;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use store::Store;
use window::Buckets;

use crate::Hub;
use model::verdict::Fault;
use model::{MonitorId, RegionState};

use crate::board::{STATES, Said, ToolsSaid};
use crate::credentials::Standing;
use crate::fleet::AgentView;
use crate::folder::Folder;
use crate::peering::Path;

/// The text of `/metrics`.
///
/// # Errors
/// The formatter refuses, which a string never does.
pub(crate) fn render<S: Store>(hub: &Arc<Hub<S>>) -> Result<String> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(Snapshot::of(hub))));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Everything of one scrape, taken under the board's lock and written without it.
#[derive(Debug)]
struct Snapshot {
    rows: Vec<Row>,
    agents: Vec<AgentView>,
    /// Why each of them has no vote.
    faults: Vec<Option<Fault>>,
    monitors: Vec<(String, BTreeMap<String, String>)>,
    said: Vec<Said>,
    tools: Vec<ToolsSaid>,
    /// Asked for, and not given to anybody.
    confirmations: (u64, u64),
    /// How often agents were told to leave a target alone.
    holds: u64,
    /// Probes on demand: reports, and agents that gave none, by why.
    on_demand: Vec<(&'static str, u64)>,
    /// What each monitor costs: requests a minute, how often it is probed, whether less than wanted.
    loads: Vec<(MonitorId, f64, Duration, bool)>,
    credentials: Vec<Standing>,
    /// Tokens that were asked for, by result.
    token_requests: Vec<(&'static str, u64)>,
    /// The paths between agents.
    peers: Vec<Path>,
    rejected: u64,
    gaps: u64,
    /// Whether the folder is followed, where there is one.
    folder_ok: Option<bool>,
}

#[derive(Debug)]
struct Row {
    monitor: String,
    region: String,
    state: RegionState,
    results: Vec<(&'static str, &'static str, u64)>,
    confirmations: Vec<(&'static str, &'static str, u64)>,
    missed: Vec<(&'static str, u64)>,
    duration: Buckets,
    phases: Vec<(String, String, Buckets)>,
}

impl Snapshot {
    fn of<S: Store>(hub: &Arc<Hub<S>>) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let mut rows = Vec::new();
        hub.board.each(now, |row| {
            let region = row.counted;
            let phases = region.phases().iter();
            rows.push(Row {
                monitor: row.monitor.to_owned(),
                region: row.region.to_owned(),
                state: row.state,
                confirmations: region
                    .confirmations()
                    .iter()
                    .map(|((o, r), n)| (*o, *r, *n))
                    .collect(),
                results: region
                    .results()
                    .iter()
                    .map(|((o, r), n)| (*o, *r, *n))
                    .collect(),
                missed: region
                    .missed()
                    .iter()
                    .map(|(reason, n)| (*reason, *n))
                    .collect(),
                duration: region.duration().clone(),
                phases: phases
                    .map(|((step, phase), buckets)| {
                        (step.to_string(), phase.to_string(), buckets.clone())
                    })
                    .collect(),
            });
        });
        let (rejected, gaps) = hub.board.losses();
        let agents = hub.fleet.views(now);
        let fault = |agent: &AgentView| hub.board.told(&agent.id).0;
        Self {
            rows,
            faults: agents.iter().map(fault).collect(),
            agents,
            monitors: hub.board.labels(),
            said: hub.board.said(),
            tools: hub.board.tools_said(),
            confirmations: hub.orders.counts(),
            holds: hub.orders.holds(),
            on_demand: hub.on_demand.counts(),
            loads: hub.loads.all(),
            credentials: hub.credentials.all(telemetry::clock::wall()),
            token_requests: hub.credentials.asked(),
            peers: hub.peering.paths(now),
            rejected,
            gaps,
            folder_ok: hub.folder.as_ref().map(Folder::is_ok),
        }
    }
}

#[derive(Debug)]
struct Scrape(Snapshot);

type Result<T = ()> = std::result::Result<T, std::fmt::Error>;

impl Collector for Scrape {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> Result {
        self.results(&mut out)?;
        self.states(&mut out)?;
        self.monitors(&mut out)?;
        self.verdicts(&mut out)?;
        self.contracts(&mut out)?;
        self.confirmations(&mut out)?;
        self.on_demand(&mut out)?;
        self.loads(&mut out)?;
        self.credentials(&mut out)?;
        self.faults(&mut out)?;
        self.latencies(&mut out)?;
        self.agents(&mut out)?;
        self.peers(&mut out)?;
        self.own(&mut out)
    }
}

type AgentGauge = (&'static str, &'static str, fn(&AgentView) -> Option<f64>);

const AGENT_GAUGES: [AgentGauge; 6] = [
    (
        "parallax_agent_connected",
        "1 while the agent has a stream",
        |agent| Some(f64::from(u8::from(agent.connected))),
    ),
    (
        "parallax_agent_last_report_timestamp_seconds",
        "When the agent was last heard, on our clock",
        |agent| Some(agent.heard_at),
    ),
    (
        "parallax_agent_clock_offset_seconds",
        "How far the agent's clock is ahead of ours",
        |agent| agent.clock_offset_seconds,
    ),
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    (
        "parallax_agent_spool_records",
        "Records that wait at the agent",
        |agent| Some(agent.spool_records as f64),
    ),
    (
        "parallax_agent_spool_in_memory",
        "1 while what waits at the agent would be lost with its process",
        |agent| Some(f64::from(u8::from(agent.spool_in_memory))),
    ),
    (
        "parallax_agent_scheduler_lag_seconds",
        "How late the agent's slots begin",
        |agent| Some(agent.scheduler_lag_seconds),
    ),
];

fn labels_of(agent: &AgentView) -> [(&'static str, &str); 3] {
    [
        ("agent", agent.id.as_str()),
        ("region", agent.region.as_str()),
        ("provider", agent.provider.as_str()),
    ]
}

/// A user's label as a metric label: its characters are free, those of Prometheus are not.
fn label_name(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("label_{}", name.chars().map(legal).collect::<String>())
}

impl Scrape {
    fn results(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let help = "Probes by outcome; reason is empty where there is none";
        let mut family =
            out.encode_descriptor("parallax_probe_results", help, None, MetricType::Counter)?;
        for row in &self.0.rows {
            for (outcome, reason, count) in &row.results {
                let labels = [
                    ("monitor", row.monitor.as_str()),
                    ("region", row.region.as_str()),
                    ("outcome", outcome),
                    ("reason", reason),
                ];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Slots in which no probe ran";
        let mut family =
            out.encode_descriptor("parallax_probe_missed", help, None, MetricType::Counter)?;
        for row in &self.0.rows {
            for (reason, count) in &row.missed {
                let labels = [
                    ("monitor", row.monitor.as_str()),
                    ("region", row.region.as_str()),
                    ("reason", reason),
                ];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn states(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let name = "parallax_monitor_region_state";
        let help = "1 for the state that the region is in, 0 for the others";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for row in &self.0.rows {
            for state in STATES {
                let labels = [
                    ("monitor", row.monitor.as_str()),
                    ("region", row.region.as_str()),
                    ("state", state.as_str()),
                ];
                let value = i64::from(row.state == *state);
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn monitors(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let help = "1; the labels of the monitor";
        let mut family = out.encode_descriptor("parallax_monitor", help, None, MetricType::Info)?;
        for (monitor, labels) in &self.0.monitors {
            // Two names may become one; a series has each label once.
            let mut named: BTreeMap<String, String> = labels
                .iter()
                .map(|(name, value)| (label_name(name), value.clone()))
                .collect();
            named.insert("monitor".to_owned(), monitor.clone());
            family.encode_info(&named.into_iter().collect::<Vec<_>>())?;
        }
        let name = "parallax_monitor_regions";
        let help = "How many regions of the monitor are in the state";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (monitor, _) in &self.0.monitors {
            for state in STATES {
                let rows = self.0.rows.iter().filter(|row| row.monitor == *monitor);
                let count = rows.filter(|row| row.state == *state).count();
                let labels = [("monitor", monitor.as_str()), ("state", state.as_str())];
                let value = i64::try_from(count).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn latencies(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let name = "parallax_probe_duration_seconds";
        let help = "What target and network took for a whole probe, ok and degraded ones";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for row in self.0.rows.iter().filter(|row| row.duration.count() > 0) {
            let labels = [
                ("monitor", row.monitor.as_str()),
                ("region", row.region.as_str()),
            ];
            let b = &row.duration;
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(b.sum_seconds(), b.count(), &b.rows(), None)?;
        }
        let name = "parallax_probe_phase_duration_seconds";
        let help = "What one phase of one step took";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for row in &self.0.rows {
            for (step, phase, b) in &row.phases {
                let labels = [
                    ("monitor", row.monitor.as_str()),
                    ("region", row.region.as_str()),
                    ("step", step),
                    ("phase", phase),
                ];
                family
                    .encode_family(&labels)?
                    .encode_histogram::<NoLabelSet>(b.sum_seconds(), b.count(), &b.rows(), None)?;
            }
        }
        Ok(())
    }

    fn agents(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let help = "1; what the agent is";
        let mut family = out.encode_descriptor("parallax_agent", help, None, MetricType::Info)?;
        for agent in &self.0.agents {
            let version = ("version", agent.version.as_str());
            let [id, region, provider] = labels_of(agent);
            family.encode_info(&[id, region, provider, version])?;
        }
        for (name, help, value) in AGENT_GAUGES {
            let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for agent in &self.0.agents {
                if let Some(value) = value(agent) {
                    let labels = labels_of(agent);
                    ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        let help = "Records that the agent had to drop";
        let mut family = out.encode_descriptor(
            "parallax_agent_reports_lost",
            help,
            None,
            MetricType::Counter,
        )?;
        for agent in &self.0.agents {
            let labels = labels_of(agent);
            ConstCounter::new(agent.dropped_records).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn own(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let counters = [
            (
                "parallax_coordinator_rejected_records",
                "Records that broke the contract",
                self.0.rejected,
            ),
            (
                "parallax_coordinator_gap_records",
                "Records that agents had to drop",
                self.0.gaps,
            ),
        ];
        for (name, help, value) in counters {
            let family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(family)?;
        }
        if let Some(is_ok) = self.0.folder_ok {
            let name = "parallax_coordinator_monitors_dir_ok";
            let help = "1 while the monitors are those of --monitors-dir";
            let family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::from(is_ok)).encode(family)?;
        }
        let mut family =
            out.encode_descriptor("parallax_build", "This build", None, MetricType::Info)?;
        family.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }
}
