//! Tools that ask, tools that mirror arguments, tools that must not be called.

use super::*;

fn asking(request: &Request) -> Act {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if name_of(request) != "tools/call" || body["params"].get("inputResponses").is_some() {
        return modern(request);
    }
    let question = json!({ "method": "elicitation/create", "params": { "message": "sure?" } });
    let result = json!({ "resultType": "input_required", "requestState": "opaque",
        "inputRequests": { "confirm": question } });
    Act::Json(200, ok(request, result))
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// 2026-07-28 basic/patterns/mrtr: the state echoed, a new id, the capability declared.
#[test]
fn questions_are_answered_as_the_plan_says() {
    let mut plan = call_plan();
    let answer = json!({ "action": "accept", "content": { "confirmed": true } });
    plan.calls[0]
        .answers
        .insert("confirm".into(), answer.clone());
    let run = run(plan, asking);
    assert_eq!(run.outcome, Outcome::Ok, "{:#?}", run.findings);
    assert_eq!(run.violated(), Vec::<&str>::new());
    let (first, second) = (body(&run.requests[2]), body(&run.requests[3]));
    assert_ne!(first["id"], second["id"]);
    assert_eq!(second["params"]["requestState"], "opaque");
    assert_eq!(
        second["params"]["inputResponses"],
        json!({ "confirm": answer })
    );
    assert_eq!(second["params"]["name"], "echo");
    for request in &run.requests {
        let meta = &body(request)["params"]["_meta"];
        let declared = &meta["io.modelcontextprotocol/clientCapabilities"];
        assert_eq!(declared, &json!({ "elicitation": { "form": {} } }));
    }
}

#[test]
fn a_question_without_an_answer_fails_and_was_not_to_be_asked() {
    let run = run(call_plan(), asking);
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::McpInputRequired));
    assert!(run.violated().contains(&"call.input_required"));
    let detail = run.findings.steps.last().unwrap().detail.as_deref();
    assert!(detail.unwrap().contains("`confirm`"), "{detail:?}");
}

#[test]
fn a_state_alone_is_sent_back_at_once_but_not_for_ever() {
    let ask = |request: &Request| match name_of(request).as_str() {
        "tools/call" => {
            let result = json!({ "resultType": "input_required", "requestState": "again" });
            Act::Json(200, ok(request, result))
        }
        _ => modern(request),
    };
    let run = run(call_plan(), ask);
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::McpInputRequired));
    // The first call, and as many rounds as are granted.
    assert_eq!(
        run.sent()
            .iter()
            .filter(|name| *name == "tools/call")
            .count(),
        5
    );
}

fn with_tool(tool: Value) -> impl Fn(&Request) -> Act {
    move |request: &Request| match name_of(request).as_str() {
        "tools/list" => {
            let result = json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
                "tools": [tool] });
            Act::Json(200, ok(request, result))
        }
        _ => modern(request),
    }
}

#[test]
fn arguments_are_mirrored_where_the_tool_says_so() {
    let tool = json!({ "name": "echo", "inputSchema": { "type": "object", "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" } } } });
    let mut plan = call_plan();
    plan.calls[0]
        .arguments
        .insert("region".into(), "Zürich".into());
    let run = run(plan, with_tool(tool));
    assert_eq!(run.outcome, Outcome::Ok);
    let call = run.requests.last().unwrap();
    assert_eq!(call.headers["mcp-param-region"], "=?base64?WsO8cmljaA==?=");
    assert_eq!(call.headers["mcp-name"], "echo");
}

#[test]
fn a_tool_with_an_invalid_annotation_is_not_called() {
    let tool = json!({ "name": "echo", "inputSchema": { "type": "object", "properties": {
        "a": { "type": "number", "x-mcp-header": "A" } } } });
    let run = run(call_plan(), with_tool(tool.clone()));
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::ToolMissing));
    assert_eq!(run.sent(), ["server/discover", "tools/list"]);
    assert!(run.violated().contains(&"list.x_mcp_header"));
    // Who does not call it only notes it.
    let run = super::run(plan(), with_tool(tool));
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.violated(), ["list.x_mcp_header"]);
}

#[test]
fn what_a_tool_returns_is_held_against_its_schema() {
    let tool = json!({ "name": "echo", "inputSchema": { "type": "object" },
        "outputSchema": { "type": "object", "required": ["t"] } });
    let run = run(call_plan(), with_tool(tool));
    let checks = vec![CheckId::CallOutputSchema];
    assert_eq!(run.outcome, Outcome::Degraded { checks });
}
