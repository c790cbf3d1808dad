//! Becoming a member of a mesh, and ceasing to be one.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use support::mesh::{Agent, Coordinator, config};
use testbed::server::{Dialect, Options, Server};
use tokio_util::sync::CancellationToken;

fn with(token: &str, state_dir: Option<&Path>) -> agent::Config {
    agent::Config {
        token: Some(token.parse().unwrap()),
        state_dir: state_dir.map(Path::to_owned),
        ..config()
    }
}

/// Runs an agent that cannot join; what it says.
async fn refused(config: agent::Config) -> String {
    let running = agent::run(config.check().unwrap(), CancellationToken::new());
    let refused = tokio::time::timeout(Duration::from_secs(20), running).await;
    format!("{:#}", refused.expect("it ends").unwrap_err())
}

#[tokio::test]
async fn a_token_that_is_no_good_is_refused_with_the_way_out() {
    let coordinator = Coordinator::start().await;
    let good = coordinator.token("eu-1", "eu").await;
    let (secret, rest) = good.split_once('@').unwrap();
    let unknown = format!("plxj_{}@{rest}", "x".repeat(43));
    let said = refused(with(&unknown, None)).await;
    assert!(
        said.contains("token: is not known here; make one"),
        "{said}"
    );

    // Used: the same key may use it again, another may not.
    let folder = tempfile::tempdir().unwrap();
    let first = Agent::start_by(with(&good, Some(folder.path())));
    coordinator.until_connected("eu-1").await;
    first.stop().await;
    let said = refused(with(&good, None)).await;
    assert!(
        said.contains("token: was used already, by another key"),
        "{said}"
    );
    let again = Agent::start_by(with(&good, Some(folder.path())));
    coordinator.until_connected("eu-1").await;
    again.stop().await;

    // An agent that is there is not replaced by accident.
    let place = json!({ "agent": "eu-1", "region": "eu", "provider": "p" }).to_string();
    let taken = coordinator.call("POST", "/api/v1/tokens", &place).await;
    assert_eq!(taken.status, 409, "{}", taken.body);

    // Expired.
    let place = json!({ "region": "eu", "provider": "p", "ttl": "1s" }).to_string();
    let short = coordinator.call("POST", "/api/v1/tokens", &place).await;
    let short = short.json()["token"].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let said = refused(with(&short, None)).await;
    assert!(said.contains("token: has expired; make another"), "{said}");
    assert!(!said.contains(secret));
    coordinator.stop().await;
}

/// The token pins the authority: somebody else at the coordinator's address learns nothing.
#[tokio::test]
async fn a_coordinator_of_another_authority_is_not_believed() {
    let ours = Coordinator::start().await;
    let theirs = Coordinator::start().await;
    let token = ours.token("eu-1", "eu").await;
    let misled = token.replace(&ours.bound.grpc.to_string(), &theirs.bound.grpc.to_string());
    let stop = CancellationToken::new();
    let folder = tempfile::tempdir().unwrap();
    let config = with(&misled, Some(folder.path())).check().unwrap();
    let running = tokio::spawn(agent::run(config, stop.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!folder.path().join("identity.json").exists());
    stop.cancel();
    running.await.unwrap().unwrap();
    // It was not spent on them.
    let agent = Agent::start_by(with(&token, Some(folder.path())));
    ours.until_connected("eu-1").await;
    agent.stop().await;
    ours.stop().await;
    theirs.stop().await;
}

/// Its streams end, it gets no others, and what it would say is no evidence.
#[tokio::test]
async fn a_revoked_agent_is_cut_off_at_once_and_stays_out() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start_in(&coordinator, "eu-1", "eu", Some(folder.path().into())).await;
    let spec = json!({ "url": server.url(), "interval": "10s" });
    coordinator.put("docs", &spec).await;
    coordinator.until_state("docs", "eu", "ok").await;
    let revoke = "/api/v1/agents/eu-1/revoke";
    assert_eq!(coordinator.call("POST", revoke, "").await.status, 204);
    coordinator
        .until("cut off", |agents| agents[0]["connected"] == false)
        .await;
    agent.stop().await;
    let counted = coordinator.call("GET", "/metrics", "").await.body;
    let again = Agent::start_again(folder.path().into());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let agents = coordinator.call("GET", "/api/v1/agents", "").await.json();
    assert_eq!(agents["agents"][0]["connected"], false, "{agents:#}");
    again.stop().await;
    let results = |text: &str| -> Vec<String> {
        let results = text
            .lines()
            .filter(|l| l.starts_with("parallax_probe_results"));
        results.map(str::to_owned).collect()
    };
    let now = coordinator.call("GET", "/metrics", "").await.body;
    assert_eq!(results(&now), results(&counted));
    // A new token lets it in again.
    let back = Agent::start_in(&coordinator, "eu-1", "eu", None).await;
    coordinator.until_connected("eu-1").await;
    back.stop().await;
    coordinator.stop().await;
}

/// Nobody talks to the agents' port without a certificate of the mesh, but to enrol.
#[tokio::test]
async fn the_agents_port_is_closed_to_strangers() {
    use rpc::v1::schedule_service_client::ScheduleServiceClient;
    let coordinator = Coordinator::start().await;
    let plain = format!("http://{}", coordinator.bound.grpc);
    let channel = tonic::transport::Endpoint::new(plain)
        .unwrap()
        .connect()
        .await;
    let spoken = match channel {
        Ok(channel) => {
            let hello = tokio_stream::iter([rpc::v1::WatchRequest::default()]);
            ScheduleServiceClient::new(channel)
                .watch(hello)
                .await
                .is_ok()
        }
        Err(_) => false,
    };
    assert!(!spoken, "plain text is not spoken");
    coordinator.stop().await;
}
