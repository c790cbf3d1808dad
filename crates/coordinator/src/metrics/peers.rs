//! The paths between agents, as metrics: at most a few for each agent.

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use rpc::v1::PeerPath;

use super::{Result, Scrape};

type Gauge = (&'static str, &'static str, fn(&PeerPath) -> Option<f64>);

const GAUGES: [Gauge; 4] = [
    (
        "parallax_peer_connected",
        "1 while the agent has a path to the peer",
        |seen| Some(f64::from(u8::from(seen.connected))),
    ),
    (
        "parallax_peer_rtt_seconds",
        "Median round trip to the peer, over five minutes",
        |seen| (seen.rtt_us > 0).then(|| f64::from(seen.rtt_us) / 1e6),
    ),
    (
        "parallax_peer_jitter_seconds",
        "How much round trips to the peer differ",
        |seen| (seen.rtt_us > 0).then(|| f64::from(seen.jitter_us) / 1e6),
    ),
    (
        "parallax_peer_loss_ratio",
        "Share of pings that the peer did not answer, over five minutes",
        |seen| {
            let lost = f64::from(seen.lost.min(seen.judged));
            (seen.judged > 0).then(|| lost / f64::from(seen.judged))
        },
    ),
];

impl Scrape {
    pub(super) fn peers(&self, out: &mut DescriptorEncoder<'_>) -> Result {
        for (name, help, value) in GAUGES {
            let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for path in &self.0.peers {
                if let Some(value) = value(&path.seen) {
                    let labels = [
                        ("agent", path.agent.agent.as_str()),
                        ("region", path.agent.region.as_str()),
                        ("peer", path.peer.agent.as_str()),
                        ("peer_region", path.peer.region.as_str()),
                    ];
                    ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}
