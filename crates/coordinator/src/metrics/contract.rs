//! The tools of monitors' servers, as metrics.

use model::contract::ChangeClass;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Result, Scrape};

/// The class of a change that could not be compared with the pin yet.
const UNKNOWN: &str = "unknown";

impl Scrape {
    pub(super) fn contracts(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let help = "Tools that the server lists, as seen last in the region";
        let mut family = out.encode_descriptor("parallax_tools", help, None, MetricType::Gauge)?;
        for said in &self.0.tools {
            for (region, count) in &said.tools {
                let labels = [("monitor", said.monitor.as_str()), ("region", region)];
                ConstGauge::new(i64::from(*count)).encode(family.encode_family(&labels)?)?;
            }
        }
        let name = "parallax_tools_fingerprint_changes";
        let help = "How often tools came up that no agent saw just before";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for said in &self.0.tools {
            let labels = [("monitor", said.monitor.as_str())];
            ConstCounter::new(said.changes).encode(family.encode_family(&labels)?)?;
        }
        let name = "parallax_schema_drift_active";
        let help = "1 for the worst change since the tools that are pinned, 0 for the others";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for said in &self.0.tools {
            let worst = said
                .drift
                .map(|worst| worst.map_or(UNKNOWN, ChangeClass::as_str));
            let classes = ChangeClass::ALL.iter().map(|class| class.as_str());
            for class in classes.chain([UNKNOWN]) {
                let labels = [("monitor", said.monitor.as_str()), ("class", class)];
                let value = i64::from(worst == Some(class));
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
