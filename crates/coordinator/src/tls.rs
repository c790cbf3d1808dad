//! Listening with TLS, and who is on the other side.

use std::collections::BTreeMap;
use std::future::Future as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use listen::{Acceptor, Patient};
use peer::key_of;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::authority::{self, Authority, Leaf};

/// Connections to one listener; then the next ones wait in the kernel.
const CONNECTIONS: usize = 16_384;
/// Handshakes that may go on at once, in all and from one address: a stranger who never ends his
/// keeps nobody else out.
const HANDSHAKES: usize = 1024;
const HANDSHAKES_OF_ONE: usize = 32;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections of clients without a certificate, which may do no more than enrol, and how long
/// they may last.
const STRANGERS: usize = 128;
const STRANGER: Duration = Duration::from_secs(30);
/// Connections that may wait to be served.
const QUEUE: usize = 64;
/// How long a peer may leave unread what is written to it.
const UNREAD: Duration = Duration::from_secs(30);

type Tcp = Patient<TcpStream>;

/// Who is on the other side, as the handshake proved it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// None for a client without a certificate.
    pub(crate) shown: Option<Shown>,
}

/// A verified certificate of an agent.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// The agent, and SHA-256 of its public key.
    pub(crate) agent: (String, [u8; 32]),
    /// When the certificate ends.
    pub(crate) ends_at: jiff::Timestamp,
    /// Where the connection comes from, once it is known.
    pub(crate) address: Option<SocketAddr>,
}

impl Shown {
    /// How long the certificate still lasts.
    pub(crate) fn left(&self, now: jiff::Timestamp) -> Duration {
        Duration::try_from(self.ends_at.duration_since(now)).unwrap_or_default()
    }
}

/// A connection.
pub(crate) struct Accepted {
    io: Either<Tcp, TlsStream<Tcp>>,
    peer: Peer,
    /// When it is cut off, whatever it does.
    cut: Option<Pin<Box<Sleep>>>,
    /// Given back when it ends.
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Connected for Accepted {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(cut) = self.cut.as_mut()
            && cut.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// TLS for agents: their certificates are of our authority, or they have none and may enrol.
pub(crate) fn for_agents(authority: &Authority, leaf: Leaf) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(leaf.chain, leaf.key)?;
    // A resumed session would not show its certificate again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// What a listener needs for each connection.
struct Doors {
    acceptor: Option<TlsAcceptor>,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    /// Where clients show certificates: room for those that do not.
    strangers: Option<Arc<Semaphore>>,
    /// Handshakes by address.
    shaking: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One handshake of an address; given back when dropped.
struct Turn<'a> {
    doors: &'a Doors,
    address: IpAddr,
}

impl Doors {
    fn turn(&self, address: IpAddr) -> Option<Turn<'_>> {
        let mut shaking = self.shaking.lock().unwrap_or_else(PoisonError::into_inner);
        let count = shaking.entry(address).or_default();
        if *count >= HANDSHAKES_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Turn {
            doors: self,
            address,
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let shaking = self.doors.shaking.lock();
        let mut shaking = shaking.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = shaking.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                shaking.remove(&self.address);
            }
        }
    }
}

/// Accepts until `shutdown` fires. A handshake that hangs holds up nobody else; where agents are
/// expected, a client that shows no certificate is cut off soon.
pub(crate) fn incoming(
    listener: TcpListener,
    config: Option<ServerConfig>,
    for_agents: bool,
    shutdown: CancellationToken,
) -> mpsc::Receiver<Accepted> {
    let (accepted, receiver) = mpsc::channel(QUEUE);
    let doors = Arc::new(Doors {
        acceptor: config.map(|config| TlsAcceptor::from(Arc::new(config))),
        connections: Arc::new(Semaphore::new(CONNECTIONS)),
        handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
        strangers: for_agents.then(|| Arc::new(Semaphore::new(STRANGERS))),
        shaking: Mutex::default(),
    });
    let mut listener = Acceptor::new(listener);
    tokio::spawn(async move {
        let accept = async {
            // Nobody closes the semaphore.
            while let Ok(permit) = Arc::clone(&doors.connections).acquire_owned().await {
                let (stream, address) = listener.accept().await;
                let (doors, accepted) = (Arc::clone(&doors), accepted.clone());
                tokio::spawn(async move {
                    let stream = Patient::new(stream, UNREAD);
                    welcome(&doors, stream, address, permit, &accepted).await;
                });
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = accept => {}
        }
    });
    receiver
}

async fn welcome(
    doors: &Doors,
    stream: Tcp,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
    accepted: &mpsc::Sender<Accepted>,
) {
    let Some(turn) = doors.turn(address.ip()) else {
        tracing::debug!(%address, "too many handshakes of this address");
        return;
    };
    let shaken = async {
        let _handshake = doors.handshakes.acquire().await;
        shake(doors, stream, permit).await
    };
    let shaken = tokio::time::timeout(HANDSHAKE, shaken).await;
    drop(turn);
    match shaken {
        Ok(Ok(mut connection)) => {
            if let Some(shown) = &mut connection.peer.shown {
                shown.address = Some(address);
            }
            // Nobody takes it while the coordinator leaves.
            let _ = accepted.send(connection).await;
        }
        Ok(Err(error)) => tracing::debug!(%address, %error, "handshake"),
        Err(_) => tracing::debug!(%address, "the handshake takes too long"),
    }
}

async fn shake(doors: &Doors, stream: Tcp, permit: OwnedSemaphorePermit) -> io::Result<Accepted> {
    let mut connection = Accepted {
        io: Either::Left(stream),
        peer: Peer::default(),
        cut: None,
        _permits: vec![permit],
    };
    let Some(acceptor) = &doors.acceptor else {
        return Ok(connection);
    };
    let Either::Left(stream) = connection.io else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let stream = acceptor.accept(stream).await?;
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let shown = leaf.and_then(|leaf| {
        Some(Shown {
            agent: (authority::agent_of(leaf)?, key_of(leaf)?),
            ends_at: authority::ends_at(leaf)?,
            address: None,
        })
    });
    if shown.is_none()
        && let Some(strangers) = &doors.strangers
    {
        let permit = Arc::clone(strangers).try_acquire_owned();
        let full = |_| io::Error::other("too many clients without a certificate");
        connection._permits.push(permit.map_err(full)?);
        connection.cut = Some(Box::pin(tokio::time::sleep(STRANGER)));
    }
    connection.io = Either::Right(stream);
    connection.peer = Peer { shown };
    Ok(connection)
}
