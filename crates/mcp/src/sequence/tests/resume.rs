//! Streams that close early, and calls that are given up.

use super::*;

const PRIMING: &str = "id: e-1\nretry: 500\ndata: \n\n";

/// A legacy server that closes the stream of a call at once; `rest` is what GET brings.
fn closing(rest: impl Fn(&Value) -> Act) -> impl FnMut(&Request) -> Act {
    let mut asked = Value::Null;
    move |request: &Request| match name_of(request).as_str() {
        "tools/call" => {
            asked = id_of(request);
            Act::Stream(PRIMING.to_owned())
        }
        "GET" => {
            assert_eq!(request.headers["last-event-id"], "e-1");
            assert_eq!(request.headers["accept"], "text/event-stream");
            assert_eq!(request.headers["mcp-session-id"], "s-1");
            assert_eq!(request.headers["mcp-protocol-version"], "2025-11-25");
            rest(&asked)
        }
        _ => legacy(request),
    }
}

/// 2025-11-25 transports, "Resumability and Redelivery".
#[test]
fn a_stream_that_closes_early_is_resumed_after_the_time_that_it_names() {
    let run = run(
        call_plan(),
        closing(|id| {
            let result = json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [] } });
            Act::Sse(vec![result], true)
        }),
    );
    assert_eq!(run.outcome, Outcome::Ok, "{:#?}", run.findings);
    let rows = run.findings.examined(|id| id.rule().severity);
    let resumed = rows.iter().find(|(row, _)| row.id == CheckId::SseResume);
    assert!(resumed.is_some_and(|(row, _)| row.passed));
    let calls = run.findings.steps.iter();
    let call = calls.clone().find(|s| s.step == Step::ToolsCall).unwrap();
    assert_eq!(call.exchanges, 2);
    assert!(call.total_us >= 500_000, "{}", call.total_us);
    assert_eq!(run.sent().last().unwrap(), "DELETE");
}

#[test]
fn a_stream_that_cannot_be_resumed_brought_no_answer() {
    let run = run(call_plan(), closing(|_| Act::Head(405, &[])));
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::McpSseNoResponse));
    assert!(run.violated().contains(&"sse.resume"));
}

#[test]
fn a_stream_that_closes_again_and_again_is_given_up() {
    let run = run(
        call_plan(),
        closing(|_| Act::Stream("id: e-1\nretry: 0\ndata: \n\n".to_owned())),
    );
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::McpSseNoResponse));
    let gets = run.sent().iter().filter(|name| *name == "GET").count();
    assert_eq!(gets, usize::try_from(crate::limits::MAX_RESUMES).unwrap());
}

#[test]
fn a_wait_beyond_the_step_is_not_waited() {
    let mut first = true;
    let run = run(call_plan(), |request| match name_of(request).as_str() {
        "tools/call" => {
            assert!(std::mem::take(&mut first));
            Act::Stream("id: e-1\nretry: 3600000\ndata: \n\n".to_owned())
        }
        _ => legacy(request),
    });
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::McpSseNoResponse));
    assert!(!run.sent().contains(&"GET".to_owned()));
}

/// 2025-11-25 basic/utilities/cancellation.
#[test]
fn a_call_that_is_given_up_is_called_off() {
    let run = run(call_plan(), |request| match name_of(request).as_str() {
        "tools/call" => Act::Hang,
        "notifications/cancelled" => {
            assert_eq!(request.headers["mcp-session-id"], "s-1");
            Act::Head(202, &[])
        }
        _ => legacy(request),
    });
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::HttpTimeoutHeaders));
    let sent = run.sent();
    assert_eq!(
        sent[sent.len() - 2..],
        ["notifications/cancelled", "DELETE"]
    );
    let call = id_of(&run.requests[sent.len() - 3]);
    let cancelled: Value = serde_json::from_slice(&run.requests[sent.len() - 2].body).unwrap();
    assert_eq!(cancelled["params"]["requestId"], call);
    assert!(cancelled.get("id").is_none());
}

/// What comes after a stream that was resumed well is judged by itself.
#[test]
fn a_refusal_of_the_next_page_is_no_refusal_to_resume() {
    let mut asked = Value::Null;
    let run = run(plan(), |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match name_of(request).as_str() {
            "tools/list" if body["params"]["cursor"].is_string() => {
                Act::Head(429, &[("retry-after", "7")])
            }
            "tools/list" => {
                asked = id_of(request);
                Act::Stream(PRIMING.to_owned())
            }
            "GET" => {
                let page = json!({ "tools": [], "nextCursor": "2" });
                let result = json!({ "jsonrpc": "2.0", "id": asked, "result": page });
                Act::Sse(vec![result], true)
            }
            _ => legacy(request),
        }
    });
    assert_eq!(run.failure(), (Step::ToolsList, Reason::RateLimited));
    assert!(!run.violated().contains(&"sse.resume"));
}
