//! Serves a router over HTTP/3.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::{Buf as _, Bytes};
use h3::server::RequestStream;
use h3_quinn::BidiStream;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use quinn::crypto::rustls::QuicServerConfig;
use tokio_util::sync::CancellationToken;

use crate::listen::Listening;

/// The protocol's name for ALPN (RFC 9114 §3.1).
const ALPN: &[u8] = b"h3";
/// The largest body of a request that is read.
const MAX_BODY: usize = 4 << 20;

/// Listens for QUIC.
///
/// # Errors
/// The address cannot be bound, or the configuration has no TLS 1.3.
pub(crate) fn listen(
    bind: SocketAddr,
    mut tls: rustls::ServerConfig,
    protocol: &[u8],
) -> io::Result<quinn::Endpoint> {
    tls.alpn_protocols = vec![protocol.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    quinn::Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(crypto)), bind)
}

/// Serves `router` on `bind`.
pub(crate) fn serve(
    bind: SocketAddr,
    tls: rustls::ServerConfig,
    router: Router,
) -> io::Result<Listening> {
    let endpoint = listen(bind, tls, ALPN)?;
    let address = endpoint.local_addr()?;
    let token = CancellationToken::new();
    let task = tokio::spawn(accept(endpoint, router, token.clone()));
    Ok(Listening::new(address, task, token.drop_guard()))
}

async fn accept(endpoint: quinn::Endpoint, router: Router, token: CancellationToken) {
    loop {
        let incoming = tokio::select! {
            biased;
            () = token.cancelled() => break,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else {
            break;
        };
        let (router, token) = (router.clone(), token.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                served = connection(incoming, router) => if let Err(error) = served {
                    tracing::debug!(%error, "connection");
                }
            }
        });
    }
    endpoint.close(quinn::VarInt::from_u32(0x100), b"");
}

async fn connection(incoming: quinn::Incoming, router: Router) -> anyhow::Result<()> {
    let connection = h3_quinn::Connection::new(incoming.await?);
    let mut connection = h3::server::Connection::<_, Bytes>::new(connection).await?;
    while let Some(resolver) = connection.accept().await? {
        let router = router.clone();
        tokio::spawn(async move {
            let answered = async {
                let (request, stream) = resolver.resolve_request().await?;
                answer(request, stream, router).await
            };
            if let Err(error) = answered.await {
                tracing::debug!(%error, "request");
            }
        });
    }
    Ok(())
}

async fn answer(
    request: Request<()>,
    mut stream: RequestStream<BidiStream<Bytes>, Bytes>,
    router: Router,
) -> anyhow::Result<()> {
    let mut body = Vec::new();
    while let Some(mut data) = stream.recv_data().await? {
        let data = data.copy_to_bytes(data.remaining());
        anyhow::ensure!(body.len() + data.len() <= MAX_BODY, "a giant request");
        body.extend_from_slice(&data);
    }
    let service = TowerToHyperService::new(router);
    let response = service.call(request.map(|()| Body::from(body))).await?;
    let (mut parts, mut body) = response.into_parts();
    // RFC 9114 §4.2: fields of a connection mean nothing here.
    parts.headers.remove(http::header::CONNECTION);
    stream
        .send_response(http::Response::from_parts(parts, ()))
        .await?;
    // Somebody who hangs up is noticed with the next piece.
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            stream.send_data(data).await?;
        }
    }
    stream.finish().await?;
    Ok(())
}
