//! As much of an HTTP client as tests of the API need: one request, one connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::openapi;

/// A response.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// A header of the response.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What to send, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Where the API is.
    pub to: SocketAddr,
    /// The key to send; none where empty.
    pub key: &'a str,
    /// The body's media type.
    pub media: &'a str,
}

/// Sends a JSON request with a key and reads the whole answer.
///
/// # Panics
/// Where there is no answer.
pub async fn send(to: SocketAddr, key: &str, method: &str, path: &str, body: &str) -> Answer {
    let media = "application/json";
    send_as(Ask { to, key, media }, method, path, body).await
}

/// Sends a request and reads the whole answer, which must be as the document says.
///
/// # Panics
/// Where there is no answer, or another than the document allows.
pub async fn send_as(
    ask: Ask<'_>,
    method: &str,
    path: &str,
    body: impl AsRef<[u8]> + Send,
) -> Answer {
    let Ask { to, key, media } = ask;
    let body = body.as_ref();
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = body.len();
    let authorization = if key.is_empty() {
        String::new()
    } else {
        format!("authorization: Bearer {key}\r\n")
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\n{authorization}connection: close\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    // A server that refuses a large body may reset after its answer.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, answered) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let answer = Answer {
        status: status.expect("a status"),
        head: head.to_owned(),
        body: answered.to_owned(),
    };
    if let Err(deviation) = openapi::check(method, path, body, &answer) {
        panic!("{method} {path} is not as docs/openapi.json says: {deviation}\n{answer:?}");
    }
    answer
}
