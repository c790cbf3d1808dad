//! A tunnel through an HTTP proxy: one `CONNECT`, one answer (RFC 9110 §9.3.6).

use model::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::DialError;
use crate::proxy::Proxy;

/// The largest answer to `CONNECT`: real ones are some hundred bytes.
const MAX_HEAD_BYTES: usize = 8 << 10;

/// A failure of the proxy: it says nothing of the target.
pub(crate) fn failed(proxy: &Proxy, problem: &str) -> DialError {
    DialError::new(Reason::ProxyFailed, format!("proxy {proxy}: {problem}"))
}

/// Asks the proxy at the other end of `stream` for a tunnel to `target`, `host:port`; then the
/// stream is the target's.
pub(crate) async fn open(
    stream: &mut TcpStream,
    proxy: &Proxy,
    target: &str,
) -> Result<(), DialError> {
    let broken = |error: std::io::Error| failed(proxy, &error.to_string());
    stream
        .write_all(request(proxy, target).as_bytes())
        .await
        .map_err(broken)?;
    let mut head = Vec::with_capacity(512);
    let end = loop {
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        // What begins otherwise will not get better.
        if !b"HTTP/1.".starts_with(&head[..head.len().min(7)]) {
            return Err(failed(proxy, "what it answers is not HTTP"));
        }
        if head.len() >= MAX_HEAD_BYTES {
            return Err(failed(proxy, "its answer to CONNECT has no end in 8 KiB"));
        }
        let room = (MAX_HEAD_BYTES - head.len()).min(2048);
        let mut piece = vec![0; room];
        match stream.read(&mut piece).await.map_err(broken)? {
            0 => return Err(failed(proxy, "closed the connection at CONNECT")),
            n => head.extend_from_slice(&piece[..n]),
        }
    };
    judge(&head[..end], proxy, target)?;
    // Nobody behind a tunnel speaks before the client does: neither TLS nor HTTP.
    if head.len() > end {
        return Err(failed(proxy, "sent data before the tunnel was used"));
    }
    Ok(())
}

fn request(proxy: &Proxy, target: &str) -> String {
    let authorization = match &proxy.authorization {
        Some(value) => format!("Proxy-Authorization: {value}\r\n"),
        None => String::new(),
    };
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n")
}

/// Whether the answer opens the tunnel: any 2xx does. Of what it says only the number is shown:
/// the rest may repeat what it was sent.
fn judge(head: &[u8], proxy: &Proxy, target: &str) -> Result<(), DialError> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let is_http = matches!(words.next(), Some(b"HTTP/1.1" | b"HTTP/1.0"));
    let code = words.next().filter(|code| code.len() == 3);
    let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse::<u16>().ok());
    let problem = match code.filter(|_| is_http) {
        Some(200..=299) => return Ok(()),
        Some(407) if proxy.has_credentials() => {
            "does not take the user and password that it was given (407)".to_owned()
        }
        Some(407) => {
            "wants a user and password (407); write it like http://user:password@host:port"
                .to_owned()
        }
        Some(code) => format!("opens no tunnel to {target}: it answers {code}"),
        None => "what it answers is not HTTP".to_owned(),
    };
    Err(failed(proxy, &problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// What comes of a proxy that answers with these bytes and then says no more, and what it was
    /// asked.
    async fn answered(proxy: &str, answer: Vec<u8>) -> (Result<(), DialError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 1024];
            let n = stream.read(&mut asked).await.unwrap();
            // It may hang up in the middle.
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
            String::from_utf8(asked[..n].to_vec()).unwrap()
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        let proxy = proxy.parse().unwrap();
        let opened = open(&mut stream, &proxy, "mcp.example.com:443").await;
        drop(stream);
        (opened, serving.await.unwrap())
    }

    #[tokio::test]
    async fn a_tunnel_is_asked_for_by_name() {
        let ok = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n".to_vec();
        let (opened, asked) = answered("http://proxy:1", ok.clone()).await;
        assert!(opened.is_ok(), "{opened:?}");
        assert_eq!(
            asked,
            "CONNECT mcp.example.com:443 HTTP/1.1\r\nHost: mcp.example.com:443\r\n\r\n"
        );
        let (opened, asked) = answered("http://Aladdin:open%20sesame@proxy:1", ok).await;
        assert!(opened.is_ok(), "{opened:?}");
        let value = "\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
        assert!(asked.ends_with(value), "{asked}");
        let old = b"HTTP/1.0 204\r\n\r\n".to_vec();
        assert!(answered("http://proxy:1", old).await.0.is_ok());
    }

    #[tokio::test]
    async fn each_bad_answer_is_the_proxys_failure_and_says_what() {
        let huge = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 9000]].concat();
        let table: [(&str, Vec<u8>, &str); 10] = [
            (
                "http://p:1",
                b"HTTP/1.1 407 Who?\r\n\r\n".to_vec(),
                "wants a user and password (407); write it like",
            ),
            (
                "http://u:hunter2@p:1",
                b"HTTP/1.1 407 Who?\r\n\r\n".to_vec(),
                "does not take the user and password",
            ),
            (
                "http://u:hunter2@p:1",
                b"HTTP/1.1 403 hunter2\r\n\r\n".to_vec(),
                "opens no tunnel to mcp.example.com:443: it answers 403",
            ),
            (
                "http://p:1",
                b"HTTP/1.1 502\r\n\r\n".to_vec(),
                "mcp.example.com:443: it answers 502",
            ),
            ("http://p:1", b"HTTP/1.1 20\r\n\r\n".to_vec(), "is not HTTP"),
            ("http://p:1", b"SSH-2.0-x\r\n".to_vec(), "is not HTTP"),
            ("http://p:1", b"HTTP/2 200\r\n\r\n".to_vec(), "is not HTTP"),
            ("http://p:1", huge, "has no end in 8 KiB"),
            (
                "http://p:1",
                b"HTTP/1.1 200 OK\r\nX".to_vec(),
                "closed the connection at CONNECT",
            ),
            (
                "http://p:1",
                b"HTTP/1.1 200 OK\r\n\r\nhi".to_vec(),
                "sent data before",
            ),
        ];
        for (proxy, answer, message) in table {
            let error = answered(proxy, answer).await.0.unwrap_err();
            assert_eq!(error.reason, Reason::ProxyFailed);
            assert!(error.detail.starts_with("proxy p:1: "), "{}", error.detail);
            assert!(error.detail.contains(message), "{}", error.detail);
            assert!(!error.detail.contains("hunter2"), "{}", error.detail);
        }
    }
}
