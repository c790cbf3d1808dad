//! Credentials of monitors, through the whole mesh: the coordinator gets and renews tokens, agents
//! have access tokens and nothing else, and a credential that is refused never looks like an outage.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use coordinator::{Config, Storage};
use serde_json::{Value, json};
use store::{Kind, MemoryStore, Store as _};
use support::http_client::send;
use support::mesh::{Agent, Coordinator};
use testbed::oauth::{CLIENT, Flaw, Walled};
use testbed::server::Dialect;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// In every secret of the testbed.
const SECRETS: [&str; 3] = [CLIENT.1, "access-token-", "refresh-token-"];
/// Set where the test is run for what it logs.
const LOGGED: &str = "PARALLAX_TEST_LOGGED";
/// How long tokens live, in seconds: one is used for 10 s at least.
const LIFE: u64 = 14;

/// What `parallax auth login` would have written, with tokens that were given just now.
fn signed_in(walled: &Walled) -> String {
    let (access, refresh) = walled.sign_in();
    let ends = telemetry::clock::wall().as_second() + i64::try_from(LIFE).unwrap();
    json!({
        "url": walled.url(), "resource": walled.url(), "issuer": walled.issuer(),
        "token_endpoint": format!("{}/token", walled.issuer()),
        "client_id": "user-client", "token_endpoint_auth_method": "none",
        "access_token": access, "refresh_token": refresh, "expires_at": ends,
    })
    .to_string()
}

async fn agents(coordinator: &Coordinator) -> Vec<Agent> {
    let mut agents = Vec::new();
    for (name, region, provider) in [("a", "ap", "x"), ("b", "eu", "y"), ("c", "us", "z")] {
        let token = coordinator.token_at(name, region, provider).await;
        agents.push(Agent::start_by(agent::Config {
            token: Some(token.parse().unwrap()),
            ..support::mesh::config()
        }));
        coordinator.until_connected(name).await;
    }
    agents
}

/// Waits until the status of a monitor is as wanted, for at most 40 s.
async fn until(coordinator: &Coordinator, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..400 {
        last = coordinator.status("docs").await;
        if holds(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: {last:#}");
}

/// Refresh tokens in the order in which they were sent; each was sent once.
fn refreshes(walled: &Walled) -> Vec<String> {
    let sent: Vec<String> = walled
        .token_requests()
        .into_iter()
        .filter_map(|mut form| form.remove("refresh_token"))
        .collect();
    let once: BTreeSet<&String> = sent.iter().collect();
    assert_eq!(once.len(), sent.len(), "one was sent twice: {sent:?}");
    sent
}

/// Nothing that the API or the metrics say has a secret in it.
async fn discreet(coordinator: &Coordinator) {
    for path in [
        "/api/v1/monitors",
        "/api/v1/monitors/docs",
        "/api/v1/monitors/docs/status",
        "/api/v1/monitors/docs/transitions",
        "/api/v1/agents",
        "/metrics",
    ] {
        let answer = coordinator.call("GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        for secret in SECRETS {
            assert!(!answer.body.contains(secret), "{path}: {}", answer.body);
        }
    }
}

fn log_if_asked() {
    if std::env::var_os(LOGGED).is_some() {
        telemetry::logs::init(telemetry::logs::Format::Text, "trace").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_tokens_are_renewed_and_a_refusal_is_no_outage() {
    log_if_asked();
    let walled = Walled::start(Dialect::Modern, Flaw::None).await.unwrap();
    walled.shorten(Duration::from_secs(LIFE));
    let coordinator = Coordinator::start().await;
    let agents = agents(&coordinator).await;
    let spec = json!({
        "url": walled.url(), "interval": "10s", "era": "modern",
        "authorization": { "grant": "token_set" },
        // Nothing else keeps an outage from being called.
        "accept_weak": true,
    });
    let put = coordinator.put("docs", &spec).await;
    assert_eq!(put.status, 201, "{}", put.body);
    let generation = put.json()["generation"].clone();

    // Nobody has signed in: the wall is seen, and no outage.
    let status = coordinator.until_verdict("docs", "auth_walled").await;
    assert_eq!(status["credential"]["state"], "not_yet");

    let tokens = json!({ "tokens": signed_in(&walled) }).to_string();
    let path = "/api/v1/monitors/docs/credential";
    let answer = coordinator.call("PUT", path, &tokens).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    coordinator.until_verdict("docs", "up").await;
    let renewed = until(&coordinator, "renewed", |status| {
        refreshes(&walled).len() >= 3 && status["credential"]["state"] == "ok"
    })
    .await;
    assert_eq!(renewed["generation"], generation, "votes are not forgotten");
    let wall = until(&coordinator, "looked", |status| !status["wall"].is_null()).await;
    assert_eq!(wall["wall"]["state"], "healthy", "{wall:#}");
    discreet(&coordinator).await;

    // The authorization server takes no refresh token any more.
    walled.sign_out();
    let refused = until(&coordinator, "refused", |status| {
        status["credential"]["state"] == "refused"
    })
    .await;
    let credential = &refused["credential"];
    assert_eq!(credential["reason"], "auth_credential_refused");
    assert!(credential["since"].is_string(), "{credential:#}");
    let asked = refreshes(&walled).len();
    let status = coordinator.until_verdict("docs", "auth_walled").await;
    assert_eq!(status["credential"]["state"], "refused");
    assert_eq!(refreshes(&walled).len(), asked, "it is not asked again");
    let series = "parallax_credential_state{monitor=\"docs\",state=\"refused\"}";
    assert_eq!(coordinator.metric(series).await, Some(1.0));
    discreet(&coordinator).await;

    // Signed in again, without touching the monitor.
    let tokens = json!({ "tokens": signed_in(&walled) }).to_string();
    let answer = coordinator.call("PUT", path, &tokens).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    // In and out thrice within minutes, its agents have seen what `degraded` is for; the wall is gone.
    let status = until(&coordinator, "let in again", |status| {
        let regions = status["regions"].as_array().unwrap().iter();
        let mut last = regions.map(|region| &region["agents"][0]["outcome"]["kind"]);
        status["credential"]["state"] == "ok" && last.all(|kind| kind == "ok")
    })
    .await;
    assert_eq!(status["generation"], generation);
    let verdicts = coordinator.transitions("docs").await;
    let outages = verdicts
        .iter()
        .filter(|(verdict, _, _)| verdict == "outage");
    assert_eq!(outages.count(), 0, "{verdicts:?}");
    for agent in agents {
        agent.stop().await;
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_its_token_and_an_open_door_is_told() {
    log_if_asked();
    let walled = Walled::start(Dialect::Modern, Flaw::None).await.unwrap();
    let coordinator = Coordinator::start().await;
    let agents = agents(&coordinator).await;
    let spec = json!({
        "url": walled.url(), "interval": "10s", "era": "modern",
        "authorization": {
            "grant": "client_credentials", "client_id": CLIENT.0, "client_secret": CLIENT.1,
            "issuer": walled.issuer(),
        },
        "credential_expires_at": "2100-01-01T00:00:00Z",
    });
    assert_eq!(coordinator.put("docs", &spec).await.status, 201);
    let status = coordinator.until_verdict("docs", "up").await;
    let credential = &status["credential"];
    assert_eq!(credential["state"], "ok", "{credential:#}");
    assert_eq!(credential["expires_by"], "declared");
    let asked = walled.token_requests();
    assert_eq!(asked.len(), 1, "one token for all agents: {asked:?}");
    assert_eq!(asked[0]["grant_type"], "client_credentials");
    assert_eq!(asked[0]["resource"], walled.url());
    let series = "parallax_credential_expiry_timestamp_seconds{monitor=\"docs\"}";
    assert_eq!(coordinator.metric(series).await, Some(4_102_444_800.0));
    until(&coordinator, "looked", |status| !status["wall"].is_null()).await;
    discreet(&coordinator).await;

    // Another secret, which is wrong: the old token is used as long as it lasts.
    let path = "/api/v1/monitors/docs/credential";
    let wrong = json!({ "client_secret": "not-the-secret" }).to_string();
    assert_eq!(coordinator.call("PUT", path, &wrong).await.status, 204);
    let refused = until(&coordinator, "refused", |status| {
        status["credential"]["state"] == "refused"
    })
    .await;
    assert_eq!(refused["verdict"], "up");
    let right = json!({ "client_secret": CLIENT.1 }).to_string();
    assert_eq!(coordinator.call("PUT", path, &right).await.status, 204);
    until(&coordinator, "taken back", |status| {
        status["credential"]["state"] == "ok"
    })
    .await;
    for (body, said) in [
        (json!({}), "give one of"),
        (json!({ "tokens": "x" }), "belong to the grant token_set"),
        (json!({ "private_key": "x" }), "no PEM private key"),
        (
            json!({ "client_secret": "(hidden)" }),
            "stands for a hidden value",
        ),
    ] {
        let answer = coordinator.call("PUT", path, &body.to_string()).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(answer.body.contains(said), "{}", answer.body);
    }
    for agent in agents {
        agent.stop().await;
    }
    coordinator.stop().await;
}

/// What both tests above log at the finest level has no secret in it.
#[tokio::test]
async fn no_log_has_a_secret() {
    let logged = |test| async move {
        let output = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(LOGGED, "1")
            .env("PARALLAX_LOG", "trace")
            .output()
            .await
            .unwrap();
        let logged = [output.stdout, output.stderr].concat();
        let logged = String::from_utf8_lossy(&logged).into_owned();
        assert!(output.status.success(), "{logged}");
        assert!(logged.contains("TRACE"), "it logs");
        for secret in SECRETS {
            // As text, and as the `Debug` of bytes shows it.
            let bytes = format!("{:?}", secret.as_bytes());
            for shown in [secret, bytes.trim_matches(['[', ']'])] {
                let line = logged.lines().find(|line| line.contains(shown));
                assert_eq!(line, None);
            }
        }
    };
    tokio::join!(
        logged("a_client_gets_its_token_and_an_open_door_is_told"),
        logged("a_users_tokens_are_renewed_and_a_refusal_is_no_outage"),
    );
}

/// A coordinator on a runtime of its own, which can be taken away at any moment: nothing in it gets
/// to end what it began, as when the process is killed. What the store has is durable.
struct Doomed {
    runtime: tokio::runtime::Runtime,
    http: std::net::SocketAddr,
    key: String,
}

impl Doomed {
    async fn start(store: &MemoryStore, key_file: &std::path::Path) -> Self {
        let free = "127.0.0.1:0".parse().unwrap();
        let mut config = Config::new(free, free, Storage::Memory(store.clone()));
        config.admin_key_file = Some(key_file.to_owned());
        config.allow = vec!["127.0.0.0/8".parse().unwrap()];
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (bound, listening) = oneshot::channel();
        let stop = CancellationToken::new();
        runtime.spawn(async move {
            coordinator::run(config.check().unwrap(), stop, bound)
                .await
                .unwrap();
        });
        let http = listening.await.unwrap().http;
        let key = std::fs::read_to_string(key_file).unwrap();
        Self {
            runtime,
            http,
            key: key.trim().to_owned(),
        }
    }

    fn kill(self) {
        self.runtime.shutdown_background();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_is_killed_between_renewals_loses_no_token() {
    const KILLS: usize = 4;
    let walled = Walled::start(Dialect::Modern, Flaw::None).await.unwrap();
    walled.shorten(Duration::from_secs(LIFE));
    let store = MemoryStore::new(1);
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("admin.key");
    let mut coordinator = Doomed::start(&store, &key_file).await;
    let spec = json!({
        "url": walled.url(),
        "authorization": { "grant": "token_set", "tokens": signed_in(&walled) },
    });
    let path = "/api/v1/monitors/docs";
    let (http, key) = (coordinator.http, coordinator.key.clone());
    let put = send(http, &key, "PUT", path, &spec.to_string()).await;
    assert_eq!(put.status, 201, "{}", put.body);
    for kills in 1..=KILLS {
        // A renewal later, when what the authorization server gave last is durable: between two.
        let mut is_between = false;
        for _ in 0..400 {
            let entry = store.entry(Kind::Credential, "docs").await.unwrap();
            let kept = String::from_utf8(entry.unwrap_or_default()).unwrap();
            let last = format!("{:?}", walled.refresh_token().unwrap());
            is_between = refreshes(&walled).len() >= kills && kept.contains(&last);
            if is_between {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(is_between, "no renewal after {kills} lives");
        coordinator.kill();
        coordinator = Doomed::start(&store, &key_file).await;
    }
    let path = "/api/v1/monitors/docs/status";
    let status = send(coordinator.http, &coordinator.key, "GET", path, "").await;
    let credential = status.json()["credential"].clone();
    assert!(credential["reason"].is_null(), "{credential:#}");
    assert!(refreshes(&walled).len() >= KILLS);
    coordinator.kill();
}
