//! The side that answers.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, Incoming, ServerConfig, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use crate::key::{Allowed, ByKey, Credentials, Takes, key_of, provider};
use crate::{ALPN, IDLE, KeyHash, echo};

/// Connections at once of those who may connect. An agent is watched by a few dozen others.
const CONNECTIONS: usize = 128;
/// Handshakes at once, of whomever.
const SHAKING: usize = 64;
/// And of one address: others must still come through, the coordinator among them.
const SHAKING_OF_ONE: usize = 4;
/// Of one key: the old one may still be there when a client comes back.
const OF_ONE: usize = 2;
/// Handshakes at once before addresses must prove themselves (RFC 9000 §8.1.2): until then QUIC
/// itself sends at most thrice what it got.
const UNPROVEN: usize = 8;
/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Answers that a connection gets in a second; more pings than that are not answered.
const ANSWERS: u32 = 20;
/// Datagrams that wait, and those of us that wait to be sent, bytes.
const DATAGRAMS: usize = 4096;

/// Answers pings of those who may connect, until it is dropped.
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    shaking: Mutex<BTreeMap<IpAddr, usize>>,
    by_key: Mutex<BTreeMap<KeyHash, usize>>,
}

impl Server {
    /// Listens at a UDP address.
    ///
    /// # Errors
    /// The address cannot be bound, or the credentials do not fit.
    pub fn bind(
        address: SocketAddr,
        credentials: Credentials,
        allowed: Allowed,
    ) -> io::Result<Self> {
        let config = config(credentials, allowed.clone()).map_err(io::Error::other)?;
        let endpoint = Endpoint::server(config, address)?;
        let task = tokio::spawn(accept(endpoint.clone(), allowed));
        Ok(Self { endpoint, task })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The socket does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        self.endpoint.close(VarInt::from_u32(0), b"");
    }
}

fn config(
    credentials: Credentials,
    allowed: Allowed,
) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let provider = provider();
    let verifier = ByKey {
        takes: Takes::Any(allowed),
        provider: Arc::clone(&provider),
    };
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(credentials.chain, credentials.key)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would not show its key again.
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport()?));
    config.max_incoming(CONNECTIONS);
    // A path is an address: who moves begins anew.
    config.migration(false);
    Ok(config)
}

/// Datagrams only, and few of them.
pub(crate) fn transport() -> Result<TransportConfig, quinn::VarIntBoundsExceeded> {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IDLE.try_into()?))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(Some(DATAGRAMS))
        .datagram_send_buffer_size(DATAGRAMS)
        // Round trips are measured, not how much the path carries.
        .mtu_discovery_config(None);
    Ok(transport)
}

async fn accept(endpoint: Endpoint, allowed: Allowed) {
    let counts = Arc::new(Counts::default());
    while let Some(incoming) = endpoint.accept().await {
        let address = incoming.remote_address().ip().to_canonical();
        let (all, of_one) = counts.shaking(address);
        if all >= SHAKING || of_one >= SHAKING_OF_ONE {
            incoming.ignore();
            continue;
        }
        if all >= UNPROVEN && !incoming.remote_address_validated() {
            // It cannot fail for an address that is not proven; if it does, nobody is answered.
            let _ = incoming.retry();
            continue;
        }
        counts.begins(address);
        let (counts, allowed) = (Arc::clone(&counts), allowed.clone());
        tokio::spawn(async move {
            let shaken = shake(incoming).await;
            counts.ends(&address);
            if let Some(connection) = shaken {
                serve(&connection, &counts, &allowed).await;
                connection.close(VarInt::from_u32(0), b"");
            }
        });
    }
}

async fn shake(incoming: Incoming) -> Option<Connection> {
    let connecting = incoming.accept().ok()?;
    let shaken = tokio::time::timeout(HANDSHAKE, connecting).await;
    shaken.ok()?.ok()
}

async fn serve(connection: &Connection, counts: &Counts, allowed: &Allowed) {
    if let Some(key) = key_shown(connection)
        && counts.enters(key)
    {
        answer(connection, || allowed.has(&key)).await;
        counts.leaves(&key);
    }
}

impl Counts {
    fn by_address(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.shaking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handshakes under way: all, and those of an address.
    fn shaking(&self, address: IpAddr) -> (usize, usize) {
        let shaking = self.by_address();
        let of_one = shaking.get(&address).copied().unwrap_or_default();
        (shaking.values().sum(), of_one)
    }

    fn begins(&self, address: IpAddr) {
        *self.by_address().entry(address).or_default() += 1;
    }

    fn ends(&self, address: &IpAddr) {
        let mut shaking = self.by_address();
        if let Some(count) = shaking.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                shaking.remove(address);
            }
        }
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<KeyHash, usize>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enters(&self, key: KeyHash) -> bool {
        let mut keys = self.keys();
        let all: usize = keys.values().sum();
        let count = keys.entry(key).or_default();
        let has_room = all < CONNECTIONS && *count < OF_ONE;
        *count += usize::from(has_room);
        has_room
    }

    fn leaves(&self, key: &KeyHash) {
        let mut keys = self.keys();
        if let Some(count) = keys.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                keys.remove(key);
            }
        }
    }
}

fn key_shown(connection: &Connection) -> Option<KeyHash> {
    let shown = connection.peer_identity()?;
    let chain = shown.downcast::<Vec<CertificateDer<'static>>>();
    key_of(chain.ok()?.first()?)
}

/// Sends back what asks, so often and no more, for as long as he may.
async fn answer(connection: &Connection, may: impl Fn() -> bool) {
    let (mut since, mut answers) = (Instant::now(), 0);
    while let Ok(datagram) = connection.read_datagram().await {
        if !may() {
            return;
        }
        if since.elapsed() >= Duration::from_secs(1) {
            (since, answers) = (Instant::now(), 0);
        }
        let Some(pong) = echo::answer(&datagram).filter(|_| answers < ANSWERS) else {
            continue;
        };
        answers += 1;
        if connection.send_datagram(pong).is_err() {
            return;
        }
    }
}
