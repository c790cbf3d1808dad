//! Connections to the exporter, with TLS where there is a certificate.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::config::{Http, HttpTls};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that may wait to be served.
const QUEUE: usize = 16;
/// How long to leave a listener alone that fails, as it does when files run out.
const PAUSE: Duration = Duration::from_millis(100);

type Stream = Either<TcpStream, TlsStream<TcpStream>>;

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
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Listener {
    pub(crate) async fn bind(http: &Http) -> anyhow::Result<Self> {
        let tls = http.tls.as_ref().map(from_files).transpose()?;
        let named = || format!("http-listen: {}", http.listen);
        let socket = TcpListener::bind(http.listen).await.with_context(named)?;
        Ok(Self {
            address: socket.local_addr().with_context(named)?,
            socket,
            tls: tls.map(|config| TlsAcceptor::from(Arc::new(config))),
        })
    }

    /// Accepts until `stopping` fires. A handshake that hangs holds up nobody else.
    pub(super) fn accept(
        self,
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

    async fn accept_all(&self, places: &Arc<Semaphore>, accepted: &mpsc::Sender<Accepted>) {
        // Nobody closes the semaphore.
        while let Ok(permit) = Arc::clone(places).acquire_owned().await {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    let (tls, accepted) = (self.tls.clone(), accepted.clone());
                    tokio::spawn(async move {
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
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn shake(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Stream> {
    stream.set_nodelay(true)?;
    Ok(match tls {
        Some(tls) => Either::Right(tls.accept(stream).await?),
        None => Either::Left(stream),
    })
}

fn from_files(files: &HttpTls) -> anyhow::Result<ServerConfig> {
    let HttpTls { certificate, key } = files;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("http-tls-cert: {}", certificate.display()))?;
    anyhow::ensure!(
        !chain.is_empty(),
        "http-tls-cert: {}: it has no PEM certificate",
        certificate.display()
    );
    let secret = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("http-tls-key: {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .with_context(|| format!("http-tls-key: {}: does not fit", key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
