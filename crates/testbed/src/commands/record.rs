//! `record`: a server's sessions and streams, counted from in front of it.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use parallax_testbed::recorder::Recorder;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The server
    upstream: SocketAddr,
}

impl Record {
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let recorder = Recorder::start(self.listen, self.upstream).await;
        let recorder = recorder.context("binding")?;
        tracing::info!("listening on {}", recorder.address());
        shutdown.cancelled().await;
        let tally = recorder.tally();
        let (opened, closed) = tally.streams();
        let left = tally.sessions_left();
        tracing::info!(
            requests = tally.requests(),
            sessions = tally.sessions_opened(),
            streams = opened,
            streams_open = opened - closed,
            "{} sessions left open: {left:?}",
            left.len()
        );
        anyhow::ensure!(
            left.is_empty() && opened == closed,
            "something was left open"
        );
        Ok(())
    }
}
