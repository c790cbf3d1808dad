//! The way to a server: overrides, certificates, addresses, edges. With the real binary where the
//! command line is what is tested.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod addresses;
mod chain;
mod way;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Output};

use dial::{Alpn, Origin};
use model::report::{CertificateFault as Fault, DifferenceKind, EdgeProvider, Tls};
use model::{CheckId, Outcome, Phase, Reason, Report, Step};
use support::mesh::{Agent, Coordinator};
use support::process::binary;
use support::{Probe, failure};
use testbed::ca::{Ca, Chain, Flaw, PUBLISHED};
use testbed::dns::NameServer;
use testbed::server::{Dialect, Options, Server};

/// A name that only the test's name server knows.
const NAME: &str = "mcp.testbed.example";
const DAY: i64 = 86_400;

fn trust(ca: &Ca) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(ca.pem().as_bytes()).unwrap();
    file
}

async fn serve(bind: &str, tls: Option<rustls::ServerConfig>) -> Server {
    let mut options = Options::new(Dialect::Modern);
    options.bind = bind.parse().unwrap();
    options.tls = tls;
    Server::start(options).await.unwrap()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// `parallax probe` with these arguments.
async fn parallax(args: Vec<String>) -> Output {
    let run = move || {
        Command::new(binary("parallax"))
            .arg("probe")
            .args(args)
            .env_clear()
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn report_of(output: &Output) -> Report {
    let text = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn tls(report: &Report) -> &Tls {
    let connection = report.connection.as_ref().unwrap();
    connection.tls.as_ref().unwrap()
}

/// A step that ends in a timeout has learned something too.
#[tokio::test]
async fn what_is_known_when_time_is_up_is_reported() {
    // Accepts, and never says a word of TLS.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let dns = NameServer::start(&[(NAME, &ips(&["127.0.0.1"]))], 7)
        .await
        .unwrap();
    let url = format!("https://{NAME}:{}/mcp", address.port());
    let mut probe = Probe::of(&url).patience(std::time::Duration::from_millis(300));
    probe.name_servers = vec![dns.address()];
    let report = probe.report().await;
    assert_eq!(failure(&report), (Step::Discover, Reason::TlsTimeout));
    let connection = report.connection.unwrap();
    assert_eq!(connection.address, address.to_string());
    assert_eq!(connection.resolved, ["127.0.0.1"]);
    assert_eq!(connection.ttl_seconds, Some(7));
}

#[tokio::test]
async fn who_answered_is_reported_without_secrets() {
    let server = serve("127.0.0.1:0", None).await;
    server.script(|script| {
        for (name, value) in [
            ("cf-ray", "230b030023ae2822-SJC"),
            ("alt-svc", "h3=\":443\"; ma=86400"),
            ("x-instance", "pod-7 s3cret-token \u{1b}"),
        ] {
            script
                .headers
                .insert(name.to_owned(), value.replace('\u{1b}', "\t"));
        }
    });
    let mut probe = Probe::of(&server.url());
    probe
        .headers
        .insert("x-api-key", "s3cret-token".parse().unwrap());
    probe.network.instance_header = Some("x-instance".parse().unwrap());
    let report = probe.report().await;
    let edge = report.edge.unwrap();
    assert_eq!(edge.provider, EdgeProvider::Cloudflare);
    assert_eq!(edge.pop.as_deref(), Some("SJC"));
    assert_eq!(report.instance.as_deref(), Some("pod-7 [redacted]"));
    assert_eq!(report.alt_svc.len(), 1);
    assert_eq!(report.alt_svc[0].protocol, "h3");

    let args = format!("{} --instance-header x-instance", server.url());
    let text = String::from_utf8(parallax(words(&args)).await.stdout).unwrap();
    for word in ["cloudflare SJC", "instance pod-7", "advertises HTTP/3"] {
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn the_kernel_is_asked_at_the_end_of_each_connection() {
    let server = serve("127.0.0.1:0", None).await;
    server.script(|script| script.close_connections = true);
    let report = Probe::of(&server.url()).report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let first = report.connection.unwrap();
    assert_eq!(first.retransmits, Some(0));
    assert!(first.kernel_min_rtt_us <= first.kernel_rtt_us);
    assert!(first.kernel_min_rtt_us.is_some());
    // Two steps, a connection each.
    assert_eq!(report.more_connections.len(), 1);
    assert_eq!(report.more_connections[0].retransmits, Some(0));
    assert!(!report.steps[1].warm && report.steps[1].phases_us.contains_key(&Phase::Connect));
}

/// Also where nothing ever comes back: whether segments were lost tells a dead path from a server
/// that hangs.
#[tokio::test]
async fn the_kernel_is_asked_where_no_answer_came() {
    let server = serve("127.0.0.1:0", None).await;
    server.script(|script| {
        script.hang_on.insert("server/discover".to_owned());
    });
    let probe = Probe::of(&server.url()).patience(std::time::Duration::from_millis(300));
    let mut probe = probe;
    probe.plan.era = model::EraPolicy::Modern;
    let report = probe.report().await;
    let (_, reason) = failure(&report);
    assert_eq!(reason, Reason::HttpTimeoutHeaders);
    assert_eq!(report.connection.unwrap().retransmits, Some(0));
}
