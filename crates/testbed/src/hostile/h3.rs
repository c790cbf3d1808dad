//! HTTP/3, written frame by frame over QUIC (RFC 9114).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use model::EraPolicy;
use quinn::{Connection, Endpoint, SendStream, VarInt};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::log::Log;
use super::tls::Shown;
use super::{Behaviour, Way};
use crate::ca::{Ca, Flaw};
use crate::quic;

const DATA: u64 = 0;
const HEADERS: u64 = 1;
const SETTINGS: u64 = 4;
/// RFC 9114 §8.1.
const H3_INTERNAL_ERROR: u32 = 0x102;
const H3_REQUEST_REJECTED: u32 = 0x10b;
/// A field section (RFC 9204 §4.5): nothing of the dynamic table, `:status: 200` and `content-type:
/// application/json`, the entries 25 and 46 of the static one.
const JSON: [u8; 4] = [0, 0, 0xc0 | 25, 0xc0 | 46];
/// `:status: 103`, the entry 24.
const HINTS: [u8; 3] = [0, 0, 0xc0 | 24];
/// `content-type` alone.
const NO_STATUS: [u8; 3] = [0, 0, 0xc0 | 46];
/// The begin of an answer.
const BEGIN: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,";

/// What happens on the way to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trick {
    /// Datagrams are taken and never answered.
    Silent,
    /// Nothing listens for datagrams.
    Closed,
    /// Datagrams are answered with datagrams that are none of QUIC.
    Noise,
    /// The certificate has a flaw.
    Flawed(Flaw),
    /// Another protocol than `h3` is spoken.
    OtherProtocol,
    /// What happens to a request.
    Answer(Answer),
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Never,
    Rejected,
    Reset,
    ResetInBody,
    CloseInBody,
    EndlessBody,
    StalledBody,
    CutFrame,
    WrongLength,
    GiantHead,
    EndlessHead,
    EndlessHints,
    BadHeadAfterHints,
    BadFields,
    NoHead,
    ManyStreams,
}

const fn h3(name: &'static str, what: &'static str, trick: Trick) -> Behaviour {
    Behaviour::new(name, what, EraPolicy::Modern, Way::H3(trick))
}

const fn answers(name: &'static str, what: &'static str, answer: Answer) -> Behaviour {
    h3(name, what, Trick::Answer(answer))
}

pub(super) const LIST: [Behaviour; 22] = [
    h3(
        "h3-unanswered",
        "datagrams are never answered",
        Trick::Silent,
    ),
    h3("h3-refused", "nothing listens for QUIC", Trick::Closed),
    h3(
        "h3-handshake-stalled",
        "the handshake is answered with noise",
        Trick::Noise,
    ),
    h3(
        "h3-other-protocol",
        "QUIC is for another protocol, by ALPN",
        Trick::OtherProtocol,
    ),
    h3(
        "h3-expired",
        "the certificate has expired",
        Trick::Flawed(Flaw::Expired),
    ),
    h3(
        "h3-not-yet-valid",
        "the certificate begins tomorrow",
        Trick::Flawed(Flaw::NotYetValid),
    ),
    answers("h3-silent", "requests are never answered", Answer::Never),
    answers("h3-rejected", "requests are rejected", Answer::Rejected),
    answers("h3-reset", "requests are reset", Answer::Reset),
    answers("h3-reset-in-body", "a body is reset", Answer::ResetInBody),
    answers(
        "h3-close-in-body",
        "the connection is closed in a body",
        Answer::CloseInBody,
    ),
    answers("h3-endless-body", "a body never ends", Answer::EndlessBody),
    answers("h3-stalled-body", "a body stops", Answer::StalledBody),
    answers(
        "h3-cut-frame",
        "a stream ends within a frame",
        Answer::CutFrame,
    ),
    answers(
        "h3-wrong-length",
        "a body is shorter than its head says",
        Answer::WrongLength,
    ),
    answers("h3-giant-head", "a head of 64 KiB", Answer::GiantHead),
    answers("h3-endless-head", "a head never ends", Answer::EndlessHead),
    answers(
        "h3-endless-early-hints",
        "interim responses without end",
        Answer::EndlessHints,
    ),
    answers(
        "h3-bad-head-after-hints",
        "an interim response, and a head without a status in the same packet",
        Answer::BadHeadAfterHints,
    ),
    answers(
        "h3-bad-fields",
        "a head refers to fields that nobody sent",
        Answer::BadFields,
    ),
    answers("h3-no-head", "a body without a head", Answer::NoHead),
    answers(
        "h3-many-streams",
        "streams without end, none of them for anything",
        Answer::ManyStreams,
    ),
];

/// Lets a trick loose; where it is, and the authority to trust.
pub(super) async fn start(
    trick: Trick,
    bind: SocketAddr,
    log: Arc<Log>,
    token: CancellationToken,
) -> anyhow::Result<(SocketAddr, String)> {
    let honest = || Shown::honest(&[]);
    let (shown, protocol): (Shown, &[u8]) = match trick {
        Trick::Flawed(flaw) => {
            let ca = Ca::new()?;
            let config = ca.loopback(flaw)?;
            let authority = ca.pem().to_owned();
            (Shown { config, authority }, b"h3")
        }
        Trick::OtherProtocol => (honest()?, b"hq-interop"),
        Trick::Answer(_) => (honest()?, b"h3"),
        Trick::Silent | Trick::Closed | Trick::Noise => {
            let socket = UdpSocket::bind(bind).await?;
            let address = socket.local_addr()?;
            tokio::spawn(async move {
                tokio::select! {
                    () = token.cancelled() => {}
                    _ = without_quic(trick, socket) => {}
                }
            });
            return Ok((address, honest()?.authority));
        }
    };
    let endpoint = quic::listen(bind, shown.config, protocol)?;
    let address = endpoint.local_addr()?;
    tokio::spawn(async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = accept(&endpoint, trick, &log) => {}
        }
    });
    Ok((address, shown.authority))
}

async fn without_quic(trick: Trick, socket: UdpSocket) -> io::Result<()> {
    if trick == Trick::Closed {
        // Connected elsewhere it keeps the port, and is deaf to everybody else.
        socket.connect((Ipv4Addr::LOCALHOST, 9)).await?;
        return std::future::pending().await;
    }
    let mut buffer = [0; 2048];
    loop {
        let (_, peer) = socket.recv_from(&mut buffer).await?;
        if trick == Trick::Noise {
            // A long header of version 1, and an end (RFC 9000 §17.2).
            socket.send_to(&[0xc0, 0, 0, 0, 1, 0], peer).await?;
        }
    }
}

async fn accept(endpoint: &Endpoint, trick: Trick, log: &Arc<Log>) {
    while let Some(incoming) = endpoint.accept().await {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            if let (Ok(connection), Trick::Answer(answer)) = (incoming.await, trick) {
                // The probe hangs up at will.
                let _ = converse(connection, answer, &log).await;
            }
        });
    }
}

async fn converse(connection: Connection, answer: Answer, log: &Log) -> anyhow::Result<()> {
    // It lives as long as the connection: its end would break the rules too.
    let mut control = connection.open_uni().await?;
    control.write_all(&[0]).await?;
    control.write_all(&frame(SETTINGS, &[])).await?;
    loop {
        let (stream, mut request) = connection.accept_bi().await?;
        // A bound that no honest request comes near.
        let _ = request.read_to_end(1 << 20).await?;
        say(&connection, stream, answer, log).await?;
    }
}

async fn say(
    connection: &Connection,
    mut stream: SendStream,
    answer: Answer,
    log: &Log,
) -> anyhow::Result<()> {
    let begun = [frame(HEADERS, &JSON), frame(DATA, BEGIN)].concat();
    match answer {
        Answer::Never => {}
        Answer::Rejected => return Ok(stream.reset(VarInt::from_u32(H3_REQUEST_REJECTED))?),
        Answer::Reset => return Ok(stream.reset(VarInt::from_u32(H3_INTERNAL_ERROR))?),
        Answer::ResetInBody => {
            send(&mut stream, &begun, log).await?;
            return Ok(stream.reset(VarInt::from_u32(H3_INTERNAL_ERROR))?);
        }
        Answer::CloseInBody => {
            send(&mut stream, &begun, log).await?;
            connection.close(VarInt::from_u32(H3_INTERNAL_ERROR), b"enough\x1b[31m");
            return Ok(());
        }
        Answer::StalledBody => send(&mut stream, &begun, log).await?,
        Answer::CutFrame => {
            let mut bytes = frame(HEADERS, &JSON);
            bytes.extend([varint(DATA), varint(100), BEGIN.to_vec()].concat());
            send(&mut stream, &bytes, log).await?;
            return Ok(stream.finish()?);
        }
        Answer::WrongLength => {
            // `content-length: 100`, its name the entry 4 of the static table.
            let section = [&JSON[..], &[0x54, 3], b"100"].concat();
            let bytes = [frame(HEADERS, &section), frame(DATA, BEGIN)].concat();
            send(&mut stream, &bytes, log).await?;
            return Ok(stream.finish()?);
        }
        Answer::EndlessBody => {
            let piece = frame(DATA, &[b' '; 0x4000]);
            flood(&mut stream, &frame(HEADERS, &JSON), &piece, log).await?;
        }
        Answer::GiantHead => {
            let mut section = JSON.to_vec();
            // A literal field `x: y`, again and again (RFC 9204 §4.5.6).
            section.extend([0x21, b'x', 1, b'y'].repeat(1 << 14));
            send(&mut stream, &frame(HEADERS, &section), log).await?;
        }
        Answer::EndlessHead => {
            let head = [varint(HEADERS), varint(1 << 40), JSON.to_vec()].concat();
            flood(
                &mut stream,
                &head,
                &[0x21, b'x', 1, b'y'].repeat(0x1000),
                log,
            )
            .await?;
        }
        Answer::EndlessHints => {
            flood(&mut stream, &[], &frame(HEADERS, &HINTS).repeat(0x100), log).await?;
        }
        Answer::BadHeadAfterHints => {
            let bytes = [frame(HEADERS, &HINTS), frame(HEADERS, &NO_STATUS)].concat();
            send(&mut stream, &bytes, log).await?;
        }
        Answer::BadFields => {
            // The first entry of a dynamic table of which nothing was ever sent.
            send(&mut stream, &frame(HEADERS, &[2, 0, 0x80]), log).await?;
        }
        Answer::NoHead => send(&mut stream, &frame(DATA, BEGIN), log).await?,
        Answer::ManyStreams => loop {
            let mut other = connection.open_uni().await?;
            // A type that says nothing (RFC 9114 §6.2.3).
            other.write_all(&[0x21]).await?;
            other.finish()?;
        },
    }
    // For as long as the probe listens.
    connection.closed().await;
    Ok(())
}

async fn send(stream: &mut SendStream, bytes: &[u8], log: &Log) -> anyhow::Result<()> {
    log.sent(bytes.len());
    Ok(stream.write_all(bytes).await?)
}

async fn flood(
    stream: &mut SendStream,
    begin: &[u8],
    piece: &[u8],
    log: &Log,
) -> anyhow::Result<()> {
    send(stream, begin, log).await?;
    loop {
        send(stream, piece, log).await?;
    }
}

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let length = u64::try_from(payload.len()).unwrap_or(u64::MAX);
    [varint(kind), varint(length), payload.to_vec()].concat()
}

/// RFC 9000 §16, in the longest form, or the shortest.
fn varint(value: u64) -> Vec<u8> {
    match u8::try_from(value) {
        Ok(small @ 0..64) => vec![small],
        Ok(_) | Err(_) => (value | 0b11 << 62).to_be_bytes().to_vec(),
    }
}
