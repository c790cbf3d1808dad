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
    assert!(facts.announces_tools);
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
        (facts.revision, facts.announces_tools),
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
    assert_eq!(tools.pages, MAX_PAGES);
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
    let fault = call(&bad, Era::Legacy, &mut findings).unwrap_err();
    assert_eq!(
        (fault.reason, fault.detail.as_str()),
        (Reason::ToolError, "isError: key expired")
    );
    let asks = json!({ "resultType": "input_required", "requestState": "x" });
    let fault = call(&asks, Era::Modern, &mut findings).unwrap_err();
    assert_eq!(fault.reason, Reason::McpInputRequired);
    let mut findings = Findings::default();
    call(
        &json!({ "content": [{ "type": "hologram" }] }),
        Era::Legacy,
        &mut findings,
    )
    .unwrap();
    assert_eq!(
        violated(&findings),
        ["call.content: a content block is of no known type"]
    );
}
