//! The official conformance suite, client mode, driving the `parallax` binary.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path;
use std::process::Command;

use serde_json::json;
use support::process::binary;
use support::real::{fixture, installed};

fn scenario(real: &Path, suite: &str, scenario: &str, probe: &str, extra: &[&str]) {
    let command = format!("{} probe {probe}", binary("parallax").display());
    drive(real, suite, scenario, &command, extra);
}

/// Runs one scenario of a suite against a command, which gets the server's URL as last argument.
fn drive(real: &Path, suite: &str, scenario: &str, command: &str, extra: &[&str]) {
    let index = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(real.join("node/node_modules/.bin/node"))
        .arg(real.join(suite).join(index))
        .args([
            "client",
            "--command",
            command.trim_end(),
            "--scenario",
            scenario,
            "-o",
        ])
        .arg(out.path())
        .args(extra)
        .env(
            "NODE_OPTIONS",
            format!("--import {}", fixture("loopback.mjs").display()),
        )
        .output()
        .unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{suite} {scenario}: {text}");
    assert!(text.contains("PASSED"), "{suite} {scenario}: {text}");
}

const CALL: &str = "--call add_numbers --arg a=5 --arg b=3";

#[test]
fn initialize() {
    let Some(real) = installed() else { return };
    scenario(&real, "conformance-0.1", "initialize", "", &[]);
}

#[test]
fn tools_call_in_both_eras() {
    let Some(real) = installed() else { return };
    scenario(&real, "conformance-0.1", "tools_call", CALL, &[]);
    for revision in ["2025-11-25", "2026-07-28"] {
        scenario(
            &real,
            "conformance-0.2",
            "tools_call",
            CALL,
            &["--spec-version", revision],
        );
    }
}

#[test]
fn request_metadata() {
    let Some(real) = installed() else { return };
    scenario(&real, "conformance-0.2", "request-metadata", "", &[]);
}

#[test]
fn http_standard_headers() {
    let Some(real) = installed() else { return };
    scenario(&real, "conformance-0.2", "http-standard-headers", "", &[]);
}

/// A scenario with calls that the suite describes only to programs.
fn with_flow(suite: &str, name: &str, calls: &serde_json::Value, extra: &[&str]) {
    let Some(real) = installed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let flow = folder.path().join("flow.json");
    std::fs::write(&flow, calls.to_string()).unwrap();
    let probe = format!("--flow {}", flow.display());
    scenario(&real, suite, name, &probe, extra);
}

/// The calls that the suite's own context asks for.
#[test]
fn http_custom_headers() {
    let calls = json!([
        { "name": "test_custom_headers", "arguments": {
            "region": "us-west1", "priority": 42, "verbose": false, "debug": true,
            "empty_val": "", "method_val": "test-method", "float_val": 2.5,
            "non_ascii_val": "Hello, 世界", "whitespace_val": " padded ",
            "leading_space_val": " us-west1", "trailing_space_val": "us-west1 ",
            "internal_space_val": "us west 1", "control_char_val": "line1\nline2",
            "crlf_val": "line1\r\nline2", "tab_val": "\tindented",
            "query": "SELECT * FROM users" } },
        { "name": "test_custom_headers_null", "arguments": {
            "region": "us-east1", "priority": 1, "verbose": null, "query": "SELECT 1" } },
    ]);
    with_flow("conformance-0.2", "http-custom-headers", &calls, &[]);
}

/// The valid tool is called, the first invalid one is not.
#[test]
fn http_invalid_tool_headers() {
    let calls = json!([{ "name": "valid_tool", "arguments": { "region": "eu" } },
        { "name": "invalid_empty_header", "arguments": { "value": "x" } }]);
    with_flow("conformance-0.2", "http-invalid-tool-headers", &calls, &[]);
}

#[test]
fn client_request_state() {
    let accept = json!({ "confirm": { "action": "accept", "content": { "confirmed": true } } });
    let call = |name: &str| json!({ "name": name, "answers": accept });
    let calls = json!([
        call("test_mrtr_echo_state"),
        call("test_mrtr_no_state"),
        { "name": "test_mrtr_unrelated" },
        { "name": "test_mrtr_no_result_type" },
    ]);
    with_flow(
        "conformance-0.2",
        "sep-2322-client-request-state",
        &calls,
        &[],
    );
}

#[test]
fn remote_references_are_not_fetched() {
    let Some(real) = installed() else { return };
    scenario(
        &real,
        "conformance-0.2",
        "json-schema-ref-no-deref",
        "",
        &[],
    );
}

#[test]
fn sse_retry() {
    for suite in ["conformance-0.1", "conformance-0.2"] {
        let calls = json!([{ "name": "test_reconnection" }]);
        let extra: &[&str] = if suite == "conformance-0.2" {
            &["--spec-version", "2025-11-25"]
        } else {
            &[]
        };
        with_flow(suite, "sse-retry", &calls, extra);
    }
}
/// The client of `conformance_client.mjs`, which turns a scenario's context into flags.
fn client(real: &Path) -> String {
    format!(
        "{} {} {}",
        real.join("node/node_modules/.bin/node").display(),
        fixture("conformance_client.mjs").display(),
        binary("parallax").display(),
    )
}

fn authorized(scenarios: &[&str]) {
    let Some(real) = installed() else { return };
    for scenario in scenarios {
        let scenario = format!("auth/{scenario}");
        drive(&real, "conformance-0.2", &scenario, &client(&real), &[]);
    }
}

/// With a client that the scenario registered, by its secret and by its key.
#[test]
fn client_credentials() {
    authorized(&["client-credentials-basic", "client-credentials-jwt"]);
}

/// `parallax auth login` with a browser that only follows redirects, then `probe --token-set`.
///
/// What stays red: `dpop`, `dpop-nonce` (tokens are sent as bearer tokens), `scope-step-up` and
/// `authorization-server-migration` (a probe does not send its user to sign in again),
/// `enterprise-managed-authorization`, `wif-jwt-bearer` (grants of extensions that are not spoken).
#[test]
fn discovery_of_the_user_flow() {
    authorized(&[
        "metadata-default",
        "metadata-var1",
        "metadata-var2",
        "metadata-var3",
        "metadata-issuer-mismatch",
        "resource-mismatch",
        "2025-03-26-oauth-metadata-backcompat",
        "2025-03-26-oauth-endpoint-fallback",
    ]);
}

#[test]
fn clients_of_the_user_flow() {
    authorized(&[
        "basic-cimd",
        "pre-registration",
        "token-endpoint-auth-basic",
        "token-endpoint-auth-post",
        "token-endpoint-auth-none",
    ]);
}

#[test]
fn scopes_of_the_user_flow() {
    authorized(&[
        "scope-from-www-authenticate",
        "scope-from-scopes-supported",
        "scope-omitted-when-undefined",
        "scope-retry-limit",
        "offline-access-scope",
        "offline-access-not-supported",
    ]);
}

#[test]
fn issuers_of_the_user_flow() {
    authorized(&[
        "iss-supported",
        "iss-supported-missing",
        "iss-not-advertised",
        "iss-unexpected",
        "iss-wrong-issuer",
        "iss-normalized",
    ]);
}
