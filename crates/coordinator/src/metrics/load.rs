//! What monitors cost their targets, as metrics.

use std::time::Duration;

use model::MonitorId;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Result, Scrape};

type Load = (MonitorId, f64, Duration, bool);
type Gauge = (&'static str, &'static str, fn(&Load) -> f64);

const GAUGES: [Gauge; 3] = [
    (
        "parallax_monitor_scheduled_requests_per_minute",
        "Requests a minute of all its agents, confirmations aside: an estimate",
        |(_, load, _, _)| *load,
    ),
    (
        "parallax_monitor_interval_seconds",
        "How often each of its agents probes",
        |(_, _, interval, _)| interval.as_secs_f64(),
    ),
    (
        "parallax_monitor_thinned",
        "1 while it is probed less often than it wants, to keep a cap on requests",
        |(_, _, _, is_thinned)| f64::from(u8::from(*is_thinned)),
    ),
];

impl Scrape {
    pub(super) fn loads(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        for (name, help, value) in GAUGES {
            let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for load in &self.0.loads {
                let labels = [("monitor", load.0.as_str())];
                ConstGauge::new(value(load)).encode(family.encode_family(&labels)?)?;
            }
        }
        let name = "parallax_coordinator_holds_told";
        let help = "How often an agent was told to leave a target alone that turned others away";
        let family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(self.0.holds).encode(family)
    }
}
