//! Answers of a server: honest ones, and those with one thing changed in them.

use serde_json::{Map, Value, json};

use super::tape::Tape;
use crate::exchange::Request;

/// The method of a message; empty where it has none.
pub(super) fn method_of(request: &Request) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    body["method"].as_str().unwrap_or_default().to_owned()
}

/// What an honest server of the request's era answers.
pub(super) fn honest(request: &Request) -> Value {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let is_modern = request.headers.contains_key("mcp-method");
    let mut result = match body["method"].as_str().unwrap_or_default() {
        "server/discover" => json!({ "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": {}, "resources": {}, "prompts": {} }, "ttlMs": 1, "cacheScope": "public",
            "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "s", "version": "1" } } }),
        "initialize" => json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "s", "version": "1" } }),
        "tools/list" => json!({ "ttlMs": 1, "cacheScope": "public", "tools": [
            { "name": "echo", "inputSchema": { "type": "object" } },
            { "name": "add", "inputSchema": { "type": "object" } }] }),
        "resources/list" => json!({ "ttlMs": 1, "cacheScope": "public",
            "resources": [{ "uri": "a:b", "name": "b" }] }),
        "resources/templates/list" => {
            json!({ "ttlMs": 1, "cacheScope": "public", "resourceTemplates": [] })
        }
        "prompts/list" => json!({ "ttlMs": 1, "cacheScope": "public", "prompts": [] }),
        "tools/call" => json!({ "content": [{ "type": "text", "text": "t" }] }),
        _ => json!({}),
    };
    if is_modern {
        result["resultType"] = json!("complete");
    }
    json!({ "jsonrpc": "2.0", "id": body["id"], "result": result })
}

/// The same with some things changed, as the tape says.
pub(super) fn changed(mut answer: Value, tape: &mut Tape<'_>) -> Value {
    for _ in 0..tape.below(4) {
        change(&mut answer, tape);
    }
    answer
}

fn change(value: &mut Value, tape: &mut Tape<'_>) {
    let goes_on = tape.byte() & 3 != 0;
    match value {
        Value::Object(members) if goes_on && !members.is_empty() => {
            let at = tape.below(members.len());
            let key = members.keys().nth(at).cloned().unwrap_or_default();
            if tape.byte() & 7 == 7 {
                members.remove(&key);
            } else if let Some(member) = members.get_mut(&key) {
                change(member, tape);
            }
        }
        Value::Array(items) if goes_on && !items.is_empty() => {
            let at = tape.below(items.len());
            if tape.byte() & 7 == 7 {
                let again = items[at].clone();
                items.push(again);
            } else {
                change(&mut items[at], tape);
            }
        }
        Value::Object(members) if tape.byte() & 1 == 1 => insert(members, tape),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => *value = other(tape),
    }
}

fn insert(members: &mut Map<String, Value>, tape: &mut Tape<'_>) {
    let names = [
        "nextCursor",
        "error",
        "isError",
        "method",
        "result",
        "resultType",
        "data",
        "inputRequests",
        "requestState",
    ];
    let name = *tape.pick(&names);
    members.insert(name.to_owned(), other(tape));
}

fn other(tape: &mut Tape<'_>) -> Value {
    let texts = [
        "",
        "2024-11-05",
        "2025-11-25",
        "2026-07-28",
        "2.0",
        "input_required",
        "session \u{1b}[31m\u{202e}",
        "1",
        "ping",
    ];
    match tape.below(10) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(i64::from(tape.byte())),
        3 => json!(-32_000 - i64::from(tape.byte())),
        4 => json!(1e300),
        5 => json!([]),
        6 => json!({}),
        7 => {
            json!({ "code": -32_022, "message": "m", "data": { "supported": [tape.pick(&texts)] } })
        }
        8 => json!(String::from_utf8_lossy(tape.bytes())),
        _ => json!(tape.pick(&texts)),
    }
}
