//! The token endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::documents::moved;
use super::{CLIENT, Flaw, Seen, State};
use crate::server::streamable::{empty, with_type};

pub(super) async fn handle(
    Extract(state): Extract<Arc<State>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    {
        let mut seen = state.seen();
        seen.paths.push("/token".to_owned());
        seen.tokens.push(form.clone());
    }
    let secret = CLIENT.1;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other flaws lie elsewhere"
    )]
    match state.flaw() {
        Flaw::InvalidClient => return error(401, "invalid_client", "no such client"),
        Flaw::InvalidScope => {
            return error(400, "invalid_scope", &format!("{secret} may not have it"));
        }
        Flaw::TokenServerError => return empty(500),
        Flaw::TokenHangs => std::future::pending().await,
        Flaw::HugeToken => {
            let huge = json!({ "access_token": "a".repeat(1 << 20), "token_type": "Bearer" });
            return json_of(200, &huge);
        }
        Flaw::RedirectedToken => return moved("http://127.0.0.1:1/token"),
        Flaw::HtmlToken => return with_type(200, "text/html", "<!DOCTYPE html>"),
        _ => {}
    }
    let resource = format!("{}/mcp", state.resource());
    if form.get("resource") != Some(&resource) {
        return error(400, "invalid_target", "resource is not this server");
    }
    match form.get("grant_type").map(String::as_str) {
        Some("client_credentials") if is_client(&headers) => {
            let mut seen = state.seen();
            let (access, _) = issue(&mut seen);
            let scope = form.get("scope").cloned().unwrap_or_default();
            let answer = json!({ "access_token": access, "token_type": "Bearer",
                "expires_in": life(&seen).as_secs(), "scope": scope });
            json_of(200, &answer)
        }
        Some("client_credentials") => error(401, "invalid_client", "who is there?"),
        Some("refresh_token") => refresh(&state, &form),
        Some(_) | None => error(400, "unsupported_grant_type", ""),
    }
}

/// Refresh tokens are good once (RFC 9700 §4.14.2).
fn refresh(state: &State, form: &BTreeMap<String, String>) -> Response {
    let mut seen = state.seen();
    if seen.refresh.is_none() || form.get("refresh_token") != seen.refresh.as_ref() {
        return error(400, "invalid_grant", "this refresh token is used up");
    }
    let (access, refresh) = issue(&mut seen);
    let answer = json!({ "access_token": access, "token_type": "Bearer",
        "expires_in": life(&seen).as_secs(), "refresh_token": refresh });
    json_of(200, &answer)
}

/// How long new access tokens live.
fn life(seen: &Seen) -> Duration {
    seen.life.unwrap_or(Duration::from_secs(3600))
}

/// New tokens, by number.
pub(super) fn issue(seen: &mut Seen) -> (String, String) {
    let n = seen.tokens.len() + seen.valid.len();
    let (access, refresh) = (format!("access-token-{n}"), format!("refresh-token-{n}"));
    let until = Instant::now() + life(seen);
    seen.valid.insert(access.clone(), until);
    seen.refresh = Some(refresh.clone());
    (access, refresh)
}

/// RFC 6749 §2.3.1: both parts are form-encoded, then Basic.
fn is_client(headers: &HeaderMap) -> bool {
    let value = headers.get("authorization").and_then(|v| v.to_str().ok());
    let encoded = value.and_then(|value| value.strip_prefix("Basic "));
    let pair = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
    let Some((id, secret)) = pair.as_deref().and_then(|pair| {
        let colon = pair.iter().position(|byte| *byte == b':')?;
        Some((&pair[..colon], &pair[colon + 1..]))
    }) else {
        return false;
    };
    let decoded = |part: &[u8]| {
        let mut parts = url::form_urlencoded::parse(part);
        parts.next().map(|(text, _)| text.into_owned())
    };
    (decoded(id).as_deref(), decoded(secret).as_deref()) == (Some(CLIENT.0), Some(CLIENT.1))
}

fn error(status: u16, code: &str, description: &str) -> Response {
    json_of(
        status,
        &json!({ "error": code, "error_description": description }),
    )
}

fn json_of(status: u16, answer: &Value) -> Response {
    with_type(status, "application/json", &answer.to_string())
}
