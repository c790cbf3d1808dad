//! An HTTP proxy that opens tunnels, or does something else: as its script says.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The largest request head that is read.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// What the proxy does with a `CONNECT`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Manner {
    /// Opens the tunnel.
    #[default]
    Allow,
    /// Opens it for who shows this `Proxy-Authorization`, and answers 407 to others.
    Demand(String),
    /// Answers with this status.
    Refuse(u16),
    /// Says nothing.
    Hang,
    /// Answers with something that is no HTTP.
    Garbage,
    /// Answers with a head that has no end.
    HugeHead,
    /// Hangs up.
    Close,
}

#[derive(Debug, Default)]
struct State {
    manner: Manner,
    places: BTreeMap<String, SocketAddr>,
    log: Vec<String>,
}

/// A running proxy on a free port of loopback. Dropping it stops it and cuts its tunnels.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _guard: DropGuard,
}

impl ConnectProxy {
    /// Starts a proxy.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(manner: Manner) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State {
            manner,
            ..State::default()
        }));
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, Arc::clone(&state), stop.clone()));
        Ok(Self {
            address,
            state,
            _guard: stop.drop_guard(),
        })
    }

    /// Where it is, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a name lead somewhere, `host:port`: names are the proxy's own to resolve.
    pub fn place(&self, name: &str, at: SocketAddr) {
        lock(&self.state).places.insert(name.to_owned(), at);
    }

    /// Behaves otherwise from now on.
    pub fn set(&self, manner: Manner) {
        lock(&self.state).manner = manner;
    }

    /// What it was asked for so far: the first line of each request.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        lock(&self.state).log.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Running out of sockets passes; a test that sees it fails by itself.
        let Ok((client, _)) = accepted else { continue };
        let (state, stop) = (Arc::clone(&state), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                served = serve(client, &state) => if let Err(error) = served {
                    tracing::debug!(%error, "tunnel");
                }
            }
        });
    }
}

async fn serve(mut client: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let head = head(&mut client).await?;
    let line = head.lines().next().unwrap_or_default();
    let (manner, place) = {
        let mut state = lock(state);
        state.log.push(line.to_owned());
        let target = line
            .strip_prefix("CONNECT ")
            .and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
        let place = target.and_then(|target| {
            let known = state.places.get(target).copied();
            known.or_else(|| target.parse().ok())
        });
        (state.manner.clone(), place)
    };
    let status = match manner {
        Manner::Allow => 200,
        Manner::Demand(value) => {
            let shown = head
                .lines()
                .find_map(|line| line.strip_prefix("Proxy-Authorization: "));
            if shown == Some(value.as_str()) {
                200
            } else {
                407
            }
        }
        Manner::Refuse(status) => status,
        Manner::Hang => {
            // Until the client has had enough.
            tokio::io::copy(&mut client, &mut tokio::io::sink()).await?;
            return Ok(());
        }
        Manner::Garbage => return client.write_all(b"\x00\xffSSH-2.0-nonsense\r\n\r\n").await,
        Manner::HugeHead => {
            client.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ").await?;
            loop {
                client.write_all(&[b'a'; 4096]).await?;
            }
        }
        Manner::Close => return Ok(()),
    };
    match (status, place) {
        (200, Some(place)) => tunnel(client, place).await,
        // A name that is nowhere, or no CONNECT at all.
        (200, None) => answer(&mut client, 502).await,
        (status, _) => answer(&mut client, status).await,
    }
}

async fn tunnel(mut client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let Ok(mut server) = TcpStream::connect(to).await else {
        return answer(&mut client, 502).await;
    };
    server.set_nodelay(true)?;
    answer(&mut client, 200).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn answer(client: &mut TcpStream, status: u16) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status} Said\r\nVia: 1.1 testbed\r\n\r\n");
    client.write_all(head.as_bytes()).await
}

/// The request's head, as text.
async fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = client.read_u8().await?;
        if head.len() == MAX_HEAD_BYTES {
            return Err(io::Error::other("the head has no end"));
        }
        head.push(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
