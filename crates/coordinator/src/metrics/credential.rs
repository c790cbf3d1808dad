//! Credentials and walls, as metrics. No secret is in any of them.

use model::credential::{CredentialState, WallState};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Result, Scrape};

impl Scrape {
    pub(super) fn credentials(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        let name = "parallax_credential_expiry_timestamp_seconds";
        let help = "When the credential of the monitor ends, as far as is known";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (monitor, end, _, _) in &self.0.credentials {
            if let Some(end) = end {
                let labels = [("monitor", monitor.as_str())];
                ConstGauge::new(*end).encode(family.encode_family(&labels)?)?;
            }
        }
        let name = "parallax_credential_state";
        let help = "1 for how the credential of the monitor stands, 0 for the others";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (monitor, _, state, _) in &self.0.credentials {
            let Some(state) = state else { continue };
            for known in CredentialState::ALL {
                let labels = [("monitor", monitor.as_str()), ("state", known.as_str())];
                let value = i64::from(state == known);
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        let name = "parallax_wall_state";
        let help = "1 for what somebody without a credential meets at the target, 0 for the others";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (monitor, _, _, state) in &self.0.credentials {
            let Some(state) = state else { continue };
            for known in WallState::ALL {
                let labels = [("monitor", monitor.as_str()), ("state", known.as_str())];
                let value = i64::from(state == known);
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        let name = "parallax_coordinator_token_requests";
        let help = "How often authorization servers were asked for a token";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (result, count) in &self.0.token_requests {
            let labels = [("result", *result)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
