//! A server that takes its time where it is told to.

use std::net::{Ipv4Addr, SocketAddr, TcpStream as Filler};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What the first exchange of a connection is held up by.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Delays {
    connect: bool,
    tls: Duration,
    send: Duration,
    wait: Duration,
    receive: Duration,
}

impl Delays {
    /// A delay in one phase. That of `connect` is the kernel's own: the first SYN finds the queue full.
    pub(crate) fn of(phase: &str, long: Duration) -> Self {
        let mut delays = Self::default();
        match phase {
            "connect" => delays.connect = true,
            "tls" => delays.tls = long,
            "send" => delays.send = long,
            "wait" => delays.wait = long,
            "receive" => delays.receive = long,
            _ => {}
        }
        delays
    }
}

/// How long the queue of connections is full: less than the second after which the kernel tries again.
const FULL: Duration = Duration::from_millis(300);
/// What the kernel keeps of a request that is not read.
const RECEIVE_BUFFER: usize = 4 << 10;
/// The largest head that is read.
const MAX_HEAD: usize = 1 << 20;
/// Fills each answer up, so that it is no single packet.
const FILL: usize = 4 << 10;

/// The server. It lasts as long as the process.
pub(crate) struct Server {
    acceptor: TlsAcceptor,
    open: u16,
    now: Arc<Mutex<Delays>>,
}

impl Server {
    pub(crate) fn start(mut tls: tokio_rustls::rustls::ServerConfig) -> anyhow::Result<Self> {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Tickets would be packets of the server that answer nothing.
        tls.send_tls13_tickets = 0;
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let (listener, open) = listen(64)?;
        let now = Arc::new(Mutex::new(Delays::default()));
        tokio::spawn(accept(listener, acceptor.clone(), Arc::clone(&now)));
        Ok(Self {
            acceptor,
            open,
            now,
        })
    }

    /// Says what the next client is to meet, and where.
    pub(crate) async fn expect(&self, delays: Delays) -> anyhow::Result<u16> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = delays;
        if !delays.connect {
            return Ok(self.open);
        }
        // A queue of none still takes one (listen(2)); what follows it is dropped.
        let (listener, port) = listen(0)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let filler = tokio::task::spawn_blocking(move || Filler::connect(address)).await??;
        let (acceptor, now) = (self.acceptor.clone(), Arc::clone(&self.now));
        tokio::spawn(async move {
            tokio::time::sleep(FULL).await;
            drop(filler);
            accept(listener, acceptor, now).await;
        });
        Ok(port)
    }
}

fn listen(backlog: i32) -> anyhow::Result<(TcpListener, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from_std(socket.into())?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, now: Arc<Mutex<Delays>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let delays = *now.lock().unwrap_or_else(PoisonError::into_inner);
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that goes away shows in its own report.
            let _ = serve(stream, &acceptor, delays).await;
        });
    }
}

async fn serve(stream: TcpStream, acceptor: &TlsAcceptor, first: Delays) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    tokio::time::sleep(first.tls).await;
    let mut stream = acceptor.accept(stream).await?;
    let mut delays = first;
    loop {
        let request = read(&mut stream, delays.send).await?;
        tokio::time::sleep(delays.wait).await;
        let answer = answer(&request).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let (early, late) = answer.split_at(answer.len() / 2);
        stream
            .write_all(format!("{head}{early}").as_bytes())
            .await?;
        stream.flush().await?;
        tokio::time::sleep(delays.receive).await;
        stream.write_all(late.as_bytes()).await?;
        stream.flush().await?;
        delays = Delays::default();
    }
}

/// Reads a request: its begin, then a pause, then the rest.
async fn read(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    pause: Duration,
) -> anyhow::Result<Value> {
    let mut bytes = vec![stream.read_u8().await?];
    tokio::time::sleep(pause).await;
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        anyhow::ensure!(bytes.len() < MAX_HEAD, "a head that does not end");
        anyhow::ensure!(
            stream.read_buf(&mut bytes).await? > 0,
            "the client went away"
        );
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("no length")?.trim().parse()?;
    anyhow::ensure!(length < MAX_HEAD, "a body that does not end");
    while bytes.len() < end + length {
        anyhow::ensure!(
            stream.read_buf(&mut bytes).await? > 0,
            "the client went away"
        );
    }
    Ok(serde_json::from_slice(&bytes[end..])?)
}

fn answer(request: &Value) -> Value {
    let mut result = json!({
        "resultType": "complete", "ttlMs": 1000, "cacheScope": "public",
        "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "timing", "version": "1" } },
    });
    if request["method"] == "server/discover" {
        result["supportedVersions"] = json!(["2026-07-28"]);
        result["capabilities"] = json!({ "tools": {} });
        result["instructions"] = json!("x".repeat(FILL));
    } else {
        result["tools"] = json!([]);
    }
    json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })
}
