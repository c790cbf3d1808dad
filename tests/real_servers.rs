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
use support::real::{RealServer, fixture, free_address, installed, node, python};
use support::{Probe, eventually, failure};
use testbed::recorder::{Recorder, Tally};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What a server is expected to be, from its own documentation.
struct Expected {
    /// What the row of the table is called.
    kind: &'static str,
    path: &'static str,
    policy: EraPolicy,
    revision: Revision,
    transport: Transport,
    has_sessions: bool,
    tool: &'static str,
    arguments: Value,
    token: Option<&'static str>,
}

impl Expected {
    fn new(kind: &'static str, policy: EraPolicy, revision: Revision, has_sessions: bool) -> Self {
        Self {
            kind,
            path: "/mcp",
            policy,
            revision,
            transport: Transport::StreamableHttp,
            has_sessions,
            tool: "",
            arguments: json!({}),
            token: None,
        }
    }

    fn calling(mut self, tool: &'static str, arguments: Value) -> Self {
        (self.tool, self.arguments) = (tool, arguments);
        self
    }

    /// The steps of a probe, by the rules of its era.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        match self.revision.era() {
            Era::Modern => steps.push(Step::Discover),
            Era::Legacy => {
                // A server of the older era is asked by the newer one first.
                if self.policy == EraPolicy::Auto {
                    steps.push(Step::Discover);
                }
                // The oldest transport is looked for where the newer one is refused.
                if self.transport == Transport::HttpSse {
                    steps.extend([Step::Initialize, Step::Stream]);
                }
                steps.extend([Step::Initialize, Step::Initialized, Step::Ping]);
            }
        }
        steps.extend([Step::ToolsList, Step::ToolsCall]);
        if self.has_sessions {
            steps.push(Step::Close);
        }
        steps
    }

    fn probe(&self, url: &str) -> Probe {
        let mut probe = Probe::of(url).calling(self.tool, &self.arguments);
        probe.plan.era = self.policy;
        probe.examines_walls = false;
        if let Some(token) = self.token {
            probe = bearing(probe, token);
        }
        probe
    }
}

fn bearing(mut probe: Probe, token: &str) -> Probe {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    probe.headers.insert(AUTHORIZATION, value);
    probe.plan.has_credential = true;
    probe
}

/// Probes of each server; `PARALLAX_PROBES` says another number.
fn probes() -> usize {
    let told = std::env::var("PARALLAX_PROBES");
    told.map_or(20, |told| told.parse().unwrap())
}

/// Probes a server many times through the recorder and checks what was found and left.
async fn check(server: &RealServer, expected: Expected) -> Report {
    let recorder = Recorder::start(LOOPBACK, server.address()).await.unwrap();
    check_through(&recorder, &expected).await
}

async fn check_through(recorder: &Recorder, expected: &Expected) -> Report {
    let url = format!("http://{}{}", recorder.address(), expected.path);
    let (runs, mut times, mut last) = (probes(), Vec::new(), None);
    let dialer = expected.probe(&url).dialer();
    for _ in 0..runs {
        let (report, _) = expected.probe(&url).run_over(&dialer).await;
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        assert_eq!(
            report.protocol_version,
            Some(expected.revision),
            "{report:#?}"
        );
        assert_eq!(report.era, Some(expected.revision.era()));
        assert_eq!(report.transport, Some(expected.transport));
        let steps: Vec<Step> = report.steps.iter().map(|step| step.step).collect();
        assert_eq!(steps, expected.steps(), "{report:#?}");
        times.push(report.total_us);
        last = Some(report);
    }
    let tally = recorder.tally();
    assert_eq!(
        tally.sessions_opened(),
        if expected.has_sessions { runs } else { 0 }
    );
    assert_eq!(tally.sessions_left(), Vec::<String>::new());
    eventually("every GET stream is closed", || {
        tally.streams().0 == tally.streams().1
    })
    .await;
    say(expected, tally, times);
    last.unwrap()
}

/// A row of the table in `benches/REAL_SERVERS.md`.
#[expect(clippy::print_stdout, reason = "the numbers are what is asked for")]
fn say(expected: &Expected, tally: &Tally, mut times: Vec<u64>) {
    times.sort_unstable();
    let millis = |share: usize| {
        let us = times[(times.len() - 1) * share / 100];
        format!("{}.{}", us / 1000, us % 1000 / 100)
    };
    let ((opened, closed), sessions) = (tally.streams(), tally.sessions_opened());
    let left = tally.sessions_left().len();
    println!(
        "| {} | {} | {} | {} | {} | {sessions} / {left} | {opened} / {} | {} | {} |",
        expected.kind,
        expected.policy,
        expected.revision,
        times.len(),
        tally.requests(),
        opened - closed,
        millis(50),
        millis(95),
    );
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
    let expected = Expected::new("everything", EraPolicy::Auto, Revision::V2025_11_25, true);
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
    let (policy, revision) = (EraPolicy::Auto, Revision::V2024_11_05);
    let mut expected = Expected::new("everything, HTTP+SSE", policy, revision, false);
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
        let expected = Expected::new("TypeScript SDK, dual", policy, revision, false);
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
    let (policy, revision) = (EraPolicy::Auto, Revision::V2026_07_28);
    let expected = Expected::new("TypeScript SDK, modern only", policy, revision, false);
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
    for (kind, mode) in [
        ("Python SDK, sessions", &["{port}"][..]),
        ("Python SDK, JSON", &["{port}", "json"]),
        ("Python SDK, stateless", &["{port}", "stateless"]),
    ] {
        let mut command = python(&real);
        command.arg(fixture("python_server.py"));
        let server = RealServer::start(command, mode);
        let has_sessions = !mode.contains(&"stateless");
        for (policy, revision, sessions) in [
            (EraPolicy::Auto, Revision::V2026_07_28, false),
            (EraPolicy::Legacy, Revision::V2025_11_25, has_sessions),
        ] {
            let expected = Expected::new(kind, policy, revision, sessions);
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
    // It names itself in its metadata, so it must know the recorder.
    let address = free_address();
    let recorder = Recorder::start(LOOPBACK, address).await.unwrap();
    let public = recorder.address().port().to_string();
    let _server = RealServer::start_at(address, command, &["{port}", &public]);
    let url = format!("http://{}/mcp", recorder.address());
    let dialer = Probe::of(&url).dialer();
    for n in 0..probes() {
        let mut probe = Probe::of(&url);
        // Once: its issuer is a name that nobody knows, which takes long to learn.
        probe.examines_walls = n == 0;
        let (report, _) = probe.run_over(&dialer).await;
        assert_eq!(failure(&report), (Step::Discover, Reason::AuthRequired));
    }
    assert_eq!(recorder.tally().sessions_opened(), 0);
    for (token, found) in [
        ("weak", Reason::AuthScope),
        ("stale", Reason::AuthTokenRejected),
    ] {
        let mut probe = bearing(Probe::of(&url), token);
        probe.examines_walls = false;
        let (report, _) = probe.run_over(&dialer).await;
        assert_eq!(failure(&report).1, found, "{token}: {report:#?}");
    }
    let kind = "Python SDK, bearer wall";
    for (policy, revision, sessions) in [
        (EraPolicy::Auto, Revision::V2026_07_28, false),
        (EraPolicy::Legacy, Revision::V2025_11_25, true),
    ] {
        let expected = Expected::new(kind, policy, revision, sessions);
        let mut expected = expected.calling("secret", json!({}));
        expected.token = Some("letmein");
        let recorder = Recorder::start(LOOPBACK, address).await.unwrap();
        check_through(&recorder, &expected).await;
    }
}
