//! Probes every hostile target of the testbed, each in a process of its own, and prints what came of
//! it: behaviour, outcome, bytes read, time, and the most memory that the process ever had.
//!
//! ```text
//! cargo run -p benches --release --bin hostile-corpus [-- NAME-PREFIX]
//! ```
//!
//! The process does what `parallax probe` does, with a step timeout of 3 s and 9 s in all. It tells its
//! own peak (`VmHWM`), because nobody else can say it of a process that has ended.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use dial::{AddressPolicy, Alpn, Dialer, DialerOptions, Origin, TlsOptions};
use mcp::{ClientInfo, Plan};
use model::Outcome;
use serde::{Deserialize, Serialize};
use testbed::hostile::{self, Behaviour, Hostile};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

const STEP: Duration = Duration::from_secs(3);
const TOTAL: Duration = Duration::from_secs(9);
/// What tells a process that it is one of those that probe.
const PROBE: &str = "--probe";

/// What a process is told to probe.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    behaviour: String,
    url: String,
    port: u16,
    name_server: Option<SocketAddr>,
}

/// What a process says of its probe.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    outcome: String,
    bytes: u64,
    millis: u64,
    peak_kib: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args[..] {
        [first, told, rest @ ..] if first == PROBE => {
            let said = probe(&serde_json::from_str(told)?, rest).await?;
            writeln!(std::io::stdout(), "{}", serde_json::to_string(&said)?)?;
            Ok(())
        }
        [] => all("").await,
        [prefix] => all(prefix).await,
        _ => anyhow::bail!("usage: hostile-corpus [NAME-PREFIX]"),
    }
}

async fn all(prefix: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "| behaviour | outcome | KiB read | ms | peak MiB |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    let (mut count, mut most_bytes, mut most_millis, mut most_kib) = (0, 0, 0, 0);
    for behaviour in hostile::all().filter(|known| known.name.starts_with(prefix)) {
        let said = measure(behaviour)
            .await
            .with_context(|| behaviour.name.to_owned())?;
        let (kib, mib) = (said.bytes.div_ceil(1024), tenths(said.peak_kib));
        let Said {
            outcome, millis, ..
        } = &said;
        writeln!(
            out,
            "| {} | {outcome} | {kib} | {millis} | {mib} |",
            behaviour.name
        )?;
        count += 1;
        most_bytes = most_bytes.max(said.bytes);
        most_millis = most_millis.max(said.millis);
        most_kib = most_kib.max(said.peak_kib);
    }
    let (kib, mib) = (most_bytes.div_ceil(1024), tenths(most_kib));
    writeln!(
        out,
        "\n{count} behaviours; at most {kib} KiB read, {most_millis} ms, {mib} MiB"
    )?;
    Ok(())
}

/// MiB with one digit.
fn tenths(kib: u64) -> String {
    let tenths = kib * 10 / 1024;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Serves one behaviour, and has it probed by a process of its own.
async fn measure(behaviour: &'static Behaviour) -> anyhow::Result<Said> {
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let hostile = Hostile::start(behaviour, bind).await?;
    let told = Told {
        behaviour: behaviour.name.to_owned(),
        url: hostile.url().to_owned(),
        port: hostile.address().port(),
        name_server: hostile.name_server(),
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(PROBE).arg(serde_json::to_string(&told)?);
    let folder = tempfile::tempdir()?;
    if let Some(pem) = hostile.authority() {
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, pem)?;
        command.arg(file);
    }
    let output = command.stderr(Stdio::inherit()).output().await?;
    anyhow::ensure!(output.status.success(), "{}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

async fn probe(told: &Told, ca_files: &[String]) -> anyhow::Result<Said> {
    let behaviour = Behaviour::named(&told.behaviour).context("no such behaviour")?;
    let mut plan = Plan::new(told.url.parse()?, ClientInfo::parallax());
    plan.era = behaviour.era;
    plan.step_timeout = STEP;
    plan.total_timeout = TOTAL;
    let (origin, allow) = if behaviour.is_remote {
        let only = format!("127.0.0.1#{}", told.port);
        (Origin::Remote, vec![only.parse()?])
    } else {
        (Origin::Operator, Vec::new())
    };
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let dialer = Dialer::new(DialerOptions {
        name_servers: vec![told.name_server.unwrap_or(nobody)],
        tls: TlsOptions {
            extra_roots: ca_files.iter().map(Into::into).collect(),
            ..TlsOptions::default()
        },
        policy: AddressPolicy::new(allow),
        ..DialerOptions::default()
    })?;
    let job = probe::Job {
        health: None,
        contact: probe::Contact::default(),
        network: probe::Network::default(),
        plan,
        headers: http::HeaderMap::new(),
        origin,
        proxy: None,
        alpn: Alpn::Any,
        authorizer: None,
        is_renewed: false,
        examines_walls: false,
        wall: telemetry::clock::wall(),
    };
    let (report, _) = probe::run(&dialer, job, &CancellationToken::new()).await;
    Ok(Said {
        outcome: match &report.outcome {
            Outcome::Ok => "ok".to_owned(),
            Outcome::Degraded { .. } => "degraded".to_owned(),
            Outcome::Failed(failure) => format!("{} at {}", failure.reason, failure.step),
            Outcome::Inconclusive { reason } => reason.to_string(),
        },
        bytes: report.received_bytes,
        millis: (report.total_us + report.own_us) / 1000,
        peak_kib: peak_kib(Path::new("/proc/self/status"))?,
    })
}

/// The most memory that this process has had resident, KiB.
fn peak_kib(status: &Path) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(status)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no VmHWM")?.parse()?)
}
