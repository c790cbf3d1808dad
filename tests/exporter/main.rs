//! The agent over HTTP: `/probe` with the names of `blackbox_exporter`, and `/metrics`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod files;
mod requests;
mod serving;
mod sparing;

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use agent::{Config, Http, HttpTls, Modules};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use support::eventually;
use support::mesh::{Agent, Coordinator, config};
use support::real::{fixture, installed, python};
use testbed::ca::{Ca, Flaw};
use testbed::server::{Dialect, Options, Server};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A token whose coordinator is nowhere: the agent enrols for ever, and serves meanwhile.
fn alone() -> Config {
    let token = format!(
        "plxj_{}@127.0.0.1:9#sha256:{}",
        "s".repeat(43),
        "0".repeat(64)
    );
    Config {
        token: Some(token.parse().unwrap()),
        http: Some(Http::new("127.0.0.1:0".parse().unwrap())),
        ..config()
    }
}

async fn server(dialect: Dialect) -> Server {
    Server::start(Options::new(dialect)).await.unwrap()
}

/// What was answered.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Asks with these further header lines.
async fn ask(to: SocketAddr, path: &str, lines: &[&str]) -> Answer {
    let stream = TcpStream::connect(to).await.unwrap();
    ask_over(stream, to, path, lines).await
}

async fn ask_over(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    to: SocketAddr,
    path: &str,
    lines: &[&str],
) -> Answer {
    let host = format!("host: {to}");
    let has_host = lines.iter().any(|line| line.starts_with("host:"));
    let host = (!has_host).then_some(host.as_str());
    let lines: Vec<&str> = host.into_iter().chain(lines.iter().copied()).collect();
    let lines = lines.join("\r\n");
    let request = format!("GET {path} HTTP/1.1\r\n{lines}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

impl Answer {
    /// The value of the series with exactly this name and these labels, as they are written.
    fn value(&self, series: &str) -> Option<f64> {
        let mut lines = self.body.lines();
        lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// The sum of all series of a name.
    fn sum(&self, name: &str) -> f64 {
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        let lines = self.body.lines().filter(of_name);
        let values = lines.map(|line| line.rsplit_once(' ').unwrap().1);
        values.map(|value| value.parse::<f64>().unwrap()).sum()
    }

    #[track_caller]
    fn has(&self, table: &[(&str, f64)]) {
        for (series, value) in table {
            let found = self.value(series);
            assert_eq!(found, Some(*value), "{series}: {}", self.body);
        }
    }
}

fn probe_of(url: &str) -> String {
    format!("/probe?target={}", url.replace('/', "%2F"))
}

/// A client that trusts nothing but this certificate.
fn trusting(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(client))
}

/// Every sample, as Prometheus' own client library reads it: name, labels, value, type.
fn parsed(format: &str, page: &str) -> Option<Vec<Value>> {
    let real = installed()?;
    let mut parser = python(&real)
        .arg(fixture("parse_samples.py"))
        .arg(format)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = parser.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).unwrap();
    drop(stdin);
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success(), "{page}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let samples = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    Some(samples.collect())
}

const OPEN: &str = "accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_has_the_names_of_blackbox_and_those_of_mcp() {
    let ca = Ca::new().unwrap();
    let mut options = Options::new(Dialect::Legacy);
    options.tls = Some(ca.loopback(Flaw::EndsSoon).unwrap());
    let server = Server::start(options).await.unwrap();
    let hostile = "1\"}\nprobe_success 7\u{1b}[31m";
    server.script(|script| {
        script.version = hostile.to_owned();
        script.delay_ms = 20;
    });
    let mut roots = tempfile::NamedTempFile::new().unwrap();
    roots.write_all(ca.pem().as_bytes()).unwrap();
    let (agent, to) = Agent::start_serving(Config {
        extra_roots: vec![roots.path().to_owned()],
        ..alone()
    })
    .await;
    let before = telemetry::clock::wall().as_second();

    let answer = ask(to, &probe_of(&server.url()), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let text = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(answer.head.contains(text), "{}", answer.head);
    // A certificate that ends in three days degrades, which is no failure.
    answer.has(&[
        ("probe_success", 1.0),
        ("probe_mcp_outcome{outcome=\"degraded\"}", 1.0),
        ("probe_mcp_outcome{outcome=\"ok\"}", 0.0),
        ("probe_http_status_code", 200.0),
        ("probe_http_ssl", 1.0),
        ("probe_http_version", 2.0),
        ("probe_http_redirects", 0.0),
        ("probe_ip_protocol", 4.0),
        ("probe_tls_version_info{version=\"TLS 1.3\"}", 1.0),
        ("probe_timeout_seconds", 30.0),
        ("probe_mcp_tools", 5.0),
        (
            "probe_mcp_era_info{era=\"legacy\",protocol_version=\"2025-11-25\",transport=\"streamable_http\"}",
            1.0,
        ),
        (
            "probe_mcp_check_violated{check=\"net.cert_expiry\",severity=\"degrade\"}",
            1.0,
        ),
        // FNV-1a of 7f000001, by a program of its own.
        ("probe_ip_addr_hash", 3_668_918_509.0),
    ]);
    let end = answer.value("probe_ssl_earliest_cert_expiry").unwrap();
    let days = (end - before as f64) / 86_400.0;
    assert!((2.9..3.1).contains(&days), "{days} days");
    assert!(!answer.body.contains("probe_success 7") && !answer.body.contains("[31m"));
    phases_add_up(&answer, &server);
    assert_eq!(server.log().sessions_opened(), 1);
    assert_eq!(server.log().sessions_closed(), 1);

    let open = ask(to, &probe_of(&server.url()), &[OPEN]).await;
    assert!(open.head.contains("application/openmetrics-text"));
    assert!(open.body.ends_with("\n# EOF\n"), "{}", open.body);
    for (format, answer) in [("text", &answer), ("open", &open)] {
        let Some(samples) = parsed(format, &answer.body) else {
            break;
        };
        let success = json!(["probe_success", {}, 1.0, "gauge"]);
        assert!(samples.contains(&success), "{samples:#?}");
        let phases = |s: &&Value| s[0] == "probe_http_duration_seconds";
        assert_eq!(samples.iter().filter(phases).count(), 5);
    }
    agent.stop().await;
}

/// Of one probe of a server that takes 20 ms for each answer.
fn phases_add_up(answer: &Answer, server: &Server) {
    // Phases are the same time, told in two ways, and the whole is not less.
    let http = answer.sum("probe_http_duration_seconds");
    let steps = answer.sum("probe_mcp_step_duration_seconds");
    let total = answer.value("probe_mcp_duration_seconds").unwrap();
    assert!((http - steps).abs() < 1e-5 && (http - total).abs() < 1e-5);
    let whole = answer.value("probe_duration_seconds").unwrap();
    assert!(whole + 1e-5 >= total, "{whole} {total}");
    let waited = answer.value("probe_http_duration_seconds{phase=\"processing\"}");
    let asked: u64 = server.log().methods().values().sum();
    assert!(
        waited.unwrap() >= 0.02 * asked as f64,
        "{waited:?} for {asked}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_says_why_and_where() {
    let server = server(Dialect::Modern).await;
    let (agent, to) = Agent::start_serving(alone()).await;
    server.script(|script| script.status = Some(502));
    let answer = ask(to, &probe_of(&server.url()), &[]).await;
    answer.has(&[
        ("probe_success", 0.0),
        ("probe_http_status_code", 502.0),
        ("probe_http_ssl", 0.0),
        ("probe_mcp_outcome{outcome=\"failed\"}", 1.0),
        (
            "probe_mcp_failure_info{reason=\"upstream_5xx\",class=\"http\",step=\"discover\",phase=\"receive\"}",
            1.0,
        ),
    ]);
    let debug = ask(to, &format!("{}&debug=true", probe_of(&server.url())), &[]).await;
    let (_, report) = debug.body.split_once("\nReport:\n").unwrap();
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["outcome"]["reason"], "upstream_5xx");
    assert!(debug.body.contains("\nprobe_success 0\n"), "{}", debug.body);
    drop(server);
    let closed = ask(to, &probe_of("http://127.0.0.1:1/mcp"), &[]).await;
    // 1 is no port that a stranger may aim at, but for what the allow list opens.
    closed.has(&[
        ("probe_success", 0.0),
        ("probe_http_status_code", 0.0),
        ("probe_http_version", 0.0),
        ("probe_mcp_outcome{outcome=\"failed\"}", 1.0),
    ]);
    assert!(
        closed.body.contains("reason=\"tcp_refused\""),
        "{}",
        closed.body
    );
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_says_how_it_is() {
    let server = server(Dialect::Modern).await;
    let coordinator = Coordinator::start().await;
    let token = coordinator.token("eu-1", "eu").await;
    let (agent, to) = Agent::start_serving(Config {
        token: Some(token.parse().unwrap()),
        ..alone()
    })
    .await;
    let spec = json!({ "url": server.url(), "interval": "10s" });
    assert_eq!(coordinator.put("docs", &spec).await.status, 201);
    coordinator.until_state("docs", "eu", "ok").await;
    ask(to, &probe_of(&server.url()), &[]).await;
    let slots = "parallax_agent_probes_finished_total{cause=\"slot\",outcome=\"ok\"}";
    let version = env!("CARGO_PKG_VERSION");
    let answer = ask(to, "/metrics", &[]).await;
    answer.has(&[
        (
            &format!("parallax_agent_info{{agent=\"eu-1\",region=\"eu\",version=\"{version}\"}}"),
            1.0,
        ),
        ("parallax_agent_connected", 1.0),
        ("parallax_agent_monitors", 1.0),
        ("parallax_agent_spool_in_memory", 1.0),
        ("parallax_agent_reports_lost_total", 0.0),
        (
            "parallax_agent_probes_finished_total{cause=\"request\",outcome=\"ok\"}",
            1.0,
        ),
        ("parallax_agent_probes_in_flight{cause=\"request\"}", 0.0),
    ]);
    assert!(answer.value(slots).unwrap() >= 1.0, "{}", answer.body);
    // Acknowledged by now, on the same machine's clock.
    let now = answer.value("parallax_agent_time_seconds").unwrap();
    let wall = telemetry::clock::wall().as_second() as f64;
    assert!((now - wall).abs() < 60.0, "{now} {wall}");
    let at = answer.value("parallax_agent_last_acknowledged_timestamp_seconds");
    assert!(at.unwrap() <= now, "{}", answer.body);
    let open = ask(to, "/metrics", &[OPEN]).await;
    for (format, answer) in [("text", &answer), ("open", &open)] {
        let Some(samples) = parsed(format, &answer.body) else {
            break;
        };
        let connected = json!(["parallax_agent_connected", {}, 1.0, "gauge"]);
        assert!(samples.contains(&connected), "{samples:#?}");
        let counters = samples.iter().filter(|s| s[3] == "counter").count();
        // Started, finished, missed, refused, held, lost.
        assert_eq!(counters, 4 + 20 + 4 + 5 + 3 + 1);
    }
    // Nobody's evidence but the slots': a probe of a request has no vote.
    agent.stop().await;
    coordinator.stop().await;
}
