//! What servers feel of the mesh: how much is asked of them, and that it stops when they say so.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use model::{EraPolicy, MonitorSpec, Profile};
use serde_json::{Value, json};
use support::Probe;
use support::mesh::{Agent, Coordinator, config};
use support::process::binary;
use testbed::server::{Dialect, Options, Server};
use tokio::process::Command;

const CONTACT: &str = "https://example.com/monitoring";
const REGIONS: [&str; 3] = ["eu", "us", "ap"];

async fn agents(coordinator: &Coordinator) -> Vec<Agent> {
    let mut agents = Vec::new();
    for region in REGIONS {
        let token = coordinator.token_at(region, region, region).await;
        agents.push(Agent::start_by(agent::Config {
            token: Some(token.parse().unwrap()),
            contact: CONTACT.parse().unwrap(),
            ..config()
        }));
    }
    agents
}

async fn stop(agents: Vec<Agent>, coordinator: Coordinator) {
    for agent in agents {
        agent.stop().await;
    }
    coordinator.stop().await;
}

fn requests(server: &Server) -> u64 {
    server.log().methods().values().sum()
}

/// The estimate that caps and `apply` go by is what servers see.
#[tokio::test]
async fn a_probe_asks_as_often_as_it_is_said_to() {
    let table = [
        (Dialect::Legacy, EraPolicy::Auto, Profile::Standard, 6),
        (Dialect::Legacy, EraPolicy::Legacy, Profile::Standard, 5),
        (Dialect::Legacy, EraPolicy::Auto, Profile::Strict, 17),
        (Dialect::Modern, EraPolicy::Modern, Profile::Standard, 2),
        (Dialect::Modern, EraPolicy::Modern, Profile::Strict, 12),
    ];
    for (dialect, era, profile, expected) in table {
        let server = Server::start(Options::new(dialect)).await.unwrap();
        let mut probe = Probe::of(&server.url());
        let mut spec = MonitorSpec::new(probe.plan.url.clone());
        (spec.era, spec.profile) = (era, profile);
        (probe.plan.era, probe.plan.profile) = (era, profile);
        assert_eq!(spec.requests_per_probe(), expected);
        let (report, _) = probe.run().await;
        let seen = u32::try_from(requests(&server)).unwrap();
        assert_eq!(seen, expected, "{dialect:?} {era} {}", report.summary);
    }
}

/// `429` with a `Retry-After`: nothing is asked until then, by anybody; that is said, and it is no
/// silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_limits_is_left_alone_until_it_may_be_asked_again() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let agents = agents(&coordinator).await;
    let spec = json!({
        "url": server.url(), "era": "modern", "interval": "10s", "step_timeout": "2s",
        "total_timeout": "5s",
    });
    coordinator.put("docs", &spec).await;
    coordinator.until_verdict("docs", "up").await;
    for region in REGIONS {
        coordinator.until_state("docs", region, "ok").await;
    }
    let agent = format!("parallax/{} (+{CONTACT})", env!("CARGO_PKG_VERSION"));
    assert_eq!(server.log().user_agents(), [agent].into());

    server.script(|script| {
        script.status = Some(429);
        script.retry_after = Some("45".to_owned());
    });
    coordinator.until_verdict("docs", "rate_limited").await;
    for region in REGIONS {
        until_held(&coordinator, region, 1.0).await;
    }
    let before = requests(&server);
    for region in REGIONS {
        until_held(&coordinator, region, 2.0).await;
    }
    assert_eq!(requests(&server), before, "nobody asks while it is held");
    let status = coordinator.status("docs").await;
    assert_eq!(status["verdict"], "rate_limited", "{status:#}");
    assert!(
        coordinator
            .metric("parallax_coordinator_holds_told_total")
            .await
            >= Some(1.0)
    );

    server.script(|script| (script.status, script.retry_after) = (None, None));
    coordinator.until_verdict("docs", "up").await;
    assert!(requests(&server) > before);
    let changes = coordinator.transitions("docs").await.into_iter();
    let verdicts: Vec<String> = changes.map(|(verdict, ..)| verdict).collect();
    assert_eq!(verdicts, ["up", "rate_limited", "up"]);
    stop(agents, coordinator).await;
}

/// Waits until so many slots of an agent were held, for at most a minute.
async fn until_held(coordinator: &Coordinator, region: &str, least: f64) {
    let series = format!(
        "parallax_probe_missed_total{{monitor=\"docs\",region=\"{region}\",reason=\"held\"}}"
    );
    for _ in 0..600 {
        if coordinator.metric(&series).await >= Some(least) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!(
        "no slot of {region} is held: {:#}",
        coordinator.status("docs").await
    );
}

/// Ten requests a minute is all that two monitors of a server may make: both are probed less often,
/// it is said wherever one looks, and it ends with its cause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_should_not_bear_is_thinned_and_said() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start_sparing(10).await;
    let agent = Agent::start(&coordinator, "eu-1", "eu").await;
    let monitors = |second: &str| {
        let url = server.url();
        let one = |name: &str, query: &str| {
            json!({ "name": name, "url": format!("{url}{query}"), "era": "modern",
                "interval": "15s" })
        };
        let two = (!second.is_empty()).then(|| one(second, "?two"));
        let all: Vec<Value> = [Some(one("one", "")), two].into_iter().flatten().collect();
        json!({ "monitors": all }).to_string()
    };
    let (stdout, stderr) = apply(&coordinator, &monitors("")).await;
    assert_eq!(stdout, "created    one  8 requests/min from 1 agent\n");
    assert!(!stderr.contains("warning"), "{stderr}");
    coordinator.until_state("one", "eu", "ok").await;
    let load = coordinator.status("one").await["load"].clone();
    assert_eq!(load["thinned"], Value::Null, "{load}");

    let (stdout, stderr) = apply(&coordinator, &monitors("two")).await;
    // 60 s of two requests each 24 s.
    assert_eq!(
        stdout,
        "unchanged  one\ncreated    two  5 requests/min from 1 agent\n"
    );
    assert!(stderr.contains("warning: two: each agent probes every 24s instead of every 15s"));
    let load = coordinator.status("one").await["load"].clone();
    let expected = json!({
        "requests_per_minute": 5.0, "agents": 1, "requests_per_probe": 2, "cap": 10,
        "origin_requests_per_minute": 10.0, "thinned": { "interval": "24s", "from": "15s" },
    });
    assert_eq!(load, expected);
    let metric = async |name: &str| {
        let series = format!("parallax_monitor_{name}{{monitor=\"one\"}}");
        coordinator.metric(&series).await.unwrap()
    };
    assert!((metric("interval_seconds").await - 24.0).abs() < 1e-9);
    assert!((metric("thinned").await - 1.0).abs() < 1e-9);
    // It is still seen, by the slots that it has now.
    coordinator.until_state("two", "eu", "ok").await;

    let gone = coordinator.call("DELETE", "/api/v1/monitors/two", "").await;
    assert_eq!(gone.status, 204);
    let load = coordinator.status("one").await["load"].clone();
    assert_eq!(load["thinned"], Value::Null, "{load}");
    let mut capped: Value = serde_json::from_str(&monitors("")).unwrap();
    let mut capped = capped["monitors"][0].take();
    capped.as_object_mut().unwrap().remove("name");
    capped["max_requests_per_minute"] = json!(4);
    let answer = coordinator.put("one", &capped).await.json();
    assert_eq!(answer["load"]["cap"], 4, "{answer:#}");
    assert_eq!(answer["load"]["thinned"]["interval"], "30s");
    capped["max_requests_per_minute"] = json!(0);
    let refused = coordinator.put("one", &capped).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("/max_requests_per_minute"));
    agent.stop().await;
    coordinator.stop().await;
}

/// `parallax apply` of a JSON text: stdout and stderr.
async fn apply(coordinator: &Coordinator, text: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (key, file) = (folder.path().join("key"), folder.path().join("m.json"));
    std::fs::write(&key, &coordinator.key).unwrap();
    std::fs::write(&file, text).unwrap();
    let output = Command::new(binary("parallax"))
        .args(["apply", "--api"])
        .arg(format!("http://{}", coordinator.bound.http))
        .arg("--api-key-file")
        .arg(&key)
        .arg("-f")
        .arg(&file)
        .output()
        .await
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    (stdout, stderr)
}
