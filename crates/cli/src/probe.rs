//! `parallax probe URL`.

mod args;
pub(crate) mod credential;
mod headers;
mod proxy;

use std::sync::Arc;

use dial::{AddressPolicy, Alpn, Dialer, DialerOptions, Family, Origin, TlsOptions};
use mcp::{ClientInfo, Plan};

pub(crate) use args::Args;
use args::{Format, UsageError};

use crate::style::{self, Canvas};
use crate::{exit, human};

/// Why a probe could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line contradicts itself.
    #[error("{0}")]
    Usage(#[from] UsageError),
    /// A header cannot be used.
    #[error("{0}")]
    Header(#[from] headers::HeaderError),
    /// A client or a certificate cannot be used.
    #[error("{0}")]
    Credential(#[from] credential::CredentialError),
    /// A proxy cannot be used.
    #[error("{0}")]
    Proxy(#[from] proxy::BadProxy),
    /// The host's configuration cannot be used.
    #[error("{0}")]
    Setup(#[from] dial::SetupError),
    /// The report cannot be written.
    #[error("stdout: {0}")]
    Stdout(#[source] std::io::Error),
    /// Signals cannot be handled.
    #[error("signal handlers: {0}")]
    Signals(#[source] std::io::Error),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Header(error) => error.exit_code(),
            Self::Credential(error) => error.exit_code(),
            Self::Proxy(error) => error.exit_code(),
            Self::Setup(_) => exit::CONFIG,
            Self::Stdout(_) | Self::Signals(_) => exit::INTERNAL,
        }
    }
}

/// Runs the probe and prints what it found; the exit status.
pub(crate) async fn run(args: Args) -> Result<u8, Error> {
    let mut headers = headers::collect(&args.header, args.bearer_file.as_deref(), |name| {
        std::env::var(name).ok()
    })?;
    let authorizer = args.credential.authorizer(&headers)?;
    let target = args.target()?;
    let proxy = proxy::choose(&args.proxy, &target, |name| std::env::var(name).ok())?;
    let mut plan = Plan::new(target, ClientInfo::parallax());
    plan.era = args.era;
    plan.calls = args.calls()?;
    plan.has_credential = headers::has_credential(&headers);
    plan.step_timeout = args.step_timeout.duration();
    plan.call_timeout = args
        .call_timeout
        .unwrap_or(args.step_timeout)
        .duration()
        .min(Plan::MAX_CALL_TIMEOUT);
    plan.total_timeout = args.timeout.duration();
    plan.severities = args.severity.iter().copied().collect();
    let dialer = Dialer::new(DialerOptions {
        name_servers: args.resolver.clone(),
        family: match (args.ipv4, args.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            (false, false) => Family::Any,
        },
        tls: TlsOptions {
            extra_roots: args.ca_file.clone(),
            client: args.credential.identity(),
        },
        policy: AddressPolicy::default(),
    })?;
    let token = args
        .credential
        .token(&dialer, &plan.url, proxy.clone())
        .await?;
    if let Some(token) = token {
        headers.insert(http::header::AUTHORIZATION, headers::bearer_of(&token)?);
        plan.has_credential = true;
    }
    let cancel = telemetry::signal::shutdown().map_err(Error::Signals)?;
    let job = probe::Job {
        plan,
        headers,
        // Typed on the command line: private addresses and plain http are the user's own choice.
        origin: Origin::Operator,
        proxy,
        alpn: if args.http1 { Alpn::Http1 } else { Alpn::Any },
        authorizer: authorizer.map(Arc::new),
        is_renewed: args.credential.is_renewed(),
        examines_walls: true,
        wall: telemetry::clock::wall(),
    };
    let (report, _) = probe::run(&dialer, job, &cancel).await;
    if !args.quiet {
        let text = match args.output {
            Format::Human => human::render(&report, Canvas::of_stdout(args.color)),
            Format::Json => {
                let json = serde_json::to_string_pretty(&report).unwrap_or_default();
                format!("{json}\n")
            }
        };
        style::print(&text).map_err(Error::Stdout)?;
    }
    Ok(exit::of(&report.outcome, args.fail_on.is_some()))
}
