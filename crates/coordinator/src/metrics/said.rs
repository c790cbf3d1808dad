//! What is judged, as metrics: of monitors, of agents, and what it costs.

use model::verdict::{Fault, Verdict};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Result, Scrape, labels_of};
use crate::board::Said;

type Gauge = (&'static str, &'static str, fn(&Said) -> i64);

const GAUGES: [Gauge; 3] = [
    (
        "parallax_monitor_suspected",
        "1 while something looks wrong that is not decided",
        |said| i64::from(said.is_suspected),
    ),
    (
        "parallax_monitor_independent_witnesses",
        "Agents that watch it and differ in region and provider",
        |said| i64::from(said.independent),
    ),
    (
        "parallax_monitor_quorum",
        "Independent witnesses that an outage needs",
        |said| i64::from(said.quorum),
    ),
];

impl Scrape {
    pub(super) fn verdicts(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let name = "parallax_monitor_state";
        let help = "1 for the verdict on the monitor, 0 for the others";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for said in &self.0.said {
            for verdict in Verdict::ALL {
                let labels = [
                    ("monitor", said.monitor.as_str()),
                    ("state", verdict.as_str()),
                ];
                let value = i64::from(said.verdict == *verdict);
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in GAUGES {
            let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for said in &self.0.said {
                let labels = [("monitor", said.monitor.as_str())];
                ConstGauge::new(value(said)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    pub(super) fn confirmations(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let name = "parallax_probe_confirmations";
        let help = "Probes that were run because somebody saw a failure; not in the results";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for row in &self.0.rows {
            for (outcome, reason, count) in &row.confirmations {
                let labels = [
                    ("monitor", row.monitor.as_str()),
                    ("region", row.region.as_str()),
                    ("outcome", outcome),
                    ("reason", reason),
                ];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        let (asked, dropped) = self.0.confirmations;
        let counters = [
            (
                "parallax_coordinator_confirmations_asked",
                "Confirmations that were asked for",
                asked,
            ),
            (
                "parallax_coordinator_confirmations_dropped",
                "Confirmations that no agent could be asked for",
                dropped,
            ),
        ];
        for (name, help, value) in counters {
            let family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(family)?;
        }
        Ok(())
    }

    pub(super) fn on_demand(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let name = "parallax_coordinator_on_demand_probes";
        let help = "Agents that users asked for a probe: reports, or why there was none";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (result, count) in &self.0.on_demand {
            let labels = [("result", *result)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    pub(super) fn faults(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let name = "parallax_agent_fault";
        let help = "1 for the reason why the agent has no vote, 0 for the others";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (agent, fault) in self.0.agents.iter().zip(&self.0.faults) {
            let [id, region, provider] = labels_of(agent);
            for known in Fault::ALL {
                let labels = [id, region, provider, ("fault", known.as_str())];
                let value = i64::from(*fault == Some(*known));
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
