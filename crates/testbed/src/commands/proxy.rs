//! `proxy`: TCP paths that break on command.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use parallax_testbed::proxy::Path;
use parallax_testbed::world::paths_router;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(crate) struct Proxy {
    /// Where the paths are told what to break
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// A path: `NAME=LISTEN->TO`. Repeatable
    #[arg(long = "path", value_name = "NAME=LISTEN->TO", required = true, value_parser = parse_path)]
    paths: Vec<PathSpec>,
}

#[derive(Debug, Clone)]
struct PathSpec {
    name: String,
    listen: SocketAddr,
    to: SocketAddr,
}

impl Proxy {
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut paths = BTreeMap::new();
        for spec in self.paths {
            let path = Path::open(spec.listen, spec.to)
                .with_context(|| format!("path {}: binding {}", spec.name, spec.listen))?;
            tracing::info!("path {}: {} -> {}", spec.name, path.address(), spec.to);
            paths.insert(spec.name, path);
        }
        let router = paths_router(Arc::new(paths));
        let listener = tokio::net::TcpListener::bind(self.control)
            .await
            .context("binding control")?;
        tracing::info!("control on {}", listener.local_addr()?);
        axum::serve(listener, router)
            .with_graceful_shutdown(async move { shutdown.cancelled().await })
            .await
            .context("serving control")
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
