//! The HTTP API of a coordinator without agents: registration, and bad requests of every kind.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use serde_json::json;
use support::http_client::{Ask, send, send_as};
use support::mesh::Coordinator;

#[tokio::test]
async fn the_same_call_never_makes_a_second_monitor() {
    let coordinator = Coordinator::start().await;
    let body = r#"{"url":"https://mcp.example.com/mcp"}"#;
    let first = coordinator.call("POST", "/api/v1/monitors", body).await;
    let again = coordinator.call("POST", "/api/v1/monitors", body).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.json(), again.json());
    let named = coordinator
        .put("docs", &json!({ "url": "https://a/mcp" }))
        .await;
    let generation = named.json()["generation"].as_u64().unwrap();
    assert_eq!(named.status, 201);
    assert_eq!(
        named.header("etag"),
        Some(format!("\"{generation}\"").as_str())
    );
    // Defaults spelled out are the same spec; another interval is not.
    let spelled = json!({ "url": "https://a/mcp", "interval": "60s", "era": "auto" });
    let same = coordinator.put("docs", &spelled).await;
    assert_eq!(
        (same.status, same.json()["generation"].as_u64()),
        (200, Some(generation))
    );
    let posted = r#"{"name":"docs","url":"https://a/mcp","interval":"2m"}"#;
    let changed = coordinator.call("POST", "/api/v1/monitors", posted).await;
    assert_eq!(changed.status, 200);
    assert!(changed.json()["generation"].as_u64().unwrap() > generation);
    for (name, would) in [("docs", "unchanged"), ("other", "created")] {
        let path = format!("/api/v1/monitors/{name}?dry_run=true");
        let body = r#"{"url":"https://a/mcp","interval":"2m"}"#;
        let answer = coordinator.call("PUT", &path, body).await;
        let said = answer.json();
        assert_eq!(
            (&said["id"], &said["dry_run"]),
            (&json!(name), &json!(would))
        );
    }
    let secret = json!({ "url": "https://a/mcp", "headers": { "authorization": "Bearer s3cret" } });
    assert!(
        !coordinator
            .put("docs", &secret)
            .await
            .body
            .contains("s3cret")
    );
    let list = coordinator.call("GET", "/api/v1/monitors", "").await;
    assert_eq!(list.json()["monitors"].as_array().unwrap().len(), 2);
    assert!(!list.body.contains("s3cret"));
    coordinator.stop().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn bad_requests_name_the_field_the_problem_and_the_way_out() {
    let coordinator = Coordinator::start().await;
    let long = format!(
        "{{\"url\":\"https://a/\",\"x\":\"{}\"}}",
        "x".repeat(70_000)
    );
    let table = [
        ("PUT", "/api/v1/monitors/docs", "", 400, "EOF"),
        ("PUT", "/api/v1/monitors/docs", "{", 400, "EOF"),
        (
            "PUT",
            "/api/v1/monitors/docs",
            "[]",
            422,
            "expected struct MonitorSpec",
        ),
        (
            "PUT",
            "/api/v1/monitors/docs",
            "{}",
            422,
            "missing field `url`",
        ),
        (
            "PUT",
            "/api/v1/monitors/docs",
            r#"{"url":"ftp://x/"}"#,
            422,
            "scheme `ftp`",
        ),
        (
            "PUT",
            "/api/v1/monitors/docs",
            r#"{"url":"https://x/","intervall":"1m"}"#,
            422,
            "unknown field `intervall`",
        ),
        (
            "PUT",
            "/api/v1/monitors/docs",
            r#"{"url":"https://x/","interval":"1s"}"#,
            422,
            "/interval",
        ),
        (
            "PUT",
            "/api/v1/monitors/docs",
            r#"{"url":"https://x/","interval":60}"#,
            422,
            "invalid type",
        ),
        (
            "PUT",
            "/api/v1/monitors/docs",
            r#"{"url":"https://x/","headers":{"a b":"x"}}"#,
            422,
            "/headers/a b",
        ),
        (
            "PUT",
            "/api/v1/monitors/docs",
            r#"{"url":"https://x/","severities":{"rpc.id":"note"}}"#,
            422,
            "cannot be lowered",
        ),
        ("PUT", "/api/v1/monitors/docs", &long, 413, "64 KiB"),
        (
            "PUT",
            "/api/v1/monitors/Docs_1",
            r#"{"url":"https://x/"}"#,
            422,
            "is no monitor name",
        ),
        (
            "POST",
            "/api/v1/monitors",
            r#"{"name":"A","url":"https://x/"}"#,
            422,
            "/name",
        ),
        (
            "GET",
            "/api/v1/monitors/nope",
            "",
            404,
            "there is no monitor nope",
        ),
        (
            "GET",
            "/api/v1/monitors/nope/status",
            "",
            404,
            "there is no monitor nope",
        ),
        (
            "DELETE",
            "/api/v1/monitors/nope",
            "",
            404,
            "there is no monitor nope",
        ),
        ("GET", "/api/v2/monitors", "", 404, "no such resource"),
        ("GET", "/api/v1/monitors/%ff", "", 400, "not UTF-8"),
        (
            "PUT",
            "/api/v1/monitors/docs",
            r#"{"url":"https://x/","regions":["EU \"W\""]}"#,
            422,
            "/regions/0",
        ),
        (
            "PUT",
            "/api/v1/monitors/docs",
            r#"{"url":"https://x/","headers":{"a":"(hidden)"}}"#,
            422,
            "send the value itself",
        ),
        (
            "PUT",
            "/api/v1/monitors/docs",
            r#"{"url":"https://x/","headers":{"a":"x\ny"}}"#,
            422,
            "no legal header value",
        ),
        (
            "POST",
            "/api/v1/tokens",
            r#"{"region":"a b","provider":"p","latitude":91,"longitude":0}"#,
            422,
            "/region",
        ),
        (
            "POST",
            "/api/v1/tokens",
            r#"{"region":"eu","provider":"p","latitude":9}"#,
            422,
            "latitude and longitude come together",
        ),
        (
            "POST",
            "/api/v1/tokens",
            r#"{"region":"eu","provider":"p","endpoint":"nonsense"}"#,
            422,
            "like mesh.example.com:7443",
        ),
        (
            "POST",
            "/api/v1/tokens",
            r#"{"region":"eu","provider":"p","Region":"eu"}"#,
            422,
            "unknown field `Region`",
        ),
        (
            "POST",
            "/api/v1/keys",
            r#"{"name":"ci","scope":"root"}"#,
            422,
            "unknown variant `root`",
        ),
        (
            "DELETE",
            "/api/v1/keys/nobody",
            "",
            404,
            "there is no such key",
        ),
        (
            "POST",
            "/api/v1/agents/nobody/revoke",
            "",
            404,
            "there is no agent nobody",
        ),
        (
            "PUT",
            "/api/v1/monitors/docs?dryrun=true",
            r#"{"url":"https://x/"}"#,
            400,
            "unknown field `dryrun`",
        ),
        (
            "PATCH",
            "/api/v1/monitors/docs",
            "{}",
            405,
            "does not support this method",
        ),
    ];
    for (method, path, body, status, message) in table {
        let answer = coordinator.call(method, path, body).await;
        assert_eq!(
            answer.status, status,
            "{method} {path} {:.80}: {answer:?}",
            body
        );
        assert!(
            answer.body.contains(message),
            "{method} {path}: {}",
            answer.body
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{path}"
        );
        assert_eq!(answer.json()["status"], status);
    }
    let path = "/api/v1/monitors/docs";
    let ask = Ask {
        to: coordinator.bound.http,
        key: &coordinator.key,
        media: "text/plain",
    };
    let answer = send_as(ask, "PUT", path, "{}").await;
    assert_eq!(
        (answer.status, answer.json()["status"].as_u64()),
        (415, Some(415))
    );
    let health = coordinator.call("GET", "/health", "").await.json();
    assert_eq!(health["monitors"], 0, "nothing of it was registered");
    for path in ["/livez", "/readyz"] {
        assert_eq!(coordinator.call("GET", path, "").await.status, 200);
    }
    coordinator.stop().await;
}

/// Who has no key sees nothing but the coordinator's health; who may read changes nothing.
#[tokio::test]
async fn keys_open_what_they_may() {
    let coordinator = Coordinator::start().await;
    let to = coordinator.bound.http;
    let make = |scope: &str| format!(r#"{{"name":"grafana","scope":"{scope}"}}"#);
    let made = coordinator
        .call("POST", "/api/v1/keys", &make("read"))
        .await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let (id, read) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(read.starts_with("plxk_"), "scanners know it");
    let list = coordinator.call("GET", "/api/v1/keys", "").await;
    let secret = read.splitn(3, '_').nth(2).unwrap();
    assert!(list.body.contains(id) && !list.body.contains(secret));

    let put = r#"{"url":"https://a/mcp"}"#;
    let monitors = "/api/v1/monitors";
    let mut forged = read.to_owned();
    forged.pop();
    forged.push(if read.ends_with('A') { 'B' } else { 'A' });
    let table = [
        ("", "GET", monitors, 401),
        ("", "GET", "/metrics", 401),
        ("", "GET", "/livez", 200),
        ("", "GET", "/health", 200),
        ("nonsense", "GET", monitors, 401),
        (&forged, "GET", monitors, 401),
        (read, "GET", monitors, 200),
        (read, "GET", "/metrics", 200),
        (read, "PUT", "/api/v1/monitors/docs", 403),
        (read, "POST", "/api/v1/tokens", 403),
        (read, "POST", "/api/v1/keys", 403),
        (read, "DELETE", "/api/v1/monitors/docs", 403),
        (&coordinator.key, "PUT", "/api/v1/monitors/docs", 201),
    ];
    for (key, method, path, status) in table {
        let answer = send(to, key, method, path, put).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(!answer.body.contains(secret));
        if status == 401 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    let path = format!("/api/v1/keys/{id}");
    let removed = coordinator.call("DELETE", &path, "").await;
    assert_eq!(removed.status, 204);
    assert_eq!(send(to, read, "GET", monitors, "").await.status, 401);
    // The key of the file outlives the coordinator.
    let (stopped, key) = {
        let key = coordinator.key.clone();
        (coordinator.stop().await, key)
    };
    let coordinator = stopped.start().await;
    assert_eq!(coordinator.key, key);
    assert_eq!(coordinator.call("GET", monitors, "").await.status, 200);
    coordinator.stop().await;
}
