//! Streamable HTTP of both eras.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::script::Script;
use super::{Dialect, State, answer};

const MODERN: &str = "2026-07-28";
const NEWEST_LEGACY: &str = "2025-11-25";
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", NEWEST_LEGACY];

pub(crate) async fn handle(
    Extract(state): Extract<Arc<State>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let script = state.scripted.now();
    let request: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let name = match method {
        Method::POST => request["method"].as_str().unwrap_or("response").to_owned(),
        ref other => other.to_string(),
    };
    state.log.request(&name);
    state.log.leak(script.restart_every);
    let host = headers.get("host").and_then(|host| host.to_str().ok());
    let authority = uri.authority().map(http::uri::Authority::as_str);
    if let Some(host) = authority.or(host) {
        state.log.host(host);
    }
    let user_agent = headers.get(http::header::USER_AGENT);
    let user_agent = user_agent.and_then(|value| value.to_str().ok());
    state.log.asked_by(user_agent.unwrap_or_default());
    tokio::time::sleep(script.delay()).await;
    if script.hang_on.contains(&name) {
        std::future::pending::<()>().await;
    }
    if let Some(refusal) = refusal(&name, &headers, &script) {
        return refusal;
    }
    if script.forget_sessions {
        state.log.forget_sessions();
    }
    let version = headers
        .get("mcp-protocol-version")
        .and_then(|v| v.to_str().ok());
    let is_modern = version == Some(MODERN);
    let mut response = match (state.dialect, is_modern) {
        (Dialect::Modern | Dialect::Dual, true) => modern(&method, &headers, &request, &script),
        (Dialect::Modern, false) => {
            let id = request["id"].clone();
            let params = &request["params"];
            let of_body = &params["_meta"]["io.modelcontextprotocol/protocolVersion"];
            let mut requested = [of_body, &params["protocolVersion"]].into_iter();
            let requested = requested.find(|asked| !asked.is_null()).cloned();
            let data = json!({ "supported": [MODERN], "requested": requested });
            error(400, &id, -32022, "Unsupported protocol version", &data)
        }
        (Dialect::Legacy | Dialect::Dual | Dialect::HttpSse, _) => {
            legacy(&state, &method, &headers, &request, &script)
        }
    };
    if name == "tools/list" && response.status() == StatusCode::OK {
        let query = uri.query().unwrap_or_default();
        let at_ms = telemetry::clock::wall().as_millisecond();
        state.log.list(query, at_ms.unsigned_abs());
    }
    for (name, value) in &script.headers {
        let name = name.parse::<http::HeaderName>();
        if let (Ok(name), Ok(value)) = (name, value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    if script.close_connections {
        let close = http::HeaderValue::from_static("close");
        response
            .headers_mut()
            .insert(http::header::CONNECTION, close);
    }
    response
}

fn modern(method: &Method, headers: &HeaderMap, request: &Value, script: &Script) -> Response {
    if method != Method::POST {
        return empty(405);
    }
    let id = request["id"].clone();
    let name = request["method"].as_str().unwrap_or_default();
    let mirrored = headers.get("mcp-method").and_then(|v| v.to_str().ok());
    if mirrored != Some(name) {
        return error(
            400,
            &id,
            -32020,
            "Header mismatch: Mcp-Method",
            &Value::Null,
        );
    }
    let meta = &request["params"]["_meta"];
    if meta["io.modelcontextprotocol/protocolVersion"] != MODERN
        || !meta["io.modelcontextprotocol/clientCapabilities"].is_object()
    {
        return error(400, &id, -32602, "_meta lacks a required key", &Value::Null);
    }
    if matches!(name, "initialize" | "ping") {
        return error(404, &id, -32601, "Method not found", &Value::Null);
    }
    match answer::to(request, true, MODERN, script) {
        Some(answer) if answer["error"]["code"] == -32601 => respond(404, &answer, script, None),
        Some(answer) => respond(200, &answer, script, None),
        None => empty(202),
    }
}

fn legacy(
    state: &State,
    method: &Method,
    headers: &HeaderMap,
    request: &Value,
    script: &Script,
) -> Response {
    let session = headers.get("mcp-session-id").and_then(|v| v.to_str().ok());
    let live = session.is_some_and(|id| state.log.has_session(id));
    let id = request.get("id").cloned().unwrap_or_default();
    if *method == Method::POST && request["method"] == "initialize" {
        let asked = request["params"]["protocolVersion"]
            .as_str()
            .unwrap_or_default();
        let revision = if LEGACY.contains(&asked) {
            asked
        } else {
            NEWEST_LEGACY
        };
        let opened = state.log.open_session();
        return match answer::to(request, false, revision, script) {
            Some(answer) => respond(200, &answer, script, Some(&opened)),
            None => empty(202),
        };
    }
    match (session, live) {
        (None, _) => error(
            400,
            &id,
            -32000,
            "Bad Request: Server not initialized",
            &Value::Null,
        ),
        (Some(_), false) => error(404, &id, -32001, "Session not found", &Value::Null),
        (Some(session), true) => match *method {
            Method::DELETE => {
                state.log.close_session(session);
                empty(200)
            }
            Method::POST => match answer::to(request, false, NEWEST_LEGACY, script) {
                Some(answer) => respond(200, &answer, script, None),
                None => empty(202),
            },
            _ => empty(405),
        },
    }
}

/// An answer as JSON or as an event stream, in one piece or byte by byte.
fn respond(status: u16, answer: &Value, script: &Script, session: Option<&str>) -> Response {
    let ping = json!({ "jsonrpc": "2.0", "id": "from-server", "method": "ping" });
    let (media, text) = if script.stream {
        let first = if script.ping_first {
            format!("event: message\ndata: {ping}\n\n")
        } else {
            "id: 0\ndata: \n\n".to_owned()
        };
        (
            "text/event-stream",
            format!("{first}event: message\ndata: {answer}\n\n"),
        )
    } else {
        ("application/json", answer.to_string())
    };
    let pieces: Vec<Bytes> = if script.drip {
        text.bytes()
            .map(|byte| Bytes::copy_from_slice(&[byte]))
            .collect()
    } else {
        vec![Bytes::from(text)]
    };
    let body = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    let body = if script.stream && script.leave_open {
        Body::from_stream(body.chain(futures_util::stream::pending()))
    } else {
        Body::from_stream(body)
    };
    let mut response = Response::builder()
        .status(status)
        .header("content-type", media);
    if let Some(session) = session {
        response = response.header("mcp-session-id", session);
    }
    response.body(body).unwrap_or_else(|_| empty(500))
}

fn error(status: u16, id: &Value, code: i64, message: &str, data: &Value) -> Response {
    let mut error = json!({ "code": code, "message": message });
    if !data.is_null() {
        error["data"] = data.clone();
    }
    let body = json!({ "jsonrpc": "2.0", "id": id, "error": error });
    with_type(status, "application/json", &body.to_string())
}

pub(crate) fn with_type(status: u16, media: &str, body: &str) -> Response {
    let response = Response::builder()
        .status(status)
        .header("content-type", media);
    response
        .body(Body::from(body.to_owned()))
        .unwrap_or_else(|_| empty(500))
}

/// What the script answers instead of MCP, if it does.
fn refusal(name: &str, headers: &HeaderMap, script: &Script) -> Option<Response> {
    if let Some(status) = script.status_on.get(name).copied().or(script.status) {
        return Some(turned_away(status, script));
    }
    if script.walled && !headers.contains_key(http::header::AUTHORIZATION) {
        return Some(walled());
    }
    let page = || with_type(200, "text/html", "<!DOCTYPE html><title>Sign in</title>");
    script.html.then(page)
}

fn walled() -> Response {
    let mut response = empty(401);
    let challenge = http::HeaderValue::from_static("Bearer");
    let headers = response.headers_mut();
    headers.insert(http::header::WWW_AUTHENTICATE, challenge);
    response
}

/// A status without a body, and when to ask again, where the script says that.
pub(crate) fn turned_away(status: u16, script: &Script) -> Response {
    let mut response = empty(status);
    let after = script.retry_after.as_deref();
    if let Some(after) = after.and_then(|after| after.parse().ok()) {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, after);
    }
    response
}

pub(crate) fn empty(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
