//! HTTP/2, written frame by frame (RFC 9113).

use std::io;

use model::EraPolicy;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::log::Log;
use super::talk::{After, Talk};
use super::{Behaviour, Way};

const PREFACE: usize = 24;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Frames of a flood that ends, so that what a probe says of it is not a matter of speed.
const FLOOD: usize = 10_000;

pub(super) const LIST: [Behaviour; 11] = [
    h2("h2-silent", "requests are never answered", |_| {
        Talk::stalling("")
    }),
    h2("h2-goaway", "each request is answered with GOAWAY", |_| {
        Talk::closing(frame(GOAWAY, 0, 0, &[0; 8]))
    }),
    h2(
        "h2-reset",
        "each request is reset with INTERNAL_ERROR",
        |stream| Talk::of(frame(RST_STREAM, 0, stream, &[0, 0, 0, 2])),
    ),
    h2(
        "h2-refuse",
        "each request is reset with REFUSED_STREAM",
        |stream| Talk::of(frame(RST_STREAM, 0, stream, &[0, 0, 0, 7])),
    ),
    h2(
        "h2-reset-flood",
        "streams that nobody opened are reset",
        |_| {
            let mut bytes = Vec::new();
            for stream in 0..1000 {
                bytes.extend(frame(RST_STREAM, 0, 1001 + 2 * stream, &[0, 0, 0, 8]));
            }
            Talk::stalling(bytes)
        },
    ),
    h2(
        "h2-settings-flood",
        "settings without end, each to be acknowledged",
        |_| Talk::stalling(frame(SETTINGS, 0, 0, &[]).repeat(FLOOD)),
    ),
    h2(
        "h2-ping-flood",
        "pings without end, each to be answered",
        |_| Talk::stalling(frame(PING, 0, 0, &[7; 8]).repeat(FLOOD)),
    ),
    h2(
        "h2-giant-frame",
        "a frame is larger than was agreed",
        |stream| {
            let mut bytes = vec![0xff, 0xff, 0xff, 0, 0];
            bytes.extend(stream.to_be_bytes());
            bytes.extend([0; 1 << 16]);
            Talk::stalling(bytes)
        },
    ),
    h2(
        "h2-endless-head",
        "a head is continued without end",
        |stream| {
            let fields = [0, 1, b'x', 1, b'y'].repeat(200);
            Talk::flood(
                frame(HEADERS, 0, stream, &[0x88]),
                frame(CONTINUATION, 0, stream, &fields),
            )
        },
    ),
    h2(
        "h2-header-bomb",
        "a small head that unpacks to a giant one",
        |stream| {
            // One entry of 4000 bytes goes into the table; each further byte repeats it (RFC 7541 §6.1).
            let mut block = vec![0x88, 0x40, 1, b'x', 0x7f, 0xa1, 0x1e];
            block.extend([b'y'; 4000]);
            block.extend([0xbe; 10_000]);
            Talk::stalling(frame(HEADERS, END_HEADERS, stream, &block))
        },
    ),
    h2(
        "h2-push",
        "a response that nobody asked for is pushed",
        |stream| {
            Talk::stalling(frame(
                PUSH_PROMISE,
                END_HEADERS,
                stream,
                &[0, 0, 0, 2, 0x82, 0x87, 0x84],
            ))
        },
    ),
];

const fn h2(name: &'static str, what: &'static str, say: fn(u32) -> Talk) -> Behaviour {
    Behaviour::new(name, what, EraPolicy::Modern, Way::H2(say))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Shakes hands, and says something to each request.
pub(super) async fn converse(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    say: fn(u32) -> Talk,
    log: &Log,
) -> io::Result<()> {
    let mut preface = [0; PREFACE];
    io.read_exact(&mut preface).await?;
    io.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        io.read_exact(&mut head).await?;
        let length = usize::from(head[1]) << 8 | usize::from(head[2]) | usize::from(head[0]) << 16;
        let mut payload = vec![0; length.min(1 << 20)];
        io.read_exact(&mut payload).await?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        match head[3] {
            SETTINGS if head[4] & ACK == 0 => io.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
            HEADERS if say(stream).say(io, log).await? != After::Next => {
                return io.shutdown().await;
            }
            _ => {}
        }
    }
}
