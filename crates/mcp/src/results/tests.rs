use super::*;
use serde_json::json;

fn violated(findings: &Findings) -> Vec<String> {
    let rows = findings.examined(|id| id.rule().severity);
    rows.into_iter()
        .filter(|(row, _)| !row.passed)
        .map(|(row, _)| format!("{}: {}", row.id, row.detail.unwrap_or_default()))
        .collect()
}

/// Verbatim from the official Python SDK 2.3.0, which leaves the version empty.
#[test]
fn discover_of_the_python_sdk() {
    let result = json!({
        "cacheScope": "private", "resultType": "complete", "ttlMs": 0,
        "capabilities": { "tools": { "listChanged": true } },
        "supportedVersions": ["2026-07-28"],
        "_meta": { SERVER_INFO: { "name": "py-mcp-demo", "version": "" } },
    });
    let mut findings = Findings::default();
    let facts = discover(&result, &mut findings).ok().unwrap();
    assert!(facts.announced.tools);
    assert_eq!(facts.server.unwrap().name, "py-mcp-demo");
    assert_eq!(
        violated(&findings),
        ["disc.server_info: serverInfo.version is empty"]
    );
}

#[test]
fn initialize_names_what_is_missing() {
    let whole = json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "serverInfo": { "name": "s", "version": "1" },
    });
    let facts = initialize(&whole, &mut Findings::default()).ok().unwrap();
    assert_eq!(
        (facts.revision, facts.announced.tools),
        (Revision::V2025_06_18, false)
    );
    let table = [
        (
            "protocolVersion",
            json!(null),
            Reason::McpSchemaViolation,
            "`protocolVersion`",
        ),
        (
            "protocolVersion",
            json!("2099-01-01"),
            Reason::McpVersionUnsupported,
            "2099-01-01",
        ),
        (
            "protocolVersion",
            json!("2026-07-28"),
            Reason::McpVersionUnsupported,
            "2026-07-28",
        ),
        (
            "capabilities",
            json!([]),
            Reason::McpSchemaViolation,
            "`capabilities`",
        ),
        (
            "serverInfo",
            json!(null),
            Reason::McpSchemaViolation,
            "`serverInfo`",
        ),
    ];
    for (member, value, reason, text) in table {
        let mut result = whole.clone();
        result[member] = value;
        let fault = initialize(&result, &mut Findings::default()).err().unwrap();
        assert_eq!(fault.reason, reason, "{member}");
        assert!(fault.detail.contains(text), "{}", fault.detail);
    }
}

fn page(names: &[&str], cursor: Value) -> Value {
    let tools: Vec<_> = names
        .iter()
        .map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }))
        .collect();
    json!({ "tools": tools, "nextCursor": cursor })
}

#[test]
fn pages_end_or_are_a_loop() {
    let mut findings = Findings::default();
    let mut tools = Tools::default();
    let mut next = |page: Value, era| tools.page(&page, era, &mut findings);
    assert_eq!(
        next(page(&["a"], json!("c1")), Era::Legacy)
            .unwrap()
            .as_deref(),
        Some("c1")
    );
    assert_eq!(
        next(page(&["b"], json!("")), Era::Modern)
            .unwrap()
            .as_deref(),
        Some("")
    );
    assert_eq!(next(page(&["c"], json!("")), Era::Legacy).unwrap(), None);
    let again = next(page(&["d"], json!("c1")), Era::Legacy).unwrap_err();
    assert_eq!(again.reason, Reason::McpPaginationLoop);
    assert_eq!(tools.summary(), "4 tools, 4 pages");
}

#[test]
fn a_list_that_never_ends_is_cut() {
    let mut tools = Tools::default();
    let reason = (0..200).find_map(|n| {
        let page = page(&[], json!(format!("c{n}")));
        tools
            .page(&page, Era::Legacy, &mut Findings::default())
            .err()
    });
    assert_eq!(
        reason.map(|fault| fault.reason),
        Some(Reason::McpPaginationLoop)
    );
    assert_eq!(
        tools.summary(),
        format!("0 tools, {} pages", crate::limits::MAX_PAGES)
    );
}

#[test]
fn tools_without_name_or_schema_fail_and_odd_names_are_noted() {
    let fault = |tool: Value| {
        Tools::default()
            .page(
                &json!({ "tools": [tool] }),
                Era::Legacy,
                &mut Findings::default(),
            )
            .unwrap_err()
            .detail
    };
    assert_eq!(fault(json!({})), "a tool has no name");
    assert_eq!(
        fault(json!({ "name": "x\u{1b}" })),
        "the inputSchema of tool x\\u{1b} is not of type object"
    );
    let mut findings = Findings::default();
    let mut tools = Tools::default();
    tools
        .page(
            &page(&["a b", "c"], json!(null)),
            Era::Legacy,
            &mut findings,
        )
        .unwrap();
    assert_eq!(violated(&findings), ["list.names: the name `a b`"]);
}

#[test]
fn modern_results_are_checked_for_type_and_cache_hints() {
    let mut findings = Findings::default();
    let mut result = page(&["a"], json!(null));
    Tools::default()
        .page(&result, Era::Modern, &mut findings)
        .unwrap();
    assert_eq!(
        violated(&findings),
        [
            "res.result_type: resultType is missing",
            "list.cache_hints: tools_list: ttlMs is missing or no integer from 0 on",
        ]
    );
    result["resultType"] = json!("task");
    let fault = Tools::default().page(&result, Era::Modern, &mut Findings::default());
    assert_eq!(fault.unwrap_err().reason, Reason::McpSchemaViolation);
}

#[test]
fn a_tool_that_fails_is_not_a_protocol_that_fails() {
    let mut findings = Findings::default();
    let bad = json!({ "content": [{ "type": "text", "text": "key expired" }], "isError": true });
    let fault = call(&bad, Revision::V2025_11_25, None, &mut findings).unwrap_err();
    assert_eq!(
        (fault.reason, fault.detail.as_str()),
        (Reason::ToolError, "isError: key expired")
    );
    let mut findings = Findings::default();
    call(
        &json!({ "content": [{ "type": "hologram" }] }),
        Revision::V2025_11_25,
        None,
        &mut findings,
    )
    .unwrap();
    assert_eq!(
        violated(&findings),
        ["call.content: a content block is of no known type"]
    );
}

/// 2026-07-28 basic/patterns/mrtr.
#[test]
fn a_tool_may_ask_for_input() {
    let asks = json!({
        "resultType": "input_required", "requestState": "opaque",
        "inputRequests": { "k": { "method": "elicitation/create", "params": {} } },
    });
    let modern = |result: &Value| {
        call(
            result,
            Revision::V2026_07_28,
            None,
            &mut Findings::default(),
        )
    };
    let Ok(Called::Asked { questions, state }) = modern(&asks) else {
        panic!("asks for input")
    };
    assert_eq!(questions.keys().collect::<Vec<_>>(), ["k"]);
    assert_eq!(state, Some(json!("opaque")));
    let nothing = modern(&json!({ "resultType": "input_required" })).unwrap_err();
    assert_eq!(nothing.check, Some(CheckId::CallInputRequired));
    // Without the extension a task is no answer.
    let task = modern(&json!({ "resultType": "task", "taskId": "t" })).unwrap_err();
    assert_eq!(
        (task.reason, task.check),
        (Reason::McpSchemaViolation, Some(CheckId::CallTask))
    );
}

#[test]
fn content_blocks_have_their_members() {
    let problems = |block: Value| {
        let mut findings = Findings::default();
        let result = json!({ "content": [block] });
        call(&result, Revision::V2025_11_25, None, &mut findings).unwrap();
        violated(&findings)
    };
    let good = [
        json!({ "type": "text", "text": "" }),
        json!({ "type": "image", "data": "aGk=", "mimeType": "image/png" }),
        json!({ "type": "resource", "resource": { "uri": "a:b", "blob": "aGk=" } }),
        json!({ "type": "resource_link", "uri": "a:b", "name": "n" }),
    ];
    for block in good {
        assert!(problems(block.clone()).is_empty(), "{block}");
    }
    let bad = [
        json!({ "type": "text" }),
        json!({ "type": "audio", "data": "not base64!", "mimeType": "audio/wav" }),
        json!({ "type": "image", "data": "aGk=" }),
        json!({ "type": "resource", "resource": { "uri": "a:b" } }),
        json!({ "type": "resource_link", "uri": "a:b" }),
        json!("text"),
    ];
    for block in bad {
        assert_eq!(problems(block.clone()).len(), 1, "{block}");
    }
}

/// 2025-06-18 server/tools, "Output Schema".
#[test]
fn structured_content_conforms_to_the_output_schema() {
    let schema = json!({ "type": "object", "required": ["t"],
        "properties": { "t": { "type": "number" } } });
    let problems = |result: Value, revision| {
        let mut findings = Findings::default();
        call(&result, revision, Some(&schema), &mut findings).unwrap();
        violated(&findings)
    };
    let with = |content: Value| json!({ "content": [], "structuredContent": content });
    let newest = Revision::V2026_07_28;
    let only = |result: Value| {
        let mut found = problems(result, newest);
        found.retain(|problem| problem.starts_with("call.output_schema"));
        found
    };
    assert!(only(with(json!({ "t": 1.5 }))).is_empty());
    assert!(only(with(json!({ "t": "warm" })))[0].contains("`/t`"));
    assert!(only(json!({ "content": [] }))[0].contains("no structuredContent"));
    // An older revision knows no structured content.
    assert!(problems(json!({ "content": [] }), Revision::V2025_03_26).is_empty());
}

#[test]
fn other_lists_have_items_with_names() {
    let mut findings = Findings::default();
    let mut items = Items::default();
    let list = model::ListKind::Resources;
    let page = json!({ "resources": [{ "uri": "a:b", "name": "x" }], "nextCursor": "2" });
    let next = items.page(list, &page, Era::Legacy, &mut findings).unwrap();
    assert_eq!(next.as_deref(), Some("2"));
    let page = json!({ "resources": [{ "uri": "a:b" }] });
    let next = items.page(list, &page, Era::Legacy, &mut findings).unwrap();
    assert_eq!(next, None);
    assert_eq!(items.summary(list), "2 resources, 2 pages");
    assert_eq!(
        violated(&findings),
        ["res.schema: an item of resources has no `name`"]
    );
    let none = Items::default().page(list, &json!({}), Era::Legacy, &mut findings);
    assert_eq!(none.unwrap_err().reason, Reason::McpSchemaViolation);
}
