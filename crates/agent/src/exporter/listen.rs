//! Connections to the exporter, with TLS where there is a certificate.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use listen::{Acceptor, Patient};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::current::Current;
use crate::config::Http;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that may wait to be served.
const QUEUE: usize = 16;
/// How long whoever asks may leave an answer unread.
const UNREAD: Duration = Duration::from_secs(30);

type Tcp = Patient<TcpStream>;
type Stream = Either<Tcp, TlsStream<Tcp>>;

/// A connection, and its place.
pub(crate) struct Accepted {
    io: Stream,
    permit: OwnedSemaphorePermit,
}

impl Accepted {
    pub(super) fn into_parts(self) -> (Stream, OwnedSemaphorePermit) {
        (self.io, self.permit)
    }
}

/// A socket that listens.
pub(crate) struct Listener {
    socket: Acceptor,
    pub(crate) current: Arc<Current>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Listener {
    pub(crate) async fn bind(http: &Http) -> anyhow::Result<Self> {
        let current = Current::new(http.clone())?;
        let named = || format!("http-listen: {}", http.listen);
        let socket = TcpListener::bind(http.listen).await.with_context(named)?;
        Ok(Self {
            address: socket.local_addr().with_context(named)?,
            socket: Acceptor::new(socket),
            current: Arc::new(current),
        })
    }

    /// Accepts until `stopping` fires. A handshake that hangs holds up nobody else.
    pub(super) fn accept(
        mut self,
        connections: usize,
        stopping: CancellationToken,
    ) -> mpsc::Receiver<Accepted> {
        let (accepted, incoming) = mpsc::channel(QUEUE);
        let places = Arc::new(Semaphore::new(connections));
        tokio::spawn(async move {
            stopping
                .run_until_cancelled(self.accept_all(&places, &accepted))
                .await;
        });
        incoming
    }

    async fn accept_all(&mut self, places: &Arc<Semaphore>, accepted: &mpsc::Sender<Accepted>) {
        // Nobody closes the semaphore.
        while let Ok(permit) = Arc::clone(places).acquire_owned().await {
            let (stream, address) = self.socket.accept().await;
            let tls = self.current.in_force().tls.clone();
            let accepted = accepted.clone();
            tokio::spawn(async move {
                let stream = Patient::new(stream, UNREAD);
                match tokio::time::timeout(HANDSHAKE, shake(stream, tls)).await {
                    Ok(Ok(io)) => {
                        // Nobody takes it while the agent stops.
                        let _ = accepted.send(Accepted { io, permit }).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%address, %error, "handshake"),
                    Err(_) => tracing::debug!(%address, "the handshake takes too long"),
                }
            });
        }
    }
}

async fn shake(stream: Tcp, tls: Option<TlsAcceptor>) -> io::Result<Stream> {
    Ok(match tls {
        Some(tls) => Either::Right(tls.accept(stream).await?),
        None => Either::Left(stream),
    })
}
