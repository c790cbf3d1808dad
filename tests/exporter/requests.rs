//! What may be asked, by whom, and where a probe may go.

use super::*;

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
