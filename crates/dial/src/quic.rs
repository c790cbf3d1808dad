//! QUIC connections (RFC 9000) for HTTP/3, under the same address policy and the same trust as TCP
//! and TLS.
//!
//! QUIC's handshake is transport and TLS at once. `connect` is told until the first datagram of the
//! server is there, as TCP's ends with the SYN-ACK; the rest of the handshake is `tls`. No early
//! data is sent, and tickets are never used: every handshake is full.

mod explain;
mod socket;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::report::Tls;
use model::{Phase, Reason};
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig};
use quinn::{ClientConfig, Connecting, Endpoint as Socketed, EndpointConfig, TokioRuntime};
use quinn::{TransportConfig, VarInt};

pub use socket::Intake;
use socket::Socket;

use crate::address::Origin;
use crate::connect;
use crate::dialer::{Dialer, Progress, Watch};
use crate::endpoint::Endpoint;
use crate::error::DialError;
use crate::resolve::{Resolution, Wait};
use crate::tls::{self, Alpn};
use crate::verify::Recorder;

/// Streams that the server may have open towards us: its control stream and the two of QPACK (RFC
/// 9114 §6.2), and some of extensions. Pushes are never allowed.
const MAX_UNI_STREAMS: u32 = 8;
/// What may be under way on one stream, bytes: no more waits in memory for a slow reader.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same of all streams together.
const WINDOW: u32 = 1 << 20;

/// A QUIC connection, and what was learned on the way to it.
#[derive(Debug)]
pub struct Quic {
    /// The connection.
    pub connection: quinn::Connection,
    /// What drives its socket, to wait for when it is closed.
    pub socket: quinn::Endpoint,
    /// The address that it goes to.
    pub address: SocketAddr,
    /// What the resolver gave; absent for an IP literal, and where the addresses were known.
    pub resolution: Option<Resolution>,
    /// What TLS showed. QUIC's implementation does not tell the suite and the key exchange.
    pub tls: Tls,
}

/// A connection whose server has said something.
struct Heard {
    connecting: Connecting,
    socket: Socketed,
    address: SocketAddr,
}

impl Dialer {
    /// Opens a QUIC connection, telling `watch` how it goes. `known` are addresses from an earlier
    /// connection of the same probe; `intake` is told of every byte that is read, and ends the
    /// connection when it says so.
    ///
    /// # Errors
    /// As [`Self::dial`]. Proxies that tunnel TCP do not carry it.
    pub async fn dial_quic(
        &self,
        endpoint: &Endpoint,
        origin: Origin,
        known: &[IpAddr],
        intake: &Intake,
        watch: Watch<'_>,
    ) -> Result<Quic, DialError> {
        if endpoint.proxy().is_some() {
            let detail = "HTTP/3 is UDP, which no CONNECT proxy carries";
            return Err(DialError::new(Reason::ProxyFailed, detail));
        }
        if !endpoint.is_https() {
            let detail = "HTTP/3 is for https only: QUIC has no form without TLS";
            return Err(DialError::new(Reason::ProberInternal, detail));
        }
        self.tls.seed();
        watch(Progress::Phase(Phase::Dns));
        let (vetted, resolution) = self.resolve(endpoint, origin, known, Wait::First).await?;
        if let Some(resolution) = &resolution {
            watch(Progress::Resolved(resolution));
        }
        watch(Progress::Phase(Phase::Connect));
        match self.shake(&vetted, endpoint, intake, watch).await {
            Ok(quic) => Ok(Quic { resolution, ..quic }),
            Err(error) => Err(DialError {
                resolution: resolution.map(Box::new),
                ..error
            }),
        }
    }

    async fn shake(
        &self,
        vetted: &[IpAddr],
        endpoint: &Endpoint,
        intake: &Intake,
        watch: Watch<'_>,
    ) -> Result<Quic, DialError> {
        let internal = |error: String| DialError::new(Reason::ProberInternal, error);
        let recorder = self.tls.recorder();
        let session = self.tls.session(Arc::clone(&recorder), Alpn::Http3);
        let session = session.map_err(|error| internal(error.to_string()))?;
        let crypto = QuicClientConfig::try_from(Arc::clone(&session.config));
        let crypto = crypto.map_err(|error| internal(error.to_string()))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport()));
        let name = endpoint.server_name()?;
        let name = name.to_str();
        let (_, port) = endpoint.hop();
        let heard = connect::first(vetted, port, |address| {
            attempt(address, config.clone(), &name, intake)
        });
        let Heard {
            mut connecting,
            socket,
            address,
        } = heard.await?;
        watch(Progress::Connected(address));
        watch(Progress::Phase(Phase::Tls));
        match (&mut connecting).await {
            Ok(connection) => {
                let mut tls = facts(&connection, &recorder);
                tls.client_certificate = session.presenter.outcome();
                Ok(Quic {
                    connection,
                    socket,
                    address,
                    resolution: None,
                    tls,
                })
            }
            Err(error) => {
                let seen = recorder.seen();
                let mut error = explain::handshake(&error, &seen);
                error.tls = tls::presented(seen);
                if let Some(tls) = &mut error.tls {
                    tls.client_certificate = session.presenter.outcome();
                }
                error.address = Some(address);
                Err(error)
            }
        }
    }
}

async fn attempt(
    address: SocketAddr,
    config: ClientConfig,
    name: &str,
    intake: &Intake,
) -> io::Result<Heard> {
    let udp = Socket::open(address, Arc::clone(intake))?;
    let socket = Socketed::new_with_abstract_socket(
        EndpointConfig::default(),
        None,
        Arc::clone(&udp) as _,
        Arc::new(TokioRuntime),
    )?;
    let connecting = socket.connect_with(config, address, name);
    let connecting = connecting.map_err(io::Error::other)?;
    udp.heard().await?;
    Ok(Heard {
        connecting,
        socket,
        address,
    })
}

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        // A server that opens one breaks the rules of HTTP/3 (RFC 9114 §6.1).
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_UNI_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .datagram_receive_buffer_size(None)
        // Patience is the plan's, step by step; the server's own may be shorter.
        .max_idle_timeout(None)
        // A probe is over before a larger datagram would pay, and lost ones would look like loss.
        .mtu_discovery_config(None);
    config
}

fn facts(connection: &quinn::Connection, recorder: &Recorder) -> Tls {
    let data = connection.handshake_data();
    let data = data.and_then(|data| data.downcast::<HandshakeData>().ok());
    let mut tls = tls::presented(recorder.seen()).map_or_else(Tls::default, |tls| *tls);
    // RFC 9001 §4.2: QUIC has no older one, and no newer one is published.
    tls.version = Some("1.3".to_owned());
    tls.alpn = data
        .and_then(|data| data.protocol)
        .map(|protocol| model::text::line_of_bytes(&protocol, 16));
    tls
}
