//! Listening with TLS, and who is on the other side.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::authority::{self, Authority, Leaf};

/// Handshakes that may go on at once; then the next ones wait in the kernel.
const HANDSHAKES: usize = 256;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that may wait to be served.
const QUEUE: usize = 64;
/// How long to leave a listener alone that fails, as it does when files run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is on the other side, as the handshake proved it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// Agent and SHA-256 of its public key; none for a client without a certificate.
    pub(crate) agent: Option<(String, [u8; 32])>,
}

/// A connection.
pub(crate) struct Accepted {
    io: Either<TcpStream, TlsStream<TcpStream>>,
    peer: Peer,
    address: SocketAddr,
}

impl Accepted {
    /// Where it comes from.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
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

/// TLS for API and pages, from PEM files.
pub(crate) fn from_files(certificate: &Path, key: &Path) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("http-tls-cert: {}", certificate.display()))?;
    anyhow::ensure!(
        !chain.is_empty(),
        "http-tls-cert: {}: it has no PEM certificate",
        certificate.display()
    );
    let key_der = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("http-tls-key: {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .with_context(|| format!("http-tls-key: {}: does not fit", key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Accepts until `shutdown` fires. A handshake that hangs holds up nobody else.
pub(crate) fn incoming(
    listener: TcpListener,
    config: Option<ServerConfig>,
    shutdown: CancellationToken,
) -> mpsc::Receiver<Accepted> {
    let (accepted, receiver) = mpsc::channel(QUEUE);
    let acceptor = config.map(|config| TlsAcceptor::from(Arc::new(config)));
    let permits = Arc::new(Semaphore::new(HANDSHAKES));
    tokio::spawn(async move {
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await;
            let connection = tokio::select! {
                () = shutdown.cancelled() => return,
                connection = listener.accept() => connection,
            };
            let Ok((stream, address)) = connection else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
            tokio::spawn(async move {
                let shaken = tokio::time::timeout(HANDSHAKE, shake(acceptor, stream, address));
                match shaken.await {
                    Ok(Ok(connection)) => {
                        // Nobody takes it while the coordinator leaves.
                        let _ = accepted.send(connection).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%address, %error, "handshake"),
                    Err(_) => tracing::debug!(%address, "the handshake takes too long"),
                }
                drop(permit);
            });
        }
    });
    receiver
}

async fn shake(
    acceptor: Option<TlsAcceptor>,
    stream: TcpStream,
    address: SocketAddr,
) -> io::Result<Accepted> {
    stream.set_nodelay(true)?;
    let Some(acceptor) = acceptor else {
        return Ok(Accepted {
            io: Either::Left(stream),
            peer: Peer::default(),
            address,
        });
    };
    let stream = acceptor.accept(stream).await?;
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let agent = leaf.and_then(|leaf| {
        let key = authority::key_sha256(leaf)?;
        Some((authority::agent_of(leaf)?, key))
    });
    Ok(Accepted {
        io: Either::Right(stream),
        peer: Peer { agent },
        address,
    })
}
