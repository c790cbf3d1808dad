//! From an endpoint to a connection, phase by phase.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use model::report::Tls;
use model::{Phase, Reason, TargetUrl};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use url::Host;

use crate::address::{self, AddressPolicy, Origin};
use crate::error::DialError;
use crate::options::{DialerOptions, SetupError};
use crate::resolve::Names;
use crate::tls::{Alpn, Tls12And13};
use crate::{connect, tcp_info};

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: Host<String>,
    port: u16,
    is_https: bool,
}

impl Endpoint {
    /// The endpoint of a target.
    #[must_use]
    pub fn of(target: &TargetUrl) -> Option<Self> {
        Some(Self {
            host: target.as_url().host()?.to_owned(),
            port: target.port(),
            is_https: target.is_https(),
        })
    }
}

/// A connection, and what was learned on the way to it.
#[derive(Debug)]
pub struct Connection {
    /// The byte stream.
    pub io: Io,
    /// The address it goes to.
    pub address: SocketAddr,
    /// What the resolver gave; empty for an IP literal.
    pub resolved: Vec<IpAddr>,
    /// The smallest time to live of the resolver's answers, seconds.
    pub ttl: Option<u32>,
    /// The kernel's round-trip time after the handshake, microseconds.
    pub kernel_rtt_us: Option<u64>,
    /// What TLS negotiated, for https.
    pub tls: Option<Tls>,
}

/// Opens connections.
#[derive(Clone)]
pub struct Dialer {
    names: Names,
    tls: Tls12And13,
    policy: AddressPolicy,
}

impl Dialer {
    /// A dialer, its resolver and its trusted authorities loaded.
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn new(options: DialerOptions) -> Result<Self, SetupError> {
        Ok(Self {
            names: Names::new(&options.name_servers, options.family)?,
            tls: Tls12And13::new(&options.tls)?,
            policy: options.policy,
        })
    }

    /// Opens a connection, telling `phase` whenever a phase begins. `known` are addresses from an
    /// earlier connection of the same probe: a name is resolved once per probe.
    ///
    /// # Errors
    /// The reason is a finding about the target unless its class is `ours`. There is no timeout
    /// in here: the caller drops the future, and knows the phase that it was in.
    pub async fn dial(
        &self,
        endpoint: &Endpoint,
        origin: Origin,
        alpn: Alpn,
        known: &[IpAddr],
        phase: &(dyn Fn(Phase) + Send + Sync),
    ) -> Result<Connection, DialError> {
        phase(Phase::Dns);
        let (candidates, ttl) = match &endpoint.host {
            Host::Ipv4(ip) => (vec![IpAddr::V4(*ip)], None),
            Host::Ipv6(ip) => (vec![IpAddr::V6(*ip)], None),
            Host::Domain(_) if !known.is_empty() => (known.to_vec(), None),
            Host::Domain(name) => {
                let resolved = self.names.resolve(name).await?;
                (resolved.addresses, Some(resolved.ttl))
            }
        };
        let candidates: Vec<IpAddr> = candidates.into_iter().map(specified).collect();
        let vetted = self.vet(&candidates, endpoint, origin)?;
        let is_name = matches!(endpoint.host, Host::Domain(_));
        let resolved = if is_name { vetted.clone() } else { Vec::new() };
        phase(Phase::Connect);
        let opened = self.open(&vetted, endpoint, alpn, phase).await;
        match opened {
            Ok(connection) => Ok(Connection {
                resolved,
                ttl,
                ..connection
            }),
            Err(error) => Err(DialError {
                resolved,
                ttl,
                ..error
            }),
        }
    }

    async fn open(
        &self,
        vetted: &[IpAddr],
        endpoint: &Endpoint,
        alpn: Alpn,
        phase: &(dyn Fn(Phase) + Send + Sync),
    ) -> Result<Connection, DialError> {
        let stream = connect::race(vetted, endpoint.port).await?;
        let address = stream
            .peer_addr()
            .map_err(|error| DialError::new(Reason::TcpReset, error.to_string()))?;
        let rtt = tcp_info::read(stream.as_fd()).map(|info| info.rtt.as_micros());
        let (io, tls) = if endpoint.is_https {
            phase(Phase::Tls);
            let name = endpoint.server_name()?;
            let shaken = self.tls.handshake(stream, name, alpn).await;
            let (stream, tls) = shaken.map_err(|error| DialError {
                address: Some(address),
                ..error
            })?;
            (Io::Tls(stream), Some(tls))
        } else {
            (Io::Plain(stream), None)
        };
        Ok(Connection {
            io,
            address,
            resolved: Vec::new(),
            ttl: None,
            kernel_rtt_us: rtt.and_then(|micros| u64::try_from(micros).ok()),
            tls,
        })
    }

    /// The candidates that may be connected to.
    fn vet(
        &self,
        candidates: &[IpAddr],
        endpoint: &Endpoint,
        origin: Origin,
    ) -> Result<Vec<IpAddr>, DialError> {
        if origin == Origin::Remote && address::is_other_service(endpoint.port) {
            let allowed = candidates
                .iter()
                .any(|ip| self.policy.allows(*ip, endpoint.port));
            if !allowed {
                let detail = format!(
                    "port {} belongs to a service that is not HTTP",
                    endpoint.port
                );
                return Err(DialError::new(Reason::DnsBlockedAddr, detail));
            }
        }
        let mut vetted = Vec::with_capacity(candidates.len());
        let mut refused = None;
        for ip in candidates {
            match self.policy.admit(*ip, endpoint.port, origin) {
                Ok(()) => vetted.push(*ip),
                Err(range) => refused = Some((*ip, range)),
            }
        }
        if origin == Origin::Remote && !endpoint.is_https {
            vetted.retain(|ip| self.policy.allows(*ip, endpoint.port));
            if vetted.is_empty() {
                let detail = "plain http is only for targets on this agent's allow list";
                return Err(DialError::new(Reason::DnsBlockedAddr, detail));
            }
        }
        match refused {
            Some((ip, range)) if vetted.is_empty() => Err(DialError::new(
                Reason::DnsBlockedAddr,
                format!("{ip} is {range}; this agent's allow list does not open it"),
            )),
            _ => Ok(vetted),
        }
    }
}

/// Linux connects the unspecified address to loopback: it is vetted as what it is.
fn specified(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}

impl Endpoint {
    fn server_name(&self) -> Result<ServerName<'static>, DialError> {
        match &self.host {
            Host::Ipv4(ip) => Ok(ServerName::from(IpAddr::V4(*ip))),
            Host::Ipv6(ip) => Ok(ServerName::from(IpAddr::V6(*ip))),
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| {
                let shown = model::text::line(name, 80);
                DialError::new(
                    Reason::TlsCertName,
                    format!("{shown} is no name that TLS knows"),
                )
            }),
        }
    }
}

/// The byte stream of a connection.
#[derive(Debug)]
pub enum Io {
    /// Without TLS.
    Plain(TcpStream),
    /// Over TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
