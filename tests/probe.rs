//! The prober against the testbed's servers, over real sockets.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use dial::{AddressPolicy, Origin};
use model::{CheckId, Era, EraPolicy, Outcome, Phase, Reason, Revision, Step, Transport};
use serde_json::{Value, json};
use support::{Probe, eventually, failure};
use testbed::proxy::{Fault, Path};
use testbed::recorder::Recorder;
use testbed::sdk::SdkServer;
use testbed::server::{Dialect, Options, Server};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn server(dialect: Dialect) -> Server {
    Server::start(Options::new(dialect)).await.unwrap()
}

#[tokio::test]
async fn every_dialect_is_probed_and_named() {
    let table = [
        (
            Dialect::Modern,
            Era::Modern,
            Revision::V2026_07_28,
            Transport::StreamableHttp,
        ),
        (
            Dialect::Dual,
            Era::Modern,
            Revision::V2026_07_28,
            Transport::StreamableHttp,
        ),
        (
            Dialect::Legacy,
            Era::Legacy,
            Revision::V2025_11_25,
            Transport::StreamableHttp,
        ),
        (
            Dialect::HttpSse,
            Era::Legacy,
            Revision::V2024_11_05,
            Transport::HttpSse,
        ),
    ];
    for (dialect, era, revision, transport) in table {
        let server = server(dialect).await;
        let probe = Probe::of(&server.url()).calling("echo", &json!({ "text": "hi" }));
        let (report, record) = probe.run().await;
        assert_eq!(report.outcome, Outcome::Ok, "{dialect:?}: {report:#?}");
        assert_eq!(report.era, Some(era));
        assert_eq!(report.protocol_version, Some(revision));
        assert_eq!(report.transport, Some(transport));
        assert_eq!(report.tools, Some(5));
        assert_eq!(
            report.violations(),
            Vec::<&model::report::CheckReport>::new()
        );
        assert_eq!(record.unwrap().revision, revision);
        assert_eq!(
            server.log().sessions_opened(),
            server.log().sessions_closed(),
            "{dialect:?}"
        );
        eventually("the event stream is closed", || {
            server.log().streams_open() == 0
        })
        .await;
    }
}

#[tokio::test]
async fn both_eras_of_a_dual_server_can_be_asked_for() {
    let server = server(Dialect::Dual).await;
    for (policy, era) in [
        (EraPolicy::Legacy, Era::Legacy),
        (EraPolicy::Modern, Era::Modern),
    ] {
        let mut probe = Probe::of(&server.url());
        probe.plan.era = policy;
        assert_eq!(probe.report().await.era, Some(era));
    }
    assert_eq!(server.log().sessions_closed(), 1);
}

/// The official SDK frames, orders and names things its own way.
#[tokio::test]
async fn the_official_sdk_is_probed_in_both_eras() {
    let server = SdkServer::start(LOOPBACK, None).await.unwrap();
    for (policy, era) in [
        (EraPolicy::Auto, Era::Modern),
        (EraPolicy::Modern, Era::Modern),
        (EraPolicy::Legacy, Era::Legacy),
    ] {
        let mut probe = Probe::of(&server.url()).calling("echo", &json!({ "a": 1 }));
        probe.plan.era = policy;
        let report = probe.report().await;
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        assert_eq!(report.era, Some(era));
        assert_eq!(report.server.unwrap().name, "parallax-testbed-sdk");
    }
}

#[tokio::test]
async fn a_known_era_costs_no_question() {
    let server = server(Dialect::Legacy).await;
    let (_, record) = Probe::of(&server.url()).run().await;
    let mut probe = Probe::of(&server.url());
    probe.plan.known = record;
    let report = probe.report().await;
    assert_eq!(report.steps[0].step, Step::Initialize);
    assert_eq!(server.log().methods()["server/discover"], 1);
}

#[tokio::test]
async fn answers_come_in_every_shape() {
    for dialect in [Dialect::Modern, Dialect::Legacy] {
        for (stream, leave_open, drip, ping) in [
            (false, false, true, false),
            (true, false, false, false),
            (true, true, false, false),
            (true, true, true, false),
            (true, false, false, true),
        ] {
            let server = server(dialect).await;
            server.script(|script| {
                script.stream = stream;
                script.leave_open = leave_open;
                script.drip = drip;
                script.ping_first = ping;
                script.page_size = 2;
            });
            let report = Probe::of(&server.url()).report().await;
            let shape = format!("{dialect:?} stream={stream} open={leave_open} drip={drip}");
            assert_eq!(report.outcome, Outcome::Ok, "{shape}: {report:#?}");
            assert_eq!(report.tools, Some(5), "{shape}");
            let list = report
                .steps
                .iter()
                .find(|s| s.step == Step::ToolsList)
                .unwrap();
            assert_eq!(list.exchanges, 3, "{shape}");
            assert_eq!(
                server.log().sessions_opened(),
                server.log().sessions_closed()
            );
        }
    }
}

#[tokio::test]
async fn connections_are_used_again_and_reopened_where_streams_stay_open() {
    let server = server(Dialect::Modern).await;
    let report = Probe::of(&server.url()).report().await;
    assert_eq!(
        report.steps.iter().map(|s| s.warm).collect::<Vec<_>>(),
        [false, true]
    );
    server.script(|script| (script.stream, script.leave_open) = (true, true));
    let report = Probe::of(&server.url()).report().await;
    assert_eq!(
        report.steps.iter().map(|s| s.warm).collect::<Vec<_>>(),
        [false, false]
    );
    assert!(report.steps[1].phases_us.contains_key(&Phase::Connect));
}

#[tokio::test]
async fn failures_have_their_reason_and_sessions_are_closed_all_the_same() {
    type Change = fn(&mut testbed::server::script::Script);
    let table: [(Change, Step, Reason); 8] = [
        (
            |s| _ = s.status_on.insert("tools/list".into(), 502),
            Step::ToolsList,
            Reason::Upstream5xx,
        ),
        (
            |s| _ = s.status_on.insert("tools/list".into(), 500),
            Step::ToolsList,
            Reason::Server5xx,
        ),
        (
            |s| _ = s.status_on.insert("tools/list".into(), 429),
            Step::ToolsList,
            Reason::RateLimited,
        ),
        (
            |s| _ = s.status_on.insert("ping".into(), 403),
            Step::Ping,
            Reason::Forbidden,
        ),
        (
            |s| _ = s.hang_on.insert("tools/list".into()),
            Step::ToolsList,
            Reason::HttpTimeoutHeaders,
        ),
        (
            |s| s.endless_list = true,
            Step::ToolsList,
            Reason::McpPaginationLoop,
        ),
        (
            |s| _ = s.failing_tools.insert("upstream".into()),
            Step::ToolsCall,
            Reason::ToolError,
        ),
        (
            |s| s.forget_sessions = true,
            Step::Initialized,
            Reason::McpSessionLost,
        ),
    ];
    for (change, step, reason) in table {
        let server = server(Dialect::Legacy).await;
        server.script(change);
        let probe = Probe::of(&server.url())
            .patience(Duration::from_millis(500))
            .calling("upstream", &json!({}));
        let report = probe.report().await;
        assert_eq!(failure(&report), (step, reason), "{report:#?}");
        if reason != Reason::McpSessionLost {
            assert_eq!(
                server.log().sessions_closed(),
                server.log().sessions_opened(),
                "{reason}"
            );
        }
    }
}

#[tokio::test]
async fn a_page_instead_of_mcp_is_named() {
    let server = server(Dialect::Modern).await;
    server.script(|script| script.html = true);
    let report = Probe::of(&server.url()).report().await;
    assert_eq!(failure(&report), (Step::Discover, Reason::NotMcp));
    server.script(|script| (script.html, script.foreign_id) = (false, true));
    let mut probe = Probe::of(&server.url());
    probe.plan.era = EraPolicy::Modern;
    assert_eq!(
        failure(&probe.report().await),
        (Step::Discover, Reason::McpIdMismatch)
    );
    server.script(|script| (script.foreign_id, script.id_as_string) = (false, true));
    let report = Probe::of(&server.url()).report().await;
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(report.violations()[0].id, CheckId::RpcId);
}

#[tokio::test]
async fn the_wait_is_the_servers_and_nobody_elses() {
    let server = server(Dialect::Modern).await;
    server.script(|script| script.delay_ms = 150);
    let report = Probe::of(&server.url()).report().await;
    for step in &report.steps {
        let wait = step.phases_us[&Phase::Wait];
        assert!(wait >= 150_000, "{step:#?}");
        let rest = step.total_us - wait;
        assert!(rest < wait, "the delay is booked as waiting: {step:#?}");
    }
}

#[tokio::test]
async fn a_broken_path_is_told_apart_by_how_it_breaks() {
    let server = server(Dialect::Modern).await;
    let path = Path::open(LOOPBACK, server.address()).unwrap();
    let url = format!("http://{}/mcp", path.address());
    let probe = || {
        Probe::of(&url)
            .patience(Duration::from_millis(400))
            .report()
    };
    assert_eq!(probe().await.outcome, Outcome::Ok);
    let table = [
        (Fault::Refuse, Phase::Connect, Reason::TcpRefused),
        (Fault::Blackhole, Phase::Wait, Reason::HttpTimeoutHeaders),
    ];
    for (fault, phase, reason) in table {
        path.set(fault);
        settle(&path, fault).await;
        let report = probe().await;
        assert_eq!(failure(&report), (Step::Discover, reason), "{report:#?}");
        assert_eq!(report.failed_step().unwrap().failed_phase, Some(phase));
    }
    path.set(Fault::Reset);
    settle(&path, Fault::Reset).await;
    let (_, reason) = failure(&probe().await);
    assert!(
        matches!(reason, Reason::TcpReset | Reason::HttpConnClosed),
        "{reason}"
    );
    path.set(Fault::None);
    settle(&path, Fault::None).await;
    assert_eq!(probe().await.outcome, Outcome::Ok);
}

/// Waits until the proxy listens, or does not listen, as the fault demands.
async fn settle(path: &Path, fault: Fault) {
    let wanted = fault != Fault::Refuse;
    for _ in 0..1000 {
        let listens = tokio::net::TcpStream::connect(path.address()).await.is_ok();
        if listens == wanted {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the path does not become {fault:?}");
}

#[tokio::test]
async fn remote_targets_never_reach_private_addresses() {
    let server = server(Dialect::Modern).await;
    let mut probe = Probe::of(&server.url());
    probe.origin = Origin::Remote;
    let report = probe.report().await;
    assert_eq!(
        report.outcome,
        Outcome::Inconclusive {
            reason: Reason::DnsBlockedAddr
        }
    );
    assert!(server.log().methods().is_empty());
    // What the host's own allow list opens may be probed, without TLS too.
    let mut probe = Probe::of(&server.url());
    probe.origin = Origin::Remote;
    probe.policy = AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]);
    assert_eq!(probe.report().await.outcome, Outcome::Ok);
}

#[tokio::test]
async fn cancelling_closes_the_session() {
    let server = server(Dialect::Legacy).await;
    server.script(|script| _ = script.hang_on.insert("tools/list".into()));
    let probe = Probe::of(&server.url());
    let cancel = probe.cancel.clone();
    let running = tokio::spawn(probe.report());
    eventually("the probe hangs", || {
        server.log().methods().contains_key("tools/list")
    })
    .await;
    cancel.cancel();
    let report = running.await.unwrap();
    assert_eq!(
        report.outcome,
        Outcome::Inconclusive {
            reason: Reason::Cancelled
        }
    );
    assert_eq!(server.log().sessions_closed(), 1);
}

#[tokio::test]
async fn the_recorder_sees_what_is_left_open() {
    let legacy = server(Dialect::Legacy).await;
    let recorder = Recorder::start(LOOPBACK, legacy.address()).await.unwrap();
    let url = format!("http://{}/mcp", recorder.address());
    assert_eq!(Probe::of(&url).report().await.outcome, Outcome::Ok);
    assert_eq!(recorder.tally().sessions_opened(), 1);
    assert_eq!(recorder.tally().sessions_left(), Vec::<String>::new());

    let old = server(Dialect::HttpSse).await;
    let recorder = Recorder::start(LOOPBACK, old.address()).await.unwrap();
    let url = format!("http://{}/sse", recorder.address());
    assert_eq!(Probe::of(&url).report().await.outcome, Outcome::Ok);
    eventually("the stream is closed", || {
        recorder.tally().streams() == (1, 1)
    })
    .await;
    // and it can tell when a session is left
    legacy.script(|script| _ = script.status_on.insert("DELETE".into(), 500));
    let recorder = Recorder::start(LOOPBACK, legacy.address()).await.unwrap();
    let url = format!("http://{}/mcp", recorder.address());
    let report = Probe::of(&url).report().await;
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(report.violations()[0].id, CheckId::SessDelete);
    assert_eq!(recorder.tally().sessions_left().len(), 1);
}

/// Answers the first request of its first connection, and closes that without a word when the next
/// one has come; other connections work. Tells what it was asked.
async fn closes_once(
    listener: tokio::net::TcpListener,
    has_tools: bool,
    asked: tokio::sync::mpsc::Sender<String>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    for connection in 0.. {
        let Ok((mut socket, _)) = listener.accept().await else {
            return;
        };
        let mut text = String::new();
        let mut requests = 0;
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = socket.read(&mut buffer).await {
            text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
            let body: Option<Value> = body.and_then(|body| serde_json::from_str(body).ok());
            let Some(body) = body else { continue };
            text.clear();
            requests += 1;
            let method = body["method"].as_str().unwrap().to_owned();
            asked.send(method).await.unwrap();
            if connection == 0 && requests == 2 {
                break;
            }
            let capabilities = if has_tools {
                json!({ "tools": {} })
            } else {
                json!({})
            };
            let result = json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "public",
                "supportedVersions": ["2026-07-28"], "capabilities": capabilities,
                "tools": [{ "name": "echo", "inputSchema": { "type": "object" } }], "content": [] });
            let answer =
                json!({ "jsonrpc": "2.0", "id": body["id"], "result": result }).to_string();
            let length = answer.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            socket.write_all((head + &answer).as_bytes()).await.unwrap();
        }
    }
}

/// RFC 9112 §9.3.1: what reads is asked again where a used connection ended without a word; a call
/// is not.
#[tokio::test]
async fn a_used_connection_that_ends_without_a_word_fails_no_step_that_reads() {
    for has_tools in [true, false] {
        let listener = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (told, mut asked) = tokio::sync::mpsc::channel(16);
        let server = tokio::spawn(closes_once(listener, has_tools, told));
        let (report, _) = Probe::of(&url).calling("echo", &json!({})).run().await;
        server.abort();
        let mut methods = Vec::new();
        while let Some(method) = asked.recv().await {
            methods.push(method);
        }
        if has_tools {
            assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
            let expected = ["server/discover", "tools/list", "tools/list", "tools/call"];
            assert_eq!(methods, expected);
        } else {
            assert_eq!(failure(&report), (Step::ToolsCall, Reason::HttpConnClosed));
            assert_eq!(methods, ["server/discover", "tools/call"]);
        }
    }
}
