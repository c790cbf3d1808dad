//! Where the browser brings the code: a listener on loopback (RFC 8252 §7.3).

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use auth::Secret;
use auth::login::BadCallback;
use listen::Acceptor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The largest request head: a code and a state are some hundred bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long a browser may take to say what it wants, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A listener that waits for one redirect.
pub(super) struct Loopback {
    listener: Acceptor,
    port: u16,
}

impl Loopback {
    /// Listens on a free port.
    pub(super) async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self {
            listener: Acceptor::new(listener),
            port,
        })
    }

    /// The redirect URI that leads here.
    pub(super) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    /// Waits for the redirect that `read` takes. Others are answered, and change nothing.
    pub(super) async fn wait(
        &mut self,
        read: impl Fn(&str) -> Result<Secret, BadCallback>,
    ) -> Result<Secret, BadCallback> {
        loop {
            let (mut stream, _) = self.listener.accept().await;
            let asked = tokio::time::timeout(PATIENCE, query(&mut stream)).await;
            let Ok(Some(query)) = asked else {
                answer(&mut stream, "404 Not Found", "There is nothing here.").await;
                continue;
            };
            let code = read(&query);
            match &code {
                Ok(_) => {
                    let text = "Signed in. This page can be closed.";
                    answer(&mut stream, "200 OK", text).await;
                }
                Err(_) => {
                    let text = "Not signed in. The terminal says why.";
                    answer(&mut stream, "400 Bad Request", text).await;
                }
            }
            if code != Err(BadCallback::State) {
                return code;
            }
        }
    }
}

/// The query of a request for the callback; `None` for every other request.
async fn query(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let n = stream.read(&mut piece).await.ok()?;
        if n == 0 || head.len() + n > MAX_HEAD_BYTES {
            return None;
        }
        head.extend_from_slice(&piece[..n]);
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let query = target.strip_prefix("/callback?")?;
    (method == "GET").then(|| query.to_owned())
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    let written = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    // The browser may be gone, or read nothing; the code is there.
    let _ = tokio::time::timeout(PATIENCE, written).await;
}
