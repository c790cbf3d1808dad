//! The OpenAPI document against a coordinator. That every answer is as it says, `support` checks
//! wherever a test calls the API.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use serde_json::{Value, json};
use support::http_client::{Answer, Ask, send, send_as};
use support::mesh::Coordinator;
use support::openapi::{DOCUMENT, check};

/// Method, a path that is there, and the operation.
fn operations() -> impl Iterator<Item = (String, String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, methods)| {
        let path = path
            .replace("{id}", "nobody")
            .replace("{fingerprint}", "none");
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, told)| (method.to_uppercase(), path.clone(), told))
    })
}

#[tokio::test]
async fn the_document_is_served_to_everybody() {
    let coordinator = Coordinator::start().await;
    let path = "/api/v1/openapi.json";
    let answer = send(coordinator.bound.http, "", "GET", path, "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.json() == *DOCUMENT, "another than docs/openapi.json");
    coordinator.stop().await;
}

/// Each is there, and asks for the key that the document names.
#[tokio::test]
async fn operations_ask_for_the_documented_key() {
    let coordinator = Coordinator::start().await;
    let wanted = r#"{"name":"reader","scope":"read"}"#;
    let read = coordinator.call("POST", "/api/v1/keys", wanted).await;
    let read = read.json()["key"].as_str().unwrap().to_owned();
    for (method, path, told) in operations() {
        let (of_nobody, of_reader) = match told["security"][0]["key"][0].as_str() {
            None => (None, None),
            Some("read") => (Some(401), None),
            Some("probe" | "admin") => (Some(401), Some(403)),
            Some(scope) => panic!("{method} {path} needs {scope}"),
        };
        for (key, refusal) in [("", of_nobody), (&read, of_reader)] {
            let answer = send(coordinator.bound.http, key, &method, &path, "").await;
            let is_refused = [401, 403, 405].contains(&answer.status);
            let refused = is_refused.then_some(answer.status);
            assert_eq!(refused, refusal, "{method} {path}: {answer:?}");
        }
    }
    coordinator.stop().await;
}

#[tokio::test]
async fn malformed_bodies_of_every_kind_are_problems() {
    let coordinator = Coordinator::start().await;
    let deep = "[".repeat(10_000);
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(70_000));
    let table: [(&[u8], &[u16]); 21] = [
        (b"", &[400]),
        (b" ", &[400]),
        (b"{", &[400]),
        (b"nul", &[400]),
        (b"{}{}", &[400, 422]),
        (b"{} x", &[400, 422]),
        (b"{'a':1}", &[400]),
        (b"{\"a\":1,}", &[400, 422]),
        (b"{\"name\":\"\\ud800\"}", &[400, 422]),
        (b"{\"name\":\"\xff\"}", &[400, 422]),
        (b"\xef\xbb\xbf{}", &[400]),
        (b"{\"name\":1e999}", &[400, 422]),
        (b"null", &[422]),
        (b"1", &[422]),
        (b"\"text\"", &[422]),
        (b"[]", &[422]),
        (b"[\"https://x/\"]", &[422]),
        (b"[\"ci\",\"read\"]", &[422]),
        (b"{\"name\":\"a\",\"name\":\"b\"}", &[422]),
        (deep.as_bytes(), &[400, 422]),
        (long.as_bytes(), &[413]),
    ];
    let ask = |media| Ask {
        to: coordinator.bound.http,
        key: &coordinator.key,
        media,
    };
    let mut takers = 0;
    for (method, path, told) in operations() {
        if told.get("requestBody").is_none() {
            continue;
        }
        takers += 1;
        for (body, statuses) in table {
            let answer = send_as(ask("application/json"), &method, &path, body).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
            assert!(
                statuses.contains(&answer.status),
                "{method} {path} {shown}: {answer:?}"
            );
        }
        for media in ["text/plain", "application/jsonp", ""] {
            let answer = send_as(ask(media), &method, &path, "{}").await;
            assert_eq!(answer.status, 415, "{method} {path} {media}: {answer:?}");
        }
    }
    assert_eq!(takers, 7);
    coordinator.stop().await;
}

#[tokio::test]
async fn wrong_methods_and_paths_are_problems() {
    let coordinator = Coordinator::start().await;
    let key = &coordinator.key;
    for path in DOCUMENT["paths"].as_object().unwrap().keys() {
        let path = path
            .replace("{id}", "nobody")
            .replace("{fingerprint}", "none");
        for method in ["PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = send(coordinator.bound.http, key, method, &path, "").await;
            assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
        }
    }
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/monitors/",
        "/api/v1/monitors/a/b/c",
        "/api/v1/Monitors",
        "/health/",
    ] {
        for key in ["", key] {
            let answer = send(coordinator.bound.http, key, "GET", path, "").await;
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
        }
    }
    coordinator.stop().await;
}

/// What would be undocumented is found: the check of all answers checks something.
#[test]
fn deviations_are_found() {
    let answer = |status: u16, media: &str, body: &Value| Answer {
        status,
        head: format!("HTTP/1.1 {status} x\r\ncontent-type: {media}\r\netag: \"1\""),
        body: body.to_string(),
    };
    let json = "application/json";
    let well = json!({
        "status": "ok", "version": "1", "revision": null, "monitors": 0,
        "agents_connected": 0, "last_evidence_at": null,
    });
    let mut deviant = well.clone();
    deviant["uptime"] = 3.into();
    let mut wrong = well.clone();
    wrong["monitors"] = "0".into();
    let told = |answer: &Answer| check("GET", "/health", b"", answer);
    assert_eq!(told(&answer(200, json, &well)), Ok(()));
    let table = [
        (answer(200, json, &deviant), "uptime"),
        (answer(200, json, &wrong), "/monitors"),
        (answer(200, "text/plain", &well), "content-type"),
        (answer(201, json, &well), "status"),
        (answer(404, "application/problem+json", &well), "status"),
    ];
    for (answer, message) in table {
        let found = told(&answer).unwrap_err();
        assert!(found.contains(message), "{found}");
    }
    let unknown = answer(200, json, &well);
    assert!(check("GET", "/api/v1/nothing", b"", &unknown).is_err());
    let failed = json!({ "kind": "failed", "step": "ping", "phase": "dns", "reason": "not_found" });
    let outcome = &DOCUMENT["components"]["schemas"]["Outcome"];
    let mut schema = outcome.clone();
    schema["components"] = DOCUMENT["components"].clone();
    assert!(jsonschema::draft202012::is_valid(&schema, &failed));
    let mut more = failed;
    more["more"] = 1.into();
    assert!(!jsonschema::draft202012::is_valid(&schema, &more));
}

/// OpenAPI 3.1 takes its schemas from JSON Schema 2020-12.
#[test]
fn schemas_are_json_schema() {
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        let found = jsonschema::draft202012::meta::validate(schema);
        assert!(found.is_ok(), "{name}: {found:?}");
    }
}
