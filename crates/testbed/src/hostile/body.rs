//! Bodies that are no answer, or too much of one.

use super::Behaviour;
use super::request::Request;
use super::talk::{OPEN_JSON, Talk, honest_value, json, response};

pub(super) const LIST: [Behaviour; 24] = [
    Behaviour::modern("endless-json", "a JSON array without end", |_| {
        Talk::flood(format!("{OPEN_JSON}["), "{\"\":0},".repeat(1000))
    }),
    Behaviour::modern("slow-body", "a body of spaces, byte by byte", |_| {
        Talk::drip(OPEN_JSON, " ")
    }),
    Behaviour::modern("nesting-bomb", "a hundred thousand brackets", |_| {
        Talk::of(json("[".repeat(100_000) + &"]".repeat(100_000)))
    }),
    Behaviour::modern(
        "nested-objects",
        "an answer that is ten thousand objects deep",
        |_| {
            let deep = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
            Talk::of(json(result(&deep)))
        },
    ),
    Behaviour::modern("value-bomb", "half a million empty objects", |_| {
        Talk::of(json(format!("[{}{{}}]", "{},".repeat(500_000))))
    }),
    Behaviour::modern("batch-bomb", "fifty thousand messages at once", |_| {
        let message = r#"{"jsonrpc":"2.0","method":"n"},"#.repeat(50_000);
        Talk::of(json(format!("[{message}{{}}]")))
    }),
    Behaviour::modern(
        "long-number",
        "a number of a hundred thousand digits",
        |_| Talk::of(json(result(&"9".repeat(100_000)))),
    ),
    Behaviour::modern("duplicate-keys", "an answer with two ids", |request| {
        let honest = honest_value(request).to_string();
        let open = honest.strip_suffix('}').unwrap_or_default();
        Talk::of(json(format!("{open},\"id\":99}}")))
    }),
    Behaviour::modern("invalid-utf8", "JSON that is not UTF-8", |_| {
        Talk::of(json(
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":\"\xff\xfe\"}}",
        ))
    }),
    Behaviour::modern("lone-surrogate", "half of a character", |_| {
        Talk::of(json(result(r#"{"a":"\ud800"}"#)))
    }),
    Behaviour::modern(
        "byte-order-mark",
        "a byte order mark before each answer",
        |request| Talk::of(json(format!("\u{feff}{}", honest_value(request)))),
    ),
    Behaviour::modern("zeros", "a body of null bytes", |_| {
        Talk::of(json([0; 4096]))
    }),
    Behaviour::modern("empty-body", "no body", |_| Talk::of(json(""))),
    Behaviour::modern("no-content", "204", |_| {
        Talk::of("HTTP/1.1 204 No Content\r\n\r\n")
    }),
    Behaviour::modern("accepted-only", "202 and no answer", |_| {
        Talk::of(response(202, "", ""))
    }),
    Behaviour::modern("html", "a page", |_| {
        Talk::of(response(
            200,
            "content-type: text/html\r\n",
            "<!DOCTYPE html><title>Welcome</title>",
        ))
    }),
    Behaviour::modern("html-as-json", "a page that says it is JSON", |_| {
        Talk::of(json("<html><form action=\"/login\">"))
    }),
    Behaviour::modern("login-page", "a page that asks who you are", |_| {
        let page =
            "<!doctype html><form method=\"post\" action=\"/login\"><input type=\"password\">";
        Talk::of(response(
            200,
            "content-type: text/html; charset=utf-8\r\n",
            page,
        ))
    }),
    Behaviour::modern(
        "text-as-json",
        "an answer that says it is text",
        |request| typed(request, "content-type: text/plain\r\n"),
    ),
    Behaviour::modern(
        "no-content-type",
        "an answer that says nothing of its type",
        |request| typed(request, ""),
    ),
    Behaviour::modern("other-json", "JSON of another API", |_| {
        Talk::of(json(r#"{"status":"ok","version":"1.2.3"}"#))
    }),
    Behaviour::modern("result-and-error", "an answer that is both", |_| {
        Talk::of(json(
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#,
        ))
    }),
    Behaviour::modern("neither", "an answer that is nothing", |_| {
        Talk::of(json(r#"{"jsonrpc":"2.0","id":1}"#))
    }),
    Behaviour::modern("only-requests", "requests instead of an answer", |_| {
        Talk::of(json(
            r#"[{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}]"#,
        ))
    }),
];

fn result(value: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{value}}}")
}

fn typed(request: &Request, fields: &str) -> Talk {
    Talk::of(response(200, fields, honest_value(request).to_string()))
}
