//! The agent over HTTP: `/probe` with the names of `blackbox_exporter`, and `/metrics`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

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

/// Whoever names a target reaches nothing that this host's allow list does not open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_reach_no_private_address() {
    let server = server(Dialect::Modern).await;
    let (agent, to) = Agent::start_serving(Config {
        allow: Vec::new(),
        ..alone()
    })
    .await;
    let port = server.address().port();
    let table = [
        server.url(),
        format!("http://localhost:{port}/mcp"),
        format!("http://2130706433:{port}/mcp"),
        format!("https://[::ffff:127.0.0.1]:{port}/mcp"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://10.0.0.1/mcp".to_owned(),
        "https://[fd00::1]/mcp".to_owned(),
    ];
    for url in table {
        let answer = ask(to, &probe_of(&url), &[]).await;
        answer.has(&[
            ("probe_success", 0.0),
            ("probe_mcp_outcome{outcome=\"inconclusive\"}", 1.0),
            (
                "probe_mcp_failure_info{reason=\"dns_blocked_addr\",class=\"ours\",step=\"\",phase=\"\"}",
                1.0,
            ),
        ]);
    }
    assert_eq!(server.log().methods().len(), 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_request_gets_a_sentence() {
    let (agent, to) = Agent::start_serving(alone()).await;
    let table = [
        (
            "/probe",
            400,
            "target: is missing; ask /probe?target=https://",
        ),
        ("/probe?target=", 400, "target: is missing"),
        (
            "/probe?target=mcp.example.com",
            400,
            "target: `mcp.example.com` has no scheme",
        ),
        (
            "/probe?target=ftp%3A%2F%2Fx",
            400,
            "target: scheme `ftp` cannot be probed",
        ),
        (
            "/probe?target=https://u:p@x/",
            400,
            "target: remove the user name and password",
        ),
        (
            "/probe?target=https://x/&module=no",
            400,
            "module: `no` is none of this agent's; they are mcp",
        ),
        (
            "/probe?target=https://x/&modul=mcp",
            400,
            "`modul` is no parameter; they are target",
        ),
        (
            "/probe?target=https://x/&target=https://y/",
            400,
            "target: is given twice",
        ),
        ("/probes", 404, "no such resource; there are /probe"),
        ("/livez", 200, "ok"),
    ];
    for (path, status, sentence) in table {
        let answer = ask(to, path, &[]).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.starts_with(sentence), "{path}: {}", answer.body);
    }
    let own = ask(to, "/metrics", &[]).await;
    own.has(&[
        (
            "parallax_agent_probe_requests_refused_total{code=\"400\"}",
            8.0,
        ),
        (
            "parallax_agent_probes_started_total{cause=\"request\"}",
            0.0,
        ),
        ("parallax_agent_connected", 0.0),
    ]);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_of_requests_are_examined() {
    let (agent, to) = Agent::start_serving(alone()).await;
    let timeout = "x-prometheus-scrape-timeout-seconds: soon";
    let answer = ask(to, "/probe?target=https://x/", &[timeout]).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .starts_with("X-Prometheus-Scrape-Timeout-Seconds: is no positive")
    );
    for line in ["origin: https://evil.example", "host: evil.example"] {
        let answer = ask(to, "/probe?target=https://x/", &[line]).await;
        assert_eq!(answer.status, 403, "{line}");
    }
    let long = format!("/probe?target=https://x/{}", "a".repeat(32 << 10));
    assert_eq!(ask(to, &long, &[]).await.status, 431);
    ask(to, "/metrics", &[]).await.has(&[(
        "parallax_agent_probe_requests_refused_total{code=\"403\"}",
        2.0,
    )]);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_opens_probe_and_metrics() {
    let server = server(Dialect::Modern).await;
    let mut config = alone();
    let http = config.http.as_mut().unwrap();
    http.probe_token = Some("0123456789abcdef".parse().unwrap());
    let (agent, to) = Agent::start_serving(config).await;
    let path = probe_of(&server.url());
    for wrong in [
        "x-no: x",
        "authorization: Bearer 0123456789abcdeg",
        "authorization: Basic 0123456789abcdef",
    ] {
        for path in [&path[..], "/metrics"] {
            let answer = ask(to, path, &[wrong]).await;
            assert_eq!(answer.status, 401, "{path} with {wrong}");
            assert!(answer.head.contains("www-authenticate: bearer"));
        }
    }
    assert_eq!(server.log().methods().len(), 0);
    let right = "authorization: bearer 0123456789abcdef";
    // Behind a proxy its own name is the Host.
    let answer = ask(to, &path, &[right, "host: agent.example"]).await;
    answer.has(&[("probe_success", 1.0)]);
    assert_eq!(ask(to, "/metrics", &[right]).await.status, 200);
    assert_eq!(ask(to, "/livez", &[]).await.status, 200);
    agent.stop().await;
}

/// A server that hangs is a failure of the server within the scrape, not a scrape that fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scraper_says_how_long_a_probe_may_take() {
    let server = server(Dialect::Legacy).await;
    server.script(|script| {
        script.hang_on.insert("tools/list".to_owned());
    });
    let (agent, to) = Agent::start_serving(alone()).await;
    let timeout = "x-prometheus-scrape-timeout-seconds: 2.000000";
    let answer = ask(to, &probe_of(&server.url()), &[timeout]).await;
    // Two seconds less half of one, and of that a fifth for closing.
    answer.has(&[("probe_success", 0.0), ("probe_timeout_seconds", 1.2)]);
    assert!(
        answer.body.contains("reason=\"http_timeout_headers\""),
        "{}",
        answer.body
    );
    assert!(answer.value("probe_duration_seconds").unwrap() >= 1.2);
    assert_eq!(
        server.log().sessions_opened(),
        server.log().sessions_closed()
    );
    // A scraper that goes away ends its probe, and the session is given back.
    let mut gone = TcpStream::connect(to).await.unwrap();
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {to}\r\n\r\n",
        probe_of(&server.url())
    );
    gone.write_all(request.as_bytes()).await.unwrap();
    eventually("a second session", || server.log().sessions_opened() == 2).await;
    drop(gone);
    eventually("it is closed", || server.log().sessions_closed() == 2).await;
    agent.stop().await;
    assert!(TcpStream::connect(to).await.is_err());
}

/// Credentials go where their owner said, and nowhere that a request says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_keeps_its_credentials_to_its_targets() {
    let (own, other) = (server(Dialect::Modern).await, server(Dialect::Modern).await);
    let modules = json!({ "docs": {
        "targets": [format!("http://{}", own.address())],
        "headers": { "authorization": "Bearer s3cret-of-docs" },
        "expect": { "tools": ["no_such_tool"] },
        "severities": { "list.expected": "degrade" },
    }});
    let mut config = alone();
    let modules = Modules::read(modules.as_object().unwrap(), &|_| None).unwrap();
    config.http.as_mut().unwrap().modules = modules;
    let (agent, to) = Agent::start_serving(config).await;
    let path = |server: &Server| format!("{}&module=docs&debug=true", probe_of(&server.url()));
    let answer = ask(to, &path(&own), &[]).await;
    answer.has(&[
        ("probe_success", 1.0),
        (
            "probe_mcp_check_violated{check=\"list.expected\",severity=\"degrade\"}",
            1.0,
        ),
    ]);
    assert!(!answer.body.contains("s3cret"), "{}", answer.body);
    let answer = ask(to, &path(&other), &[]).await;
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .body
            .starts_with("module: `docs` has targets of its own")
    );
    assert_eq!(other.log().methods().len(), 0);
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
        assert_eq!(counters, 3 + 15 + 4 + 5 + 3 + 1);
    }
    // Nobody's evidence but the slots': a probe of a request has no vote.
    agent.stop().await;
    coordinator.stop().await;
}

/// Scrapes have places of their own, and no more of them than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_probes_are_refused_and_all_end_with_the_agent() {
    const PLACES: u64 = 64;
    let server = server(Dialect::Legacy).await;
    server.script(|script| {
        script.hang_on.insert("tools/list".to_owned());
    });
    let (agent, to) = Agent::start_serving(alone()).await;
    let path = probe_of(&server.url());
    let mut scrapes = tokio::task::JoinSet::new();
    for _ in 0..PLACES {
        let path = path.clone();
        scrapes.spawn(async move { ask(to, &path, &[]).await });
    }
    eventually("all hang", || {
        server.log().methods().get("tools/list") == Some(&PLACES)
    })
    .await;
    let answer = ask(to, &path, &[]).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.starts_with("all places for probes are taken"),
        "{}",
        answer.body
    );
    let in_flight = "parallax_agent_probes_in_flight{cause=\"request\"}";
    ask(to, "/metrics", &[]).await.has(&[(in_flight, 64.0)]);
    agent.stop().await;
    while let Some(answer) = scrapes.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, "this agent is about to stop\n");
    }
    assert_eq!(server.log().sessions_opened(), PLACES);
    assert_eq!(server.log().sessions_closed(), PLACES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_speaks_tls_where_it_has_a_certificate() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = alone();
    config.http.as_mut().unwrap().tls = Some(HttpTls { certificate, key });
    let (agent, to) = Agent::start_serving(config).await;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Whoever never ends a handshake keeps nobody else out.
    let _idle = TcpStream::connect(to).await.unwrap();
    let plain = TcpStream::connect(to).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, plain);
    let answer = ask_over(stream.await.unwrap(), to, "/livez", &[]).await;
    assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
    // Nor from stopping.
    let stopped = tokio::time::timeout(Duration::from_secs(8), agent.stop()).await;
    assert!(stopped.is_ok());
}

/// Two modules may reach two servers by one URL: what one of them speaks says nothing of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_module_learnt_of_a_target_is_its_own() {
    let (old, new) = (server(Dialect::Legacy).await, server(Dialect::Modern).await);
    let by = |server: &Server| {
        let port = server.address().port();
        json!({ "connect_to": [format!("mcp.test:80:127.0.0.1:{port}")] })
    };
    let modules = json!({ "old": by(&old), "new": by(&new) });
    let mut config = alone();
    let modules = Modules::read(modules.as_object().unwrap(), &|_| None).unwrap();
    config.http.as_mut().unwrap().modules = modules;
    let (agent, to) = Agent::start_serving(config).await;
    for (module, era) in [("old", "legacy"), ("new", "modern"), ("old", "legacy")] {
        let path = format!("{}&module={module}", probe_of("http://mcp.test/mcp"));
        let answer = ask(to, &path, &[]).await;
        answer.has(&[("probe_success", 1.0)]);
        let spoken = format!("probe_mcp_era_info{{era=\"{era}\"");
        assert!(answer.body.contains(&spoken), "{}", answer.body);
    }
    let asked = |server: &Server, method: &str| server.log().methods().get(method).copied();
    assert_eq!(asked(&new, "initialize"), None);
    // Asked for by the first probe only: the second one knew.
    assert_eq!(asked(&old, "server/discover"), Some(1));
    agent.stop().await;
}

const HELD_UNTIL: &str = "probe_mcp_held_until_timestamp_seconds";

/// Who is told to come back later does, whoever asks; and that is said as blackbox says things.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_asks_for_a_pause_is_left_alone_by_requests_too() {
    let server = server(Dialect::Modern).await;
    let (agent, to) = Agent::start_serving(alone()).await;
    server.script(|script| {
        script.status = Some(429);
        script.retry_after = Some("600".to_owned());
    });
    let first = ask(to, &probe_of(&server.url()), &[]).await;
    first.has(&[
        ("probe_success", 0.0),
        ("probe_mcp_retry_after_seconds", 600.0),
        ("probe_mcp_outcome{outcome=\"failed\"}", 1.0),
    ]);
    let asked: u64 = server.log().methods().values().sum();
    // Another endpoint of the same origin, and by now it would answer.
    server.script(|script| (script.status, script.retry_after) = (None, None));
    for path in [
        probe_of(&server.url()),
        format!("{}%3Fother", probe_of(&server.url())),
    ] {
        let held = ask(to, &path, &[]).await;
        assert_eq!(held.status, 200);
        held.has(&[
            ("probe_success", 0.0),
            ("probe_duration_seconds", 0.0),
            ("probe_mcp_outcome{outcome=\"inconclusive\"}", 1.0),
            (
                "probe_mcp_failure_info{reason=\"rate_limited\",class=\"refused\",step=\"\",phase=\"\"}",
                1.0,
            ),
            ("probe_mcp_held{cause=\"limited\"}", 1.0),
        ]);
        let wall = telemetry::clock::wall().as_second() as f64;
        let until = held.value(HELD_UNTIL).unwrap();
        assert!(
            until > wall + 300.0 && until < wall + 601.0,
            "{until} {wall}"
        );
    }
    assert_eq!(server.log().methods().values().sum::<u64>(), asked);
    let debug = ask(to, &format!("{}&debug=true", probe_of(&server.url())), &[]).await;
    let sentence = "no probe was run: the target asked this agent for a pause; it may be asked";
    assert!(debug.body.starts_with(sentence), "{}", debug.body);
    ask(to, "/metrics", &[]).await.has(&[
        (
            "parallax_agent_probe_requests_held_total{cause=\"limited\"}",
            3.0,
        ),
        (
            "parallax_agent_probes_started_total{cause=\"request\"}",
            1.0,
        ),
    ]);
    agent.stop().await;
}

/// Slots and requests are one load to the server, and one agent's promise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_slots_share_pauses_and_budget() {
    let server = server(Dialect::Modern).await;
    let coordinator = Coordinator::start().await;
    let token = coordinator.token("eu-1", "eu").await;
    let mut config = Config {
        token: Some(token.parse().unwrap()),
        ..alone()
    };
    // A probe is taken for six requests; a slot of a monitor that knows its era makes two.
    config.http.as_mut().unwrap().max_requests_per_minute = 7;
    let (agent, to) = Agent::start_serving(config).await;
    let spec = json!({ "url": server.url(), "era": "modern", "interval": "10s" });
    assert_eq!(coordinator.put("docs", &spec).await.status, 201);
    coordinator.until_state("docs", "eu", "ok").await;
    let full = ask(to, &probe_of(&server.url()), &[]).await;
    full.has(&[
        ("probe_success", 0.0),
        (
            "probe_mcp_failure_info{reason=\"budget_exceeded\",class=\"ours\",step=\"\",phase=\"\"}",
            1.0,
        ),
        ("probe_mcp_held{cause=\"budget\"}", 1.0),
    ]);
    let wall = telemetry::clock::wall().as_second() as f64;
    let until = full.value(HELD_UNTIL).unwrap();
    assert!(until > wall - 1.0 && until < wall + 61.0, "{until} {wall}");
    ask(to, "/metrics", &[]).await.has(&[(
        "parallax_agent_probes_started_total{cause=\"request\"}",
        0.0,
    )]);
    agent.stop().await;
    coordinator.stop().await;
}

/// A request's probe is told to come back later: the slots of the same agent heed that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_heed_what_a_request_was_told() {
    let server = server(Dialect::Modern).await;
    let coordinator = Coordinator::start().await;
    let token = coordinator.token("eu-1", "eu").await;
    let (agent, to) = Agent::start_serving(Config {
        token: Some(token.parse().unwrap()),
        ..alone()
    })
    .await;
    server.script(|script| {
        script.status = Some(429);
        script.retry_after = Some("600".to_owned());
    });
    ask(to, &probe_of(&server.url()), &[]).await;
    let asked: u64 = server.log().methods().values().sum();
    let spec = json!({ "url": server.url(), "era": "modern", "interval": "10s" });
    assert_eq!(coordinator.put("docs", &spec).await.status, 201);
    let held = "parallax_agent_slots_missed_total{reason=\"held\"}";
    for _ in 0..400 {
        if ask(to, "/metrics", &[]).await.value(held) >= Some(1.0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let own = ask(to, "/metrics", &[]).await;
    assert!(own.value(held) >= Some(1.0), "{}", own.body);
    own.has(&[("parallax_agent_probes_started_total{cause=\"slot\"}", 0.0)]);
    assert_eq!(server.log().methods().values().sum::<u64>(), asked);
    agent.stop().await;
    coordinator.stop().await;
}
