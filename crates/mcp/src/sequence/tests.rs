//! The sequence against scripted servers, under virtual time.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use model::{EraPolicy, Severity, TargetUrl};
use serde_json::json;

mod expecting;
mod identity;
mod input;
mod optional;
mod origins;
mod resume;
mod streaming;

use super::*;
use crate::EraRecord;
use crate::exchange::Request;
use crate::plan::{ClientInfo, ToolCall};

/// What a scripted server does with a request.
enum Act {
    /// Answers with a JSON body.
    Json(u16, Value),
    /// Answers with an event stream; `true` closes it.
    Sse(Vec<Value>, bool),
    /// Answers with a text body of a media type.
    Text(u16, &'static str, &'static str),
    /// Answers with headers and no body.
    Head(u16, &'static [(&'static str, &'static str)]),
    /// Answers with JSON and a session id.
    Session(&'static str, Value),
    /// Says nothing, ever.
    Hang,
    /// Resets the connection.
    Reset,
    /// Refuses the connection.
    Refuse,
    /// Sends raw chunks on the stream that is already open, and accepts the request.
    OnStream(String),
    /// Answers with a status and a body that never ends.
    OpenWith(u16),
    /// Opens a stream, sends this, and keeps it open.
    Open(&'static str),
    /// Opens a stream, sends this, and closes it.
    Stream(String),
    /// Opens a stream, is silent for 2 s, then sends everything at once.
    Late(Vec<Value>),
}

/// What happened in a run.
struct Run {
    findings: Findings,
    outcome: Outcome,
    requests: Vec<Request>,
}

impl Run {
    fn sent(&self) -> Vec<String> {
        self.requests.iter().map(name_of).collect()
    }

    fn steps(&self) -> Vec<&'static str> {
        self.findings
            .steps
            .iter()
            .map(|step| step.step.as_str())
            .collect()
    }

    fn violated(&self) -> Vec<&'static str> {
        let rows = self.findings.examined(|id| id.rule().severity);
        let violated = rows.iter().filter(|(row, _)| !row.passed);
        violated.map(|(row, _)| row.id.as_str()).collect()
    }

    fn failure(&self) -> (Step, Reason) {
        match self.outcome {
            Outcome::Failed(failure) => (failure.step, failure.reason),
            ref other @ (Outcome::Ok | Outcome::Degraded { .. } | Outcome::Inconclusive { .. }) => {
                panic!(
                    "expected a failure, got {other:?}: {:#?}",
                    self.findings.steps
                )
            }
        }
    }
}

fn name_of(request: &Request) -> String {
    if request.method != Method::POST {
        return request.method.to_string();
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    body["method"].as_str().unwrap_or("response").to_owned()
}

fn id_of(request: &Request) -> Value {
    serde_json::from_slice::<Value>(&request.body).map_or(Value::Null, |body| body["id"].clone())
}

fn ok(request: &Request, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id_of(request), "result": result })
}

fn err(request: &Request, code: i64, data: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id_of(request),
        "error": { "code": code, "message": "m", "data": data } })
}

fn plan() -> Plan {
    let url: TargetUrl = "https://h.example/mcp".parse().unwrap();
    Plan::new(
        url,
        ClientInfo {
            name: "t".into(),
            version: "1".into(),
        },
    )
}

fn call_plan() -> Plan {
    let mut plan = plan();
    plan.calls
        .push(ToolCall::new("echo", serde_json::Map::new()));
    plan
}

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do as the origin"
)]
fn run(plan: Plan, mut server: impl FnMut(&Request) -> Act) -> Run {
    let mut now = Instant::now();
    let mut sequence = Sequence::new(plan, now);
    let mut requests = Vec::new();
    let mut stream = None;
    for _ in 0..2000 {
        now += Duration::from_millis(1);
        match sequence.poll_command() {
            Some(Command::Send { exchange, request }) => {
                let act = server(&request);
                if matches!(act, Act::Open(_)) {
                    stream = Some(exchange);
                }
                play(&mut sequence, exchange, stream, act, &mut now);
                requests.push(request);
            }
            Some(Command::Release(_) | Command::Abort(_)) => {}
            None => match sequence.poll_timeout() {
                None => {
                    let (findings, outcome) = sequence.finish();
                    return Run {
                        findings,
                        outcome,
                        requests,
                    };
                }
                Some(deadline) => {
                    now = deadline;
                    sequence.handle_timeout(now);
                }
            },
        }
    }
    panic!("the sequence does not end");
}

#[expect(clippy::too_many_lines, reason = "one act after the other")]
fn play(
    sequence: &mut Sequence,
    exchange: ExchangeId,
    stream: Option<ExchangeId>,
    act: Act,
    now: &mut Instant,
) {
    let mut tick = || {
        *now += Duration::from_millis(1);
        *now
    };
    if matches!(act, Act::Refuse) {
        sequence.handle_phase(exchange, Phase::Dns, tick());
        sequence.handle_phase(exchange, Phase::Connect, tick());
        sequence.handle_failure(exchange, Reason::TcpRefused, "refused", tick());
        return;
    }
    sequence.handle_phase(exchange, Phase::Send, tick());
    sequence.handle_phase(exchange, Phase::Wait, tick());
    let head = |status: u16, headers: &[(&'static str, &str)]| {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        Head {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
        }
    };
    let json = ("content-type", "application/json; charset=utf-8");
    match act {
        Act::Hang | Act::Refuse => {}
        Act::Reset => {
            sequence.handle_failure(exchange, Reason::TcpReset, "connection reset", tick());
        }
        Act::Json(status, body) => {
            sequence.handle_head(exchange, head(status, &[json]), tick());
            sequence.handle_chunk(exchange, body.to_string().as_bytes(), tick());
            sequence.handle_end(exchange, tick());
        }
        Act::Session(id, body) => {
            sequence.handle_head(exchange, head(200, &[json, ("mcp-session-id", id)]), tick());
            sequence.handle_chunk(exchange, body.to_string().as_bytes(), tick());
            sequence.handle_end(exchange, tick());
        }
        Act::Sse(messages, ends) => {
            let head = head(200, &[("content-type", "text/event-stream")]);
            sequence.handle_head(exchange, head, tick());
            sequence.handle_chunk(exchange, b"id: 0\ndata: \n\n", tick());
            for message in messages {
                let event = format!("event: message\ndata: {message}\n\n");
                sequence.handle_chunk(exchange, event.as_bytes(), tick());
            }
            if ends {
                sequence.handle_end(exchange, tick());
            }
        }
        Act::Text(status, media, body) => {
            sequence.handle_head(exchange, head(status, &[("content-type", media)]), tick());
            sequence.handle_chunk(exchange, body.as_bytes(), tick());
            sequence.handle_end(exchange, tick());
        }
        Act::Head(status, headers) => {
            sequence.handle_head(exchange, head(status, headers), tick());
            sequence.handle_end(exchange, tick());
        }
        Act::Open(text) => {
            let head = head(200, &[("content-type", "text/event-stream")]);
            sequence.handle_head(exchange, head, tick());
            sequence.handle_chunk(exchange, text.as_bytes(), tick());
        }
        Act::Stream(text) => {
            let head = head(200, &[("content-type", "text/event-stream")]);
            sequence.handle_head(exchange, head, tick());
            sequence.handle_chunk(exchange, text.as_bytes(), tick());
            sequence.handle_end(exchange, tick());
        }
        Act::Late(messages) => {
            let head = head(200, &[("content-type", "text/event-stream")]);
            sequence.handle_head(exchange, head, tick());
            let late = tick() + Duration::from_secs(2);
            for message in messages {
                let event = format!("data: {message}\n\n");
                sequence.handle_chunk(exchange, event.as_bytes(), late);
            }
            *now = late;
        }
        Act::OpenWith(status) => sequence.handle_head(exchange, head(status, &[]), tick()),
        Act::OnStream(text) => {
            sequence.handle_head(exchange, head(202, &[]), tick());
            sequence.handle_end(exchange, tick());
            let stream = stream.expect("an open stream");
            sequence.handle_chunk(stream, text.as_bytes(), tick());
        }
    }
}

/// A modern server, as the TypeScript SDK 2.4 answers.
fn modern(request: &Request) -> Act {
    let scope = json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "private" });
    let with = |extra: Value| {
        let mut result = scope.clone();
        result
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        Act::Json(200, ok(request, result))
    };
    match name_of(request).as_str() {
        "server/discover" => with(json!({
            "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} },
            "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "ts", "version": "1" } },
        })),
        "tools/list" => {
            with(json!({ "tools": [{ "name": "echo", "inputSchema": { "type": "object" } }] }))
        }
        "tools/call" => with(json!({ "content": [{ "type": "text", "text": "hi" }] })),
        _ => Act::Json(404, err(request, -32601, json!(null))),
    }
}

/// A legacy server with sessions, as `server-everything` answers.
fn legacy(request: &Request) -> Act {
    match name_of(request).as_str() {
        "initialize" => Act::Session(
            "s-1",
            ok(
                request,
                json!({
                    "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                    "serverInfo": { "name": "everything", "version": "2" },
                }),
            ),
        ),
        _ if request.headers.get("mcp-session-id").is_none() => Act::Json(
            400,
            json!({ "jsonrpc": "2.0", "id": null,
                "error": { "code": -32000, "message": "Bad Request: Server not initialized" } }),
        ),
        "notifications/initialized" | "notifications/cancelled" => Act::Head(202, &[]),
        "ping" => Act::Sse(vec![ok(request, json!({}))], true),
        "tools/list" => Act::Sse(
            vec![ok(
                request,
                json!({ "tools": [
            { "name": "echo", "inputSchema": { "type": "object" } }] }),
            )],
            true,
        ),
        "tools/call" => Act::Sse(
            vec![
                json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} }),
                ok(
                    request,
                    json!({ "content": [{ "type": "text", "text": "hi" }] }),
                ),
            ],
            false,
        ),
        "DELETE" => Act::Head(200, &[]),
        other => panic!("unexpected {other}"),
    }
}

#[test]
fn a_modern_server_takes_one_request_a_step() {
    let run = run(call_plan(), modern);
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.sent(), ["server/discover", "tools/list", "tools/call"]);
    assert_eq!(run.findings.era, Some(Era::Modern));
    assert_eq!(run.findings.tools, Some(1));
    assert_eq!(run.violated(), Vec::<&str>::new());
    // disjoint phases that sum to the total, 1 ms each as the harness ticks
    let step = &run.findings.steps[1];
    assert_eq!(step.total_us, step.phases_us.values().sum::<u64>());
    assert_eq!(step.phases_us[&Phase::Wait], 1000);
}

#[test]
fn a_legacy_session_is_opened_used_and_closed() {
    let run = run(call_plan(), legacy);
    assert_eq!(run.outcome, Outcome::Ok, "{:#?}", run.findings);
    assert_eq!(
        run.sent(),
        [
            "server/discover",
            "initialize",
            "notifications/initialized",
            "ping",
            "tools/list",
            "tools/call",
            "DELETE",
        ]
    );
    assert_eq!(run.findings.revision, Some(Revision::V2025_11_25));
    assert_eq!(run.violated(), Vec::<&str>::new());
    for request in &run.requests[2..] {
        assert_eq!(request.headers["mcp-session-id"], "s-1");
        assert_eq!(request.headers["mcp-protocol-version"], "2025-11-25");
    }
}

#[test]
fn a_known_era_saves_the_question() {
    let mut plan = plan();
    plan.known = Some(EraRecord {
        revision: Revision::V2025_11_25,
        transport: Transport::StreamableHttp,
    });
    assert_eq!(run(plan, legacy).sent()[0], "initialize");
}

#[test]
fn a_known_legacy_server_that_became_modern_is_followed() {
    let mut plan = plan();
    plan.known = Some(EraRecord {
        revision: Revision::V2025_11_25,
        transport: Transport::StreamableHttp,
    });
    let run = run(plan, |request| match name_of(request).as_str() {
        "initialize" => {
            let data = json!({ "supported": ["2026-07-28"], "requested": "2025-11-25" });
            Act::Json(400, err(request, -32022, data))
        }
        _ => modern(request),
    });
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.sent(), ["initialize", "server/discover", "tools/list"]);
    assert_eq!(run.findings.era, Some(Era::Modern));
}

#[test]
fn the_era_that_was_asked_for_is_demanded() {
    let mut plan = plan();
    plan.era = EraPolicy::Modern;
    assert_eq!(
        run(plan.clone(), legacy).failure(),
        (Step::Discover, Reason::McpVersionUnsupported)
    );
    plan.era = EraPolicy::Legacy;
    let only_modern = run(plan, |request| {
        Act::Json(
            400,
            err(request, -32022, json!({ "supported": ["2026-07-28"] })),
        )
    });
    assert_eq!(
        only_modern.failure(),
        (Step::Initialize, Reason::McpVersionUnsupported)
    );
    assert_eq!(only_modern.sent(), ["initialize"]);
}

/// Conformance `request-metadata`: the server lists the very version that it just refused.
#[test]
fn a_refused_version_is_offered_once_more_and_no_more() {
    let mut refusals = 0;
    let once = run(plan(), |request| {
        refusals += 1;
        if refusals == 1 {
            Act::Json(
                400,
                err(request, -32022, json!({ "supported": ["2026-07-28"] })),
            )
        } else {
            modern(request)
        }
    });
    assert_eq!(once.outcome, Outcome::Ok);
    assert_eq!(once.findings.steps[0].exchanges, 2);
    let always = run(plan(), |request| {
        Act::Json(
            400,
            err(request, -32022, json!({ "supported": ["2026-07-28"] })),
        )
    });
    assert_eq!(
        always.failure(),
        (Step::Discover, Reason::McpVersionUnsupported)
    );
    assert_eq!(always.requests.len(), 2);
}

/// 2024-11-05: POST to the stream's URL is 404 with a page; GET names the endpoint.
#[test]
fn the_oldest_transport_is_found_and_its_stream_dropped_at_the_end() {
    let on_stream = |message: Value| Act::OnStream(format!("event: message\ndata: {message}\n\n"));
    let run = run(plan(), |request| {
        match (request.url.path(), name_of(request).as_str()) {
            ("/mcp", "GET") => Act::Open("event: endpoint\ndata: /message?sessionId=1\n\n"),
            ("/mcp", _) => Act::Text(404, "text/html", "<!DOCTYPE html>Cannot POST /mcp"),
            ("/message", "initialize") => on_stream(ok(
                request,
                json!({
                    "protocolVersion": "2024-11-05", "capabilities": { "tools": {} },
                    "serverInfo": { "name": "old", "version": "1" },
                }),
            )),
            ("/message", "notifications/initialized") => Act::Text(202, "text/plain", "Accepted"),
            ("/message", "ping") => on_stream(ok(request, json!({}))),
            ("/message", "tools/list") => on_stream(ok(request, json!({ "tools": [] }))),
            other => panic!("unexpected {other:?}"),
        }
    });
    assert_eq!(run.outcome, Outcome::Ok, "{:#?}", run.findings);
    assert_eq!(run.findings.transport, Some(Transport::HttpSse));
    assert_eq!(
        run.steps(),
        [
            "discover",
            "initialize",
            "stream",
            "initialize",
            "initialized",
            "ping",
            "tools_list",
        ]
    );
    assert_eq!(run.violated(), Vec::<&str>::new());
    assert!(!run.requests[6].headers.contains_key("mcp-protocol-version"));
}

#[test]
fn an_endpoint_of_another_origin_is_refused() {
    let run = run(plan(), |request| match name_of(request).as_str() {
        "GET" => Act::Open("event: endpoint\ndata: https://evil.example/m\n\n"),
        _ => Act::Head(405, &[]),
    });
    // Only the 2024-11-05 transport names an endpoint: what is wrong with it is what is wrong.
    assert_eq!(run.failure(), (Step::Stream, Reason::McpSseMalformed));
    assert_eq!(run.violated(), ["sse.endpoint_first"]);
    assert!(
        run.requests
            .iter()
            .all(|r| r.url.host_str() == Some("h.example"))
    );
}

#[test]
fn nothing_at_the_url_is_not_found_after_three_requests() {
    let run = run(plan(), |_| Act::Text(404, "text/html", "<html>no</html>"));
    assert_eq!(run.failure(), (Step::Initialize, Reason::NotFound));
    assert_eq!(run.sent(), ["server/discover", "initialize", "GET"]);
}

#[test]
fn a_legacy_server_that_hangs_on_the_question_is_up_with_a_note() {
    for silence in [|| Act::Hang, || Act::Head(500, &[]), || Act::Reset] {
        let run = run(plan(), |request| match name_of(request).as_str() {
            "server/discover" => silence(),
            _ => legacy(request),
        });
        assert_eq!(run.outcome, Outcome::Ok);
        assert_eq!(run.violated(), ["era.answered"]);
        assert_eq!(run.sent().last().map(String::as_str), Some("DELETE"));
    }
}

#[test]
fn where_both_eras_hang_the_first_failure_is_reported() {
    let run = run(plan(), |_| Act::Hang);
    assert_eq!(run.failure(), (Step::Discover, Reason::HttpTimeoutHeaders));
    assert_eq!(run.steps(), ["discover", "initialize"]);
}

#[test]
fn what_never_reached_the_server_is_not_tried_twice() {
    let run = run(plan(), |_| Act::Refuse);
    assert_eq!(run.requests.len(), 1);
    assert_eq!(run.failure(), (Step::Discover, Reason::TcpRefused));
    assert_eq!(run.violated(), ["net.tcp"]);
}

#[test]
fn a_wall_is_a_refusal_and_ends_the_probe() {
    const BEARER: &[(&str, &str)] = &[(
        "www-authenticate",
        "Bearer resource_metadata=\"https://h/.well-known/x\"",
    )];
    let walled = run(plan(), |_| Act::Head(401, BEARER));
    assert_eq!(walled.failure(), (Step::Discover, Reason::AuthRequired));
    assert_eq!(walled.requests.len(), 1);
    let mut keyed = plan();
    keyed.has_credential = true;
    assert_eq!(
        run(keyed, |_| Act::Head(401, BEARER)).failure(),
        (Step::Discover, Reason::AuthTokenRejected)
    );
    let malformed = run(plan(), |_| Act::Head(401, &[]));
    assert_eq!(malformed.failure(), (Step::Discover, Reason::AuthMalformed));
    assert_eq!(malformed.violated(), ["http.status", "auth.challenge"]);
    let limited = run(plan(), |_| Act::Head(429, &[("retry-after", "17")]));
    assert_eq!(limited.failure(), (Step::Discover, Reason::RateLimited));
    assert_eq!(limited.findings.retry_after, Some(17));
}

#[test]
fn a_session_is_closed_after_every_kind_of_failure() {
    let acts: [fn(&Request) -> Act; 6] = [
        |_| Act::Hang,
        |_| Act::Reset,
        |_| Act::Text(502, "text/html", "<html>bad gateway"),
        |request| Act::Json(200, err(request, -32603, json!(null))),
        |_| Act::Sse(vec![], false),
        |_| Act::Json(200, json!({ "jsonrpc": "2.0", "id": 999, "result": {} })),
    ];
    let reasons = [
        Reason::HttpTimeoutHeaders,
        Reason::TcpReset,
        Reason::Upstream5xx,
        Reason::McpRpcError,
        Reason::McpSseStalled,
        Reason::McpIdMismatch,
    ];
    for (act, reason) in acts.into_iter().zip(reasons) {
        let run = run(plan(), |request| match name_of(request).as_str() {
            "tools/list" => act(request),
            _ => legacy(request),
        });
        assert_eq!(run.failure(), (Step::ToolsList, reason));
        assert_eq!(
            run.sent().last().map(String::as_str),
            Some("DELETE"),
            "{reason}"
        );
    }
}

#[test]
fn a_session_whose_initialize_is_unusable_is_closed_too() {
    let run = run(plan(), |request| match name_of(request).as_str() {
        "initialize" => Act::Session(
            "s-1",
            ok(request, json!({ "protocolVersion": "1999-01-01" })),
        ),
        _ => legacy(request),
    });
    assert_eq!(
        run.failure(),
        (Step::Initialize, Reason::McpVersionUnsupported)
    );
    assert_eq!(run.sent(), ["server/discover", "initialize", "DELETE"]);
}

/// Behind a balancer without affinity another replica may still hold the session.
#[test]
fn a_lost_session_is_given_back_all_the_same() {
    let run = run(plan(), |request| match name_of(request).as_str() {
        "ping" => Act::Json(404, err(request, -32600, json!(null))),
        "DELETE" => Act::Head(404, &[]),
        _ => legacy(request),
    });
    assert_eq!(run.failure(), (Step::Ping, Reason::McpSessionLost));
    assert_eq!(run.violated(), ["sess.stable"]);
    assert_eq!(run.sent().last().map(String::as_str), Some("DELETE"));
}

#[test]
fn a_session_of_a_refused_handshake_is_given_back_and_not_used() {
    let mut n = 0;
    let run = run(plan(), |request| match name_of(request).as_str() {
        "initialize" => {
            n += 1;
            if n == 1 {
                let data = json!({ "supported": ["2025-06-18"] });
                return Act::Session("s-0", err(request, -32602, data));
            }
            legacy(request)
        }
        "DELETE" => Act::Head(200, &[]),
        _ => legacy(request),
    });
    assert_eq!(run.outcome, Outcome::Ok, "{:#?}", run.findings);
    let sessions = |name: &str| -> Vec<String> {
        let sent = run.requests.iter().filter(|r| name_of(r) == name);
        sent.map(|r| r.headers["mcp-session-id"].to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(sessions("DELETE"), ["s-1", "s-0"]);
    assert_eq!(sessions("ping"), ["s-1"]);
}

/// Seen on hostile servers: the message is taken, and its answer never comes.
#[test]
fn an_answer_that_never_comes_on_the_stream_is_a_stall() {
    let run = run(plan(), |request| {
        match (request.url.path(), name_of(request).as_str()) {
            ("/mcp", "GET") => Act::Open("event: endpoint\ndata: /m\n\n"),
            ("/mcp", _) => Act::Head(404, &[]),
            _ => Act::Head(202, &[]),
        }
    });
    assert_eq!(run.failure(), (Step::Initialize, Reason::McpSseStalled));
}

#[test]
fn a_stream_that_begins_wrongly_ends_the_probe_at_once() {
    let run = run(plan(), |request| match name_of(request).as_str() {
        "GET" => Act::Open("event: message\ndata: {}\n\nevent: endpoint\ndata: /m\n\n"),
        _ => Act::Head(404, &[]),
    });
    assert_eq!(run.sent(), ["server/discover", "initialize", "GET"]);
    assert_eq!(run.failure(), (Step::Initialize, Reason::NotFound));
}

#[test]
fn once_the_oldest_transport_is_found_its_failures_are_its_own() {
    let run = run(plan(), |request| {
        match (request.url.path(), name_of(request).as_str()) {
            ("/mcp", "GET") => Act::Open("event: endpoint\ndata: /m\n\n"),
            ("/mcp", _) => Act::Head(404, &[]),
            _ => Act::Head(500, &[]),
        }
    });
    assert_eq!(run.failure(), (Step::Initialize, Reason::Server5xx));
}

#[test]
fn what_was_known_may_have_become_wrong() {
    let mut plan = plan();
    plan.known = Some(EraRecord {
        revision: Revision::V2024_11_05,
        transport: Transport::HttpSse,
    });
    let run = run(plan, |request| match name_of(request).as_str() {
        "GET" => Act::Head(405, &[]),
        _ => modern(request),
    });
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.sent(), ["GET", "server/discover", "tools/list"]);
}

#[test]
fn a_refusal_whose_body_never_ends_is_read_from_its_head() {
    let run = run(plan(), |_| Act::OpenWith(401));
    assert_eq!(run.failure(), (Step::Discover, Reason::AuthMalformed));
    let took = run.findings.steps[0].total_us;
    assert!(
        took < 2_000_000,
        "a short grace, not the step's time: {took}"
    );
}

#[test]
fn a_refused_delete_is_a_note_and_an_unsupported_one_is_fine() {
    for (status, violated) in [(405, vec![]), (500, vec!["sess.delete"])] {
        let run = run(plan(), |request| match name_of(request).as_str() {
            "DELETE" => Act::Head(status, &[]),
            _ => legacy(request),
        });
        assert_eq!(run.outcome, Outcome::Ok);
        assert_eq!(run.violated(), violated);
    }
}

#[test]
fn a_failing_tool_is_the_tools_failure() {
    let run = run(call_plan(), |request| match name_of(request).as_str() {
        "tools/call" => Act::Json(
            200,
            ok(
                request,
                json!({
            "content": [{ "type": "text", "text": "upstream key expired" }], "isError": true }),
            ),
        ),
        _ => legacy(request),
    });
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::ToolError));
    let Outcome::Failed(failure) = run.outcome else {
        panic!()
    };
    assert_eq!(failure.class(), model::Class::Tool);
    assert_eq!(run.sent().last().map(String::as_str), Some("DELETE"));
}

#[test]
fn an_unknown_tool_is_missing_in_every_dialect() {
    let mut plan = call_plan();
    plan.calls[0].name = "nope".into();
    let strict = run(plan.clone(), |request| match name_of(request).as_str() {
        "tools/call" => Act::Json(200, err(request, -32602, json!(null))),
        _ => modern(request),
    });
    assert_eq!(strict.failure(), (Step::ToolsCall, Reason::ToolMissing));
    let soft = run(plan, |request| match name_of(request).as_str() {
        "tools/call" => Act::Json(200, ok(request, json!({ "content": [], "isError": true }))),
        _ => legacy(request),
    });
    assert_eq!(soft.failure(), (Step::ToolsCall, Reason::ToolMissing));
}

#[test]
fn a_servers_ping_is_answered_and_its_other_requests_are_declined() {
    let run = run(plan(), |request| match name_of(request).as_str() {
        "tools/list" => Act::Sse(
            vec![
                json!({ "jsonrpc": "2.0", "id": "srv-1", "method": "ping" }),
                json!({ "jsonrpc": "2.0", "id": "srv-2", "method": "roots/list" }),
                ok(request, json!({ "tools": [] })),
            ],
            true,
        ),
        "response" => Act::Head(202, &[]),
        _ => legacy(request),
    });
    assert_eq!(run.outcome, Outcome::Ok);
    let answers: Vec<Value> = run
        .requests
        .iter()
        .filter(|r| name_of(r) == "response")
        .map(|r| serde_json::from_slice(&r.body).unwrap())
        .collect();
    assert_eq!(
        answers[0],
        json!({ "jsonrpc": "2.0", "id": "srv-1", "result": {} })
    );
    assert_eq!(answers[1]["error"]["code"], -32601);
}

#[test]
fn pages_are_one_step() {
    let mut page = 0;
    let run = run(plan(), |request| match name_of(request).as_str() {
        "tools/list" => {
            page += 1;
            let mut result = json!({ "tools": [], "resultType": "complete", "ttlMs": 1,
                "cacheScope": "public" });
            if page < 4 {
                result["nextCursor"] = json!(format!("c{page}"));
            }
            Act::Json(200, ok(request, result))
        }
        _ => modern(request),
    });
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.findings.steps[1].exchanges, 4);
    let body: Value = serde_json::from_slice(&run.requests[3].body).unwrap();
    assert_eq!(body["params"]["cursor"], "c2");
}

#[test]
fn what_is_not_mcp_says_what_it_is() {
    let html = run(plan(), |_| {
        Act::Text(200, "text/html", "<!doctype html><title>Login")
    });
    assert_eq!(html.failure(), (Step::Discover, Reason::NotMcp));
    let json = run(plan(), |_| Act::Json(200, json!({ "status": "ok" })));
    assert_eq!(json.failure(), (Step::Discover, Reason::NotMcp));
    let text = run(plan(), |_| Act::Text(200, "text/plain", "hello"));
    assert_eq!(
        text.failure(),
        (Step::Discover, Reason::McpWrongContentType)
    );
}

#[test]
fn severities_can_be_overridden() {
    let sloppy = |request: &Request| match name_of(request).as_str() {
        "notifications/initialized" => Act::Head(200, &[]),
        _ => legacy(request),
    };
    assert_eq!(run(plan(), sloppy).outcome, Outcome::Ok);
    let mut strict = plan();
    strict
        .severities
        .insert(CheckId::HttpNotif202, Severity::Degrade);
    let degraded = Outcome::Degraded {
        checks: vec![CheckId::HttpNotif202],
    };
    assert_eq!(run(strict.clone(), sloppy).outcome, degraded);
    strict
        .severities
        .insert(CheckId::HttpNotif202, Severity::Fail);
    assert_eq!(
        run(strict, sloppy).failure(),
        (Step::Initialized, Reason::CheckViolated)
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do as the origin"
)]
fn cancelling_closes_the_session_and_says_nothing_of_the_target() {
    let mut now = Instant::now();
    let mut sequence = Sequence::new(plan(), now);
    let mut sent = Vec::new();
    while let Some(command) = sequence.poll_command() {
        let Command::Send { exchange, request } = command else {
            continue;
        };
        sent.push(name_of(&request));
        if name_of(&request) == "tools/list" {
            sequence.handle_cancel(now);
        } else {
            play(&mut sequence, exchange, None, legacy(&request), &mut now);
        }
    }
    assert_eq!(sent.last().map(String::as_str), Some("DELETE"));
    let (_, outcome) = sequence.finish();
    assert_eq!(
        outcome,
        Outcome::Inconclusive {
            reason: Reason::Cancelled
        }
    );
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever bytes come under whatever status, the probe ends with one outcome, within
        /// its time, and never asks another host.
        #[test]
        fn any_answer_ends_the_probe(
            statuses in proptest::collection::vec(100u16..600, 1..8),
            media in proptest::sample::select(vec![
                "application/json", "text/event-stream", "text/html", "",
            ]),
            body in proptest::collection::vec(any::<u8>(), 0..200),
            legal in any::<bool>(),
        ) {
            let mut n = 0;
            let run = run(call_plan(), |request| {
                n += 1;
                if legal && n % 2 == 0 {
                    return modern(request);
                }
                let leaked: &'static str =
                    Box::leak(String::from_utf8_lossy(&body).into_owned().into_boxed_str());
                Act::Text(statuses[n % statuses.len()], media, leaked)
            });
            prop_assert!(run.requests.len() < 20);
            let same_host = run.requests.iter().all(|r| r.url.host_str() == Some("h.example"));
            prop_assert!(same_host);
        }
    }
}

#[test]
fn listed_tools_are_kept_as_they_came_where_the_plan_asks() {
    let paged = |request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let act = modern(request);
        let Act::Json(status, mut answer) = act else {
            panic!("modern servers answer with JSON");
        };
        let result = &mut answer["result"];
        match (name_of(request).as_str(), &body["params"]["cursor"]) {
            ("server/discover", _) => result["instructions"] = json!("be kind"),
            ("tools/list", Value::Null) => result["nextCursor"] = json!("2"),
            ("tools/list", _) => {
                result["tools"] =
                    json!([{ "inputSchema": { "type": "object" }, "name": "add", "x": 1.0 }]);
            }
            _ => {}
        }
        Act::Json(status, answer)
    };
    let mut wanted = plan();
    wanted.keep_listing = true;
    let expected = crate::Listing::Whole {
        tools: vec![
            json!({ "name": "echo", "inputSchema": { "type": "object" } }),
            json!({ "name": "add", "inputSchema": { "type": "object" }, "x": 1.0 }),
        ],
        instructions: Some("be kind".to_owned()),
    };
    assert_eq!(run(wanted.clone(), paged).findings.listing, Some(expected));
    assert_eq!(run(plan(), paged).findings.listing, None, "nobody asked");

    let cut = |request: &Request| match name_of(request).as_str() {
        "tools/list" => Act::Reset,
        _ => modern(request),
    };
    assert_eq!(run(wanted.clone(), cut).findings.listing, None);

    let without = |request: &Request| {
        let Act::Json(status, mut answer) = modern(request) else {
            panic!("modern servers answer with JSON");
        };
        answer["result"]["capabilities"] = json!({});
        Act::Json(status, answer)
    };
    let none = crate::Listing::Whole {
        tools: Vec::new(),
        instructions: None,
    };
    assert_eq!(run(wanted, without).findings.listing, Some(none));
}
