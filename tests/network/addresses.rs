//! The addresses of a name.

use super::*;

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
