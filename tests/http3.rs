//! MCP over HTTP/3: the same sequence, facts and limits as over TCP.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output};

use dial::{Alpn, Origin};
use model::{CheckId, EraPolicy, Outcome, Phase, Reason, Step};
use support::process::binary;
use support::{Probe, failure};
use tempfile::NamedTempFile;
use testbed::ca::{Ca, Flaw};
use testbed::server::{Dialect, Options, Server};

struct Site {
    ca: Ca,
    server: Server,
    ca_file: NamedTempFile,
}

impl Site {
    fn new(dialect: Dialect) -> Self {
        Self::named(dialect, &["localhost", "127.0.0.1"])
    }

    fn named(dialect: Dialect, names: &[&str]) -> Self {
        let ca = Ca::new().unwrap();
        let tls = ca.server(names, Flaw::None).unwrap();
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut ca_file = NamedTempFile::new().unwrap();
        ca_file.write_all(ca.pem().as_bytes()).unwrap();
        Self {
            server: Server::start_h3(dialect, bind, tls).unwrap(),
            ca,
            ca_file,
        }
    }

    fn probe(&self) -> Probe {
        let mut probe = Probe::of(&self.server.url());
        probe.alpn = Alpn::Http3;
        probe.ca_file.push(self.ca_file.path().to_owned());
        probe
    }
}

#[tokio::test]
async fn a_whole_probe_runs_over_one_quic_connection() {
    let site = Site::new(Dialect::Modern);
    let probe = site.probe();
    let report = probe
        .calling("echo", &serde_json::json!({ "text": "x" }))
        .report()
        .await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let connection = report.connection.unwrap();
    assert_eq!(connection.http_version.as_deref(), Some("3"));
    assert_eq!(connection.address, site.server.address().to_string());
    assert_eq!(connection.kernel_rtt_us, None);
    let tls = connection.tls.unwrap();
    assert_eq!(tls.version.as_deref(), Some("1.3"));
    assert_eq!(tls.alpn.as_deref(), Some("h3"));
    assert_eq!(tls.chain[0].names, ["localhost", "127.0.0.1"]);
    let quic = connection.quic.unwrap();
    assert_eq!(quic.version, 1);
    assert_eq!(quic.lost_packets, Some(0));
    assert!(quic.min_rtt_us.unwrap() <= quic.handshake_us);
    // The handshake is in the phases, in two parts.
    let phases = &report.steps[0].phases_us;
    assert!(phases[&Phase::Connect] > 0 && phases[&Phase::Tls] > 0);
    assert!(quic.handshake_us > phases[&Phase::Connect]);
    assert!(report.steps[1..].iter().all(|step| step.warm));
    assert!(report.more_connections.is_empty());
}

#[tokio::test]
async fn sessions_are_given_back_over_http_3_too() {
    let site = Site::new(Dialect::Legacy);
    let report = site.probe().report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(report.steps.iter().any(|step| step.step == Step::Close));
    let log = site.server.log();
    assert_eq!((log.sessions_opened(), log.sessions_closed()), (1, 1));
}

#[tokio::test]
async fn a_step_ends_with_its_answer_on_a_stream_that_stays_open() {
    let site = Site::new(Dialect::Modern);
    site.server.script(|script| {
        script.stream = true;
        script.leave_open = true;
    });
    let report = site.probe().report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
}

#[tokio::test]
async fn a_server_that_hangs_gets_its_session_back() {
    let site = Site::new(Dialect::Legacy);
    site.server.script(|script| {
        script.hang_on.insert("tools/list".to_owned());
    });
    let mut probe = site.probe();
    probe.plan.era = EraPolicy::Legacy;
    let probe = probe.patience(std::time::Duration::from_millis(300));
    let report = probe.report().await;
    assert_eq!(
        failure(&report),
        (Step::ToolsList, Reason::HttpTimeoutHeaders)
    );
    let log = site.server.log();
    assert_eq!((log.sessions_opened(), log.sessions_closed()), (1, 1));
}

#[tokio::test]
async fn names_are_overridden_as_over_tcp() {
    let site = Site::named(Dialect::Modern, &["green.testbed.example"]);
    let port = site.server.address().port();
    let mut probe = site.probe();
    let url = "https://mcp.testbed.example/mcp";
    probe.plan.url = url.parse().unwrap();
    probe.network.connect_to = vec![format!("::127.0.0.1:{port}").parse().unwrap()];
    probe.network.sni = Some("green.testbed.example".parse().unwrap());
    probe.network.host = Some("blue.testbed.example".parse().unwrap());
    let report = probe.report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let hosts: Vec<String> = site.server.log().hosts().into_iter().collect();
    assert_eq!(hosts, ["blue.testbed.example"]);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_shown() {
    let site = Site::named(Dialect::Modern, &["green.testbed.example"]);
    let report = site.probe().report().await;
    assert_eq!(failure(&report), (Step::Discover, Reason::TlsCertName));
    let tls = report.connection.unwrap().tls.unwrap();
    assert_eq!(tls.chain[0].names, ["green.testbed.example"]);
}

/// The policy is asked before a datagram leaves.
#[tokio::test]
async fn addresses_are_vetted_as_for_tcp() {
    let site = Site::new(Dialect::Modern);
    let mut probe = site.probe();
    probe.origin = Origin::Remote;
    let report = probe.report().await;
    let outcome = report.outcome;
    let Outcome::Inconclusive { reason } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(reason, Reason::DnsBlockedAddr);
    assert_eq!(site.server.log().methods().len(), 0);
}

/// A server over TCP that advertises HTTP/3 at `authority`, by the same authority's certificate.
async fn advertising(ca: &Ca, authority: &str) -> Server {
    let mut options = Options::new(Dialect::Modern);
    options.tls = Some(ca.server(&["127.0.0.1"], Flaw::None).unwrap());
    let server = Server::start(options).await.unwrap();
    let value = format!("h3=\"{authority}\"; ma=60");
    server.script(|script| {
        script.headers.insert("alt-svc".to_owned(), value);
    });
    server
}

fn curious(server: &Server, site: &Site) -> Probe {
    let mut probe = Probe::of(&server.url());
    probe.network.alt_svc = true;
    probe.ca_file.push(site.ca_file.path().to_owned());
    probe.calling("echo", &serde_json::json!({ "text": "x" }))
}

/// RFC 7838 §2: another port of the same host, with the certificate of the origin.
#[tokio::test]
async fn what_is_advertised_is_tried_without_calls() {
    let site = Site::new(Dialect::Modern);
    let port = site.server.address().port();
    let server = advertising(&site.ca, &format!(":{port}")).await;
    let report = curious(&server, &site).report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(report.violations().is_empty(), "{report:#?}");
    assert_eq!(report.connection.unwrap().quic, None);
    let seen = report.http3.unwrap();
    assert_eq!(seen.outcome, Outcome::Ok);
    assert_eq!(seen.authority, format!(":{port}"));
    assert_eq!(seen.address, Some(site.server.address().to_string()));
    assert_eq!(seen.quic.unwrap().version, 1);
    let methods = site.server.log().methods();
    assert!(!methods.is_empty());
    assert!(!methods.contains_key("tools/call"), "{methods:?}");
}

#[tokio::test]
async fn what_is_advertised_and_does_not_answer_is_a_note() {
    let site = Site::new(Dialect::Modern);
    // Bound, and deaf to everybody but itself.
    let deaf = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    deaf.connect(deaf.local_addr().unwrap()).await.unwrap();
    let port = deaf.local_addr().unwrap().port();
    let server = advertising(&site.ca, &format!(":{port}")).await;
    let report = curious(&server, &site).report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let violations = report.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0].id, CheckId::NetAltSvc);
    let Outcome::Failed(failure) = &report.http3.as_ref().unwrap().outcome else {
        panic!("{report:#?}");
    };
    assert_eq!(failure.reason, Reason::TcpRefused);
}

/// Nobody was asked what this address is: it is the target that named it.
#[tokio::test]
async fn an_alternative_must_be_as_public_as_the_target() {
    let site = Site::new(Dialect::Modern);
    let server = advertising(&site.ca, "169.254.169.254:443").await;
    let report = curious(&server, &site).report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(report.violations().is_empty(), "{report:#?}");
    let outcome = report.http3.unwrap().outcome;
    let reason = Reason::DnsBlockedAddr;
    assert_eq!(outcome, Outcome::Inconclusive { reason });
}

#[tokio::test]
async fn nothing_is_tried_that_nobody_asked_for() {
    let site = Site::new(Dialect::Modern);
    let port = site.server.address().port();
    let server = advertising(&site.ca, &format!(":{port}")).await;
    let mut probe = curious(&server, &site);
    probe.network.alt_svc = false;
    let report = probe.report().await;
    assert_eq!(report.alt_svc.len(), 1);
    assert_eq!(report.http3, None);
    assert_eq!(site.server.log().methods().len(), 0);
}

/// `parallax probe` with these arguments.
async fn parallax(args: &[&str]) -> Output {
    let mut command = Command::new(binary("parallax"));
    command.arg("probe").args(args).env_clear();
    let run = move || command.output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn the_command_line_speaks_it() {
    let site = Site::new(Dialect::Modern);
    let url = site.server.url();
    let ca_file = site.ca_file.path().to_str().unwrap();
    let output = parallax(&[&url, "--http3", "--ca-file", ca_file]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for word in ["h3 over QUIC", "QUIC handshake", "QUIC round trip"] {
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn what_cannot_be_had_with_it_is_said() {
    let https = "https://mcp.example.com/mcp";
    let through = ["--proxy", "http://127.0.0.1:9"];
    for (args, word) in [
        (vec!["http://127.0.0.1:9/mcp", "--http3"], "https://"),
        (vec![https, "--http3", through[0], through[1]], "UDP"),
        (vec![https, "--alt-svc", through[0], through[1]], "UDP"),
        (vec![https, "--http3", "--http1"], "--http1"),
        (vec![https, "--http3", "--alt-svc"], "--alt-svc"),
        (
            vec![https, "--alt-svc", "--all-addresses"],
            "--all-addresses",
        ),
        (vec![https, "--regions", "eu", "--http3"], "--http3"),
        (vec![https, "--regions", "eu", "--alt-svc"], "--alt-svc"),
    ] {
        let output = parallax(&args).await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(word), "{args:?}: {text}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
