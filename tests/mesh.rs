//! A coordinator, agents and a target: schedules down, evidence up, status and metrics.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use support::eventually;
use support::mesh::{Agent, Coordinator, config};
use support::real::{fixture, installed, python};
use testbed::server::{Dialect, Options, Server};

fn spec(url: &str) -> Value {
    json!({ "url": url, "interval": "10s", "step_timeout": "2s", "total_timeout": "5s" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::too_many_lines,
    reason = "one story from registration to deletion"
)]
async fn evidence_reaches_status_and_metrics() {
    let server = Server::start(Options::new(Dialect::Legacy)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let eu = Agent::start(&coordinator, "eu-1", "eu").await;
    let us = Agent::start(&coordinator, "us-1", "us").await;
    assert_eq!(
        coordinator.put("docs", &spec(&server.url())).await.status,
        201
    );

    for region in ["eu", "us"] {
        let ok = coordinator.until_state("docs", region, "ok").await;
        assert_eq!(ok["agents"][0]["era"], "legacy");
        assert_eq!(ok["agents"][0]["protocol_version"], "2025-11-25");
        assert!(ok["latency"]["p50_ms"].as_f64().unwrap() > 0.0, "{ok:#}");
        assert!(ok["since"].is_string() && ok["last_probe_at"].is_string());
    }
    let agents = coordinator.call("GET", "/api/v1/agents", "").await.json();
    let names: Vec<&str> = agents["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["eu-1", "us-1"]);

    server.script(|script| script.status = Some(502));
    let failing = coordinator.until_state("docs", "eu", "failing").await;
    assert_eq!(failing["reason"], "upstream_5xx");
    let series = |state: &str| {
        format!("parallax_monitor_region_state{{monitor=\"docs\",region=\"eu\",state=\"{state}\"}}")
    };
    assert_eq!(coordinator.metric(&series("failing")).await, Some(1.0));
    assert_eq!(coordinator.metric(&series("ok")).await, Some(0.0));

    read_by_the_reference_parser(&coordinator.call("GET", "/metrics", "").await.body);

    // What agents hold when they stop is handed in: afterwards the counts reconcile with the
    // windows, and with what the server saw.
    eu.stop().await;
    us.stop().await;
    let count = |outcome: &str, region: &str, reason: &str| {
        let series = format!(
            "parallax_probe_results_total{{monitor=\"docs\",region=\"{region}\",outcome=\"{outcome}\",reason=\"{reason}\"}}"
        );
        let coordinator = &coordinator;
        async move { coordinator.metric(&series).await.unwrap_or_default() }
    };
    let ok = count("ok", "eu", "").await + count("ok", "us", "").await;
    let mut windowed = 0.0;
    for region in ["eu", "us"] {
        let series = format!(
            "parallax_probe_duration_seconds_count{{monitor=\"docs\",region=\"{region}\"}}"
        );
        windowed += coordinator.metric(&series).await.unwrap_or_default();
    }
    assert!(
        (ok - windowed).abs() < 0.5,
        "{ok} outcomes, {windowed} in windows"
    );
    let initialized = server.log().methods()["notifications/initialized"];
    assert!(
        (ok - initialized as f64).abs() < 0.5,
        "{ok} outcomes, {initialized} sessions used"
    );
    // Failures in a row may have come by confirmations, which are counted apart.
    let confirmed = "parallax_probe_confirmations_total{monitor=\"docs\",region=\"eu\",outcome=\"failed\",reason=\"upstream_5xx\"}";
    let confirmed = coordinator.metric(confirmed).await.unwrap_or_default();
    let failed = count("failed", "eu", "upstream_5xx").await;
    assert!(failed + confirmed >= 2.0);
    assert_eq!(
        server.log().sessions_opened(),
        server.log().sessions_closed()
    );
    let phase = "parallax_probe_phase_duration_seconds_count{monitor=\"docs\",region=\"eu\",step=\"tools_list\",phase=\"wait\"}";
    assert!(coordinator.metric(phase).await.unwrap() >= 1.0);

    // A monitor that is deleted vanishes; it does not freeze.
    assert_eq!(
        coordinator
            .call("DELETE", "/api/v1/monitors/docs", "")
            .await
            .status,
        204
    );
    assert!(
        !coordinator
            .call("GET", "/metrics", "")
            .await
            .body
            .contains("docs")
    );
    coordinator.stop().await;
}

/// The text of `/metrics` is what Prometheus' own client library takes for OpenMetrics.
fn read_by_the_reference_parser(text: &str) {
    let Some(real) = installed() else { return };
    let mut parser = python(&real)
        .arg(fixture("parse_metrics.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    parser
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = parser.wait_with_output().unwrap();
    let families = String::from_utf8_lossy(&output.stdout);
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}\n{text}");
    assert!(
        families.contains("parallax_probe_results counter"),
        "{families}"
    );
    assert!(families.contains("parallax_build info 1"), "{families}");
}

/// The agent goes on while the coordinator is away, and hands in what it saw, once, when it is
/// back: a coordinator that comes back counts from zero what comes then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_comes_back_gets_what_it_missed() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator, "eu-1", "eu").await;
    coordinator.put("docs", &spec(&server.url())).await;
    coordinator.until_state("docs", "eu", "ok").await;
    let before = Counted::by(&coordinator).await;
    let coordinator = coordinator.stop().await;
    let seen = server.log().methods()["tools/list"];
    eventually("the agent probes on", || {
        server.log().methods()["tools/list"] > seen
    })
    .await;
    let coordinator = coordinator.start().await;
    coordinator.until_connected("eu-1").await;
    agent.stop().await;
    let counted = before.and(Counted::by(&coordinator).await);
    counted.are(server.log().methods()["tools/list"]);
    let gaps = coordinator
        .metric("parallax_coordinator_gap_records_total")
        .await;
    assert_eq!(gaps, Some(0.0), "nothing was lost");
    coordinator.stop().await;
}

/// A second life of the agent begins a new spool: its first records are not taken for those of
/// the first life.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_life_of_an_agent_is_counted_too() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    coordinator.put("docs", &spec(&server.url())).await;
    for _life in 1..=2 {
        let agent = Agent::start(&coordinator, "eu-1", "eu").await;
        let seen = server
            .log()
            .methods()
            .get("tools/list")
            .copied()
            .unwrap_or_default();
        eventually("the agent probes", || {
            let now = server.log().methods().get("tools/list").copied();
            now.is_some_and(|now| now > seen)
        })
        .await;
        agent.stop().await;
        let counted = Counted::by(&coordinator).await;
        counted.are(server.log().methods()["tools/list"]);
    }
    coordinator.stop().await;
}

/// An agent that is restarted while the coordinator is away probes on by the schedule on its disk,
/// and what its former life saw is handed in as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_restarted_in_an_outage_goes_on_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = || folder.path().join("state");
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let probed = || {
        let listed = server.log().methods().get("tools/list").copied();
        listed.unwrap_or_default()
    };
    let coordinator = Coordinator::start().await;
    let agent = Agent::start_in(&coordinator, "eu-1", "eu", Some(state())).await;
    let mut monitor = spec(&server.url());
    // Whatever a header carries may be secret; a credential would be left out now and then, by looks
    // at the wall, which are no probes.
    monitor["headers"] = json!({ "X-Route": "s3cret" });
    coordinator.put("docs", &monitor).await;
    coordinator.until_state("docs", "eu", "ok").await;
    let before = Counted::by(&coordinator).await;
    let coordinator = coordinator.stop().await;
    let seen = probed();
    eventually("it probes on", || probed() > seen).await;
    agent.stop().await;

    let agent = Agent::start_again(state());
    let seen = probed();
    eventually("its next life probes on", || probed() > seen).await;
    let coordinator = coordinator.start().await;
    coordinator.until_connected("eu-1").await;
    agent.stop().await;
    before.and(Counted::by(&coordinator).await).are(probed());
    for file in std::fs::read_dir(folder.path().join("state")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"s3cret"));
    }
    coordinator.stop().await;
}

/// A disk that takes nothing: the agent goes on in memory, and the fleet shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_folder_that_cannot_be_used_keeps_nobody_from_probing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let state = folder.path().join("state");
    let agent = Agent::start_in(&coordinator, "eu-1", "eu", Some(state.clone())).await;
    coordinator.until_connected("eu-1").await;
    agent.stop().await;
    // Its identity can be read, and its spool cannot be opened.
    std::fs::remove_file(state.join("state.redb")).unwrap();
    std::fs::create_dir(state.join("state.redb")).unwrap();
    let agent = Agent::start_again(state);
    coordinator.put("docs", &spec(&server.url())).await;
    coordinator.until_state("docs", "eu", "ok").await;
    let agents = coordinator.call("GET", "/api/v1/agents", "").await.json();
    assert_eq!(agents["agents"][0]["spool_in_memory"], true, "{agents:#}");
    agent.stop().await;
    coordinator.stop().await;
}

/// Two monitors of one server of both eras: the one that asks for the old era does not teach the
/// agent that the server is old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_of_one_era_does_not_change_what_another_finds() {
    let server = Server::start(Options::new(Dialect::Dual)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let agent = Agent::start(&coordinator, "eu-1", "eu").await;
    let mut old = spec(&server.url());
    old["era"] = json!("legacy");
    coordinator.put("old", &old).await;
    coordinator.until_state("old", "eu", "ok").await;
    coordinator.put("any", &spec(&server.url())).await;
    let any = coordinator.until_state("any", "eu", "ok").await;
    assert_eq!(any["agents"][0]["era"], "modern", "{any:#}");
    let old = coordinator.until_state("old", "eu", "ok").await;
    assert_eq!(old["agents"][0]["era"], "legacy", "{old:#}");
    agent.stop().await;
    coordinator.stop().await;
}

/// Probes of `docs` in `eu` that were counted: those that ended well, and those that were cancelled
/// because their agent was stopped.
#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    ok: f64,
    cancelled: f64,
}

impl Counted {
    async fn by(coordinator: &Coordinator) -> Self {
        let of = |outcome: &str, reason: &str| {
            format!(
                "parallax_probe_results_total{{monitor=\"docs\",region=\"eu\",outcome=\"{outcome}\",reason=\"{reason}\"}}"
            )
        };
        let ok = coordinator.metric(&of("ok", "")).await;
        let cancelled = coordinator.metric(&of("inconclusive", "cancelled")).await;
        Self {
            ok: ok.unwrap_or_default(),
            cancelled: cancelled.unwrap_or_default(),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            ok: self.ok + other.ok,
            cancelled: self.cancelled + other.cancelled,
        }
    }

    /// The server saw every probe that ended well, and no other but those that were cancelled.
    fn are(self, probed: u64) {
        let probed = probed as f64;
        let all = self.ok <= probed && probed <= self.ok + self.cancelled;
        assert!(all, "{self:?} counted, {probed} probed");
    }
}

#[tokio::test]
async fn a_private_target_is_refused_by_the_agents_own_policy() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let token = coordinator.token("eu-1", "eu").await;
    let config = agent::Config {
        token: Some(token.parse().unwrap()),
        allow: Vec::new(),
        ..config()
    };
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(agent::run(config.check().unwrap(), stop.clone()));
    coordinator.put("docs", &spec(&server.url())).await;
    let unknown = coordinator
        .until_region("docs", "eu", |region| region["reason"] == "agent_fault")
        .await;
    assert_eq!(unknown["state"], "unknown");
    assert_eq!(
        unknown["agents"][0]["outcome"]["reason"],
        "dns_blocked_addr"
    );
    eventually("nothing was sent", || server.log().methods().is_empty()).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    coordinator.stop().await;
}
