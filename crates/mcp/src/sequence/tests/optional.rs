//! What a probe does only when it is asked to: other lists, a subscription, the strict profile.

use super::*;
use model::{ListKind, Profile};

fn with_lists(request: &Request) -> Act {
    let result = |extra: Value| {
        let mut result = json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "private" });
        let members = extra.as_object().unwrap().clone();
        result.as_object_mut().unwrap().extend(members);
        Act::Json(200, ok(request, result))
    };
    match name_of(request).as_str() {
        "server/discover" => result(json!({
            "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": {}, "resources": {} },
            "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "x", "version": "1" } },
        })),
        "resources/list" => result(json!({ "resources": [{ "uri": "a:b", "name": "b" }] })),
        "resources/templates/list" => result(json!({ "resourceTemplates": [] })),
        _ => modern(request),
    }
}

#[test]
fn lists_are_walked_where_they_are_wanted_and_announced() {
    let mut plan = call_plan();
    plan.lists.extend(ListKind::ALL);
    let run = run(plan, with_lists);
    assert_eq!(run.outcome, Outcome::Ok, "{:#?}", run.findings);
    assert_eq!(
        run.sent(),
        [
            "server/discover",
            "tools/list",
            "resources/list",
            "resources/templates/list",
            "tools/call"
        ]
    );
    let lists = [(ListKind::Resources, 1), (ListKind::ResourceTemplates, 0)];
    assert_eq!(run.findings.lists, lists.into());
}

#[test]
fn a_list_that_is_announced_and_fails_fails_the_probe_that_asked_for_it() {
    let mut plan = plan();
    plan.lists.insert(ListKind::Resources);
    let run = run(plan, |request| match name_of(request).as_str() {
        "resources/list" => Act::Json(200, err(request, -32601, json!(null))),
        _ => with_lists(request),
    });
    assert_eq!(run.failure(), (Step::ResourcesList, Reason::McpRpcError));
    assert!(run.violated().contains(&"disc.capability_truth"));
}

fn listening(first: impl Fn(&Value) -> Value) -> impl Fn(&Request) -> Act {
    move |request: &Request| match name_of(request).as_str() {
        "subscriptions/listen" => Act::Sse(vec![first(&id_of(request))], false),
        _ => modern(request),
    }
}

fn acknowledgement(id: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
        "params": { "notifications": {}, "_meta": {
            "io.modelcontextprotocol/subscriptionId": id } } })
}

/// 2026-07-28 basic/patterns/subscriptions.
#[test]
fn a_subscription_is_acknowledged_first_and_by_its_id() {
    let subscribing = || {
        let mut plan = plan();
        plan.subscribe = true;
        plan
    };
    let good = run(subscribing(), listening(acknowledgement));
    assert_eq!(good.outcome, Outcome::Ok, "{:#?}", good.findings);
    assert_eq!(good.steps(), ["discover", "tools_list", "subscribe"]);
    let degraded = Outcome::Degraded {
        checks: vec![CheckId::SubAck],
    };
    let other = run(subscribing(), listening(|_| acknowledgement(&json!("7"))));
    assert_eq!(other.outcome, degraded);
    let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
    let early = run(subscribing(), listening(move |_| changed.clone()));
    assert_eq!(early.outcome, degraded);
    // A server without subscriptions says so; nothing else suffers.
    let none = run(subscribing(), modern);
    assert_eq!(none.outcome, degraded);
    assert_eq!(run(plan(), modern).steps(), ["discover", "tools_list"]);
}

#[test]
fn notifications_that_nobody_asked_for_are_noted() {
    let log = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": {} });
    let run = run(call_plan(), move |request| {
        match name_of(request).as_str() {
            "tools/call" => {
                let result = json!({ "resultType": "complete", "content": [] });
                Act::Sse(vec![log.clone(), ok(request, result)], true)
            }
            _ => modern(request),
        }
    });
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.violated(), ["sse.no_foreign_notif"]);
}

fn strict(mut plan: Plan) -> Plan {
    plan.profile = Profile::Strict;
    plan
}

/// A modern server that guards every rule of 2026-07-28.
fn guarding(request: &Request) -> Act {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok());
    let meta = &body["params"]["_meta"];
    let version = &meta["io.modelcontextprotocol/protocolVersion"];
    if request.method != Method::POST {
        return Act::Head(405, &[]);
    }
    if header("origin").is_some() {
        return Act::Head(403, &[]);
    }
    if header("accept") == Some("application/json") {
        return Act::Head(406, &[]);
    }
    if meta.is_null() {
        return Act::Json(400, err(request, -32602, json!(null)));
    }
    if *version != "2026-07-28" {
        let data = json!({ "supported": ["2026-07-28"], "requested": version });
        return Act::Json(400, err(request, -32022, data));
    }
    if header("mcp-method") != body["method"].as_str() {
        return Act::Json(400, err(request, -32020, json!(null)));
    }
    modern(request)
}

#[test]
fn a_modern_server_that_guards_the_rules_passes_the_strict_profile() {
    let run = run(strict(plan()), guarding);
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.violated(), Vec::<&str>::new(), "{:#?}", run.findings);
    let trials = run.findings.steps.iter().filter(|s| s.step == Step::Strict);
    assert_eq!(trials.count(), 10);
}

#[test]
fn what_a_lax_server_lets_pass_is_noted() {
    // It answers everything that it can read as if it were right.
    let run = run(strict(plan()), |request| match request.method {
        Method::POST => modern(request),
        _ => Act::Open(""),
    });
    assert_eq!(run.outcome, Outcome::Ok);
    let mut violated = run.violated();
    violated.sort_unstable();
    assert_eq!(
        violated,
        [
            "http.get_delete_405",
            "http.origin_403",
            "ver.meta_400",
            "ver.mismatch_400",
            "ver.unsupported_400"
        ]
    );
}

/// A legacy server that guards every rule of 2025-11-25.
fn strict_legacy(request: &Request) -> Act {
    let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok());
    let method = name_of(request);
    match method.as_str() {
        "GET" => Act::Head(405, &[]),
        "DELETE" => Act::Head(200, &[]),
        "initialize" if version_of(request) == "2099-01-01" => {
            let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
                "serverInfo": { "name": "everything", "version": "2" } });
            Act::Session("s-2", ok(request, result))
        }
        "parallax/unknown" => Act::Json(200, err(request, -32601, json!(null))),
        _ if header("origin").is_some() => Act::Head(403, &[]),
        _ if header("accept") == Some("application/json") => Act::Head(406, &[]),
        _ if header("mcp-session-id").is_some_and(|id| id != "s-1") => Act::Head(404, &[]),
        _ if header("mcp-protocol-version") == Some("1900-01-01") => Act::Head(400, &[]),
        _ => legacy(request),
    }
}

#[test]
fn a_legacy_session_is_examined_strictly_and_still_closed() {
    let run = run(strict(plan()), strict_legacy);
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.violated(), Vec::<&str>::new(), "{:#?}", run.findings);
    // The session that an unknown version opened is given back, too.
    let deletes = run.requests.iter().filter(|r| r.method == Method::DELETE);
    let given: Vec<_> = deletes
        .map(|r| r.headers["mcp-session-id"].clone())
        .collect();
    assert_eq!(given, ["s-2", "s-1"]);
}

fn version_of(request: &Request) -> Value {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    body["params"]["protocolVersion"].clone()
}

/// 2025-11-25 basic/lifecycle, "Version Negotiation": another version that the server supports.
#[test]
fn an_unknown_version_is_answered_with_one_that_the_server_has() {
    let echoed = run(strict(plan()), |request| {
        match version_of(request).as_str() {
            Some("2099-01-01") => {
                let result = json!({ "protocolVersion": "2099-01-01", "capabilities": {},
                "serverInfo": { "name": "echo", "version": "1" } });
                Act::Json(200, ok(request, result))
            }
            _ => strict_legacy(request),
        }
    });
    assert_eq!(echoed.violated(), ["init.version_echo"]);
    let refused = run(strict(plan()), |request| {
        match version_of(request).as_str() {
            Some("2099-01-01") => Act::Json(200, err(request, -32602, json!(null))),
            _ => strict_legacy(request),
        }
    });
    assert_eq!(refused.violated(), ["init.version_echo"]);
    let reused = run(strict(plan()), |request| {
        match version_of(request).as_str() {
            Some("2099-01-01") => legacy(request),
            _ => strict_legacy(request),
        }
    });
    assert_eq!(reused.violated(), ["init.session_ascii"]);
}

#[test]
fn a_stream_that_stays_open_after_its_response_is_noted() {
    let streaming = |stays: bool| {
        move |request: &Request| {
            let act = strict_legacy(request);
            if let Act::Sse(messages, _) = act
                && name_of(request) == "ping"
            {
                return Act::Sse(messages, !stays);
            }
            strict_legacy(request)
        }
    };
    let ends = run(strict(plan()), streaming(false));
    assert_eq!(ends.violated(), Vec::<&str>::new(), "{:#?}", ends.findings);
    let rows = ends.findings.examined(|id| id.rule().severity);
    assert!(rows.iter().any(|(row, _)| row.id == CheckId::SseTerminated));
    let stays = run(strict(plan()), streaming(true));
    assert_eq!(stays.violated(), ["sse.terminated"]);
    let step = stays
        .findings
        .steps
        .iter()
        .rev()
        .find(|s| s.step == Step::Strict);
    let step = step.unwrap();
    assert_eq!(
        step.detail.as_deref(),
        Some("the end of a stream: it is still open 2.0 s after its response")
    );
    assert!(step.total_us < 1_000_000, "the wait is nobody's latency");
    // Without a stream there is nothing to end.
    let plain = run(strict(plan()), guarding);
    let rows = plain.findings.examined(|id| id.rule().severity);
    assert!(rows.iter().all(|(row, _)| row.id != CheckId::SseTerminated));
}

#[test]
fn tools_in_another_order_are_noted() {
    let mut asked = 0;
    let run = run(strict(plan()), |request| match name_of(request).as_str() {
        "tools/list" => {
            let mut tools = ["a", "b"];
            if asked > 0 {
                tools.reverse();
            }
            asked += 1;
            let tools = tools.iter().map(|name| {
                json!({ "name": name,
                "inputSchema": { "type": "object" } })
            });
            let result = json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
                "tools": tools.collect::<Value>() });
            Act::Json(200, ok(request, result))
        }
        _ => guarding(request),
    });
    assert_eq!((run.violated(), asked), (vec!["list.order_stable"], 2));
}

#[test]
fn a_trial_that_hangs_or_resets_ends_nothing() {
    let run = run(strict(plan()), |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match name_of(request).as_str() {
            "parallax/unknown" => Act::Hang,
            _ if body["params"]["_meta"].is_null() && request.method == Method::POST => Act::Reset,
            _ => guarding(request),
        }
    });
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.violated(), ["ver.method_404", "ver.meta_400"]);
}

/// Who asks for a pause gets it, and what it said is no answer to what was wrong.
#[test]
fn trials_end_where_a_server_asks_for_a_pause() {
    let mut asked = 0;
    let run = run(strict(plan()), |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let is_trial = body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"]
            == "1900-01-01"
            || asked > 0;
        if is_trial {
            asked += 1;
            return Act::Head(429, &[("retry-after", "60")]);
        }
        guarding(request)
    });
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.violated(), Vec::<&str>::new());
    assert_eq!(asked, 1);
}

#[test]
fn a_subscription_that_ends_without_an_acknowledgement_is_none() {
    let mut plan = plan();
    plan.subscribe = true;
    let run = run(plan, |request| match name_of(request).as_str() {
        "subscriptions/listen" => Act::Json(200, ok(request, json!({ "resultType": "complete" }))),
        _ => modern(request),
    });
    let checks = vec![CheckId::SubAck];
    assert_eq!(run.outcome, Outcome::Degraded { checks });
}
