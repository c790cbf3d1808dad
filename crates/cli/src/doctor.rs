//! `parallax doctor`: whether this host can do what a probe, an agent or a pipeline needs, each line
//! with the cure. It sends nothing but what it says: name lookups, connections to what was named, and
//! requests to the coordinator's API.

mod coordinator;
mod host;
mod network;

use std::path::PathBuf;

use clap::Args;
use model::TargetUrl;
use serde::Serialize;

use crate::style::{self, Canvas, Tone, When};
use crate::{api, exit};

/// The version of the JSON. Fields are only added within a version.
const SCHEMA_VERSION: u32 = 1;

/// A preflight of this host.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parallax doctor --egress mcp.example.com:443
  parallax doctor --api https://mesh.example.com:8443 --api-key-file read.key --state-dir /var/lib/parallax-agent

Exit status: 0 nothing failed, 1 something did.")]
pub(crate) struct DoctorArgs {
    /// What must be reachable from here: a target, or the coordinator's gRPC. Repeatable
    #[arg(long, value_name = "HOST:PORT")]
    egress: Vec<network::Place>,
    /// Where the coordinator's API is
    #[arg(long, env = "PARALLAX_API")]
    api: Option<TargetUrl>,
    /// The file with a key of the API
    #[arg(long, env = "PARALLAX_API_KEY_FILE", requires = "api")]
    api_key_file: Option<PathBuf>,
    /// A PEM file with authorities to trust beside the system's
    #[arg(long, env = "PARALLAX_API_CA_FILE")]
    api_ca_file: Option<PathBuf>,
    /// The folder that an agent or a coordinator will keep its data in
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// How to print it
    #[arg(long, default_value = "text")]
    output: Output,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: When,
}

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

model::closed_words! {
    /// What is looked at.
    pub enum What ("check") {
        /// The wall clock, against the coordinator's.
        Clock = "clock",
        /// Names are resolved.
        Dns = "dns",
        /// There is a way to the IPv6 internet.
        Ipv6 = "ipv6",
        /// A host and port can be connected to.
        Egress = "egress",
        /// Authorities for TLS are there.
        TlsRoots = "tls_roots",
        /// The coordinator's API answers.
        Api = "api",
        /// The key of the API opens it, and how far.
        ApiKey = "api_key",
        /// A folder can be written, and has room.
        Disk = "disk",
        /// This command is of the coordinator's version.
        Version = "version",
    }
}

model::closed_words! {
    /// How it is.
    pub enum Verdict ("result") {
        /// As it should be.
        Pass = "pass",
        /// Not as it should be.
        Fail = "fail",
        /// Not looked at, or of no consequence.
        Skipped = "skipped",
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    check: What,
    result: Verdict,
    /// What was seen.
    detail: String,
    /// What to do, unless it passed.
    #[serde(skip_serializing_if = "String::is_empty")]
    cure: String,
}

impl Line {
    fn pass(check: What, detail: impl Into<String>) -> Self {
        Self {
            check,
            result: Verdict::Pass,
            detail: detail.into(),
            cure: String::new(),
        }
    }

    fn fail(check: What, detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            check,
            result: Verdict::Fail,
            detail: detail.into(),
            cure: cure.into(),
        }
    }

    fn skipped(check: What, detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            result: Verdict::Skipped,
            ..Self::fail(check, detail, cure)
        }
    }
}

/// All of it, for programs.
#[derive(Debug, Serialize)]
struct Diagnosis {
    schema_version: u32,
    version: &'static str,
    passed: bool,
    checks: Vec<Line>,
}

/// Looks at everything; the exit status.
pub(crate) async fn doctor(args: DoctorArgs) -> std::io::Result<u8> {
    let mut checks = Vec::new();
    let options = |key: Option<PathBuf>| {
        let ca_file = args.api_ca_file.clone();
        let api = args.api.clone();
        api.map(|api| api::Options::of(api, key, ca_file))
    };
    let open = options(None);
    let keyed = options(args.api_key_file.clone()).filter(|_| args.api_key_file.is_some());
    let health = coordinator::health(open.as_ref()).await;
    checks.push(coordinator::clock(&health));
    checks.extend(network::names_and_egress(&args.egress, args.api.as_ref()).await);
    checks.insert(2, network::ipv6());
    checks.push(host::tls_roots());
    checks.push(coordinator::api(&health));
    checks.push(coordinator::key(keyed.as_ref()).await);
    checks.push(host::disk(args.state_dir.as_deref()));
    checks.push(coordinator::version(&health));
    let passed = checks.iter().all(|line| line.result != Verdict::Fail);
    let text = match args.output {
        Output::Text => text(&checks, Canvas::of_stdout(args.color)),
        Output::Json => {
            let diagnosis = Diagnosis {
                schema_version: SCHEMA_VERSION,
                version: env!("CARGO_PKG_VERSION"),
                passed,
                checks,
            };
            let json = serde_json::to_string_pretty(&diagnosis).unwrap_or_default();
            format!("{json}\n")
        }
    };
    style::print(&text)?;
    Ok(if passed {
        exit::HEALTHY
    } else {
        exit::UNHEALTHY
    })
}

fn text(checks: &[Line], canvas: Canvas) -> String {
    let mut out = String::new();
    for line in checks {
        let (mark, tone) = match line.result {
            Verdict::Pass => (canvas.pick("\u{2714}", "ok"), Tone::Good),
            Verdict::Fail => (canvas.pick("\u{2718}", "X "), Tone::Bad),
            Verdict::Skipped => (canvas.pick("-", "- "), Tone::Dim),
        };
        let head = canvas.paint(tone, &format!("{mark} {:<10}", line.check));
        out.push_str(&format!(" {head} {}\n", line.detail));
        if !line.cure.is_empty() {
            let indent = " ".repeat(12 + mark.chars().count());
            out.push_str(&format!(
                "{indent} {}\n",
                canvas.paint(Tone::Dim, &line.cure)
            ));
        }
    }
    out
}
