//! Sessions that are lost, odd, or cannot be given back.

use super::Behaviour;
use super::request::Request;
use super::talk::{Talk, except, honest, honest_value, response};

pub(super) const LIST: [Behaviour; 10] = [
    Behaviour::legacy(
        "session-lost",
        "404 to all that follows initialize",
        |request| {
            if request.rpc() == "initialize" {
                return honest(request);
            }
            Talk::of(response(404, "", "Session not found"))
        },
    ),
    Behaviour::legacy("session-on-error", "a session id on a refusal", |_| {
        Talk::of(response(500, "mcp-session-id: never-opened\r\n", ""))
    }),
    Behaviour::legacy(
        "session-not-ascii",
        "a session id that is not ASCII",
        |request| opened(request, b"s\xc3\xa9ance"),
    ),
    Behaviour::legacy("session-spaces", "a session id with spaces", |request| {
        opened(request, b"a session of mine")
    }),
    Behaviour::legacy("session-giant", "a session id of 20 KiB", |request| {
        opened(request, &[b's'; 20 << 10])
    }),
    Behaviour::legacy("session-empty", "an empty session id", |request| {
        opened(request, b"")
    }),
    Behaviour::legacy(
        "session-changes",
        "another session id on each answer",
        |request| {
            let mut talk = honest(request);
            if request.rpc() != "initialize" {
                let after_status = talk
                    .bytes
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(0, |at| at + 1);
                let mut head = talk.bytes[..after_status].to_vec();
                head.extend(b"mcp-session-id: another\r\n");
                head.extend(&talk.bytes[after_status..]);
                talk.bytes = head;
            }
            talk
        },
    ),
    Behaviour::legacy(
        "session-then-no",
        "a session, and a result that lacks everything",
        |request| {
            except(request, "initialize", |_| {
                let body = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
                let fields =
                    "content-type: application/json\r\nmcp-session-id: hostile-session\r\n";
                Talk::of(response(200, fields, body))
            })
        },
    ),
    Behaviour::legacy(
        "session-kept",
        "the end of a session is never answered",
        |request| {
            if request.method == "DELETE" {
                return Talk::stalling("");
            }
            honest(request)
        },
    ),
    Behaviour::legacy(
        "session-end-fails",
        "500 to the end of a session",
        |request| {
            if request.method == "DELETE" {
                return Talk::of(response(500, "", ""));
            }
            honest(request)
        },
    ),
];

/// What an honest server says, but with this session id.
fn opened(request: &Request, id: &[u8]) -> Talk {
    except(request, "initialize", |request| {
        let body = honest_value(request).to_string();
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: ";
        let length = format!("\r\ncontent-length: {}\r\n\r\n", body.len());
        Talk::of([head, id, length.as_bytes(), body.as_bytes()].concat())
    })
}
