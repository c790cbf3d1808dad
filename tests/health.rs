//! A health page beside the sequence: two truths in one report.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::sync::{Arc, Mutex};

use model::expect::HealthSpec;
use model::{CheckId, Outcome, Reason};
use serde_json::{Value, json};
use support::Probe;
use testbed::server::{Dialect, Options, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A page that answers everything alike, and keeps the heads of requests.
struct Page {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Page {
    async fn start(status: &'static str, body: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut head = Vec::new();
                let mut buffer = [0; 2048];
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match socket.read(&mut buffer).await {
                        Ok(0) | Err(_) => break,
                        Ok(n) => head.extend_from_slice(&buffer[..n]),
                    }
                }
                kept.lock().unwrap().push(String::from_utf8(head).unwrap());
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, heads }
    }
}

fn spec(url: &str, demands: &Value) -> HealthSpec {
    let mut spec = demands.clone();
    spec["url"] = json!(url);
    serde_json::from_value(spec).unwrap()
}

#[tokio::test]
async fn a_page_is_held_against_its_demands() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let body = json!({ "status": "HEALTHY", "backends_connected": 2, "backends_configured": 3 });
    let page = Page::start("200 OK", body.to_string()).await;
    let state = json!({ "path": "$.status", "equals": "HEALTHY" });
    let backends = json!({ "path": "$.backends_connected", "min_path": "$.backends_configured" });
    let table = [
        (json!({}), None),
        (json!({ "assert": [state] }), None),
        (json!({ "status": 204 }), Some("answered 200, not 204")),
        (
            json!({ "assert": [state, backends] }),
            Some("$.backends_connected is 2, below $.backends_configured"),
        ),
    ];
    for (demands, problem) in table {
        let probe = Probe::of(&server.url()).beside(spec(&page.url, &demands));
        let (report, _) = probe.run().await;
        let seen = report.health.clone().unwrap();
        assert_eq!(seen.http_status, Some(200));
        assert_eq!(seen.passed, problem.is_none(), "{demands}: {seen:?}");
        assert_eq!(seen.detail.as_deref(), problem);
        assert_eq!(seen.total_us, seen.phases_us.values().sum::<u64>());
        let expected = match problem {
            None => Outcome::Ok,
            Some(_) => Outcome::Degraded {
                checks: vec![CheckId::HealthExpected],
            },
        };
        assert_eq!(report.outcome, expected, "{demands}");
        // What MCP took has nothing of it.
        let steps: u64 = report.steps.iter().map(|step| step.total_us).sum();
        assert_eq!(report.total_us, steps);
    }
}

#[tokio::test]
async fn each_of_the_two_is_reported_when_the_other_fails() {
    let sick = Page::start("503 Service Unavailable", String::new()).await;
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let probe = Probe::of(&server.url()).beside(spec(&sick.url, &json!({})));
    let (report, _) = probe.run().await;
    assert_eq!(report.steps.len(), 2, "MCP is well");
    assert_eq!(report.health.unwrap().http_status, Some(503));

    let well = Page::start("200 OK", "{}".to_owned()).await;
    let gone = "http://127.0.0.1:9/mcp";
    let probe = Probe::of(gone).beside(spec(&well.url, &json!({})));
    let (report, _) = probe.run().await;
    assert_eq!(report.outcome.reason(), Some(Reason::TcpRefused));
    assert!(report.health.unwrap().passed);

    let probe = Probe::of(&server.url()).beside(spec(gone, &json!({})));
    let (report, _) = probe.run().await;
    assert_eq!(report.health.unwrap().reason, Some(Reason::TcpRefused));
}

/// The credential of a target is its own.
#[tokio::test]
async fn headers_go_only_to_the_targets_own_origin() {
    let page = Page::start("200 OK", "{}".to_owned()).await;
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let probe = Probe::of(&server.url())
        .header("authorization", "Bearer s3cret-token")
        .beside(spec(&page.url, &json!({})));
    let (report, _) = probe.run().await;
    assert!(report.health.unwrap().passed);
    let own = page.url.replace("/health", "/mcp");
    let probe = Probe::of(&own)
        .header("authorization", "Bearer s3cret-token")
        .beside(spec(&page.url, &json!({})));
    let _ = probe.run().await;
    let heads = page.heads.lock().unwrap();
    let of_health: Vec<&String> = heads
        .iter()
        .filter(|head| head.starts_with("GET"))
        .collect();
    assert_eq!(of_health.len(), 2, "{heads:?}");
    assert!(!of_health[0].contains("s3cret"), "{}", of_health[0]);
    assert!(of_health[1].contains("s3cret"), "{}", of_health[1]);
}

/// What stands for the target in `Host` stands for its page; another origin has its own.
#[tokio::test]
async fn the_page_of_the_target_is_asked_under_its_host() {
    let page = Page::start("429 Too Many Requests\r\nretry-after: 17", String::new()).await;
    let other = Page::start("200 OK", json!({ "pod": "b-7" }).to_string()).await;
    let target = page.url.replace("/health", "/mcp");
    for (url, host) in [(&page.url, "mcp.example.com"), (&other.url, "127.0.0.1")] {
        let mut probe = Probe::of(&target).beside(spec(url, &json!({})));
        probe.network.host = Some("mcp.example.com".parse().unwrap());
        probe.plan.instance.health = Some("$.pod".parse().unwrap());
        let report = probe.report().await;
        let heads = [&page, &other].map(|page| page.heads.lock().unwrap().clone());
        let asked = heads
            .iter()
            .flatten()
            .rfind(|head| head.starts_with("GET /health"));
        let asked = asked.unwrap().to_ascii_lowercase();
        assert!(asked.contains(&format!("\r\nhost: {host}")), "{asked}");
        let seen = report.health.unwrap();
        let is_own = *url == page.url;
        assert_eq!(seen.retry_after_seconds, is_own.then_some(17));
        assert_eq!(seen.instance.as_deref(), (!is_own).then_some("b-7"));
    }
}
