//! Metadata, right or wrong.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use http::Uri;
use serde_json::json;

use super::{Flaw, State};
use crate::server::streamable::{empty, with_type};

/// More than the 64 KiB that documents may have.
const HUGE: usize = 1 << 20;

pub(super) async fn resource(Extract(state): Extract<Arc<State>>, uri: Uri) -> Response {
    state.seen().paths.push(uri.path().to_owned());
    let flaw = state.flaw();
    if uri.path() != "/.well-known/oauth-protected-resource/mcp" || flaw == Flaw::NoResourceMetadata
    {
        return empty(404);
    }
    let mut document = json!({
        "resource": format!("{}/mcp", state.resource()),
        "authorization_servers": [state.issuer()],
        "scopes_supported": ["mcp:read", "mcp:write"],
        "bearer_methods_supported": ["header"],
    });
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other flaws lie elsewhere"
    )]
    match flaw {
        Flaw::OtherResource => document["resource"] = json!("https://evil.example.com/mcp"),
        Flaw::NoServers => document["authorization_servers"] = json!([]),
        Flaw::HugeResourceMetadata => document["padding"] = json!("a".repeat(HUGE)),
        Flaw::HtmlResourceMetadata => return with_type(200, "text/html", "<!DOCTYPE html>"),
        Flaw::RedirectedResourceMetadata => return moved("http://169.254.169.254/latest"),
        _ => {}
    }
    with_type(200, "application/json", &document.to_string())
}

pub(super) async fn server(Extract(state): Extract<Arc<State>>, uri: Uri) -> Response {
    state.seen().paths.push(uri.path().to_owned());
    let flaw = state.flaw();
    if uri.path() != "/.well-known/oauth-authorization-server" || flaw == Flaw::NoServerMetadata {
        return empty(404);
    }
    let issuer = state.issuer();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
    });
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other flaws lie elsewhere"
    )]
    match flaw {
        Flaw::OtherIssuer => document["issuer"] = json!("https://evil.example.com"),
        Flaw::HttpEndpoints => {
            document["token_endpoint"] = json!("http://auth.example.com/token");
        }
        Flaw::NoS256 => document["code_challenge_methods_supported"] = json!(["plain"]),
        _ => {}
    }
    with_type(200, "application/json", &document.to_string())
}

pub(super) fn moved(to: &str) -> Response {
    let mut response = empty(302);
    if let Ok(to) = to.parse() {
        response.headers_mut().insert("location", to);
    }
    response
}
