//! The results that a scripted server gives, written from the specification's schemas.

use serde_json::{Value, json};

use super::script::Script;

const TOOLS: [&str; 5] = ["echo", "add", "time", "search", "upstream"];

/// The JSON-RPC response to `request`; `None` for notifications and answers.
pub(crate) fn to(
    request: &Value,
    is_modern: bool,
    revision: &str,
    script: &Script,
) -> Option<Value> {
    let version = match script.version.as_str() {
        "" => "1",
        version => version,
    };
    let method = request["method"].as_str()?;
    let id = request.get("id")?;
    let outcome = match method {
        "initialize" => Ok(json!({
            "protocolVersion": revision,
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "parallax-testbed", "version": version },
        })),
        "server/discover" => Ok(json!({
            "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": {} },
            "ttlMs": 60_000, "cacheScope": "public",
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(list(&request["params"]["cursor"], is_modern, script)),
        "tools/call" => call(&request["params"], script),
        _ => Err((-32601, "Method not found".to_owned())),
    };
    let id = if script.foreign_id {
        json!("nobody-sent-this")
    } else if script.id_as_string {
        json!(id.to_string())
    } else {
        id.clone()
    };
    Some(match outcome {
        Ok(mut result) => {
            if let (Some(text), "initialize" | "server/discover") = (&script.instructions, method) {
                result["instructions"] = json!(text);
            }
            if is_modern {
                result["resultType"] = json!("complete");
                result["_meta"] = json!({ "io.modelcontextprotocol/serverInfo":
                    { "name": "parallax-testbed", "version": version } });
            }
            json!({ "jsonrpc": "2.0", "id": id, "result": result })
        }
        Err((code, message)) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    })
}

fn list(cursor: &Value, is_modern: bool, script: &Script) -> Value {
    let start: usize = cursor.as_str().and_then(|c| c.parse().ok()).unwrap_or(0);
    let all = script.tools.clone().unwrap_or_else(|| {
        let own = TOOLS.iter().map(|name| {
            json!({ "name": name, "description": format!("{name} of the testbed"),
                "inputSchema": { "type": "object" } })
        });
        own.collect()
    });
    let size = if script.page_size == 0 {
        all.len()
    } else {
        script.page_size
    };
    let tools: Vec<&Value> = all.iter().skip(start).take(size).collect();
    let mut result = json!({ "tools": tools });
    if script.endless_list {
        result["nextCursor"] = json!("again");
    } else if start + size < all.len() {
        result["nextCursor"] = json!((start + size).to_string());
    }
    if is_modern {
        result["ttlMs"] = json!(1000);
        result["cacheScope"] = json!("public");
    }
    result
}

fn call(params: &Value, script: &Script) -> Result<Value, (i64, String)> {
    let name = params["name"].as_str().unwrap_or_default();
    if !TOOLS.contains(&name) {
        return Err((-32602, format!("Unknown tool: {name}")));
    }
    let failing = script.failing_tools.contains(name);
    let text = if failing {
        "the upstream refused the key".to_owned()
    } else {
        params["arguments"].to_string()
    };
    Ok(json!({ "content": [{ "type": "text", "text": text }], "isError": failing }))
}
