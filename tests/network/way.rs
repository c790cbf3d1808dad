//! Where a target is reached, and by which names.

use super::*;

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
