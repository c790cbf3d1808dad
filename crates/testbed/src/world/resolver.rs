//! The sockets of an agent's name server: UDP, and TCP for clients that come back with it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::layout::Agent;
use super::names::{Question, Reply, reply};

/// Names that the system is asked at once: each holds a thread.
const LOOKUPS: usize = 16;
/// Connections at once: clients use TCP only for what UDP could not carry, which is never.
const CONNECTIONS: usize = 16;
/// The largest question that is read; one name has 255 bytes.
const MAX_PACKET: usize = 4096;
/// How long a connection may stay.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running name server. Dropping it stops it.
#[derive(Debug)]
pub(super) struct NameServer {
    _guard: DropGuard,
}

impl NameServer {
    pub(super) async fn start(agent: &'static Agent, bind: SocketAddr) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(bind).await?);
        let listener = TcpListener::bind(bind).await?;
        let token = CancellationToken::new();
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        let datagrams = datagrams(agent, socket, Arc::clone(&lookups));
        let connections = connections(agent, listener, lookups);
        tokio::spawn(token.clone().run_until_cancelled_owned(datagrams));
        tokio::spawn(token.clone().run_until_cancelled_owned(connections));
        Ok(Self {
            _guard: token.drop_guard(),
        })
    }
}

async fn datagrams(agent: &'static Agent, socket: Arc<UdpSocket>, lookups: Arc<Semaphore>) {
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        // An error here is one that an earlier datagram met on its way.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        match reply(agent, &buffer[..length]) {
            Reply::Nothing => {}
            Reply::Send(bytes) => {
                let _ = socket.send_to(&bytes, from).await;
            }
            Reply::Ask(question) => {
                let (socket, lookups) = (Arc::clone(&socket), Arc::clone(&lookups));
                let Ok(permit) = lookups.try_acquire_owned() else {
                    if let Reply::Send(bytes) = question.busy() {
                        let _ = socket.send_to(&bytes, from).await;
                    }
                    continue;
                };
                tokio::spawn(async move {
                    if let Reply::Send(bytes) = system(&question).await {
                        let _ = socket.send_to(&bytes, from).await;
                    }
                    drop(permit);
                });
            }
        }
    }
}

async fn connections(agent: &'static Agent, listener: TcpListener, lookups: Arc<Semaphore>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let lookups = Arc::clone(&lookups);
        tokio::spawn(async move {
            // Who hangs up or says nothing is left.
            let _ = tokio::time::timeout(PATIENCE, converse(agent, stream, &lookups)).await;
            drop(slot);
        });
    }
}

/// Questions and answers with their lengths in front (RFC 1035 §4.2.2).
async fn converse(
    agent: &'static Agent,
    mut stream: TcpStream,
    lookups: &Semaphore,
) -> io::Result<()> {
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        let length = usize::from(stream.read_u16().await?);
        let Some(packet) = buffer.get_mut(..length) else {
            return Ok(());
        };
        stream.read_exact(packet).await?;
        let answered = match reply(agent, packet) {
            Reply::Ask(question) => match lookups.try_acquire() {
                Ok(_permit) => system(&question).await,
                Err(_) => question.busy(),
            },
            answered @ (Reply::Nothing | Reply::Send(_)) => answered,
        };
        let Reply::Send(bytes) = answered else {
            return Ok(());
        };
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        stream.write_u16(length).await?;
        stream.write_all(&bytes).await?;
    }
}

/// What the system's own resolver says.
async fn system(question: &Question) -> Reply {
    match tokio::net::lookup_host((question.name.as_str(), 0)).await {
        Ok(found) => {
            let mut found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            found.sort_unstable();
            question.answer(Some(&found))
        }
        Err(_) => question.answer(None),
    }
}
