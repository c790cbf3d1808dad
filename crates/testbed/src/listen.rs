//! Accepts connections, over TLS where asked, and serves a router on each.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running listener. Dropping it closes it and all of its connections.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    _task: JoinHandle<()>,
    _guard: DropGuard,
}

impl Listening {
    /// A task that runs until its guard is dropped.
    pub(crate) const fn new(address: SocketAddr, task: JoinHandle<()>, guard: DropGuard) -> Self {
        Self {
            address,
            _task: task,
            _guard: guard,
        }
    }
}

/// Serves `router` on `bind`.
pub(crate) async fn serve(
    bind: SocketAddr,
    tls: Option<rustls::ServerConfig>,
    router: Router,
) -> std::io::Result<Listening> {
    let listener = TcpListener::bind(bind).await?;
    let address = listener.local_addr()?;
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let token = CancellationToken::new();
    let task = tokio::spawn(accept(listener, acceptor, router, token.clone()));
    Ok(Listening::new(address, task, token.drop_guard()))
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    token: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = token.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Running out of sockets passes; a test that sees it fails by itself.
        let Ok((stream, _)) = accepted else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, router, token) = (acceptor.clone(), router.clone(), token.clone());
        tokio::spawn(async move {
            let service = TowerToHyperService::new(router);
            let builder = auto::Builder::new(TokioExecutor::new());
            let serve = async {
                match acceptor {
                    None => {
                        builder
                            .serve_connection(TokioIo::new(stream), service)
                            .await
                    }
                    Some(acceptor) => {
                        let Ok(stream) = acceptor.accept(stream).await else {
                            return Ok(());
                        };
                        builder
                            .serve_connection(TokioIo::new(stream), service)
                            .await
                    }
                }
            };
            tokio::select! {
                () = token.cancelled() => {}
                served = serve => if let Err(error) = served {
                    tracing::debug!(%error, "connection");
                }
            }
        });
    }
}
