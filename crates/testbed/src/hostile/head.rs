//! Heads of responses that are slow, endless, giant or none.

use super::Behaviour;
use super::talk::{Talk, honest, honest_value, json, response};

pub(super) const LIST: [Behaviour; 15] = [
    Behaviour::modern("silent", "requests are read and never answered", |_| {
        Talk::stalling("")
    }),
    Behaviour::modern("slow-head", "the head comes byte by byte", |_| {
        Talk::drip("HTTP/1.1 200 OK\r\nx-slow: ", "y")
    }),
    Behaviour::modern("head-cut", "the connection closes within the head", |_| {
        Talk::closing("HTTP/1.1 200 OK\r\ncontent-ty")
    }),
    Behaviour::modern("endless-head", "header lines without end", |_| {
        Talk::flood(
            "HTTP/1.1 200 OK\r\n",
            "x-more: and more and more\r\n".repeat(100),
        )
    }),
    Behaviour::modern("endless-status-line", "a status line without end", |_| {
        Talk::flood("HTTP/1.1 200 ", "OK ".repeat(1000))
    }),
    Behaviour::modern("giant-header", "one header of a MiB", |request| {
        let giant = format!("x-giant: {}\r\n", "y".repeat(1 << 20));
        Talk::of(response(200, &giant, honest_value(request).to_string()))
    }),
    Behaviour::modern("many-headers", "500 header lines", |request| {
        let many = "x-many: y\r\n".repeat(500);
        Talk::of(response(200, &many, honest_value(request).to_string()))
    }),
    Behaviour::modern("not-http", "another protocol is spoken", |_| {
        Talk::closing("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    }),
    Behaviour::modern("bad-status", "a status of two digits", |_| {
        Talk::of("HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n")
    }),
    Behaviour::modern("header-nul", "a header with a null byte", |_| {
        Talk::of("HTTP/1.1 200 OK\r\nx-nul: a\0b\r\ncontent-length: 0\r\n\r\n")
    }),
    Behaviour::modern("header-no-colon", "a header line without a colon", |_| {
        Talk::of("HTTP/1.1 200 OK\r\nno colon here\r\ncontent-length: 0\r\n\r\n")
    }),
    Behaviour::modern("early-hints", "103 before each answer", |request| {
        let mut bytes = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_vec();
        bytes.extend(json(honest_value(request).to_string()));
        Talk::of(bytes)
    }),
    Behaviour::modern("endless-early-hints", "103 without end", |_| {
        Talk::flood("", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(500))
    }),
    Behaviour::modern("upgrade", "101 that nobody asked for", |_| {
        Talk::stalling(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: hostile\r\n\r\n",
        )
    }),
    Behaviour::modern(
        "second-response",
        "another response follows each one",
        |request| {
            let mut talk = honest(request);
            let stray = r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}"#;
            talk.bytes.extend(json(stray));
            talk
        },
    ),
];
