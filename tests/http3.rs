//! MCP over HTTP/3: the same sequence, facts and limits as over TCP.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use dial::{Alpn, Origin};
use model::{EraPolicy, Outcome, Phase, Reason, Step};
use support::{Probe, failure};
use tempfile::NamedTempFile;
use testbed::ca::{Ca, Flaw};
use testbed::server::{Dialect, Server};

struct Site {
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
