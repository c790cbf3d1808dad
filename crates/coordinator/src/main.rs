//! `parallax-coordinator`.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use parallax_coordinator::{Config, run};
use telemetry::daemon;
use telemetry::logs::Format;

const NAME: &str = "parallax-coordinator";

/// The coordinator of a Parallax mesh.
#[derive(Debug, Parser)]
#[command(name = "parallax-coordinator", version)]
struct Cli {
    /// Where agents connect
    #[arg(long, env = "PARALLAX_GRPC_LISTEN", default_value = "127.0.0.1:7443")]
    grpc_listen: SocketAddr,
    /// Where API and metrics are served
    #[arg(long, env = "PARALLAX_HTTP_LISTEN", default_value = "127.0.0.1:7080")]
    http_listen: SocketAddr,
    /// How log lines look
    #[arg(long, env = "PARALLAX_LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(status) = daemon::begin(NAME, cli.log_format) {
        return status;
    }
    let config = match Config::new(cli.grpc_listen, cli.http_listen) {
        Ok(config) => config,
        Err(error) => return daemon::refuse(NAME, &error.to_string()),
    };
    daemon::run(async |shutdown| {
        let (bound, _) = tokio::sync::oneshot::channel();
        run(config, shutdown, bound).await
    })
}
