//! Bodies whose length, chunks or coding lie.

use super::Behaviour;
use super::request::Request;
use super::talk::{Talk, honest_value};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

pub(super) const LIST: [Behaviour; 15] = [
    Behaviour::modern(
        "length-too-long",
        "fewer bytes than the length says, and the end",
        |request| Talk::closing(of_length(request, 1)),
    ),
    Behaviour::modern(
        "length-stall",
        "fewer bytes than the length says, and silence",
        |request| Talk::stalling(of_length(request, 1)),
    ),
    Behaviour::modern(
        "length-too-short",
        "more bytes than the length says",
        |request| Talk::of(of_length(request, -1)),
    ),
    Behaviour::modern("length-giant", "a length of exabytes, and silence", |_| {
        Talk::stalling(format!(
            "{HEAD}content-length: 9000000000000000000\r\n\r\n{{"
        ))
    }),
    Behaviour::modern("length-negative", "a length below zero", |_| {
        Talk::of(format!("{HEAD}content-length: -1\r\n\r\n"))
    }),
    Behaviour::modern("length-twice", "two lengths that differ", |_| {
        Talk::of(format!(
            "{HEAD}content-length: 2\r\ncontent-length: 200\r\n\r\n{{}}"
        ))
    }),
    Behaviour::modern("chunk-no-size", "a chunk without a size", |_| {
        Talk::of(format!("{CHUNKED}zz\r\n{{}}\r\n0\r\n\r\n"))
    }),
    Behaviour::modern(
        "chunk-giant",
        "a chunk of more bytes than can be counted",
        |_| Talk::of(format!("{CHUNKED}fffffffffffffffff\r\n{{}}")),
    ),
    Behaviour::modern("chunk-cut", "the connection closes within a chunk", |_| {
        Talk::closing(format!("{CHUNKED}ff\r\n{{\"jsonrpc\""))
    }),
    Behaviour::modern(
        "chunk-endless-extension",
        "an extension of a chunk without end",
        |_| Talk::flood(format!("{CHUNKED}2;x="), "y".repeat(1024)),
    ),
    Behaviour::modern("chunk-endless-trailer", "trailers without end", |request| {
        let answer = honest_value(request).to_string();
        let whole = format!("{CHUNKED}{:x}\r\n{answer}\r\n0\r\n", answer.len());
        Talk::flood(whole, "x-trailer: and more and more\r\n".repeat(50))
    }),
    Behaviour::modern(
        "tiny-chunks",
        "an answer in chunks of one byte",
        |request| {
            let answer = honest_value(request).to_string();
            if answer == "null" {
                return Talk::of("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
            }
            let mut bytes = CHUNKED.as_bytes().to_vec();
            for byte in answer.bytes() {
                bytes.extend([b'1', b'\r', b'\n', byte, b'\r', b'\n']);
            }
            bytes.extend(b"0\r\n\r\n");
            Talk::of(bytes)
        },
    ),
    Behaviour::modern("compressed", "gzip that nobody asked for", |_| {
        let mut bytes =
            format!("{HEAD}content-encoding: gzip\r\ncontent-length: 4\r\n\r\n").into_bytes();
        bytes.extend([0x1f, 0x8b, 8, 0]);
        Talk::of(bytes)
    }),
    Behaviour::modern("compression-bomb", "gzip of 64 MiB of spaces", |_| {
        Talk::of(bomb("gzip"))
    }),
    Behaviour::modern(
        "compression-stacked",
        "gzip within gzip within gzip",
        |_| Talk::of(bomb("gzip, gzip, gzip")),
    ),
];

fn of_length(request: &Request, wrong_by: isize) -> String {
    let answer = honest_value(request).to_string();
    let length = answer.len().saturating_add_signed(wrong_by);
    format!("{HEAD}content-length: {length}\r\n\r\n{answer}")
}

/// A gzip file (RFC 1952) of one deflate block with fixed codes (RFC 1951 §3.2.6): one space, and
/// then copies of the 258 bytes before, each in 13 bits.
fn bomb(coding: &str) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let mut bits = Bits::default();
    bits.put(1, 1); // the last block
    bits.put(1, 2); // fixed codes
    bits.put_code(0x30 + 0x20, 8); // a space
    for _ in 0..(64 << 20) / 258 {
        bits.put_code(0xc5, 8); // length 258
        bits.put_code(0, 5); // distance 1
    }
    bits.put_code(0, 7); // the end of the block
    packed.extend(bits.bytes);
    let head = format!(
        "{HEAD}content-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
        packed.len()
    );
    [head.into_bytes(), packed].concat()
}

/// Bits, the lowest of each byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for at in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = u8::from(value >> at & 1 == 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// Codes come with their highest bit first.
    fn put_code(&mut self, code: u32, count: u32) {
        self.put(code.reverse_bits() >> (32 - count), count);
    }
}
