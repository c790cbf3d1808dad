//! Canaries: endpoints that do a TLS handshake and nothing else. An agent that reaches none of
//! them has a fault of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Handshakes at once: every agent may have a few under way, more is nobody's.
const HANDSHAKES: usize = 64;
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running canary. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Canary {
    _guard: DropGuard,
}

impl Canary {
    pub(super) async fn start(bind: SocketAddr, tls: rustls::ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(bind).await?;
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let token = CancellationToken::new();
        tokio::spawn(
            token
                .clone()
                .run_until_cancelled_owned(accept(listener, acceptor)),
        );
        Ok(Self {
            _guard: token.drop_guard(),
        })
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else {
            return;
        };
        // Running out of sockets passes.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(PATIENCE, greet(stream, acceptor)).await;
            drop(permit);
        });
    }
}

async fn greet(stream: TcpStream, acceptor: TlsAcceptor) {
    if let Ok(mut stream) = acceptor.accept(stream).await {
        // Who came only for the handshake may be gone.
        let _ = stream.shutdown().await;
    }
}
