//! What a server says of itself and its tools: text that deceives, and more than anybody can use.

use serde_json::{Value, json};

use super::Behaviour;
use super::request::Request;
use super::talk::{Talk, changed, except, honest_value, json as body};

/// Colours, a bell, a title, an override of direction, and characters of no width.
const DECEPTIVE: &str =
    "\u{1b}[31m\u{7}\u{1b}]0;owned\u{7}\u{202e}nimda\u{202c}\u{200b}\u{feff}\u{9b}2J";

pub(super) const LIST: [Behaviour; 17] = [
    Behaviour::modern(
        "deceptive-tool",
        "a tool whose name deceives a terminal",
        |request| listed(request, |tools| tools[0]["name"] = json!(DECEPTIVE)),
    ),
    Behaviour::modern(
        "deceptive-server",
        "a server whose name deceives a terminal",
        |request| {
            changed(request, |answer| {
                let info = json!({ "name": DECEPTIVE, "version": DECEPTIVE });
                answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"] = info;
            })
        },
    ),
    Behaviour::modern(
        "deceptive-error",
        "an error whose message deceives a terminal",
        |request| failing(request, DECEPTIVE),
    ),
    Behaviour::modern("giant-error", "an error of a MiB", |request| {
        failing(request, &DECEPTIVE.repeat(10_000))
    }),
    Behaviour::modern("odd-error", "an error whose code is a word", |request| {
        except(request, "tools/list", |request| {
            let id = &request.body["id"];
            Talk::of(body(
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": "E1" } }).to_string(),
            ))
        })
    }),
    Behaviour::modern("path-names", "tools named like paths of files", |request| {
        listed(request, |tools| {
            tools[0]["name"] = json!("../../../../etc/passwd")
        })
    }),
    Behaviour::modern("giant-name", "a tool whose name has a MiB", |request| {
        listed(request, |tools| {
            tools[0]["name"] = json!("n".repeat(1 << 20))
        })
    }),
    Behaviour::modern("same-names", "a thousand tools of one name", |request| {
        listed(request, |tools| {
            *tools = (0..1000).map(|_| tool("same")).collect()
        })
    }),
    Behaviour::modern("many-tools", "two hundred thousand tools", |request| {
        except(request, "tools/list", |request| {
            // As text: a tree of them would take the server longer than a probe waits.
            let tools = format!("{},", tool("t")).repeat(200_000) + &tool("t").to_string();
            let id = &request.body["id"];
            let result = format!("{{\"tools\":[{tools}]}}");
            Talk::of(body(format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}"
            )))
        })
    }),
    Behaviour::modern("giant-description", "a description of 4 MiB", |request| {
        listed(request, |tools| {
            tools[0]["description"] = json!("d".repeat(4 << 20))
        })
    }),
    Behaviour::modern("large-description", "a description of 3 MiB", |request| {
        listed(request, |tools| {
            tools[0]["description"] = json!("d".repeat(3 << 20))
        })
    }),
    Behaviour::modern(
        "recursive-schema",
        "a schema that refers to itself",
        |request| {
            listed(request, |tools| {
                tools[0]["inputSchema"] = json!({ "type": "object", "$ref": "#/$defs/a",
                "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } });
            })
        },
    ),
    Behaviour::modern(
        "remote-schema",
        "a schema that refers to the metadata service",
        |request| {
            listed(request, |tools| {
                tools[0]["inputSchema"] = json!({ "type": "object",
                "$schema": "http://169.254.169.254/schema",
                "properties": { "a": { "$ref": "http://169.254.169.254/latest" } } });
            })
        },
    ),
    Behaviour::modern("no-schema", "a tool without a schema", |request| {
        listed(request, |tools| {
            tools[0]
                .as_object_mut()
                .map(|tool| tool.remove("inputSchema"));
        })
    }),
    Behaviour::modern(
        "tools-object",
        "an object where the tools should be",
        |request| listed(request, |tools| *tools = json!({ "0": tool("a") })),
    ),
    Behaviour::modern(
        "many-versions",
        "fifty thousand versions, and none that is one",
        |request| {
            changed(request, |answer| {
                let versions: Vec<String> =
                    (0..50_000).map(|n| format!("{n}{DECEPTIVE}")).collect();
                answer["result"]["supportedVersions"] = json!(versions);
            })
        },
    ),
    Behaviour::legacy(
        "deceptive-version",
        "a version that deceives a terminal",
        |request| {
            changed(request, |answer| {
                if answer["result"]["protocolVersion"].is_string() {
                    answer["result"]["protocolVersion"] = json!(DECEPTIVE);
                }
            })
        },
    ),
];

fn tool(name: &str) -> Value {
    json!({ "name": name, "inputSchema": { "type": "object" } })
}

fn listed(request: &Request, change: impl FnOnce(&mut Value)) -> Talk {
    except(request, "tools/list", |request| {
        let mut answer = honest_value(request);
        change(&mut answer["result"]["tools"]);
        Talk::of(body(answer.to_string()))
    })
}

fn failing(request: &Request, message: &str) -> Talk {
    except(request, "tools/list", |request| {
        let error = json!({ "code": -32603, "message": message, "data": message });
        let id = &request.body["id"];
        Talk::of(body(
            json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string(),
        ))
    })
}
