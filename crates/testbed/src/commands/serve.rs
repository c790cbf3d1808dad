//! `serve`: one MCP server.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use parallax_testbed::ca::{Ca, Flaw};
use parallax_testbed::sdk::SdkServer;
use parallax_testbed::server::{Dialect, Options, Server};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// What it speaks
    #[arg(value_enum)]
    dialect: Spoken,
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Serve over TLS, and write the testbed's authority to this PEM file
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Spoken {
    Modern,
    Legacy,
    Dual,
    HttpSse,
    /// Both eras, on the official SDK
    Sdk,
}

impl Serve {
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let tls = match self.tls_ca {
            Some(file) => {
                let ca = Ca::new()?;
                std::fs::write(&file, ca.pem())
                    .with_context(|| format!("writing {}", file.display()))?;
                Some(ca.loopback(Flaw::None)?)
            }
            None => None,
        };
        let dialect = match self.dialect {
            Spoken::Modern => Dialect::Modern,
            Spoken::Legacy => Dialect::Legacy,
            Spoken::Dual => Dialect::Dual,
            Spoken::HttpSse => Dialect::HttpSse,
            Spoken::Sdk => {
                let server = SdkServer::start(self.listen, tls)
                    .await
                    .context("binding")?;
                tracing::info!("serving {}", server.url());
                shutdown.cancelled().await;
                return Ok(());
            }
        };
        let options = Options {
            dialect,
            bind: self.listen,
            tls,
        };
        let server = Server::start(options).await.context("binding")?;
        tracing::info!("serving {}", server.url());
        shutdown.cancelled().await;
        Ok(())
    }
}
