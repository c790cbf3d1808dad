//! Three agents that are independent of each other, and what their mesh says of a server.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write as _;

use serde_json::{Value, json};
use support::mesh::{Agent, Coordinator, config};
use tempfile::NamedTempFile;
use testbed::ca::{Ca, Flaw};
use testbed::server::{Dialect, Options, Server};

/// What agents reach in any case: TLS endpoints of an authority that they trust.
struct References {
    ca: NamedTempFile,
    servers: Vec<Server>,
}

impl References {
    async fn start() -> Self {
        let authority = Ca::new().unwrap();
        let mut ca = NamedTempFile::new().unwrap();
        ca.write_all(authority.pem().as_bytes()).unwrap();
        let mut servers = Vec::new();
        for _ in 0..3 {
            let mut options = Options::new(Dialect::Modern);
            options.tls = Some(authority.loopback(Flaw::None).unwrap());
            servers.push(Server::start(options).await.unwrap());
        }
        Self { ca, servers }
    }

    fn names(&self) -> Vec<String> {
        let addresses = self.servers.iter().map(Server::address);
        addresses.map(|address| address.to_string()).collect()
    }
}

async fn agents(coordinator: &Coordinator, references: Option<&References>) -> Vec<Agent> {
    let mut agents = Vec::new();
    for (region, provider) in [("eu", "a"), ("us", "b"), ("ap", "c")] {
        let name = format!("{region}-{provider}");
        let token = coordinator.token_at(&name, region, provider).await;
        agents.push(Agent::start_by(agent::Config {
            token: Some(token.parse().unwrap()),
            canaries: references.map(References::names).unwrap_or_default(),
            extra_roots: references.iter().map(|r| r.ca.path().to_owned()).collect(),
            ..config()
        }));
    }
    agents
}

fn spec(url: &str) -> Value {
    json!({
        "url": url, "interval": "10s", "step_timeout": "2s", "total_timeout": "5s",
        "calls": [{ "name": "upstream" }],
    })
}

async fn stop(agents: Vec<Agent>, coordinator: Coordinator) {
    for agent in agents {
        agent.stop().await;
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_server_and_a_dead_tool_are_outages_and_over_when_they_are() {
    let references = References::start().await;
    let server = Server::start(Options::new(Dialect::Dual)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let agents = agents(&coordinator, Some(&references)).await;
    coordinator.put("docs", &spec(&server.url())).await;
    let up = coordinator.until_verdict("docs", "up").await;
    assert_eq!(up["witnesses"]["independent"], 3);
    assert_eq!(up["witnesses"]["quorum"], 2);
    assert_eq!(up["flags"], json!(["weak_quorum"]));

    server.script(|script| {
        script.failing_tools.insert("upstream".to_owned());
    });
    let out = coordinator.until_verdict("docs", "outage").await;
    assert_eq!(out["scope"], "tool upstream", "{out:#}");
    assert_eq!(out["reason"], "tool_error");
    server.script(|script| script.failing_tools.clear());
    coordinator.until_verdict("docs", "up").await;

    server.script(|script| script.status = Some(502));
    let out = coordinator.until_verdict("docs", "outage").await;
    assert_eq!(out["scope"], "protocol", "{out:#}");
    assert!(
        out["why"].as_str().unwrap().contains("upstream_5xx"),
        "{out:#}"
    );
    assert!(out["witnesses"]["independent_failing"].as_u64() >= Some(2));
    let state =
        |state: &str| format!("parallax_monitor_state{{monitor=\"docs\",state=\"{state}\"}}");
    assert_eq!(coordinator.metric(&state("outage")).await, Some(1.0));
    assert_eq!(coordinator.metric(&state("up")).await, Some(0.0));
    server.script(|script| script.status = None);
    coordinator.until_verdict("docs", "up").await;

    let outage = |scope: &str, page| ("outage".to_owned(), scope.to_owned(), page);
    let well = ("up".to_owned(), "-".to_owned(), false);
    let transitions = coordinator.transitions("docs").await;
    // The second outage follows within five minutes: nobody is woken twice.
    assert_eq!(
        transitions,
        [
            well.clone(),
            outage("tool upstream", true),
            well.clone(),
            outage("protocol", false),
            well
        ]
    );
    stop(agents, coordinator).await;
}

/// What was said before a restart is said after it, and nothing is said in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_changes_no_verdict() {
    let references = References::start().await;
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let agents = agents(&coordinator, Some(&references)).await;
    coordinator.put("docs", &spec(&server.url())).await;
    coordinator.until_verdict("docs", "up").await;
    server.script(|script| script.status = Some(500));
    let before = coordinator.until_verdict("docs", "outage").await;
    let coordinator = coordinator.stop().await.start().await;
    let after = coordinator.status("docs").await;
    assert_eq!(after["verdict"], "outage", "{after:#}");
    assert_eq!(after["since"], before["since"]);
    for agent in ["eu-a", "us-b", "ap-c"] {
        coordinator.until_connected(agent).await;
    }
    server.script(|script| script.status = None);
    coordinator.until_verdict("docs", "up").await;
    let said: Vec<String> = coordinator
        .transitions("docs")
        .await
        .into_iter()
        .map(|t| t.0)
        .collect();
    assert_eq!(said, ["up", "outage", "up"]);
    stop(agents, coordinator).await;
}

/// Nothing vouches for the agents' own networks: that is said, with the cure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_references_an_outage_is_not_called() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let agents = agents(&coordinator, None).await;
    coordinator.put("docs", &spec(&server.url())).await;
    coordinator.until_verdict("docs", "up").await;
    server.script(|script| script.status = Some(500));
    let unknown = coordinator.until_verdict("docs", "unknown").await;
    assert_eq!(unknown["reason"], "weakly_attested");
    assert!(
        unknown["why"].as_str().unwrap().contains("accept_weak"),
        "{unknown:#}"
    );
    let mut accepting = spec(&server.url());
    accepting["accept_weak"] = json!(true);
    coordinator.put("docs", &accepting).await;
    let out = coordinator.until_verdict("docs", "outage").await;
    assert_eq!(out["flags"], json!(["weak_quorum", "weakly_attested"]));
    stop(agents, coordinator).await;
}

/// Three agents may; two do, and they are as independent as can be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_is_watched_by_as_many_as_it_wants() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let agents = agents(&coordinator, None).await;
    let mut few = spec(&server.url());
    few["max_agents"] = json!(2);
    coordinator.put("docs", &few).await;
    let up = coordinator.until_verdict("docs", "up").await;
    assert_eq!(up["witnesses"]["assigned"], 2, "{up:#}");
    assert_eq!(up["witnesses"]["independent"], 2);
    assert_eq!(up["regions"].as_array().unwrap().len(), 2, "{up:#}");
    few["max_agents"] = json!(0);
    let refused = coordinator.put("docs", &few).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("/max_agents"), "{}", refused.body);
    stop(agents, coordinator).await;
}

/// Those who carry the labels watch it; a private one only where it is named so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_chooses_agents_by_their_labels() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let mut agents = agents(&coordinator, None).await;
    let place = json!({
        "agent": "inside", "region": "vpc", "provider": "own", "private": true,
        "labels": { "net": "vpc-1" },
    });
    let made = coordinator
        .call("POST", "/api/v1/tokens", &place.to_string())
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    let token = made.json()["token"].as_str().unwrap().parse().unwrap();
    agents.push(Agent::start_by(agent::Config {
        token: Some(token),
        ..config()
    }));
    let watchers = |status: &Value| {
        let regions = status["regions"].as_array().unwrap().iter();
        let names = regions.map(|region| region["region"].as_str().unwrap().to_owned());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    coordinator.put("open", &spec(&server.url())).await;
    let open = coordinator.until_verdict("open", "up").await;
    assert_eq!(watchers(&open), ["ap", "eu", "us"].map(String::from).into());
    let mut inside = spec(&server.url());
    inside["agent_labels"] = json!({ "net": "vpc-1" });
    coordinator.put("inside", &inside).await;
    coordinator.until_state("inside", "vpc", "ok").await;
    let seen = coordinator.status("inside").await;
    assert_eq!(watchers(&seen), ["vpc"].map(String::from).into());
    inside["agent_labels"] = json!({ "net": "a\nb" });
    let refused = coordinator.put("inside", &inside).await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.body.contains("/agent_labels/net"),
        "{}",
        refused.body
    );
    let listed = coordinator.call("GET", "/api/v1/agents", "").await.json();
    let listed = listed["agents"].as_array().unwrap().iter();
    let labels: Vec<_> = listed.map(|agent| agent["labels"].clone()).collect();
    assert!(labels.contains(&json!({ "net": "vpc-1" })), "{labels:?}");
    stop(agents, coordinator).await;
}
