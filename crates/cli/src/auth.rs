//! `parallax auth login URL`: the user flow, once, on a workstation.

mod loopback;

use std::path::{Path, PathBuf};

use auth::login::{self, BadCallback, Login, Request};
use auth::{Fault, Home, Net, Proof, Refusal, Way};
use clap::{Args, Subcommand};
use dial::{Dialer, DialerOptions, Origin, SetupError, TlsOptions};
use http::Method;
use model::target::TargetUrlError;
use model::{Class, MonitorId, Period, TargetUrl};

use crate::api;
use crate::probe::credential::{self, CredentialError};
use crate::token_file::{self, BadFile};
use crate::{exit, style};
use loopback::Loopback;

/// Tokens of users.
#[derive(Debug, Args)]
pub(crate) struct AuthArgs {
    #[command(subcommand)]
    command: AuthCommand,
}

#[derive(Debug, Subcommand)]
enum AuthCommand {
    /// Sign in once, in a browser, and keep the tokens in a file for `probe --token-set`, or as the
    /// credential of a monitor
    Login(LoginArgs),
}

/// Whom to sign in where.
#[derive(Debug, Args)]
struct LoginArgs {
    /// The MCP endpoint
    #[arg(value_name = "URL")]
    url: String,
    /// Where the tokens go, mode 0600; what is there is replaced
    #[arg(long, value_name = "FILE", required_unless_present = "monitor")]
    out: Option<PathBuf>,
    /// The monitor whose credential they become; its `authorization` has the grant token_set
    #[arg(long, value_name = "NAME", conflicts_with = "out")]
    monitor: Option<String>,
    #[command(flatten)]
    api: api::Options,
    /// A client that the authorization server knows, in place of a registration
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// A file with that client's secret, if it has one
    #[arg(long, value_name = "FILE", requires = "client_id")]
    client_secret_file: Option<PathBuf>,
    /// The URL of a client id metadata document, for authorization servers that take one
    #[arg(long, value_name = "URL", conflicts_with = "client_id")]
    client_metadata_url: Option<String>,
    /// The issuer, in place of the one that the server names
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The scope to ask for, in place of what the server says
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// A command that opens the URL, which it gets as its last argument
    #[arg(long, value_name = "COMMAND")]
    browser: Option<PathBuf>,
    /// How long to wait for the user
    #[arg(long, value_name = "TIME", default_value = "5m")]
    timeout: Period,
    /// A PEM file with certificates of authorities to trust beside the system's. Repeatable
    #[arg(long, value_name = "FILE")]
    ca_file: Vec<PathBuf>,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The URL is none.
    #[error("{0}")]
    Url(#[from] TargetUrlError),
    /// A client cannot be used.
    #[error("{0}")]
    Credential(#[from] CredentialError),
    /// The file cannot be written.
    #[error("{0}")]
    File(#[from] BadFile),
    /// This host's settings.
    #[error("{0}")]
    Setup(#[from] SetupError),
    /// The target does not answer.
    #[error("{url} does not answer: {}: {}", fault.reason, fault.detail)]
    Target { url: TargetUrl, fault: Fault },
    /// The authorization server.
    #[error("{}: {}", .0.reason, .0.detail)]
    Refused(Refusal),
    /// The redirect.
    #[error("{0}")]
    Callback(#[from] BadCallback),
    /// Nobody signed in.
    #[error("nobody signed in within {0}; run it again, or give it more time with --timeout")]
    Waited(Period),
    /// The browser cannot be started.
    #[error("--browser {}: {source}", command.display())]
    Browser {
        command: PathBuf,
        source: std::io::Error,
    },
    /// The coordinator.
    #[error("{0}")]
    Api(#[from] api::Error),
    /// The monitor takes no tokens, or others.
    #[error("--monitor {name}: {problem}")]
    Monitor { name: String, problem: String },
    /// Nothing can be listened on, or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Url(_) | Self::Monitor { .. } => exit::USAGE,
            Self::Api(error) => error.exit_code(),
            Self::Credential(error) => error.exit_code(),
            Self::File(_) | Self::Setup(_) | Self::Browser { .. } => exit::CONFIG,
            Self::Target { fault, .. } => match fault.reason.class() {
                _ if fault.reason.is_timeout() => exit::TIMEOUT,
                Class::Network | Class::Ours => exit::UNREACHABLE,
                Class::Http | Class::Protocol | Class::Tool | Class::Contract | Class::Refused => {
                    exit::UNHEALTHY
                }
            },
            Self::Refused(_) | Self::Callback(_) => exit::REFUSED,
            Self::Waited(_) => exit::TIMEOUT,
            Self::Io(_) => exit::INTERNAL,
        }
    }
}

/// Where the API has a monitor, or a part of it.
fn path(name: &str, part: &str) -> Result<String, Error> {
    let id: Result<MonitorId, _> = name.parse();
    let id = id.map_err(|error: model::monitor::MonitorIdError| Error::Monitor {
        name: model::text::line(name, 64),
        problem: error.to_string(),
    })?;
    Ok(format!("/api/v1/monitors/{id}{part}"))
}

/// Runs `parallax auth`.
pub(crate) async fn run(args: AuthArgs) -> Result<(), Error> {
    match args.command {
        AuthCommand::Login(args) => sign_in(&args).await,
    }
}

async fn sign_in(args: &LoginArgs) -> Result<(), Error> {
    let target: TargetUrl = args.url.parse()?;
    let request = args.request()?;
    if let Some(name) = &args.monitor {
        // Before anybody signs in for nothing.
        args.may_have(name, &target).await?;
    }
    let dialer = Dialer::new(DialerOptions {
        tls: TlsOptions {
            extra_roots: args.ca_file.clone(),
            client: None,
        },
        ..DialerOptions::default()
    })?;
    let mut home = Home {
        target: target.clone(),
        origin: Origin::Operator,
        proxy: None,
        address: None,
        typed: request.issuer.iter().cloned().collect(),
        way: Way::default(),
        user_agent: probe::Contact::default().user_agent(),
    };
    let mut net = Net::new(&dialer, home.clone());
    let challenge = probe::challenge(&mut net, &target).await;
    let challenge = challenge.map_err(|fault| Error::Target { url: target, fault })?;
    home.address = net.home().address;
    let mut loopback = Loopback::bind().await?;
    let login = login::begin(&mut net, &challenge, &request, &loopback.uri()).await;
    let login = login.map_err(Error::Refused)?;
    args.show(&login)?;
    let came = loopback.wait(|query| login::read_callback(&login, query));
    let code = tokio::time::timeout(args.timeout.duration(), came).await;
    let code = code.map_err(|_| Error::Waited(args.timeout))??;
    // A new way out: the user took the time of the first one.
    let mut net = Net::new(&dialer, home);
    let now = telemetry::clock::wall().as_second();
    let set = login.finish(&mut net, &code, now).await;
    let set = set.map_err(Error::Refused)?;
    let place = args.hand_over(&set).await?;
    let renewed = match set.refresh_token {
        Some(_) => "they are renewed when needed",
        None => "they cannot be renewed: sign in again when they have ended",
    };
    style::eprint(&format!(
        "signed in at {}; the tokens are {place}, and {renewed}\n",
        model::text::line(&set.issuer, 160),
    ));
    Ok(())
}

impl LoginArgs {
    /// Whether the monitor is one for the tokens of this target.
    async fn may_have(&self, name: &str, target: &TargetUrl) -> Result<(), Error> {
        let refused = |problem: String| Error::Monitor {
            name: model::text::line(name, 64),
            problem,
        };
        let monitor = self.api.call(Method::GET, &path(name, "")?, None).await?;
        let grant = monitor["spec"]["authorization"]["grant"].as_str();
        if grant != Some("token_set") {
            let way_out = "put its spec with \"authorization\": {\"grant\": \"token_set\"} first";
            return Err(refused(format!("it takes no tokens; {way_out}")));
        }
        let url = monitor["spec"]["url"].as_str().unwrap_or_default();
        let is_same = url.parse::<TargetUrl>().is_ok_and(|url| {
            auth::place::canonical(url.as_url()) == auth::place::canonical(target.as_url())
        });
        if !is_same {
            let url = model::text::line(url, 120);
            return Err(refused(format!("it watches {url}; sign in there")));
        }
        Ok(())
    }

    /// Brings the tokens to where they belong; where that is.
    async fn hand_over(&self, set: &auth::TokenSet) -> Result<String, Error> {
        if let Some(name) = &self.monitor {
            let body = serde_json::json!({ "tokens": set.write().expose() });
            let path = path(name, "/credential")?;
            self.api.call(Method::PUT, &path, Some(&body)).await?;
            return Ok(format!("the credential of {name}"));
        }
        let out = self.out.as_deref().unwrap_or_else(|| Path::new(""));
        let lock = token_file::lock("--out", out).await?;
        token_file::write("--out", out, set, &lock)?;
        drop(lock);
        Ok(format!("in {}", out.display()))
    }

    fn request(&self) -> Result<Request, Error> {
        let client = match &self.client_id {
            Some(id) => Some(auth::Client {
                id: id.clone(),
                proof: match &self.client_secret_file {
                    Some(path) => {
                        let text = credential::read("--client-secret-file", path)?;
                        Proof::Secret(auth::Secret::new(text.trim()))
                    }
                    None => Proof::Nothing,
                },
            }),
            None => None,
        };
        let document = self.client_metadata_url.as_deref();
        Ok(Request {
            client,
            metadata_document: credential::url("--client-metadata-url", document)?,
            issuer: credential::url("--issuer", self.issuer.as_deref())?,
            scope: self.scope.clone(),
        })
    }

    /// Shows the URL: on stdout, alone, and to the browser, if there is one.
    fn show(&self, login: &Login) -> Result<(), Error> {
        style::eprint("open this in a browser, and sign in:\n");
        style::print(&format!("{}\n", login.url))?;
        let Some(command) = &self.browser else {
            return Ok(());
        };
        let started = std::process::Command::new(command)
            .arg(login.url.as_str())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn();
        started.map(drop).map_err(|source| Error::Browser {
            command: command.clone(),
            source,
        })
    }
}
