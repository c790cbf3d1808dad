//! The wall: 401 without a token that was given out, else the MCP server.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use bytes::Bytes;
use tokio::time::Instant;

use http::{HeaderMap, HeaderValue, Method, Uri};

use super::{Flaw, State};
use crate::server::streamable::{self, empty};

pub(super) async fn handle(
    Extract(state): Extract<Arc<State>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = headers.get("authorization").and_then(|v| v.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer "));
    let flaw = state.flaw();
    let opens = token.is_some_and(|token| {
        let until = state.seen().valid.get(token).copied();
        until.is_some_and(|until| Instant::now() < until)
    });
    if opens && flaw != Flaw::TokensRejected {
        let mcp = Extract(Arc::clone(&state.mcp));
        return streamable::handle(mcp, method, uri, headers, body).await;
    }
    let mut response = empty(401);
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other flaws lie elsewhere"
    )]
    let metadata = match flaw {
        Flaw::MetadataInside => "http://169.254.169.254/latest/meta-data".to_owned(),
        _ => format!(
            "{}/.well-known/oauth-protected-resource/mcp",
            state.resource()
        ),
    };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other flaws lie elsewhere"
    )]
    let challenge = match flaw {
        Flaw::NoChallenge => return response,
        Flaw::UnnamedMetadata => "Bearer scope=\"mcp:read\"".to_owned(),
        _ => format!("Bearer resource_metadata=\"{metadata}\", scope=\"mcp:read\""),
    };
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert("www-authenticate", challenge);
    }
    response
}
