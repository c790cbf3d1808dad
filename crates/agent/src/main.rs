//! `parallax-agent`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use dial::Allow;
use parallax_agent::{Config, run};
use telemetry::daemon;
use telemetry::logs::Format;

const NAME: &str = "parallax-agent";

/// An agent of a Parallax mesh.
#[derive(Debug, Parser)]
#[command(name = "parallax-agent", version)]
struct Cli {
    /// A coordinator; repeatable, they are tried in turn
    #[arg(
        long,
        env = "PARALLAX_COORDINATOR",
        value_delimiter = ',',
        default_value = "127.0.0.1:7443"
    )]
    coordinator: Vec<String>,
    /// Who the agent is
    #[arg(long, env = "PARALLAX_AGENT")]
    agent: String,
    /// The metro it probes from
    #[arg(long, env = "PARALLAX_REGION")]
    region: String,
    /// Whose network it is on
    #[arg(long, env = "PARALLAX_PROVIDER")]
    provider: String,
    /// A name server instead of the system's; repeatable
    #[arg(long, env = "PARALLAX_RESOLVER", value_delimiter = ',')]
    resolver: Vec<SocketAddr>,
    /// A network that targets may be in beside public addresses: 10.1.0.0/16 or 10.1.0.0/16#8443
    #[arg(long, env = "PARALLAX_ALLOW", value_delimiter = ',')]
    allow: Vec<Allow>,
    /// A PEM file with authorities to trust beside the system's; repeatable
    #[arg(long, env = "PARALLAX_EXTRA_ROOTS", value_delimiter = ',')]
    extra_roots: Vec<PathBuf>,
    /// Probes that may run at once
    #[arg(long, env = "PARALLAX_MAX_PROBES", default_value_t = 256)]
    max_probes: usize,
    /// How log lines look
    #[arg(long, env = "PARALLAX_LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(status) = daemon::begin(NAME, cli.log_format) {
        return status;
    }
    let config = Config {
        coordinators: cli.coordinator,
        agent: cli.agent,
        region: cli.region,
        provider: cli.provider,
        name_servers: cli.resolver,
        allow: cli.allow,
        extra_roots: cli.extra_roots,
        max_probes: cli.max_probes,
    };
    let config = match config.check() {
        Ok(config) => config,
        Err(error) => return daemon::refuse(NAME, &error.to_string()),
    };
    if let Err(error) = config.dialer() {
        return daemon::refuse(NAME, &error.to_string());
    }
    daemon::run(async |shutdown| run(config, shutdown).await)
}
