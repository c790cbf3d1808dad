//! The official conformance suite, client mode, driving the `parallax` binary.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path;
use std::process::Command;

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
