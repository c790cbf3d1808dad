//! `parallax-coordinator`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use parallax_coordinator::{Config, Durability, Storage, run};
use telemetry::daemon;
use telemetry::logs::Format;

const NAME: &str = "parallax-coordinator";

/// The coordinator of a Parallax mesh.
#[derive(Debug, Clone, Parser)]
#[command(name = "parallax-coordinator", version)]
struct Cli {
    /// Where agents connect
    #[arg(long, env = "PARALLAX_GRPC_LISTEN", default_value = "127.0.0.1:7443")]
    grpc_listen: SocketAddr,
    /// Where API and metrics are served
    #[arg(long, env = "PARALLAX_HTTP_LISTEN", default_value = "127.0.0.1:7080")]
    http_listen: SocketAddr,
    /// Certificate chain of API and metrics, PEM
    #[arg(long, env = "PARALLAX_HTTP_TLS_CERT")]
    http_tls_cert: Option<OsString>,
    /// Its key, PEM
    #[arg(long, env = "PARALLAX_HTTP_TLS_KEY")]
    http_tls_key: Option<OsString>,
    /// Serve the API in the clear where others can reach it: behind a proxy that has TLS
    #[arg(long, env = "PARALLAX_INSECURE_BIND")]
    insecure_bind: bool,
    /// Where agents reach this coordinator, host:port; tokens carry it
    #[arg(long, env = "PARALLAX_ENDPOINT")]
    endpoint: Option<String>,
    /// The file with a key that may do everything, made where it is missing; by default admin.key
    /// in the data folder
    #[arg(long, env = "PARALLAX_ADMIN_KEY_FILE")]
    admin_key_file: Option<OsString>,
    /// Serve /metrics without a key
    #[arg(long, env = "PARALLAX_OPEN_METRICS")]
    open_metrics: bool,
    /// Show everybody the verdicts at /api/v1/summary, by name and without URLs
    #[arg(long, env = "PARALLAX_PUBLIC_SUMMARY")]
    public_summary: bool,
    /// A folder with files of monitors (.toml, .json, .yaml) that is followed: they come, change
    /// and go with the files
    #[arg(long, env = "PARALLAX_MONITORS_DIR")]
    monitors_dir: Option<OsString>,
    /// The folder where everything is kept; made if it is missing. Under systemd, by default its
    /// state directory
    #[arg(long, env = "PARALLAX_DATA_DIR")]
    data_dir: Option<OsString>,
    /// Keep nothing: forget everything at exit
    #[arg(long)]
    in_memory: bool,
    /// When evidence is acknowledged
    #[arg(long, env = "PARALLAX_DURABILITY", default_value = "process")]
    durability: Survives,
    /// How many hours raw evidence is kept
    #[arg(long, env = "PARALLAX_RETENTION_HOURS", default_value_t = Config::RETENTION_HOURS)]
    retention_hours: u32,
    /// Requests a minute that all monitors of an origin may make together by schedule; where they
    /// want more, they are probed less often
    #[arg(long, env = "PARALLAX_MAX_REQUESTS_PER_MINUTE", value_name = "N",
        default_value_t = Config::MAX_REQUESTS_PER_MINUTE)]
    max_requests_per_minute: u32,
    /// A network that authorization servers may be in beside public addresses: 10.1.0.0/16 or
    /// 10.1.0.0/16#8443
    #[arg(long, env = "PARALLAX_ALLOW", value_delimiter = ',')]
    allow: Vec<String>,
    /// A PEM file with authorities to trust for them beside the system's; repeatable
    #[arg(long, env = "PARALLAX_EXTRA_ROOTS", value_delimiter = ',')]
    extra_roots: Vec<String>,
    /// How log lines look
    #[arg(long, env = "PARALLAX_LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

/// What acknowledged evidence survives.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Survives {
    /// When the operating system has it: survives the death of the process
    Process,
    /// When the medium has it: survives a power cut
    Power,
}

fn main() -> ExitCode {
    let settings = match settings::read::<Cli>(std::env::args_os()) {
        Ok(settings) => settings,
        Err(problem) => return problem.tell(NAME),
    };
    let log_format = settings.cli.log_format;
    let checked = config(settings.cli.clone());
    if settings.only_check {
        return settings.show(NAME, checked.map(|_| ()));
    }
    if let Err(status) = daemon::begin(NAME, log_format) {
        return status;
    }
    let config = match checked {
        Ok(config) => config,
        Err(problem) => return daemon::refuse(NAME, &problem),
    };
    daemon::run(async |shutdown| {
        let (bound, _) = tokio::sync::oneshot::channel();
        run(config, shutdown, bound).await
    })
}

/// The settings, checked.
fn config(cli: Cli) -> Result<Config, String> {
    let named = cli.data_dir.filter(|folder| !folder.is_empty());
    if named.is_some() && cli.in_memory {
        return Err("in-memory: contradicts data-dir; set one of them".to_owned());
    }
    let folder = named.map(PathBuf::from).or_else(daemon::state_directory);
    let in_folder = folder.as_ref().map(|folder| folder.join("admin.key"));
    let storage = match folder {
        _ if cli.in_memory => {
            let life = telemetry::clock::wall().as_microsecond();
            let seed = u64::try_from(life).unwrap_or_default();
            Storage::Memory(store::MemoryStore::new(seed))
        }
        Some(folder) => Storage::Embedded {
            folder,
            durability: match cli.durability {
                Survives::Process => Durability::Process,
                Survives::Power => Durability::Power,
            },
        },
        None => {
            let way_out = "name a folder, or say --in-memory to forget everything at exit";
            return Err(format!("data-dir: is not set; {way_out}"));
        }
    };
    let admin_key_file = cli.admin_key_file.filter(|path| !path.is_empty());
    let admin_key_file = admin_key_file.map(PathBuf::from);
    if cli.in_memory && admin_key_file.is_none() {
        let way_out = "name a file; with --in-memory there is no other way to get a key";
        return Err(format!("admin-key-file: is not set; {way_out}"));
    }
    let mut config = Config::new(cli.grpc_listen, cli.http_listen, storage);
    config.http_tls = http_tls(cli.http_tls_cert, cli.http_tls_key)?;
    config.insecure_bind = cli.insecure_bind;
    config.endpoint = cli.endpoint.filter(|text| !text.is_empty());
    config.admin_key_file = admin_key_file.or(in_folder);
    config.open_metrics = cli.open_metrics;
    config.public_summary = cli.public_summary;
    let monitors_dir = cli.monitors_dir.filter(|path| !path.is_empty());
    config.monitors_dir = monitors_dir.map(PathBuf::from);
    config.retention_hours = cli.retention_hours;
    config.max_requests_per_minute = cli.max_requests_per_minute;
    for network in cli.allow.iter().filter(|text| !text.is_empty()) {
        let network = network.parse();
        config
            .allow
            .push(network.map_err(|error: dial::AllowError| error.to_string())?);
    }
    let roots = cli.extra_roots.iter().filter(|path| !path.is_empty());
    config.extra_roots = roots.map(PathBuf::from).collect();
    config.check().map_err(|error| error.to_string())
}

/// Both files, or neither.
fn http_tls(
    certificate: Option<OsString>,
    key: Option<OsString>,
) -> Result<Option<(PathBuf, PathBuf)>, String> {
    let set = |path: Option<OsString>| path.filter(|path| !path.is_empty()).map(PathBuf::from);
    match (set(certificate), set(key)) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err("http-tls-key: is not set; a certificate needs its key".to_owned()),
        (None, Some(_)) => Err("http-tls-cert: is not set; a key needs its certificate".to_owned()),
    }
}
