//! Reads the requests of a probe: HTTP/1.1 with a known length, which is all that a probe sends.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The largest head and body that are read.
const MAX_BYTES: usize = 1 << 20;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    /// `GET`, `POST` or `DELETE`.
    pub(super) method: String,
    /// The path of the URL.
    pub(super) path: String,
    /// The message; null where there is none.
    pub(super) body: Value,
    /// Scheme and authority under which this server is known.
    pub(super) origin: String,
    headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        headers.find_map(|(known, value)| (known == name).then_some(value.as_slice()))
    }

    /// The JSON-RPC method; empty where there is none.
    pub(super) fn rpc(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    /// Whether the request carries the answer to a request of the server.
    pub(super) fn is_answer(&self) -> bool {
        self.body.is_object() && self.body.get("method").is_none()
    }

    /// Whether the request is of the modern era.
    pub(super) fn is_modern(&self) -> bool {
        self.header("mcp-protocol-version") == Some(b"2026-07-28")
    }
}

/// Reads the next request; `None` where the client has gone. What was read beyond it stays in
/// `buffer`.
pub(super) async fn read(
    io: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    origin: &str,
) -> io::Result<Option<Request>> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if buffer.len() > MAX_BYTES || io.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head: Vec<u8> = buffer.drain(..head_end + 4).collect();
    let mut lines = head[..head_end].split(|byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, Vec<u8>)> = lines.filter_map(field).collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| String::from_utf8_lossy(value).parse().ok())
        .unwrap_or(0usize)
        .min(MAX_BYTES);
    while buffer.len() < length {
        if io.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body: Vec<u8> = buffer.drain(..length).collect();
    Ok(Some(Request {
        method,
        path,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        origin: origin.to_owned(),
        headers,
    }))
}

fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let at = line.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8_lossy(&line[..at]).to_ascii_lowercase();
    Some((name, line[at + 1..].trim_ascii().to_vec()))
}
