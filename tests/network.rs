//! The way to a server: overrides, certificates, addresses, edges. With the real binary where the
//! command line is what is tested.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

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

/// A green pool behind a name that still resolves to the blue one, or to nothing.
#[tokio::test]
async fn a_name_is_probed_at_another_address() {
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    let site = ca.server(&[NAME], Flaw::None).unwrap();
    let server = serve("127.0.0.1:0", Some(site)).await;
    let port = server.address().port();
    let ca_file = file.path().display();
    let args = format!(
        "https://{NAME}/mcp --connect-to {NAME}:443:127.0.0.1:{port} --ca-file {ca_file} -o json"
    );
    let output = parallax(words(&args)).await;
    let report = report_of(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#?}");
    let connection = report.connection.clone().unwrap();
    let reached = format!("127.0.0.1:{port}");
    assert_eq!(connection.overrides.connect_to.as_ref(), Some(&reached));
    assert_eq!(connection.address, reached);
    assert_eq!(
        connection.resolver,
        Vec::<String>::new(),
        "nobody was asked"
    );
    // Certificate and authority stay those of the URL.
    assert_eq!(tls(&report).chain[0].names, [NAME]);
    assert_eq!(server.log().hosts().into_iter().collect::<Vec<_>>(), [NAME]);

    let human = parallax(words(&args.replace("-o json", ""))).await;
    let text = String::from_utf8(human.stdout).unwrap();
    assert!(
        text.contains(&format!("not as the URL says: reached at {reached}")),
        "{text}"
    );
}

#[tokio::test]
async fn the_name_for_tls_and_the_host_are_set_apart() {
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    for alpn in [Alpn::Any, Alpn::Http1] {
        let site = ca.server(&["green.testbed.example"], Flaw::None).unwrap();
        let server = serve("127.0.0.1:0", Some(site)).await;
        let mut probe = Probe::of(&server.url());
        probe.alpn = alpn;
        probe.ca_file.push(file.path().to_owned());
        probe.network.sni = Some("green.testbed.example".parse().unwrap());
        probe.network.host = Some("blue.testbed.example:99".parse().unwrap());
        let report = probe.report().await;
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        let overrides = report.connection.unwrap().overrides;
        assert_eq!(overrides.connect_to, None);
        assert_eq!(overrides.sni.as_deref(), Some("green.testbed.example"));
        assert_eq!(overrides.host.as_deref(), Some("blue.testbed.example:99"));
        let hosts: Vec<String> = server.log().hosts().into_iter().collect();
        assert_eq!(hosts, ["blue.testbed.example:99"]);
    }
}

/// What the API names stays as public as it must be, wherever it is reached.
#[tokio::test]
async fn a_detour_of_remote_origin_goes_through_the_address_policy() {
    for (place, word) in [
        ("127.0.0.1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("[::ffff:10.0.0.1]", "private"),
        ("8.8.8.8:25", "is not HTTP"),
    ] {
        let mut probe = Probe::of("https://mcp.example.com/mcp");
        probe.origin = Origin::Remote;
        let rule = format!("mcp.example.com:443:{place}");
        probe.network.connect_to.push(rule.parse().unwrap());
        let report = probe.report().await;
        let reason = Reason::DnsBlockedAddr;
        assert_eq!(report.outcome, Outcome::Inconclusive { reason }, "{place}");
        assert!(report.summary.contains(word), "{}", report.summary);
    }
}

#[tokio::test]
async fn bad_overrides_say_how_to_write_them() {
    for (args, message) in [
        ("--connect-to a:1:2001:db8::1", "IPv6 addresses in brackets"),
        ("--sni a_b:1", "is no name that TLS knows"),
        ("--host user@x", "is no host"),
        ("--instance-header a:b", "no name of a header"),
        (
            "--all-addresses --proxy http://127.0.0.1:1",
            "behind a proxy",
        ),
    ] {
        let output = parallax(words(&format!("https://mcp.example.com/mcp {args}"))).await;
        assert_eq!(output.status.code(), Some(2), "{args}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(message), "{args}: {text}");
    }
}

struct Refused {
    chain: Chain,
    trusts: bool,
    reason: Reason,
    faults: &'static [Fault],
    says: &'static str,
}

/// Name, time and trust are told apart, all of them are told, and what was presented is described.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn everything_that_is_wrong_with_a_chain_is_told() {
    let refused = |chain, trusts, reason, faults, says| Refused {
        chain,
        trusts,
        reason,
        faults,
        says,
    };
    let table = [
        refused(
            Chain::IntermediateExpired,
            true,
            Reason::TlsCertExpired,
            &[Fault::IntermediateExpired],
            "the intermediate certificate CN=Parallax testbed intermediate ended 24 h ago",
        ),
        refused(
            Chain::IntermediateNotYetValid,
            true,
            Reason::TlsCertNotYetValid,
            &[Fault::IntermediateNotYetValid],
            "CN=Parallax testbed intermediate begins in 2",
        ),
        refused(
            Chain::IntermediateMissing,
            true,
            Reason::TlsCertUntrusted,
            &[Fault::IntermediateMissing],
            "an intermediate certificate is missing",
        ),
        refused(
            Chain::SelfSigned,
            true,
            Reason::TlsCertUntrusted,
            &[Fault::SelfSigned],
            "signed by itself",
        ),
        refused(
            Chain::Whole,
            false,
            Reason::TlsCertUntrusted,
            &[Fault::AuthorityUnknown],
            "CN=Parallax testbed, is not trusted here and was not sent",
        ),
        refused(
            Chain::WithRoot,
            false,
            Reason::TlsCertUntrusted,
            &[Fault::AuthorityUnknown],
            "CN=Parallax testbed, which the server sent, is not trusted here",
        ),
        // A new intermediate certificate would not help: nobody trusts who signs it.
        refused(
            Chain::IntermediateExpired,
            false,
            Reason::TlsCertUntrusted,
            &[Fault::AuthorityUnknown, Fault::IntermediateExpired],
            "; the intermediate certificate",
        ),
    ];
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    for case in table {
        let Refused { chain, trusts, .. } = case;
        let site = ca.chained(&["127.0.0.1"], chain).unwrap();
        let server = serve("127.0.0.1:0", Some(site)).await;
        let mut probe = Probe::of(&server.url());
        if trusts {
            probe.ca_file.push(file.path().to_owned());
        }
        let report = probe.report().await;
        assert_eq!(failure(&report), (Step::Discover, case.reason), "{chain:?}");
        assert_eq!(tls(&report).faults, case.faults, "{chain:?}");
        assert_eq!(tls(&report).chain[0].names, ["127.0.0.1"], "{chain:?}");
        assert_eq!(tls(&report).path_not_after, None, "{chain:?}");
        let said = report.summary.as_str();
        assert!(said.contains(case.says), "{chain:?}: {said}");
        assert_eq!(
            said.contains(PUBLISHED),
            chain == Chain::IntermediateMissing
        );
    }
}

#[tokio::test]
async fn a_wrong_name_is_told_beside_the_rest() {
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    for (flaw, trusts, reason, faults) in [
        (
            Flaw::None,
            true,
            Reason::TlsCertName,
            &[Fault::WrongName][..],
        ),
        (
            Flaw::Expired,
            true,
            Reason::TlsCertExpired,
            &[Fault::Expired, Fault::WrongName],
        ),
        (
            Flaw::NotYetValid,
            true,
            Reason::TlsCertNotYetValid,
            &[Fault::NotYetValid, Fault::WrongName],
        ),
        (
            Flaw::Expired,
            false,
            Reason::TlsCertExpired,
            &[Fault::Expired, Fault::AuthorityUnknown, Fault::WrongName],
        ),
    ] {
        let site = ca.server(&["other.example"], flaw).unwrap();
        let server = serve("127.0.0.1:0", Some(site)).await;
        let mut probe = Probe::of(&server.url());
        if trusts {
            probe.ca_file.push(file.path().to_owned());
        }
        let report = probe.report().await;
        assert_eq!(failure(&report), (Step::Discover, reason), "{flaw:?}");
        assert_eq!(tls(&report).faults, faults, "{flaw:?}");
        let name = "the certificate is for other.example, not for 127.0.0.1";
        assert!(report.summary.contains(name), "{}", report.summary);
        // Trusted but for its name: what is needed is known.
        let path = (flaw, trusts) == (Flaw::None, true);
        assert_eq!(tls(&report).path_not_after.is_some(), path, "{flaw:?}");
    }
}

/// The first certificate to end is that which a client needs, not that which is sent besides.
#[tokio::test]
async fn the_earliest_expiry_is_that_of_the_trusted_path() {
    // The authority's own certificate ends in two days: whoever trusts it does not look.
    let ca = Ca::ending(2).unwrap();
    let file = trust(&ca);
    for (chain, presented, sent) in [
        (Chain::Whole, 59, 2),
        (Chain::WithRoot, 1, 3),
        (Chain::CrossSignedExpired, -2, 3),
    ] {
        let site = ca.chained(&["127.0.0.1"], chain).unwrap();
        let server = serve("127.0.0.1:0", Some(site)).await;
        let mut probe = Probe::of(&server.url());
        probe.ca_file.push(file.path().to_owned());
        let report = probe.report().await;
        assert_eq!(report.outcome, Outcome::Ok, "{chain:?}: {report:#?}");
        let now = report.started_at.parse::<jiff::Timestamp>().unwrap();
        let days = |end: Option<i64>| (end.unwrap() - now.as_second()).div_euclid(DAY);
        let tls = tls(&report);
        // Signed some moments before the probe: the last day is not whole.
        assert!(
            [presented, presented + 1].contains(&days(tls.earliest_not_after)),
            "{chain:?}"
        );
        assert!([59, 60].contains(&days(tls.path_not_after)), "{chain:?}");
        assert_eq!(tls.chain.len(), sent, "{chain:?}");
        assert_eq!(tls.faults, [], "{chain:?}");
    }
}

#[tokio::test]
async fn tickets_are_counted_and_resumption_is_tried_when_asked_for() {
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    for (issues, asked) in [(true, true), (true, false), (false, true)] {
        let mut site = ca.loopback(Flaw::None).unwrap();
        if issues {
            site.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
            site.send_tls13_tickets = 2;
        } else {
            site.send_tls13_tickets = 0;
        }
        let server = serve("127.0.0.1:0", Some(site)).await;
        let mut probe = Probe::of(&server.url());
        probe.ca_file.push(file.path().to_owned());
        probe.network.tls_resumption = asked;
        let report = probe.report().await;
        assert_eq!(report.outcome, Outcome::Ok);
        let resumption = tls(&report).resumption.unwrap();
        assert_eq!(resumption.tickets, if issues { 2 } else { 0 });
        let resumed = (issues && asked).then_some(true);
        assert_eq!(resumption.resumed, resumed, "{issues} {asked}");
        assert_eq!(resumption.handshake_us.is_some(), resumed.is_some());
        assert_eq!(
            tls(&report).post_quantum,
            Some(true),
            "rustls offers X25519MLKEM768 first"
        );
    }
}

/// A server that issues tickets and forgets them.
#[tokio::test]
async fn a_ticket_that_is_not_taken_is_told() {
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    let mut site = ca.loopback(Flaw::None).unwrap();
    // Stateful tickets with a store that keeps nothing.
    site.session_storage = std::sync::Arc::new(Forgetful);
    let server = serve("127.0.0.1:0", Some(site)).await;
    let mut probe = Probe::of(&server.url());
    probe.ca_file.push(file.path().to_owned());
    probe.network.tls_resumption = true;
    let resumption = tls(&probe.report().await).resumption.unwrap();
    assert!(resumption.tickets > 0);
    assert_eq!(resumption.resumed, Some(false));
}

#[derive(Debug)]
struct Forgetful;

impl rustls::server::StoresServerSessions for Forgetful {
    fn put(&self, _: Vec<u8>, _: Vec<u8>) -> bool {
        true
    }
    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn can_cache(&self) -> bool {
        true
    }
}

/// Three replicas behind one name: one new, one with a certificate that ended, and IPv6 closed.
#[tokio::test]
async fn each_address_of_a_name_is_probed_and_the_odd_ones_are_named() {
    let ca = Ca::new().unwrap();
    let file = trust(&ca);
    let site = |flaw| Some(ca.server(&[NAME], flaw).unwrap());
    let one = serve("127.0.0.2:0", site(Flaw::None)).await;
    let port = one.address().port();
    let two = serve(&format!("127.0.0.3:{port}"), site(Flaw::None)).await;
    let three = serve(&format!("127.0.0.4:{port}"), site(Flaw::Expired)).await;
    two.script(|script| script.version = "2".to_owned());
    let addresses = ips(&["127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"]);
    let dns = NameServer::start(&[(NAME, &addresses)], 30).await.unwrap();
    let (ca_file, resolver) = (file.path().display(), dns.address());
    let args = format!(
        "https://{NAME}:{port}/mcp --all-addresses --resolver {resolver} --ca-file {ca_file} -o json"
    );
    let output = parallax(words(&args)).await;
    let report = report_of(&output);
    let connection = report.connection.as_ref().unwrap();
    assert_eq!(connection.resolver, [resolver.to_string()]);
    assert_eq!(connection.ttl_seconds, Some(30));

    let rows: Vec<(&str, Option<Reason>)> = report
        .addresses
        .iter()
        .map(|row| (row.address.as_str(), row.outcome.reason()))
        .collect();
    let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), port).to_string();
    // Name servers may turn the order; a host without IPv6 says so instead of `tcp_refused`.
    let of = |ip: &str| {
        rows.iter()
            .find(|(address, _)| *address == at(ip))
            .unwrap()
            .1
    };
    assert_eq!(rows.len(), 4);
    assert_eq!(of("127.0.0.2"), None);
    assert_eq!(of("127.0.0.3"), None);
    assert_eq!(of("127.0.0.4"), Some(Reason::TlsCertExpired));
    assert!(of("::1").is_some());
    let kinds: Vec<DifferenceKind> = report.differences.iter().map(|d| d.kind).collect();
    assert!(kinds.contains(&DifferenceKind::Failing), "{kinds:?}");
    assert!(kinds.contains(&DifferenceKind::Certificates), "{kinds:?}");
    assert!(
        kinds.contains(&DifferenceKind::Ipv6Broken) || kinds.contains(&DifferenceKind::NoRoute),
        "{kinds:?}"
    );
    let versions = report
        .differences
        .iter()
        .find(|difference| difference.kind == DifferenceKind::Versions)
        .unwrap();
    let expected = format!(
        "parallax-testbed 1 at {}; parallax-testbed 2 at {}",
        at("127.0.0.2"),
        at("127.0.0.3")
    );
    assert_eq!(versions.detail, expected);
    let violated: Vec<CheckId> = report.violations().iter().map(|check| check.id).collect();
    assert!(violated.contains(&CheckId::NetAddresses), "{violated:?}");
    assert!(
        violated.contains(&CheckId::NetAddressesAlike),
        "{violated:?}"
    );
    drop(three);
}

#[tokio::test]
async fn addresses_that_are_alike_change_nothing() {
    let one = serve("127.0.0.2:0", None).await;
    let port = one.address().port();
    let two = serve(&format!("127.0.0.3:{port}"), None).await;
    let addresses = ips(&["127.0.0.2", "127.0.0.3"]);
    let dns = NameServer::start(&[(NAME, &addresses)], 5).await.unwrap();
    let mut probe = Probe::of(&format!("http://{NAME}:{port}/mcp"));
    probe.name_servers = vec![dns.address()];
    probe.network.all_addresses = true;
    let report = probe.report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(report.addresses.len(), 2);
    assert_eq!(report.differences, []);
    let asked = |server: &Server| server.log().methods()["tools/list"];
    assert_eq!(
        asked(&one) + asked(&two),
        3,
        "the name once, and each address once"
    );
}

/// Who has a key is let in everywhere: a wall that is missing shows only without it.
#[tokio::test]
async fn a_replica_that_lets_strangers_in_is_named() {
    let walled = serve("127.0.0.2:0", None).await;
    let port = walled.address().port();
    let open = serve(&format!("127.0.0.3:{port}"), None).await;
    walled.script(|script| script.walled = true);
    let addresses = ips(&["127.0.0.2", "127.0.0.3"]);
    let dns = NameServer::start(&[(NAME, &addresses)], 5).await.unwrap();
    for has_key in [true, false] {
        let mut probe = Probe::of(&format!("http://{NAME}:{port}/mcp"));
        probe.name_servers = vec![dns.address()];
        probe.network.all_addresses = true;
        if has_key {
            probe = probe.header("authorization", "Bearer k-0123456789");
            probe.plan.has_credential = true;
        }
        let report = probe.report().await;
        let wall = |server: &Server| {
            let address = server.address().to_string();
            let mut rows = report.addresses.iter();
            rows.find(|row| row.address == address).unwrap().walled
        };
        let walls = (wall(&walled), wall(&open));
        assert_eq!(walls, (Some(true), Some(false)), "{has_key}: {report:#?}");
        let violations = report.violations();
        let mut checks = violations.iter();
        let check = checks
            .find(|check| check.id == CheckId::AuthAddresses)
            .unwrap();
        let detail = check.detail.as_deref().unwrap_or_default();
        let said = format!("strangers are let in at {}", open.address());
        assert!(detail.contains(&said), "{detail}");
        if has_key {
            let checks = vec![CheckId::AuthAddresses];
            assert_eq!(report.outcome, Outcome::Degraded { checks });
        }
    }
}

#[tokio::test]
async fn a_name_of_the_hosts_file_has_no_time_to_live() {
    let server = serve("127.0.0.1:0", None).await;
    let url = server.url().replace("127.0.0.1", "localhost");
    let report = Probe::of(&url).report().await;
    let connection = report.connection.unwrap();
    assert_eq!(connection.ttl_seconds, None);
    assert!(
        ["hosts file", "this host"].contains(&connection.resolver[0].as_str()),
        "{:?}",
        connection.resolver
    );
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

/// From the API to the agent's socket: one replica behind a name, with a private authority.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_says_how_its_target_is_reached() {
    let ca = Ca::new().unwrap();
    let site = ca.server(&["green.testbed.example"], Flaw::None).unwrap();
    let server = serve("127.0.0.1:0", Some(site)).await;
    let coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator, "eu-1", "eu").await;
    let rule = format!("{NAME}:443:localhost:{}", server.address().port());
    let spec = serde_json::json!({
        "url": format!("https://{NAME}/mcp"), "interval": "10s",
        "connect_to": [rule], "sni": "green.testbed.example",
        "host_header": "blue.testbed.example", "ca": ca.pem(), "family": "ipv4",
    });
    let put = coordinator.put("replica", &spec).await;
    assert_eq!(put.status, 201, "{}", put.body);
    coordinator.until_state("replica", "eu", "ok").await;
    let hosts: Vec<String> = server.log().hosts().into_iter().collect();
    assert_eq!(hosts, ["blue.testbed.example"]);
    let shown = coordinator
        .call("GET", "/api/v1/monitors/replica", "")
        .await;
    assert_eq!(shown.json()["spec"]["connect_to"], spec["connect_to"]);

    for (field, value) in [
        ("sni", serde_json::json!("a b")),
        ("host_header", serde_json::json!("user@a")),
        ("ca", serde_json::json!("PEM")),
    ] {
        let mut bad = spec.clone();
        bad[field] = value;
        let answer = coordinator.put("replica", &bad).await;
        assert_eq!(answer.status, 422, "{field}: {}", answer.body);
        let pointer = format!("/{field}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer);
    }
    agent.stop().await;
}
