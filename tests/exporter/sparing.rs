//! Targets that are spared, whoever asks.

use super::*;

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
