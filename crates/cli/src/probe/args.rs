//! The options of `parallax probe`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::demands::Demands;
use clap::ValueEnum;
use dial::Alpn;
use mcp::{Plan, ToolCall};
use model::period::PeriodError;
use model::target::TargetUrlError;
use model::{CheckId, EraPolicy, Period, Severity, TargetUrl};

use super::load::LoadArgs;
use super::network::NetworkArgs;
use super::regions::RegionsArgs;
use super::repeat::RepeatArgs;
use super::wait::WaitArgs;
use crate::output::{Format, OutputArgs};
use crate::style::When;

/// What makes the exit status other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// A degraded target too (exit status 3).
    Degraded,
}

/// Probe an MCP endpoint once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  parallax probe https://mcp.example.com/mcp
  parallax probe https://mcp.example.com/mcp --call search --arg query=ping
  parallax probe https://mcp.example.com/mcp --header 'Authorization: Bearer ${MCP_TOKEN}'
  parallax probe https://mcp.example.com/mcp --baseline tools.lock.json
  parallax probe https://mcp.example.com/mcp --client-id ci --client-secret-env CI_SECRET
  parallax probe http://127.0.0.1:3000/mcp --output json | jq .outcome
  parallax probe https://mcp.example.com/mcp --wait 120s --consecutive 3 --output github
  parallax probe https://mcp.example.com/mcp --regions eu,us --wait 120s
  parallax probe https://mcp.example.com/mcp --for 60s --rate 5 --max-p95 500ms --i-own-this

Exit status: 0 healthy, 1 unhealthy, 2 usage, 3 degraded (--fail-on degraded), 4 refused
(authorization, rate limit, firewall), 5 unreachable (DNS, TCP, TLS, proxy), 6 timeout,
7 configuration, credential or baseline file, 70 bug, 130 interrupted.")]
pub(crate) struct Args {
    /// The MCP endpoint: https:// or, for a private server, http://
    #[arg(value_name = "URL")]
    url: String,
    /// Which protocol era to speak
    #[arg(long, value_name = "ERA", default_value = "auto", value_parser = parse_era)]
    pub(crate) era: EraPolicy,
    /// Call this tool after listing; `NAME` or `NAME={"json":"arguments"}`. Repeatable
    #[arg(long, value_name = "TOOL")]
    call: Vec<String>,
    /// An argument of the called tool: JSON where it is JSON, else text. Repeatable
    #[arg(long, value_name = "KEY=VALUE", requires = "call")]
    arg: Vec<String>,
    /// A header for every request; `${VAR}` is replaced from the environment. Repeatable
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
    /// A file whose content is sent as bearer token
    #[arg(long, value_name = "FILE")]
    pub(crate) bearer_file: Option<PathBuf>,
    /// Clients and certificates
    #[command(flatten)]
    pub(crate) credential: super::credential::Options,
    /// How long the whole probe may take
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) timeout: Period,
    /// How long one step may take
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) step_timeout: Period,
    /// How long a tool call may take, up to 120s [default: the step timeout]
    #[arg(long, value_name = "TIME", value_parser = parse_call_timeout)]
    pub(crate) call_timeout: Option<Period>,
    /// The severity of a check: `http.notif_202=degrade`. Repeatable
    #[arg(long, value_name = "CHECK=SEVERITY", value_parser = parse_severity)]
    pub(crate) severity: Vec<(CheckId, Severity)>,
    #[command(flatten)]
    pub(crate) demands: Demands,
    /// Compare the tools with this lock file: what is breaking or security-relevant fails (reason
    /// contract_drift), what is additive degrades, what is cosmetic is a note; with --severity
    /// contract.baseline=note, or another, every change is that
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Write the tools to this lock file, for --baseline of later probes. With --baseline too, the
    /// comparison comes first and decides the exit status
    #[arg(long, value_name = "FILE")]
    pub(crate) write_baseline: Option<PathBuf>,
    /// Exit with 3 when the target is degraded
    #[arg(long, value_name = "STATE")]
    pub(crate) fail_on: Option<FailOn>,
    /// A PEM file with certificates of authorities to trust beside the system's. Repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Vec<PathBuf>,
    /// A name server instead of the system's. Repeatable
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) resolver: Vec<SocketAddr>,
    /// The HTTP proxy to go through: `none`, `env` (HTTPS_PROXY, for http:// targets http_proxy,
    /// ALL_PROXY, unless NO_PROXY names the target), or a URL like `http://user:password@host:port`. Others on
    /// this machine can read a password that is written here. Times then measure the proxy too
    #[arg(long, value_name = "PROXY", default_value = "none")]
    pub(crate) proxy: String,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Whom the target's owner can write to, in the `User-Agent` of every request: a page, or
    /// `mailto:` and an address
    #[arg(long, value_name = "URL", env = "PARALLAX_CONTACT", default_value = probe::Contact::DEFAULT)]
    pub(crate) contact: probe::Contact,
    /// IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// HTTP/1.1 only
    #[arg(long)]
    pub(crate) http1: bool,
    /// HTTP/3 only: over QUIC, on the UDP port of the URL's number; https only, and through no proxy
    #[arg(long, conflicts_with = "http1")]
    pub(crate) http3: bool,
    /// How to print the report
    #[arg(long, short, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: Format,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
    /// Print nothing; the exit status tells
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) beside: OutputArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    #[command(flatten)]
    pub(crate) repeat: RepeatArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) mesh: RegionsArgs,
}

/// A command line that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// The URL cannot be probed. Parsed here and not by clap, which would repeat it in full.
    #[error("{0}")]
    Url(#[from] TargetUrlError),
    /// `--arg` without `=`.
    #[error("--arg: `{0}` has no `=`; write it like --arg city=Berlin")]
    Arg(String),
    /// `--arg` beside several `--call`.
    #[error(
        "--arg goes with one --call; give several calls their arguments as NAME={{\"json\":1}}"
    )]
    ArgOfSeveral,
    /// The arguments of a call are no JSON object.
    #[error(
        "--call {0}: the arguments are no JSON object; write it like {0}={{\"city\":\"Berlin\"}}"
    )]
    CallArguments(String),
    /// `--all-addresses` through a proxy.
    #[error(
        "--all-addresses: behind a proxy nobody here knows the addresses; leave --proxy or --all-addresses out"
    )]
    AddressesBehindProxy,
    /// HTTP/3 in a build without it.
    #[error("--http3, --alt-svc: this build has no HTTP/3; build with the feature `http3`")]
    NoHttp3,
    /// HTTP/3 without TLS.
    #[error(
        "--http3: HTTP/3 is for https:// only; leave --http3 out, or probe the server's https:// URL"
    )]
    Http3WithoutTls,
    /// HTTP/3 through a proxy.
    #[error(
        "--http3, --alt-svc: HTTP/3 is UDP, which no HTTP proxy carries; leave it or --proxy out"
    )]
    Http3BehindProxy,
    /// A call without a name.
    #[error("--call: the tool has no name; write it like --call search")]
    CallName,
    /// `--header Origin` beside the origins that are demanded.
    #[error(
        "--header: `Origin` would go with every request, those of --expect-origin-accepted and \
         --expect-origin-refused too; leave one of them out"
    )]
    Origin,
    /// A load without the word of the server's owner.
    #[error(
        "--for: a load is for your own server: it makes many requests a second, which an owner who \
         was not asked must take for an attack; add --i-own-this if the server is yours"
    )]
    NotOwned,
    /// A load for too long.
    #[error("--for: a load may take at most 10m; watch a server all the time with a monitor")]
    TooLong,
    /// An option that agents of the mesh do not have.
    #[error("{0}: {1}")]
    Mesh(&'static str, &'static str),
    /// A pause without anything that pauses.
    #[error("--interval goes with --wait or --repeat")]
    Interval,
}

impl Args {
    /// The endpoint.
    pub(crate) fn target(&self) -> Result<TargetUrl, UsageError> {
        Ok(self.url.parse()?)
    }

    /// Which HTTP versions are offered.
    pub(crate) const fn alpn(&self) -> Alpn {
        if self.http3 {
            Alpn::Http3
        } else if self.http1 {
            Alpn::Http1
        } else {
            Alpn::Any
        }
    }

    /// Whether what is asked of HTTP/3 can be had.
    pub(crate) fn check_http3(
        &self,
        target: &TargetUrl,
        is_proxied: bool,
    ) -> Result<(), UsageError> {
        if !(self.http3 || self.network.wants_alt_svc()) {
            return Ok(());
        }
        if !probe::HAS_HTTP3 {
            return Err(UsageError::NoHttp3);
        }
        if is_proxied {
            return Err(UsageError::Http3BehindProxy);
        }
        if self.http3 && !target.is_https() {
            return Err(UsageError::Http3WithoutTls);
        }
        Ok(())
    }

    /// The tools to call.
    pub(crate) fn calls(&self) -> Result<Vec<ToolCall>, UsageError> {
        if self.call.len() > 1 && !self.arg.is_empty() {
            return Err(UsageError::ArgOfSeveral);
        }
        self.call.iter().map(|text| self.call(text)).collect()
    }

    fn call(&self, text: &str) -> Result<ToolCall, UsageError> {
        let (name, json) = match text.split_once("={") {
            Some((name, _)) => (name, &text[name.len() + 1..]),
            None => (text, "{}"),
        };
        if name.is_empty() {
            return Err(UsageError::CallName);
        }
        let shown = model::text::line(name, 64);
        let mut arguments: serde_json::Map<_, _> =
            serde_json::from_str(json).map_err(|_| UsageError::CallArguments(shown))?;
        for arg in &self.arg {
            let shown = || model::text::line(arg, 64);
            let (key, value) = arg
                .split_once('=')
                .ok_or_else(|| UsageError::Arg(shown()))?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            arguments.insert(key.to_owned(), value);
        }
        Ok(ToolCall::new(name, arguments))
    }
}

fn parse_era(text: &str) -> Result<EraPolicy, String> {
    text.parse()
        .map_err(|error: model::closed::UnknownWord| error.to_string())
}

fn parse_call_timeout(text: &str) -> Result<Period, String> {
    let timeout: Period = text
        .parse()
        .map_err(|error: PeriodError| error.to_string())?;
    if timeout.duration() > Plan::MAX_CALL_TIMEOUT {
        return Err("a tool call may take at most 120s".to_owned());
    }
    Ok(timeout)
}

fn parse_severity(text: &str) -> Result<(CheckId, Severity), String> {
    let Some((id, severity)) = text.split_once('=') else {
        return Err(format!(
            "`{text}` has no `=`; write it like http.notif_202=degrade"
        ));
    };
    let unknown = |error: model::closed::UnknownWord| error.to_string();
    let id: CheckId = id.parse().map_err(unknown)?;
    let severity = severity.parse().map_err(unknown)?;
    if !id.may_become(severity) {
        return Err(format!(
            "{id} cannot be lowered: without it a probe has nothing to go on with"
        ));
    }
    Ok((id, severity))
}
