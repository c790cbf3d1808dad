//! `parallax-agent`.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{AddrParseError, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Parser;
use dial::{AllowError, Proxy, ProxyError};
use parallax_agent::{Config, Http, HttpTls, Modules, Peering, Reread, Token, TokenError, run};
use settings::Settings;
use telemetry::daemon;
use telemetry::logs::Format;

const NAME: &str = "parallax-agent";
/// The tables of the settings file that are modules of `/probe`.
const MODULES: &str = "modules";

/// An agent of a Parallax mesh.
#[derive(Debug, Clone, Parser)]
#[command(name = "parallax-agent", version)]
struct Cli {
    /// The file with the token to join the mesh with: needed once. It may also be in the variable
    /// `PARALLAX_TOKEN`
    #[arg(long, env = "PARALLAX_TOKEN_FILE")]
    token_file: Option<OsString>,
    /// A coordinator, host:port, instead of the one that the token names; repeatable, they are
    /// tried in turn
    #[arg(long, env = "PARALLAX_COORDINATOR", value_delimiter = ',')]
    coordinator: Vec<String>,
    /// An HTTP proxy on the way to the coordinators, like `http://user:password@host:port`. Probes never
    /// use it
    #[arg(
        long,
        env = "PARALLAX_LINK_PROXY",
        value_name = "URL",
        hide_env_values = true
    )]
    link_proxy: Option<String>,
    /// The file with the URL of that proxy, where it has a password
    #[arg(long, env = "PARALLAX_LINK_PROXY_FILE", value_name = "FILE")]
    link_proxy_file: Option<OsString>,
    /// A name server instead of the system's; repeatable
    #[arg(long, env = "PARALLAX_RESOLVER", value_delimiter = ',')]
    resolver: Vec<String>,
    /// A network that targets may be in beside public addresses: 10.1.0.0/16 or 10.1.0.0/16#8443
    #[arg(long, env = "PARALLAX_ALLOW", value_delimiter = ',')]
    allow: Vec<String>,
    /// A PEM file with authorities to trust beside the system's; repeatable
    #[arg(long, env = "PARALLAX_EXTRA_ROOTS", value_delimiter = ',')]
    extra_roots: Vec<String>,
    /// Probes that may run at once
    #[arg(long, env = "PARALLAX_MAX_PROBES", default_value_t = 256)]
    max_probes: usize,
    /// The folder where identity, schedule and results are kept; made if it is missing. Under systemd, by
    /// default its state directory
    #[arg(long, env = "PARALLAX_STATE_DIR")]
    state_dir: Option<OsString>,
    /// Keep nothing: what is not handed in is lost at exit, and so is the identity: each start needs
    /// a new token
    #[arg(long)]
    in_memory: bool,
    /// Bytes that may wait to be handed in (without a disk at most 32 MiB); then the oldest makes
    /// room
    #[arg(long, env = "PARALLAX_SPOOL_BYTES", default_value_t = Config::SPOOL_BYTES)]
    spool_bytes: u64,
    /// What the agent should reach whatever its targets do, host:port, for its self-test: asked for
    /// a TLS handshake, and sent nothing; repeatable. Set to nothing, there is no self-test
    #[arg(long, env = "PARALLAX_CANARIES", value_name = "HOST:PORT", value_delimiter = ',',
        default_values = Config::CANARIES)]
    canaries: Vec<String>,
    /// The UDP address at which other agents of the mesh may measure the path to this one; nowhere
    /// unless it is set
    #[arg(long, env = "PARALLAX_PEER_LISTEN", value_name = "ADDR")]
    peer_listen: Option<String>,
    /// Do not measure the paths to other agents
    #[arg(long, env = "PARALLAX_NO_PEERS")]
    no_peers: bool,
    /// Whom owners of targets can write to, in the `User-Agent` of every request: a page, or `mailto:`
    /// and an address
    #[arg(long, env = "PARALLAX_CONTACT", value_name = "URL", default_value = probe::Contact::DEFAULT)]
    contact: String,
    /// Where to serve /probe, which runs a probe and answers with its metrics as blackbox_exporter
    /// does, and /metrics of the agent; nowhere unless it is set
    #[arg(long, env = "PARALLAX_AGENT_HTTP_LISTEN", value_name = "ADDR")]
    http_listen: Option<String>,
    /// Do nothing else than that: no mesh, no coordinator, no token, nothing kept
    #[arg(long, env = "PARALLAX_EXPORTER_ONLY")]
    exporter_only: bool,
    /// Certificate chain of that listener, PEM
    #[arg(long, env = "PARALLAX_AGENT_HTTP_TLS_CERT", value_name = "FILE")]
    http_tls_cert: Option<OsString>,
    /// Its key, PEM
    #[arg(long, env = "PARALLAX_AGENT_HTTP_TLS_KEY", value_name = "FILE")]
    http_tls_key: Option<OsString>,
    /// Listen without TLS or token where others can reach it: behind something that guards it
    #[arg(long, env = "PARALLAX_AGENT_INSECURE_BIND")]
    insecure_bind: bool,
    /// The file with a token that whoever asks for probes or metrics must send as a bearer
    #[arg(long, env = "PARALLAX_PROBE_TOKEN_FILE", value_name = "FILE")]
    probe_token_file: Option<OsString>,
    /// Requests a minute that one origin may have when /probe is asked for it, those of the agent's
    /// schedule counted
    #[arg(long, env = "PARALLAX_AGENT_HTTP_MAX_REQUESTS_PER_MINUTE", value_name = "N",
        default_value_t = Http::MAX_REQUESTS_PER_MINUTE)]
    http_max_requests_per_minute: u32,
    /// How log lines look
    #[arg(long, env = "PARALLAX_LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

fn main() -> ExitCode {
    let settings = match settings::read_with::<Cli>(std::env::args_os(), &[MODULES]) {
        Ok(settings) => settings,
        Err(problem) => return problem.tell(NAME),
    };
    let log_format = settings.cli.log_format;
    let checked = config(&settings);
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
    daemon::run(async |shutdown| run(config, shutdown).await)
}

/// The settings, checked.
fn config(settings: &Settings<Cli>) -> Result<Config, String> {
    let cli = settings.cli.clone();
    let http = http(settings)?.map(|http| Http {
        reread: Some(reread(settings)),
        ..http
    });
    let is_alone = http.as_ref().is_some_and(|http| http.only);
    let named = cli.state_dir.filter(|folder| !folder.is_empty());
    if named.is_some() && cli.in_memory {
        return Err("in-memory: contradicts state-dir; set one of them".to_owned());
    }
    let folder = named
        .map(PathBuf::from)
        .or_else(daemon::state_directory)
        .filter(|_| !cli.in_memory && !is_alone);
    if folder.is_none() && !cli.in_memory && !is_alone {
        let way_out = "name a folder, or say --in-memory to lose at exit what is not handed in, or \
                       --exporter-only where there is no mesh";
        return Err(format!("state-dir: is not set; {way_out}"));
    }
    let is_enrolled = folder.as_deref().is_some_and(parallax_agent::is_enrolled);
    let config = Config {
        coordinators: set(cli.coordinator),
        token: if is_alone {
            None
        } else {
            token(cli.token_file, is_enrolled)?
        },
        link_proxy: link_proxy(cli.link_proxy, cli.link_proxy_file)?,
        name_servers: parse(cli.resolver, |text, _: AddrParseError| {
            format!("resolver: `{text}` is no address and port; write it like 9.9.9.9:53")
        })?,
        allow: parse(cli.allow, |_, error: AllowError| error.to_string())?,
        extra_roots: set(cli.extra_roots)
            .into_iter()
            .map(PathBuf::from)
            .collect(),
        max_probes: cli.max_probes,
        state_dir: folder,
        spool_bytes: cli.spool_bytes,
        canaries: set(cli.canaries),
        peering: peering(cli.peer_listen.as_deref(), cli.no_peers)?,
        contact: contact(&cli.contact)?,
        http,
    };
    let config = config.check().map_err(|error| error.to_string())?;
    // What only this host can tell: its name servers, its files of authorities.
    config.dialer().map_err(|error| error.to_string())?;
    Ok(config)
}

/// How what is served is read anew: by the same command line, from the same files.
fn reread(settings: &Settings<Cli>) -> Reread {
    let token = settings.cli.probe_token_file.iter().map(PathBuf::from);
    let files = settings.file.iter().cloned().chain(token).collect();
    Reread::new(files, || {
        let settings = settings::read_with::<Cli>(std::env::args_os(), &[MODULES]);
        let settings = settings.map_err(|problem| problem.to_string())?;
        let http = http(&settings)?;
        let http = http.ok_or("http-listen: is not set any more; restart the agent")?;
        Ok(Http {
            reread: Some(reread(&settings)),
            ..http
        })
    })
}

/// What makes no sense where there is no mesh.
fn alone(cli: &Cli) -> Result<(), String> {
    let is_set = |value: &Option<OsString>| value.as_ref().is_some_and(|value| !value.is_empty());
    let has_proxy = cli.link_proxy.as_ref().is_some_and(|url| !url.is_empty());
    let table = [
        ("token-file", is_set(&cli.token_file)),
        ("coordinator", !set(cli.coordinator.clone()).is_empty()),
        ("link-proxy", has_proxy),
        ("link-proxy-file", is_set(&cli.link_proxy_file)),
        ("state-dir", is_set(&cli.state_dir)),
        (
            "peer-listen",
            cli.peer_listen.as_ref().is_some_and(|at| !at.is_empty()),
        ),
    ];
    match table.into_iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((other, _)) => Err(format!(
            "exporter-only: contradicts {other}, which is of a mesh; set one of them"
        )),
    }
}

/// What the agent has to do with the paths to other agents.
fn peering(listen: Option<&str>, is_off: bool) -> Result<Peering, String> {
    match listen.filter(|text| !text.is_empty()) {
        None if is_off => Ok(Peering::Off),
        None => Ok(Peering::Watch),
        Some(_) if is_off => Err("no-peers: contradicts peer-listen; set one of them".to_owned()),
        Some(text) => text.parse().map(Peering::Listen).map_err(|_| {
            let shown = model::text::line(text, 64);
            format!("peer-listen: `{shown}` is no address and port; write it like 0.0.0.0:7444")
        }),
    }
}

/// What is served over HTTP. Modules are checked also where nothing is.
fn http(settings: &Settings<Cli>) -> Result<Option<Http>, String> {
    let cli = &settings.cli;
    let modules = match settings.tables.get(MODULES).map(serde_json::to_value) {
        Some(Ok(serde_json::Value::Object(tables))) => tables,
        Some(_) | None => serde_json::Map::new(),
    };
    let variable = |name: &str| std::env::var(name).ok();
    let modules = Modules::read(&modules, &variable).map_err(|error| error.to_string())?;
    let listen = cli.http_listen.as_deref().filter(|text| !text.is_empty());
    let Some(listen) = listen else {
        if cli.exporter_only {
            let way_out = "say where to serve, like 127.0.0.1:9116";
            return Err(format!("exporter-only: http-listen is not set; {way_out}"));
        }
        return Ok(None);
    };
    if cli.exporter_only {
        alone(cli)?;
    }
    let listen: SocketAddr = listen.parse().map_err(|_| {
        let shown = model::text::line(listen, 64);
        format!("http-listen: `{shown}` is no address and port; write it like 127.0.0.1:9116")
    })?;
    let file = |path: &Option<OsString>| {
        let path = path.as_ref().filter(|path| !path.is_empty());
        path.map(PathBuf::from)
    };
    let tls = match (file(&cli.http_tls_cert), file(&cli.http_tls_key)) {
        (Some(certificate), Some(key)) => Some(HttpTls { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            return Err("http-tls-key: is not set; a certificate needs its key".to_owned());
        }
        (None, Some(_)) => {
            return Err("http-tls-cert: is not set; a key needs its certificate".to_owned());
        }
    };
    let probe_token = file(&cli.probe_token_file).map(|path| {
        let named = |problem: String| format!("probe-token-file: {}: {problem}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| named(error.to_string()))?;
        text.parse()
            .map_err(|problem: &str| named(problem.to_owned()))
    });
    Ok(Some(Http {
        listen,
        tls,
        insecure_bind: cli.insecure_bind,
        probe_token: probe_token.transpose()?,
        modules,
        max_requests_per_minute: cli.http_max_requests_per_minute,
        only: cli.exporter_only,
        reread: None,
    }))
}

/// The token of a file or of the environment: never of the command line, which others can read.
/// One that was used may be gone.
fn token(file: Option<OsString>, is_enrolled: bool) -> Result<Option<Token>, String> {
    let text = match file.filter(|file| !file.is_empty()).map(PathBuf::from) {
        Some(file) => match std::fs::read_to_string(&file) {
            Err(error) if is_enrolled && error.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(|error| format!("token-file: {}: {error}", file.display()))?,
        },
        None => std::env::var("PARALLAX_TOKEN").unwrap_or_default(),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let token: Result<Token, TokenError> = text.parse();
    token.map(Some).map_err(|error| error.to_string())
}

/// The proxy on the way to the coordinators; nothing of its text is shown, which may have a
/// password.
fn link_proxy(url: Option<String>, file: Option<OsString>) -> Result<Option<Proxy>, String> {
    let url = url.filter(|url| !url.trim().is_empty());
    let file = file.filter(|file| !file.is_empty()).map(PathBuf::from);
    let (field, text) = match (url, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err("link-proxy: contradicts link-proxy-file; set one of them".to_owned());
        }
        (Some(url), None) => ("link-proxy", url),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(&file);
            let named = |error| format!("link-proxy-file: {}: {error}", file.display());
            ("link-proxy-file", text.map_err(named)?)
        }
    };
    let proxy: Result<Proxy, ProxyError> = text.parse();
    proxy
        .map(Some)
        .map_err(|problem| format!("{field}: {problem}"))
}

/// Whom to write to; nothing is the default, as for every variable.
fn contact(text: &str) -> Result<probe::Contact, String> {
    if text.is_empty() {
        return Ok(probe::Contact::default());
    }
    let contact: Result<_, probe::ContactError> = text.parse();
    contact.map_err(|error| error.to_string())
}

/// A variable that is set to nothing is as good as one that is not set.
fn set(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

fn parse<T: FromStr>(
    texts: Vec<String>,
    problem: impl Fn(&str, T::Err) -> String,
) -> Result<Vec<T>, String> {
    let shown = |text: &str| model::text::line(text, 64);
    let parsed = set(texts).into_iter();
    parsed
        .map(|text| text.parse().map_err(|error| problem(&shown(&text), error)))
        .collect()
}
