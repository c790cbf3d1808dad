//! Whether events arrive as they are sent, and whether a silent stream stays open.

use super::*;

fn progress(request: &Request) -> Value {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    json!({ "jsonrpc": "2.0", "method": "notifications/progress",
        "params": { "progressToken": body["params"]["_meta"]["progressToken"], "progress": 1 } })
}

fn working(play: impl Fn(Vec<Value>) -> Act) -> impl Fn(&Request) -> Act {
    move |request: &Request| match name_of(request).as_str() {
        "tools/call" => {
            let result = ok(request, json!({ "resultType": "complete", "content": [] }));
            play(vec![progress(request), progress(request), result])
        }
        _ => modern(request),
    }
}

fn asking_for_progress() -> Plan {
    let mut plan = call_plan();
    plan.calls[0].progress = true;
    plan
}

#[test]
fn progress_that_was_asked_for_is_not_foreign() {
    let run = run(
        asking_for_progress(),
        working(|events| Act::Sse(events, true)),
    );
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.violated(), Vec::<&str>::new());
    let rows = run.findings.examined(|id| id.rule().severity);
    assert!(rows.iter().any(|(row, _)| row.id == CheckId::SseUnbuffered));
    let body: Value = serde_json::from_slice(&run.requests[2].body).unwrap();
    let meta = &body["params"]["_meta"];
    assert_eq!(meta["progressToken"], body["id"]);
    assert!(meta["io.modelcontextprotocol/protocolVersion"].is_string());
    // Who did not ask for it is surprised.
    let run = super::run(call_plan(), working(|events| Act::Sse(events, true)));
    assert_eq!(run.violated(), ["sse.no_foreign_notif"]);
}

#[test]
fn progress_that_comes_all_at_once_with_the_result_was_held_back() {
    let run = run(asking_for_progress(), working(Act::Late));
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.violated(), ["sse.unbuffered"]);
}

fn listening(idle: u64) -> Plan {
    let mut plan = plan();
    plan.idle = Some(Duration::from_secs(idle));
    plan
}

fn acknowledging(closes: bool) -> impl Fn(&Request) -> Act {
    move |request: &Request| match name_of(request).as_str() {
        "subscriptions/listen" => {
            let ack = json!({ "jsonrpc": "2.0",
                "method": "notifications/subscriptions/acknowledged",
                "params": { "notifications": {}, "_meta": {
                    "io.modelcontextprotocol/subscriptionId": id_of(request) } } });
            Act::Sse(vec![ack], closes)
        }
        _ => modern(request),
    }
}

fn detail(run: &Run) -> String {
    let mut steps = run.findings.steps.iter();
    let step = steps.find(|step| step.step == Step::Subscribe).unwrap();
    // What is only listened to is no latency.
    assert!(step.total_us < 1_000_000, "{}", step.total_us);
    step.detail.clone().unwrap_or_default()
}

#[test]
fn a_silent_stream_is_listened_to_for_as_long_as_is_asked() {
    // Longer than the whole probe may take otherwise.
    let good = run(listening(90), acknowledging(false));
    assert_eq!(good.outcome, Outcome::Ok, "{:#?}", good.findings);
    assert_eq!(good.violated(), Vec::<&str>::new());
    assert_eq!(detail(&good), "open for 90 s");
    let cut = run(listening(90), acknowledging(true));
    assert_eq!(cut.outcome, Outcome::Ok);
    assert_eq!(cut.violated(), ["sse.idle"]);
    assert!(
        detail(&cut).contains("proxy_read_timeout"),
        "{}",
        detail(&cut)
    );
}

#[test]
fn a_legacy_stream_is_listened_to_by_get_and_is_optional() {
    let with_get = |act: fn() -> Act| {
        move |request: &Request| match name_of(request).as_str() {
            "GET" => {
                assert_eq!(request.headers["mcp-session-id"], "s-1");
                act()
            }
            _ => legacy(request),
        }
    };
    let good = run(listening(40), with_get(|| Act::Open(": hello\n\n")));
    assert_eq!(good.outcome, Outcome::Ok, "{:#?}", good.findings);
    assert_eq!(detail(&good), "open for 40 s");
    assert_eq!(good.sent().last().unwrap(), "DELETE");
    let none = run(listening(40), with_get(|| Act::Head(405, &[])));
    assert_eq!(
        (none.outcome.clone(), none.violated()),
        (Outcome::Ok, vec![])
    );
    let cut = run(
        listening(40),
        with_get(|| Act::Stream(": bye\n\n".to_owned())),
    );
    assert_eq!(cut.violated(), ["sse.idle"]);
}

/// A primed stream that closes is not resumed: nothing is awaited on it.
#[test]
fn a_silent_stream_with_an_event_id_is_not_resumed() {
    let run = run(listening(40), |request| match name_of(request).as_str() {
        "GET" => {
            assert!(!request.headers.contains_key("last-event-id"));
            Act::Stream("id: 1\ndata: \n\n".to_owned())
        }
        _ => legacy(request),
    });
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.violated(), ["sse.idle"]);
}

/// 2025-11-25 transports, "Listening for Messages from the Server": it may carry requests.
#[test]
fn requests_on_the_idle_stream_are_answered_and_few_of_them() {
    let asks: String = (0..20)
        .map(|n| {
            let method = if n == 0 { "ping" } else { "roots/list" };
            let request = json!({ "jsonrpc": "2.0", "id": format!("s{n}"), "method": method });
            format!("event: message\ndata: {request}\n\n")
        })
        .collect();
    let stream: &'static str = Box::leak(format!("data: nonsense\n\n{asks}").into_boxed_str());
    let run = run(listening(40), |request| match name_of(request).as_str() {
        "GET" => Act::Open(stream),
        "response" => Act::Head(202, &[]),
        _ => legacy(request),
    });
    assert_eq!(run.outcome, Outcome::Ok, "{:#?}", run.findings);
    assert_eq!(detail(&run), "open for 40 s");
    let answers = run.requests.iter().filter(|r| name_of(r) == "response");
    let answers: Vec<Value> = answers
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    assert_eq!(answers.len(), crate::limits::MAX_SERVER_REQUESTS);
    assert_eq!(
        answers[0],
        json!({ "jsonrpc": "2.0", "id": "s0", "result": {} })
    );
    assert_eq!(answers[1]["error"]["code"], -32601);
    assert_eq!(answers[1]["id"], "s1");
}
