//! TLS: what is negotiated is reported, and each kind of bad certificate has its own reason.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write as _;

use dial::Alpn;
use model::{CheckId, Outcome, Phase, Reason, Step};
use support::{Probe, failure};
use testbed::ca::{Ca, Flaw};
use testbed::server::{Dialect, Options, Server};

struct Site {
    server: Server,
    ca_file: tempfile::NamedTempFile,
}

async fn site(ca: &Ca, flaw: Flaw) -> Site {
    let mut options = Options::new(Dialect::Modern);
    options.tls = Some(ca.loopback(flaw).unwrap());
    let mut ca_file = tempfile::NamedTempFile::new().unwrap();
    ca_file.write_all(ca.pem().as_bytes()).unwrap();
    Site {
        server: Server::start(options).await.unwrap(),
        ca_file,
    }
}

impl Site {
    fn probe(&self) -> Probe {
        let mut probe = Probe::of(&self.server.url());
        probe.ca_file.push(self.ca_file.path().to_owned());
        probe
    }
}

#[tokio::test]
async fn what_was_negotiated_is_reported() {
    let site = site(&Ca::new().unwrap(), Flaw::None).await;
    let report = site.probe().report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let connection = report.connection.unwrap();
    assert_eq!(connection.http_version.as_deref(), Some("2"));
    let tls = connection.tls.unwrap();
    assert_eq!(tls.version.as_deref(), Some("1.3"));
    assert_eq!(tls.alpn.as_deref(), Some("h2"));
    assert_eq!(tls.key_exchange.as_deref(), Some("X25519MLKEM768"));
    assert!(tls.cipher_suite.unwrap().starts_with("TLS_AES_"));
    assert_eq!(tls.chain[0].names, ["localhost", "127.0.0.1"]);
    assert_eq!(tls.earliest_not_after, Some(tls.chain[0].not_after));
    assert_eq!(tls.chain[0].sha256.len(), 64);
    // One connection serves the probe over HTTP/2.
    assert!(report.steps[1].warm);
    assert!(report.steps[0].phases_us.contains_key(&Phase::Tls));
}

#[tokio::test]
async fn http_1_can_be_asked_for() {
    let site = site(&Ca::new().unwrap(), Flaw::None).await;
    let mut probe = site.probe();
    probe.alpn = Alpn::Http1;
    let report = probe.report().await;
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(
        report.connection.unwrap().http_version.as_deref(),
        Some("1.1")
    );
}

#[tokio::test]
async fn each_flaw_has_its_reason_and_shows_the_certificate() {
    let ca = Ca::new().unwrap();
    for (flaw, reason) in [
        (Flaw::Expired, Reason::TlsCertExpired),
        (Flaw::NotYetValid, Reason::TlsCertNotYetValid),
    ] {
        let site = site(&ca, flaw).await;
        let report = site.probe().report().await;
        assert_eq!(failure(&report), (Step::Discover, reason));
        assert_eq!(report.steps[0].failed_phase, Some(Phase::Tls));
        let tls = report.connection.unwrap().tls.unwrap();
        assert_eq!(tls.chain[0].names, ["localhost", "127.0.0.1"]);
        assert_eq!(report.steps.len(), 1, "nothing else is tried");
    }
    let site = site(&ca, Flaw::None).await;
    let stranger = Probe::of(&site.server.url()).report().await;
    assert_eq!(
        failure(&stranger),
        (Step::Discover, Reason::TlsCertUntrusted)
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_told() {
    let ca = Ca::new().unwrap();
    let mut options = Options::new(Dialect::Modern);
    options.tls = Some(ca.server(&["other.example"], Flaw::None).unwrap());
    let server = Server::start(options).await.unwrap();
    let mut ca_file = tempfile::NamedTempFile::new().unwrap();
    ca_file.write_all(ca.pem().as_bytes()).unwrap();
    let mut probe = Probe::of(&server.url());
    probe.ca_file.push(ca_file.path().to_owned());
    assert_eq!(
        failure(&probe.report().await),
        (Step::Discover, Reason::TlsCertName)
    );
}

#[tokio::test]
async fn a_certificate_that_ends_soon_degrades() {
    let site = site(&Ca::new().unwrap(), Flaw::EndsSoon).await;
    let report = site.probe().report().await;
    assert_eq!(
        report.outcome,
        Outcome::Degraded {
            checks: vec![CheckId::NetCertExpiry]
        }
    );
    let detail = report.violations()[0].detail.clone().unwrap();
    assert!(
        detail.ends_with(" 2 d") || detail.ends_with(" 3 d"),
        "{detail}"
    );
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_no_handshake() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let url = server.url().replace("http://", "https://");
    let report = Probe::of(&url).report().await;
    assert_eq!(failure(&report), (Step::Discover, Reason::TlsHandshake));
    let site = site(&Ca::new().unwrap(), Flaw::None).await;
    let url = site.server.url().replace("https://", "http://");
    let report = Probe::of(&url).report().await;
    let (_, reason) = failure(&report);
    assert!(
        matches!(reason, Reason::HttpProtocol | Reason::HttpConnClosed),
        "{reason}"
    );
}

#[tokio::test]
async fn localhost_is_a_name_and_needs_no_resolver() {
    let site = site(&Ca::new().unwrap(), Flaw::None).await;
    let url = site.server.url().replace("127.0.0.1", "localhost");
    let mut probe = site.probe();
    probe.plan.url = url.parse().unwrap();
    let report = probe.report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(
        report
            .connection
            .unwrap()
            .resolved
            .contains(&"127.0.0.1".to_owned())
    );
}
