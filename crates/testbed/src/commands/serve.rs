//! `serve`: one MCP server.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use parallax_testbed::ca::{Ca, Flaw};
use parallax_testbed::hostile::{self, Behaviour, Hostile};
use parallax_testbed::sdk::SdkServer;
use parallax_testbed::server::{Dialect, Options, Server};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// What it speaks
    #[arg(value_enum, required_unless_present = "hostile")]
    dialect: Option<Spoken>,
    /// Serve a target that means harm instead; `list` prints them all
    #[arg(long, value_name = "NAME", conflicts_with_all = ["dialect", "tls_ca"])]
    hostile: Option<String>,
    /// Write the authority of a hostile target with TLS to this PEM file
    #[arg(long, value_name = "FILE", requires = "hostile")]
    hostile_ca: Option<PathBuf>,
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
        if let Some(name) = &self.hostile {
            return self.hostile(name, shutdown).await;
        }
        let tls = match self.tls_ca {
            Some(file) => {
                let ca = Ca::new()?;
                std::fs::write(&file, ca.pem())
                    .with_context(|| format!("writing {}", file.display()))?;
                Some(ca.loopback(Flaw::None)?)
            }
            None => None,
        };
        let dialect = match self.dialect.unwrap_or(Spoken::Dual) {
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

    async fn hostile(&self, name: &str, shutdown: CancellationToken) -> anyhow::Result<()> {
        if name == "list" {
            return list();
        }
        let behaviour = Behaviour::named(name).with_context(|| {
            format!("no hostile behaviour `{name}`; `--hostile list` names them")
        })?;
        let hostile = Hostile::start(behaviour, self.listen).await?;
        if let (Some(file), Some(pem)) = (&self.hostile_ca, hostile.authority()) {
            std::fs::write(file, pem).with_context(|| format!("writing {}", file.display()))?;
        }
        match hostile.name_server() {
            Some(server) => tracing::info!("serving {} with --resolver {server}", hostile.url()),
            None => tracing::info!("serving {}", hostile.url()),
        }
        shutdown.cancelled().await;
        let log = hostile.log();
        tracing::info!(
            "{} requests, {} bytes sent, {} sessions left open",
            log.requests(),
            log.sent_bytes(),
            log.sessions_open()
        );
        Ok(())
    }
}

/// Prints name, era and deed of each behaviour.
fn list() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for behaviour in hostile::all() {
        let Behaviour {
            name, era, what, ..
        } = behaviour;
        writeln!(out, "{name:24} {era:7} {what}")?;
    }
    Ok(())
}
