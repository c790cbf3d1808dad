//! The side that asks.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, VarInt};
use tokio::time::Instant;

use crate::key::{ByKey, Credentials, Takes, provider};
use crate::server::transport;
use crate::{ALPN, KeyHash, echo};

/// A peer that has not answered by then is not reached.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Why a path cannot be opened, or ended.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// Our own side: no socket, or unfit credentials.
    #[error("{0}")]
    Ours(String),
    /// Nothing came back.
    #[error("no answer within {HANDSHAKE:?}")]
    Silent,
    /// QUIC says why: another key, refused, gone.
    #[error("{0}")]
    Refused(#[from] quinn::ConnectionError),
}

/// Opens paths: one socket for each address family.
#[derive(Debug)]
pub struct Client {
    v4: Option<Endpoint>,
    v6: Option<Endpoint>,
    credentials: Option<Credentials>,
}

/// A path that is open.
#[derive(Debug)]
pub struct Link {
    connection: Connection,
    /// How long QUIC's handshake took.
    pub handshake: Duration,
}

impl Client {
    /// A client that shows its credentials; without any it only learns whether a peer is there.
    ///
    /// # Errors
    /// No socket can be had.
    pub fn new(credentials: Option<Credentials>) -> io::Result<Self> {
        let v4 = Endpoint::client(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let v6 = Endpoint::client(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
        if let (Err(error), Err(_)) = (&v4, &v6) {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        Ok(Self {
            v4: v4.ok(),
            v6: v6.ok(),
            credentials,
        })
    }

    /// Opens a path to the peer at `address` that holds `key`. Whoever calls has vetted the address.
    ///
    /// # Errors
    /// Why it is not open.
    pub async fn open(&self, address: SocketAddr, key: KeyHash) -> Result<Link, PathError> {
        let ours = |error: String| PathError::Ours(error);
        let endpoint = match address.ip() {
            IpAddr::V4(_) => self.v4.as_ref(),
            IpAddr::V6(_) => self.v6.as_ref(),
        };
        let endpoint = endpoint.ok_or_else(|| ours("this host lacks the address family".into()))?;
        let config = config(self.credentials.as_ref(), key);
        let config = config.map_err(|error| ours(error.to_string()))?;
        let began = Instant::now();
        // The name is not sent: peers are told by keys.
        let connecting = endpoint.connect_with(config, address, "peer.invalid");
        let connecting = connecting.map_err(|error| ours(error.to_string()))?;
        match tokio::time::timeout(HANDSHAKE, connecting).await {
            Ok(connection) => Ok(Link {
                connection: connection?,
                handshake: began.elapsed(),
            }),
            Err(_) => Err(PathError::Silent),
        }
    }
}

impl Link {
    /// Asks for an answer.
    ///
    /// # Errors
    /// The path has ended.
    pub fn ping(&self, number: u64) -> Result<(), PathError> {
        let sent = self.connection.send_datagram(echo::ping(number));
        sent.map_err(|error| PathError::Ours(error.to_string()))
    }

    /// The number of the next answer.
    ///
    /// # Errors
    /// The path has ended.
    pub async fn answered(&self) -> Result<u64, PathError> {
        loop {
            let datagram = self.connection.read_datagram().await?;
            if let Some(number) = echo::answered(&datagram) {
                return Ok(number);
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

fn config(
    credentials: Option<&Credentials>,
    key: KeyHash,
) -> Result<ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    let provider = provider();
    let verifier = ByKey {
        takes: Takes::One(key),
        provider: Arc::clone(&provider),
    };
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut tls = match credentials.cloned() {
        Some(shown) => tls.with_client_auth_cert(shown.chain, shown.key)?,
        None => tls.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_sni = false;
    tls.resumption = rustls::client::Resumption::disabled();
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport()?));
    Ok(config)
}
