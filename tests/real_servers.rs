//! The prober against servers that nobody here wrote, through the recording proxy: the right era
//! is named, and nothing is left open.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use model::{Era, EraPolicy, Outcome, Reason, Report, Revision, Step, Transport};
use serde_json::{Value, json};
use support::real::{RealServer, fixture, installed, node, python};
use support::{Probe, eventually, failure};
use testbed::recorder::Recorder;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What a server is expected to be, from its own documentation.
struct Expected {
    path: &'static str,
    policy: EraPolicy,
    revision: Revision,
    transport: Transport,
    has_sessions: bool,
    tool: &'static str,
    arguments: Value,
}

impl Expected {
    fn new(policy: EraPolicy, revision: Revision, has_sessions: bool) -> Self {
        Self {
            path: "/mcp",
            policy,
            revision,
            transport: Transport::StreamableHttp,
            has_sessions,
            tool: "",
            arguments: json!({}),
        }
    }

    fn calling(mut self, tool: &'static str, arguments: Value) -> Self {
        (self.tool, self.arguments) = (tool, arguments);
        self
    }
}

/// Probes a server some times through the recorder and checks what was found and left.
async fn check(server: &RealServer, expected: Expected) -> Report {
    let recorder = Recorder::start(LOOPBACK, server.address()).await.unwrap();
    let url = format!("http://{}{}", recorder.address(), expected.path);
    let mut last = None;
    const RUNS: usize = 10;
    for _ in 0..RUNS {
        let mut probe = Probe::of(&url).calling(expected.tool, &expected.arguments);
        probe.plan.era = expected.policy;
        let report = probe.report().await;
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        assert_eq!(
            report.protocol_version,
            Some(expected.revision),
            "{report:#?}"
        );
        assert_eq!(report.era, Some(expected.revision.era()));
        assert_eq!(report.transport, Some(expected.transport));
        last = Some(report);
    }
    let tally = recorder.tally();
    assert_eq!(
        tally.sessions_opened(),
        if expected.has_sessions { RUNS } else { 0 }
    );
    assert_eq!(tally.sessions_left(), Vec::<String>::new());
    eventually("every GET stream is closed", || {
        tally.streams().0 == tally.streams().1
    })
    .await;
    last.unwrap()
}

fn everything(real: &Path, mode: &str) -> RealServer {
    let mut command = node(real);
    let package = "everything/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    command.arg(real.join(package));
    RealServer::start(command, &[mode])
}

#[tokio::test]
async fn server_everything_streamable() {
    let Some(real) = installed() else { return };
    let server = everything(&real, "streamableHttp");
    let expected = Expected::new(EraPolicy::Auto, Revision::V2025_11_25, true);
    let report = check(
        &server,
        expected.calling("echo", json!({ "message": "hi" })),
    )
    .await;
    assert_eq!(report.server.unwrap().name, "mcp-servers/everything");
}

#[tokio::test]
async fn server_everything_http_sse() {
    let Some(real) = installed() else { return };
    let server = everything(&real, "sse");
    let mut expected = Expected::new(EraPolicy::Auto, Revision::V2024_11_05, false);
    (expected.path, expected.transport) = ("/sse", Transport::HttpSse);
    check(
        &server,
        expected.calling("echo", json!({ "message": "hi" })),
    )
    .await;
}

#[tokio::test]
async fn typescript_sdk_dual() {
    let Some(real) = installed() else { return };
    let mut command = node(&real);
    command.arg(real.join("typescript/server.mjs"));
    let server = RealServer::start(command, &["{port}"]);
    for (policy, revision) in [
        (EraPolicy::Auto, Revision::V2026_07_28),
        (EraPolicy::Modern, Revision::V2026_07_28),
        (EraPolicy::Legacy, Revision::V2025_11_25),
    ] {
        let expected = Expected::new(policy, revision, false);
        let report = check(
            &server,
            expected.calling("distance", json!({ "x": 3, "y": 4 })),
        )
        .await;
        assert_eq!(report.server.unwrap().version, "1.2.3");
    }
}

#[tokio::test]
async fn typescript_sdk_modern_only() {
    let Some(real) = installed() else { return };
    let mut command = node(&real);
    command.arg(real.join("typescript/server.mjs"));
    let server = RealServer::start(command, &["{port}", "reject"]);
    let expected = Expected::new(EraPolicy::Auto, Revision::V2026_07_28, false);
    check(
        &server,
        expected.calling("distance", json!({ "x": 1, "y": 0 })),
    )
    .await;
    let mut probe = Probe::of(&format!("http://{}/mcp", server.address()));
    probe.plan.era = EraPolicy::Legacy;
    let report = probe.report().await;
    assert_eq!(
        failure(&report),
        (Step::Initialize, Reason::McpVersionUnsupported)
    );
}

#[tokio::test]
async fn python_sdk_with_sessions_and_json() {
    let Some(real) = installed() else { return };
    for mode in [
        &["{port}"][..],
        &["{port}", "json"],
        &["{port}", "stateless"],
    ] {
        let mut command = python(&real);
        command.arg(fixture("python_server.py"));
        let server = RealServer::start(command, mode);
        let has_sessions = !mode.contains(&"stateless");
        for (policy, revision, sessions) in [
            (EraPolicy::Auto, Revision::V2026_07_28, false),
            (EraPolicy::Legacy, Revision::V2025_11_25, has_sessions),
        ] {
            let expected = Expected::new(policy, revision, sessions);
            let arguments = json!({ "left": 6, "right": 7 });
            check(&server, expected.calling("multiply", arguments)).await;
        }
        let url = format!("http://{}/mcp", server.address());
        let report = Probe::of(&url).calling("fail", &json!({})).report().await;
        assert_eq!(failure(&report), (Step::ToolsCall, Reason::ToolError));
        assert_eq!(report.era, Some(Era::Modern));
        let report = Probe::of(&format!("{url}/")).report().await;
        assert_eq!(failure(&report), (Step::Discover, Reason::HttpRedirect));
    }
}

#[tokio::test]
async fn python_sdk_behind_a_wall() {
    let Some(real) = installed() else { return };
    let mut command = python(&real);
    command.arg(fixture("python_walled.py"));
    let server = RealServer::start(command, &["{port}"]);
    let url = format!("http://{}/mcp", server.address());
    assert_eq!(
        failure(&Probe::of(&url).report().await),
        (Step::Discover, Reason::AuthRequired)
    );
    for (token, found) in [
        ("letmein", None),
        ("weak", Some(Reason::AuthScope)),
        ("stale", Some(Reason::AuthTokenRejected)),
    ] {
        let mut probe = Probe::of(&url);
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        probe.headers.insert(AUTHORIZATION, value);
        probe.plan.has_credential = true;
        let report = probe.report().await;
        let reason = report.failed_step().and_then(|step| step.reason);
        assert_eq!(reason, found, "{token}: {report:#?}");
    }
}
