//! What a user demands, and calls that build on each other.

use super::*;
use model::monitor::CallSpec;

fn demanding(calls: Value, expect: Value) -> Plan {
    let mut plan = plan();
    let calls: Vec<CallSpec> = serde_json::from_value(calls).unwrap();
    assert_eq!(model::flow::problems(&calls), []);
    plan.calls = calls.iter().map(ToolCall::from).collect();
    plan.expect = serde_json::from_value(expect).unwrap();
    plan
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

/// A shop: `make` gives an id, `read` takes it, `drop` takes it away.
fn shop(broken: &'static str) -> impl FnMut(&Request) -> Act {
    move |request: &Request| {
        if name_of(request) != "tools/call" {
            return modern(request);
        }
        let params = body(request)["params"].clone();
        if params["name"] == broken {
            return Act::Reset;
        }
        let content = match params["name"].as_str().unwrap() {
            "make" => json!({ "id": 7, "state": "HEALTHY", "up": 2, "of": 3 }),
            "read" => json!({ "id": params["arguments"]["id"], "text": params["arguments"]["q"] }),
            _ => json!({}),
        };
        let result = json!({ "resultType": "complete", "content": [],
            "structuredContent": content });
        Act::Json(200, ok(request, result))
    }
}

fn called(run: &Run) -> Vec<String> {
    let calls = run.requests.iter().map(body);
    let names = calls.filter(|body| body["method"] == "tools/call");
    names
        .map(|body| body["params"]["name"].as_str().unwrap().to_owned())
        .collect()
}

fn flow() -> Value {
    json!([
        { "name": "make", "capture": { "id": "$.structuredContent.id" } },
        { "name": "read", "arguments": { "id": "{{id}}", "q": "no. {{id}}" },
          "expect": { "assert": [
            { "path": "$.structuredContent.id", "equals": 7.0 },
            { "path": "$.structuredContent.text", "equals": "no. 7" } ] } },
        { "name": "drop", "cleanup": true, "arguments": { "id": "{{id}}" } },
    ])
}

#[test]
fn a_flow_takes_values_from_one_call_to_the_next() {
    let run = run(demanding(flow(), json!({})), shop(""));
    assert_eq!(run.outcome, Outcome::Ok, "{:#?}", run.findings);
    assert_eq!(called(&run), ["make", "read", "drop"]);
    let read = body(&run.requests[3]);
    assert_eq!(
        read["params"]["arguments"],
        json!({ "id": 7, "q": "no. 7" })
    );
}

#[test]
fn what_was_made_is_cleaned_up_after_a_failure_too() {
    let run = run(demanding(flow(), json!({})), shop("read"));
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::TcpReset));
    assert_eq!(called(&run), ["make", "read", "drop"]);
}

#[test]
fn what_was_never_made_is_not_cleaned_up() {
    let run = run(demanding(flow(), json!({})), shop("make"));
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::TcpReset));
    assert_eq!(called(&run), ["make"]);
}

#[test]
fn a_clean_up_that_fails_fails_a_probe_that_had_not_failed() {
    let good = run(demanding(flow(), json!({})), shop("drop"));
    assert_eq!(good.failure(), (Step::ToolsCall, Reason::TcpReset));
    let failed = good.findings.steps.last().unwrap();
    assert_eq!(failed.tool.as_deref(), Some("drop"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn results_are_held_against_their_assertions() {
    let table = [
        (
            json!({ "path": "$.structuredContent.state", "equals": "HEALTHY" }),
            "",
        ),
        (
            json!({ "path": "$.structuredContent.state", "equals": "SICK" }),
            "is \"HEALTHY\", not \"SICK\"",
        ),
        (
            json!({ "path": "$.structuredContent.state", "contains": "EAL" }),
            "",
        ),
        (
            json!({ "path": "$.structuredContent.state", "contains": "x" }),
            "without `x`",
        ),
        (
            json!({ "path": "$.structuredContent.up", "min": 2, "max": 2 }),
            "",
        ),
        (
            json!({ "path": "$.structuredContent.up", "min": 3 }),
            "at least 3",
        ),
        (
            json!({ "path": "$.structuredContent.up", "max": 1 }),
            "at most 1",
        ),
        (
            json!({ "path": "$.structuredContent.state", "max": 1 }),
            "at most 1",
        ),
        (
            json!({ "path": "$.structuredContent.up", "min_path": "$.structuredContent.of" }),
            "below $.structuredContent.of",
        ),
        (
            json!({ "path": "$.structuredContent.of", "min_path": "$.structuredContent.up" }),
            "",
        ),
        (
            json!({ "path": "$.structuredContent.up", "equals_path": "$.structuredContent.of" }),
            "unlike $.structuredContent.of",
        ),
        (
            json!({ "path": "$.structuredContent.up", "equals_path": "$.nowhere" }),
            "unlike",
        ),
        (json!({ "path": "$.nowhere", "exists": false }), ""),
        (json!({ "path": "$.content", "exists": false }), "is there"),
        (
            json!({ "path": "$.nowhere", "equals": null }),
            "finds nothing",
        ),
    ];
    for (assertion, why) in table {
        let calls = json!([{ "name": "make", "expect": { "assert": [assertion] } }]);
        let run = run(demanding(calls, json!({})), shop(""));
        if why.is_empty() {
            assert_eq!(run.outcome, Outcome::Ok, "{assertion}: {:#?}", run.findings);
            continue;
        }
        assert_eq!(
            run.failure(),
            (Step::ToolsCall, Reason::ToolOutputInvalid),
            "{assertion}"
        );
        let detail = run.findings.steps.last().unwrap().detail.clone().unwrap();
        assert!(detail.contains(why), "{assertion}: {detail}");
    }
}

#[test]
fn a_demand_may_be_made_milder_and_a_schema_demanded() {
    let schema = json!({ "type": "object", "required": ["price"] });
    let calls = json!([{ "name": "make", "expect": { "schema": schema } }]);
    let strict = run(demanding(calls.clone(), json!({})), shop(""));
    assert_eq!(
        strict.failure(),
        (Step::ToolsCall, Reason::ToolOutputInvalid)
    );
    let mut plan = demanding(calls, json!({}));
    plan.severities
        .insert(CheckId::CallExpected, Severity::Degrade);
    let checks = vec![CheckId::CallExpected];
    assert_eq!(run(plan, shop("")).outcome, Outcome::Degraded { checks });
}

#[test]
fn the_target_is_held_against_what_it_must_be() {
    let good = json!({ "tools": ["echo"], "server_name": "ts", "server_version": "1",
        "era": "modern", "protocol_version": "2026-07-28", "max_total": "5s",
        "max_step": { "tools_list": "5s" }, "max_response_bytes": 4096 });
    let good = run(demanding(json!([]), good), modern);
    assert_eq!(
        (good.outcome.clone(), good.violated()),
        (Outcome::Ok, vec![])
    );
    let passed = good.findings.examined(|id| id.rule().severity).len();
    assert!(passed > 6);
    let table = [
        (json!({ "tools": ["echo", "gone"] }), "list.expected", true),
        (json!({ "server_name": "py" }), "server.expected", true),
        (json!({ "server_version": "2" }), "server.expected", true),
        (json!({ "era": "legacy" }), "era.expected", true),
        (
            json!({ "protocol_version": "2025-11-25" }),
            "era.expected",
            true,
        ),
        (json!({ "max_total": "2ms" }), "perf.total", false),
        (
            json!({ "max_step": { "discover": "1ms" } }),
            "perf.step",
            false,
        ),
        (json!({ "max_response_bytes": 10 }), "http.size", false),
    ];
    for (expect, check, fails) in table {
        let run = run(demanding(json!([]), expect), modern);
        assert_eq!(run.violated(), [check]);
        let failed = matches!(run.outcome, Outcome::Failed(_));
        assert_eq!(failed, fails, "{check}: {:?}", run.outcome);
    }
}

#[test]
fn a_call_has_its_own_time() {
    let calls = json!([{ "name": "make", "expect": { "max": "1ms" } }]);
    let run = run(demanding(calls, json!({})), shop(""));
    let checks = vec![CheckId::PerfStep];
    assert_eq!(run.outcome, Outcome::Degraded { checks });
}

/// Two things are made; the second fails. Only the first is taken away, and nothing follows.
#[test]
fn only_what_was_made_is_cleaned_up_and_nothing_follows() {
    let calls = json!([
        { "name": "make", "capture": { "a": "$.structuredContent.id" } },
        { "name": "read", "capture": { "b": "$.structuredContent.id" } },
        { "name": "drop", "cleanup": true, "arguments": { "id": "{{a}}" } },
        { "name": "drop_b", "cleanup": true, "arguments": { "id": "{{b}}" } },
    ]);
    let mut plan = demanding(calls, json!({}));
    plan.profile = model::Profile::Strict;
    plan.subscribe = true;
    let run = run(plan, shop("read"));
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::TcpReset));
    assert_eq!(called(&run), ["make", "read", "drop"]);
    assert_eq!(run.steps().last(), Some(&"tools_call"), "{:?}", run.steps());
}

#[test]
fn a_cleaning_call_that_fails_is_not_made_twice() {
    let run = run(demanding(flow(), json!({})), shop("drop"));
    assert_eq!(called(&run), ["make", "read", "drop"]);
}

#[test]
fn tools_that_must_be_there_are_missed_where_none_are_announced() {
    let plan = demanding(json!([]), json!({ "tools": ["echo"], "server_name": "ts" }));
    let run = run(plan, |request| match name_of(request).as_str() {
        "server/discover" => {
            let result = json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "public",
                "supportedVersions": ["2026-07-28"], "capabilities": {} });
            Act::Json(200, ok(request, result))
        }
        _ => modern(request),
    });
    assert!(matches!(run.outcome, Outcome::Failed(_)));
    let violated = run.violated();
    for check in ["list.expected", "server.expected"] {
        assert!(violated.contains(&check), "{violated:?}");
    }
}

fn three_to_clean_up() -> Plan {
    let take = json!({ "id": "{{id}}" });
    let mut plan = demanding(
        json!([
            { "name": "make", "capture": { "id": "$.structuredContent.id" } },
            { "name": "read" },
            { "name": "a", "cleanup": true, "arguments": take },
            { "name": "b", "cleanup": true, "arguments": take },
            { "name": "c", "cleanup": true, "arguments": take },
        ]),
        json!({}),
    );
    plan.call_timeout = Duration::from_secs(8);
    plan
}

/// Cleaning up has 10 s in all, however many calls hang.
#[test]
fn calls_that_clean_up_share_their_time() {
    let run = run(
        three_to_clean_up(),
        |request| match body(request)["params"]["name"].as_str() {
            Some("read") => Act::Reset,
            Some("a" | "b" | "c") => Act::Hang,
            _ => shop("")(request),
        },
    );
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::TcpReset));
    assert_eq!(called(&run), ["make", "read", "a", "b"]);
    let waits = run.findings.steps.iter().rev().take(2);
    let waited: u64 = waits.map(|step| step.total_us).sum();
    assert!((9_900_000..=10_000_000).contains(&waited), "{waited}");
}

/// An agent that stops waits 5 s for its probes.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do as the origin"
)]
fn a_cancelled_probe_cleans_up_within_the_time_of_who_waits_for_it() {
    let start = Instant::now();
    let mut now = start;
    let mut plan = three_to_clean_up();
    plan.era = EraPolicy::Legacy;
    let mut sequence = Sequence::new(plan, now);
    let mut cancelled = None;
    while !sequence.is_done() {
        let Some(command) = sequence.poll_command() else {
            now = now.max(sequence.poll_timeout().unwrap());
            sequence.handle_timeout(now);
            continue;
        };
        let Command::Send { exchange, request } = command else {
            continue;
        };
        let act = match (
            name_of(&request).as_str(),
            &body(&request)["params"]["name"],
        ) {
            ("DELETE", _) => Act::Hang,
            ("tools/call", name) if name == "make" => {
                let content = json!({ "id": 7 });
                Act::Json(
                    200,
                    ok(
                        &request,
                        json!({ "content": [], "structuredContent": content }),
                    ),
                )
            }
            ("tools/call", name) => {
                if name == "read" {
                    cancelled = Some(now);
                    sequence.handle_cancel(now);
                }
                Act::Hang
            }
            _ => legacy(&request),
        };
        play(&mut sequence, exchange, None, act, &mut now);
    }
    let took = now.duration_since(cancelled.unwrap());
    assert!(took < Duration::from_millis(4_500), "{took:?}");
    let steps: Vec<_> = sequence
        .findings_mut()
        .steps
        .iter()
        .map(|s| s.step)
        .collect();
    assert_eq!(steps[steps.len() - 2..], [Step::ToolsCall, Step::Close]);
}
