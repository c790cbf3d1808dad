//! Event streams without end, without events, or with the wrong ones.

use std::time::Duration;

use super::Behaviour;
use super::request::Request;
use super::talk::{Talk, except, honest, honest_value, response};

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const NOTICE: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n";
const PING: &str = "data: {\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"ping\"}\n\n";

pub(super) const LIST: [Behaviour; 24] = [
    Behaviour::modern("sse-endless-events", "notifications without end", |_| {
        Talk::flood(STREAM, NOTICE.repeat(100))
    }),
    Behaviour::modern("sse-endless-comments", "comments without end", |_| {
        Talk::flood(STREAM, ":\n".repeat(8192))
    }),
    Behaviour::modern(
        "sse-heartbeat",
        "a comment every moment, and never an answer",
        |_| Talk::drip(STREAM, ": still here\n\n"),
    ),
    Behaviour::modern(
        "sse-unfinished-event",
        "a large event without its end, then comments",
        |_| {
            let padding = "x".repeat(500_000);
            let event = format!(
                "{STREAM}data: {{\"jsonrpc\":\"2.0\",\"method\":\"n\",\"p\":\"{padding}\"}}\n"
            );
            Talk::drip(event, ":\n")
        },
    ),
    Behaviour::modern("sse-endless-line", "a line without end", |_| {
        Talk::flood(format!("{STREAM}data: "), "x".repeat(16 << 10))
    }),
    Behaviour::modern("sse-endless-data", "lines of one event without end", |_| {
        Talk::flood(STREAM, "data: x\n".repeat(2000))
    }),
    Behaviour::modern(
        "sse-no-blank-line",
        "answers without the blank line that ends them",
        |request| streamed(request, |answer| format!("data: {answer}\n")),
    ),
    Behaviour::modern("sse-stalled", "an open stream without events", |_| {
        Talk::stalling(STREAM)
    }),
    Behaviour::modern("sse-ends", "a stream that ends without the answer", |_| {
        Talk::closing(format!("{STREAM}{NOTICE}"))
    }),
    Behaviour::modern("sse-not-utf8", "a stream that is not UTF-8", |_| {
        Talk::closing([STREAM.as_bytes(), b"data: \xff\xfe\n\n"].concat())
    }),
    Behaviour::modern("sse-html", "a page as an event", |_| {
        Talk::closing(format!("{STREAM}data: <html>\n\n"))
    }),
    Behaviour::modern("sse-other-json", "an event that is no message", |_| {
        Talk::closing(format!("{STREAM}data: {{\"status\":\"ok\"}}\n\n"))
    }),
    Behaviour::modern(
        "sse-wrong-id",
        "the answer to another request, and the end",
        |_| {
            Talk::closing(format!(
                "{STREAM}data: {{\"jsonrpc\":\"2.0\",\"id\":4711,\"result\":{{}}}}\n\n"
            ))
        },
    ),
    Behaviour::modern(
        "sse-retry",
        "a pause of eleven days is asked for, and the stream ends",
        |_| Talk::closing(format!("{STREAM}id: 1\nretry: 1000000000\ndata: \n\n")),
    ),
    Behaviour::modern(
        "sse-giant-id",
        "an event id of a MiB before each answer",
        |request| {
            streamed(request, |answer| {
                format!("id: {}\ndata: {answer}\n\n", "i".repeat(1 << 20))
            })
        },
    ),
    Behaviour::modern(
        "sse-mark",
        "a byte order mark before each stream",
        |request| streamed(request, |answer| format!("\u{feff}data: {answer}\n\n")),
    ),
    Behaviour::modern(
        "sse-buffered",
        "events that a proxy keeps for a while",
        |request| {
            let answer = honest_value(request);
            if answer.is_null() {
                return honest(request);
            }
            let rest = format!("{NOTICE}{NOTICE}data: {answer}\n\n");
            Talk::later(STREAM, Duration::from_millis(300), rest)
        },
    ),
    Behaviour::modern(
        "sse-requests-modern",
        "a request of the server before each answer",
        |request| streamed(request, |answer| format!("{PING}data: {answer}\n\n")),
    ),
    Behaviour::legacy(
        "sse-ping-flood",
        "requests of the server without end",
        |request| {
            except(request, "tools/list", |_| {
                Talk::flood(STREAM, PING.repeat(100))
            })
        },
    ),
    Behaviour::legacy(
        "endpoint-elsewhere",
        "the endpoint is of another origin",
        |request| {
            opened(request, || {
                Talk::stalling(format!(
                    "{STREAM}event: endpoint\ndata: https://elsewhere.example/message\n\n"
                ))
            })
        },
    ),
    Behaviour::legacy(
        "endpoint-metadata",
        "the endpoint is the metadata service",
        |request| {
            opened(request, || {
                Talk::stalling(format!(
                    "{STREAM}event: endpoint\ndata: http://169.254.169.254/latest\n\n"
                ))
            })
        },
    ),
    Behaviour::legacy("endpoint-giant", "the endpoint has a MiB", |request| {
        opened(request, || {
            Talk::stalling(format!(
                "{STREAM}event: endpoint\ndata: /{}\n\n",
                "m".repeat(1 << 20)
            ))
        })
    }),
    Behaviour::legacy(
        "endpoint-never",
        "a stream that never names its endpoint",
        |request| opened(request, || Talk::stalling(STREAM)),
    ),
    Behaviour::legacy(
        "endpoint-flood",
        "comments without end before the endpoint",
        |request| {
            opened(request, || {
                Talk::flood(STREAM, ": and more and more and more\n".repeat(500))
            })
        },
    ),
];

/// The 2024-11-05 transport: `POST` is refused, `GET` opens the stream.
fn opened(request: &Request, stream: impl FnOnce() -> Talk) -> Talk {
    if request.method == "GET" {
        return stream();
    }
    Talk::of(response(405, "", ""))
}

/// An honest answer as the stream that `text` makes of it, ended by the end of the connection.
fn streamed(request: &Request, text: impl FnOnce(&str) -> String) -> Talk {
    let answer = honest_value(request);
    if answer.is_null() {
        return honest(request);
    }
    Talk::closing(format!("{STREAM}{}", text(&answer.to_string())))
}
