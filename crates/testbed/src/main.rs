//! `parallax-testbed`: the testbed as processes, for demos and for tests from outside.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::{Path as Param, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use clap::{Parser, Subcommand, ValueEnum};
use http::StatusCode;
use parallax_testbed::ca::{Ca, Flaw};
use parallax_testbed::proxy::{Fault, Path};
use parallax_testbed::recorder::Recorder;
use parallax_testbed::sdk::SdkServer;
use parallax_testbed::server::{Dialect, Options, Server};

/// Scriptable MCP servers, a fault proxy and a session recorder.
#[derive(Debug, Parser)]
#[command(name = "parallax-testbed", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve one MCP server until a signal comes
    Serve {
        /// What it speaks
        #[arg(value_enum)]
        dialect: Spoken,
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Serve over TLS, and write the testbed's authority to this PEM file
        #[arg(long, value_name = "FILE")]
        tls_ca: Option<PathBuf>,
    },
    /// Pass TCP through paths that break on command: `PUT /paths/NAME {"fault":"blackhole"}`
    Proxy {
        /// Where the paths are told what to break
        #[arg(long, default_value = "127.0.0.1:0")]
        control: SocketAddr,
        /// A path: `NAME=LISTEN->TO`. Repeatable
        #[arg(long = "path", value_name = "NAME=LISTEN->TO", required = true, value_parser = parse_path)]
        paths: Vec<PathSpec>,
    },
    /// Stand in front of a server, and say at the end which sessions and streams were left open
    Record {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// The server
        upstream: SocketAddr,
    },
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

#[derive(Debug, Clone)]
struct PathSpec {
    name: String,
    listen: SocketAddr,
    to: SocketAddr,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let started = telemetry::logs::init(telemetry::logs::Format::Text, "info");
    let ran = match started {
        Ok(()) => run(cli.command).await,
        Err(problem) => Err(anyhow::anyhow!(problem)),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    let shutdown = telemetry::signal::shutdown().context("installing signal handlers")?;
    match command {
        Command::Serve {
            dialect,
            listen,
            tls_ca,
        } => {
            let tls = match tls_ca {
                Some(file) => {
                    let ca = Ca::new()?;
                    std::fs::write(&file, ca.pem())
                        .with_context(|| format!("writing {}", file.display()))?;
                    Some(ca.loopback(Flaw::None)?)
                }
                None => None,
            };
            serve(dialect, listen, tls, &shutdown).await
        }
        Command::Proxy { control, paths } => proxy(control, paths, &shutdown).await,
        Command::Record { listen, upstream } => {
            let recorder = Recorder::start(listen, upstream).await.context("binding")?;
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
}

async fn serve(
    dialect: Spoken,
    listen: SocketAddr,
    tls: Option<rustls::ServerConfig>,
    shutdown: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    let dialect = match dialect {
        Spoken::Modern => Dialect::Modern,
        Spoken::Legacy => Dialect::Legacy,
        Spoken::Dual => Dialect::Dual,
        Spoken::HttpSse => Dialect::HttpSse,
        Spoken::Sdk => {
            let server = SdkServer::start(listen, tls).await.context("binding")?;
            tracing::info!("serving {}", server.url());
            shutdown.cancelled().await;
            return Ok(());
        }
    };
    let options = Options {
        dialect,
        bind: listen,
        tls,
    };
    let server = Server::start(options).await.context("binding")?;
    tracing::info!("serving {}", server.url());
    shutdown.cancelled().await;
    Ok(())
}

async fn proxy(
    control: SocketAddr,
    specs: Vec<PathSpec>,
    shutdown: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    let mut paths = BTreeMap::new();
    for spec in specs {
        let path = Path::open(spec.listen, spec.to)
            .with_context(|| format!("path {}: binding {}", spec.name, spec.listen))?;
        tracing::info!("path {}: {} -> {}", spec.name, path.address(), spec.to);
        paths.insert(spec.name, path);
    }
    let router = Router::new()
        .route("/paths", get(list))
        .route("/paths/{name}", put(set))
        .with_state(Arc::new(paths));
    let listener = tokio::net::TcpListener::bind(control)
        .await
        .context("binding control")?;
    tracing::info!("control on {}", listener.local_addr()?);
    let ended = shutdown.clone();
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { ended.cancelled().await })
        .await
        .context("serving control")
}

type Paths = Arc<BTreeMap<String, Path>>;

async fn list(State(paths): State<Paths>) -> Json<BTreeMap<String, Fault>> {
    Json(
        paths
            .iter()
            .map(|(name, path)| (name.clone(), path.fault()))
            .collect(),
    )
}

async fn set(
    State(paths): State<Paths>,
    Param(name): Param<String>,
    Json(fault): Json<Fault>,
) -> StatusCode {
    match paths.get(&name) {
        Some(path) => {
            path.set(fault);
            tracing::info!(%name, ?fault, "path changed");
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

fn parse_path(text: &str) -> Result<PathSpec, String> {
    let bad = || "write it like eu=127.0.0.1:9001->127.0.0.1:9000".to_owned();
    let (name, rest) = text.split_once('=').ok_or_else(bad)?;
    let (listen, to) = rest.split_once("->").ok_or_else(bad)?;
    let address = |text: &str| match text.strip_prefix(':') {
        Some(port) => port
            .parse()
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .map_err(|_| bad()),
        None => text.parse().map_err(|_| bad()),
    };
    Ok(PathSpec {
        name: name.to_owned(),
        listen: address(listen)?,
        to: address(to)?,
    })
}
