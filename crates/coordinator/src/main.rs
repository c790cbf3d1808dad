//! `parallax-coordinator`.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use parallax_coordinator::{Config, run};
use telemetry::logs;

/// Bad configuration (sysexits.h `EX_CONFIG`).
const EX_CONFIG: u8 = 78;

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
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = match cli.log_format {
        LogFormat::Text => logs::Format::Text,
        LogFormat::Json => logs::Format::Json,
    };
    if let Err(problem) = logs::init(format, "info") {
        return refuse(&problem);
    }
    let config = match Config::new(cli.grpc_listen, cli.http_listen) {
        Ok(config) => config,
        Err(error) => return refuse(&error.to_string()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ran = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            let shutdown = telemetry::signal::shutdown()?;
            let (bound, _) = tokio::sync::oneshot::channel();
            run(config, shutdown, bound).await
        })
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "logs may not have started")]
fn refuse(problem: &str) -> ExitCode {
    eprintln!("parallax-coordinator: {problem}");
    ExitCode::from(EX_CONFIG)
}
