//! Those that measure: what each of them says of the first exchange.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use serde_json::Value;

pub(crate) const ALL: [Peer; 4] = [Peer::Agent, Peer::Command, Peer::Curl, Peer::Blackbox];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// `/probe` of `parallax-agent`, which runs on, as the exporter does.
    Agent,
    /// `parallax probe`, a process of its own each time, as curl is.
    Command,
    Curl,
    Blackbox,
}

/// Milliseconds by phase. `answer` is from the handshake's end to the first byte: `send` and `wait` of
/// those who do not tell them apart.
pub(crate) type Phases = BTreeMap<&'static str, f64>;

/// What a peer said of one exchange.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) peer: Peer,
    /// The port of the server that was asked.
    pub(crate) port: u16,
    pub(crate) began: SystemTime,
    pub(crate) ended: SystemTime,
    pub(crate) phases: Phases,
}

/// The request that `parallax probe` sends first.
const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"timing","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
const HEADERS: [(&str, &str); 4] = [
    ("Content-Type", "application/json"),
    ("Accept", "application/json, text/event-stream"),
    ("MCP-Protocol-Version", "2026-07-28"),
    ("Mcp-Method", "server/discover"),
];
/// A header that no socket takes at once.
const BIG: usize = 120_000;
const EXPORTER: &str = "127.0.0.1:9115";
const AGENT: &str = "127.0.0.1:9116";
const WRITE_OUT: &str = r#"{"dns":%{time_namelookup},"connect":%{time_connect},"tls":%{time_appconnect},"first":%{time_starttransfer},"end":%{time_total}}"#;

/// Exporters that run on, killed when dropped.
pub(crate) struct Exporters(Vec<Child>);

impl Exporters {
    pub(crate) fn start(folder: &Path, ca_file: &Path) -> anyhow::Result<Self> {
        let module = |more: Option<&str>| {
            let mut headers: BTreeMap<&str, &str> = HEADERS.into_iter().collect();
            headers.extend(more.map(|value| ("X-Big", value)));
            serde_json::json!({ "prober": "http", "timeout": "10s", "http": {
                "method": "POST", "headers": headers, "body": DISCOVER,
                "preferred_ip_protocol": "ip4", "tls_config": { "ca_file": ca_file },
            }})
        };
        let big = "x".repeat(BIG);
        let modules = serde_json::json!({ "mcp": module(None), "big": module(Some(&big)) });
        let file = folder.join("blackbox.yml");
        // JSON is YAML.
        std::fs::write(&file, serde_json::json!({ "modules": modules }).to_string())?;
        let mut blackbox = Command::new("prometheus-blackbox-exporter");
        blackbox
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--web.listen-address={EXPORTER}"));
        let mut agent = Command::new(std::env::current_exe()?.with_file_name("parallax-agent"));
        agent
            .args(["--exporter-only", "--http-listen", AGENT])
            .args(["--allow=127.0.0.0/8", "--resolver=127.0.0.1:53"])
            .arg("--extra-roots")
            .arg(ca_file);
        let mut running = Self(Vec::new());
        for (mut command, address) in [(blackbox, EXPORTER), (agent, AGENT)] {
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let child = command.spawn().with_context(|| format!("{command:?}"))?;
            running.0.push(child);
            listens(address)?;
        }
        Ok(running)
    }
}

fn listens(address: &str) -> anyhow::Result<()> {
    for _ in 0..100 {
        if std::net::TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    anyhow::bail!("nobody listens on {address}")
}

impl Drop for Exporters {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Lets a peer ask the server once.
pub(crate) async fn run(
    peer: Peer,
    (name, port): (&str, u16),
    ca_file: &Path,
    is_big: bool,
) -> anyhow::Result<Sample> {
    let url = format!("https://{name}:{port}/mcp");
    let mut command = match peer {
        Peer::Agent => scrape(AGENT, &format!("target={url}&debug=true")),
        Peer::Command => parallax(&url, ca_file, is_big)?,
        Peer::Curl => curl(&url, ca_file, is_big),
        Peer::Blackbox => {
            let module = if is_big { "big" } else { "mcp" };
            scrape(EXPORTER, &format!("module={module}&target={url}"))
        }
    };
    let run = move || -> anyhow::Result<_> {
        let began = now();
        let output = command.stderr(Stdio::inherit()).output()?;
        anyhow::ensure!(output.status.success(), "{output:?}");
        Ok((began, now(), String::from_utf8(output.stdout)?))
    };
    let (began, ended, text) = tokio::task::spawn_blocking(run).await??;
    let phases = match peer {
        Peer::Agent => {
            let json = text.find("\n{").context("no report")?;
            of_report(&text[json..])?
        }
        Peer::Command => of_report(&text)?,
        Peer::Curl => of_curl(&text)?,
        Peer::Blackbox => of_metrics(&text)?,
    };
    Ok(Sample {
        peer,
        port,
        began,
        ended,
        phases,
    })
}

/// Packets have wall time.
fn now() -> SystemTime {
    telemetry::clock::wall().into()
}

fn parallax(url: &str, ca_file: &Path, is_big: bool) -> anyhow::Result<Command> {
    let own = std::env::current_exe()?;
    let mut command = Command::new(own.with_file_name("parallax"));
    command.args([
        "probe",
        url,
        "--era=modern",
        "--output=json",
        "--resolver=127.0.0.1:53",
    ]);
    command.arg("--ca-file").arg(ca_file);
    if is_big {
        command.arg(format!("--header=X-Big: {}", "x".repeat(BIG)));
    }
    Ok(command)
}

fn curl(url: &str, ca_file: &Path, is_big: bool) -> Command {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--http1.1",
        "--output",
        "/dev/null",
    ]);
    command.args(["--write-out", WRITE_OUT, "--data", DISCOVER]);
    command.arg("--cacert").arg(ca_file);
    for (name, value) in HEADERS {
        command.arg("--header").arg(format!("{name}: {value}"));
    }
    if is_big {
        command
            .arg("--header")
            .arg(format!("X-Big: {}", "x".repeat(BIG)));
    }
    command.arg(url);
    command
}

fn scrape(exporter: &str, query: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail"]);
    command.arg(format!("http://{exporter}/probe?{query}"));
    command
}

fn of_report(text: &str) -> anyhow::Result<Phases> {
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let report = documents.next().context("no report")??;
    let told = &report["steps"][0]["phases_us"];
    let millis = |phase: &str| told[phase].as_f64().map_or(0.0, |us| us / 1000.0);
    let mut phases: Phases = ["dns", "connect", "tls", "send", "wait", "receive"]
        .into_iter()
        .map(|phase| (phase, millis(phase)))
        .collect();
    phases.insert("answer", millis("send") + millis("wait"));
    Ok(phases)
}

fn of_curl(text: &str) -> anyhow::Result<Phases> {
    let told: BTreeMap<String, f64> = serde_json::from_str(text)?;
    let at = |name: &str| told.get(name).copied().unwrap_or_default() * 1000.0;
    Ok(Phases::from([
        ("dns", at("dns")),
        ("connect", at("connect") - at("dns")),
        ("tls", at("tls") - at("connect")),
        ("answer", at("first") - at("tls")),
        ("receive", at("end") - at("first")),
    ]))
}

fn of_metrics(text: &str) -> anyhow::Result<Phases> {
    anyhow::ensure!(text.contains("\nprobe_success 1\n"), "{text}");
    let value = |phase: &str| {
        let name = format!("probe_http_duration_seconds{{phase=\"{phase}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        let seconds: f64 = line.with_context(|| format!("no {name}"))?.parse()?;
        anyhow::Ok(seconds * 1000.0)
    };
    Ok(Phases::from([
        ("dns", value("resolve")?),
        ("connect", value("connect")?),
        ("tls", value("tls")?),
        ("answer", value("processing")?),
        ("receive", value("transfer")?),
    ]))
}
