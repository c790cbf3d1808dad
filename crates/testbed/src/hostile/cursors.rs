//! Lists that never end.

use serde_json::{Value, json};

use super::Behaviour;
use super::request::Request;
use super::talk::{Talk, changed};

pub(super) const LIST: [Behaviour; 8] = [
    Behaviour::modern("cursor-loop", "the same cursor on every page", |request| {
        paged(request, |_| json!("again"))
    }),
    Behaviour::modern("cursor-fresh", "a new cursor on every page", |request| {
        paged(request, |page| json!(format!("page-{page}")))
    }),
    Behaviour::modern("cursor-empty", "an empty cursor on every page", |request| {
        paged(request, |_| json!(""))
    }),
    Behaviour::legacy(
        "cursor-empty-legacy",
        "an empty cursor in the era that knew no better",
        |request| paged(request, |_| json!("")),
    ),
    Behaviour::modern("cursor-giant", "a cursor of a MiB", |request| {
        paged(request, |_| json!("c".repeat(1 << 20)))
    }),
    Behaviour::modern("cursor-number", "a cursor that is a number", |request| {
        paged(request, |page| json!(page))
    }),
    Behaviour::modern(
        "pages-of-tools",
        "a thousand new tools on every page",
        |request| {
            let page = page_of(request);
            changed(request, |answer| {
                if answer["result"]["tools"].is_array() {
                    let name = |n: u64| format!("t{}", page * 1000 + n);
                    let tools = (0..1000)
                        .map(|n| json!({ "name": name(n), "inputSchema": { "type": "object" } }));
                    answer["result"]["tools"] = tools.collect();
                    answer["result"]["nextCursor"] = json!(format!("page-{}", page + 1));
                }
            })
        },
    ),
    Behaviour::modern(
        "pages-of-bytes",
        "3 MiB and a new cursor on every page",
        |request| {
            let page = page_of(request);
            changed(request, |answer| {
                if answer["result"]["tools"].is_array() {
                    answer["result"]["tools"][0]["description"] = json!("d".repeat(3 << 20));
                    answer["result"]["nextCursor"] = json!(format!("page-{}", page + 1));
                }
            })
        },
    ),
];

/// Which page a request asks for, as far as its cursor says.
fn page_of(request: &Request) -> u64 {
    let cursor = request.body["params"]["cursor"]
        .as_str()
        .unwrap_or_default();
    let number = cursor
        .strip_prefix("page-")
        .and_then(|page| page.parse().ok());
    number.unwrap_or(0)
}

fn paged(request: &Request, cursor: impl FnOnce(u64) -> Value) -> Talk {
    let next = page_of(request) + 1;
    changed(request, |answer| {
        if answer["result"]["tools"].is_array() {
            answer["result"]["nextCursor"] = cursor(next);
        }
    })
}
