//! What is said to a request, and how it goes on.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::log::Log;
use super::request::Request;
use crate::server::answer;
use crate::server::script::Script;

/// The pause between the pieces of what drips.
const PAUSE: Duration = Duration::from_millis(50);
/// The name of the session of each honest legacy answer.
pub(super) const SESSION: &str = "hostile-session";

/// Bytes, and what follows.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) bytes: Vec<u8>,
    then: Then,
}

#[derive(Debug)]
enum Then {
    /// The next request is awaited.
    Next,
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
    /// After a while the connection is reset.
    ResetLater,
    /// Nothing ever.
    Silence,
    /// These, as fast as they are taken, until nobody takes them.
    Flood(Vec<u8>),
    /// These, each after a pause, until nobody takes them.
    Drip(Vec<u8>),
    /// After a while these, and then the next request.
    Later(Duration, Vec<u8>),
}

/// Whether a connection goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come.
    Next,
    /// It is to be closed.
    Close,
    /// It is to be reset.
    Reset,
}

impl Talk {
    const fn new(bytes: Vec<u8>, then: Then) -> Self {
        Self { bytes, then }
    }

    /// A whole answer.
    pub(super) fn of(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes.into(), Then::Next)
    }

    /// An answer that the end of the connection ends.
    pub(super) fn closing(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes.into(), Then::Close)
    }

    /// An answer that a reset ends.
    pub(super) fn resetting(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes.into(), Then::Reset)
    }

    /// An answer that never goes on.
    pub(super) fn stalling(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes.into(), Then::Silence)
    }

    /// An answer that goes on for ever.
    pub(super) fn flood(bytes: impl Into<Vec<u8>>, piece: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes.into(), Then::Flood(piece.into()))
    }

    /// An answer that goes on for ever, slowly.
    pub(super) fn drip(bytes: impl Into<Vec<u8>>, piece: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes.into(), Then::Drip(piece.into()))
    }

    /// An answer whose end comes late.
    pub(super) fn later(
        bytes: impl Into<Vec<u8>>,
        pause: Duration,
        rest: impl Into<Vec<u8>>,
    ) -> Self {
        Self::new(bytes.into(), Then::Later(pause, rest.into()))
    }

    /// The same, and then the end of the connection, which the head announces: a client that has not
    /// seen the end yet would send its next request into it.
    pub(super) fn and_close(mut self) -> Self {
        let after_status = self.bytes.iter().position(|byte| *byte == b'\n');
        let at = after_status.map_or(0, |at| at + 1);
        let field = b"connection: close\r\n".iter().copied();
        self.bytes.splice(at..at, field);
        Self::new(self.bytes, Then::Close)
    }

    /// The same after a while, and then a reset: what was sent before must have arrived.
    pub(super) fn and_reset_later(self) -> Self {
        Self::new(self.bytes, Then::ResetLater)
    }

    /// Says it. Errors mean that nobody listens any more.
    pub(super) async fn say(
        self,
        io: &mut (impl AsyncRead + AsyncWrite + Unpin),
        log: &Log,
    ) -> io::Result<After> {
        write(io, &self.bytes, log).await?;
        match self.then {
            Then::Next => Ok(After::Next),
            Then::Close => Ok(After::Close),
            Then::Reset => Ok(After::Reset),
            Then::ResetLater => {
                tokio::time::sleep(PAUSE).await;
                Ok(After::Reset)
            }
            Then::Silence => {
                let mut unread = [0; 4096];
                while io.read(&mut unread).await? > 0 {}
                Ok(After::Close)
            }
            Then::Flood(piece) => loop {
                write(io, &piece, log).await?;
            },
            Then::Drip(piece) => loop {
                tokio::time::sleep(PAUSE).await;
                write(io, &piece, log).await?;
            },
            Then::Later(pause, rest) => {
                tokio::time::sleep(pause).await;
                write(io, &rest, log).await?;
                Ok(After::Next)
            }
        }
    }
}

async fn write(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8], log: &Log) -> io::Result<()> {
    // In pieces, so that what nobody reads is not counted as sent.
    for piece in bytes.chunks(16 << 10) {
        io.write_all(piece).await?;
        log.sent(piece.len());
    }
    io.flush().await
}

/// An HTTP/1.1 response: a status, further header lines that each end in CRLF, and a body of known
/// length.
pub(super) fn response(status: u16, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} Hostile\r\n{fields}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A response with a JSON body.
pub(super) fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    response(200, "content-type: application/json\r\n", body)
}

/// The head of a JSON response without length: the end of the connection ends it.
pub(super) const OPEN_JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";

/// The JSON-RPC response of an honest server; null for what calls for none.
pub(super) fn honest_value(request: &Request) -> Value {
    let is_modern = request.is_modern();
    let revision = if is_modern {
        "2026-07-28"
    } else {
        "2025-11-25"
    };
    answer::to(&request.body, is_modern, revision, &Script::default()).unwrap_or_default()
}

/// What an honest server says.
pub(super) fn honest(request: &Request) -> Talk {
    changed(request, |_| {})
}

/// What an honest server says, with something changed in each JSON-RPC response.
pub(super) fn changed(request: &Request, change: impl FnOnce(&mut Value)) -> Talk {
    let mut value = honest_value(request);
    if value.is_null() {
        return Talk::of(response(empty_status(request), "", ""));
    }
    change(&mut value);
    dressed(request, value.to_string().as_bytes())
}

/// A JSON body as the answer to a request: `initialize` opens a session with it.
pub(super) fn dressed(request: &Request, body: &[u8]) -> Talk {
    let mut fields = "content-type: application/json\r\n".to_owned();
    if request.rpc() == "initialize" {
        fields.push_str("mcp-session-id: ");
        fields.push_str(SESSION);
        fields.push_str("\r\n");
    }
    Talk::of(response(200, &fields, body))
}

/// What an honest server says, and to `method` something else.
pub(super) fn except(
    request: &Request,
    method: &str,
    other: impl FnOnce(&Request) -> Talk,
) -> Talk {
    if request.rpc() == method {
        other(request)
    } else {
        honest(request)
    }
}

fn empty_status(request: &Request) -> u16 {
    match request.method.as_str() {
        "POST" => 202,
        "DELETE" => 200,
        _ => 405,
    }
}
