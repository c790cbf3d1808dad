//! From an endpoint to a connection, phase by phase.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;

use model::report::Tls;
use model::{Class, Phase, Reason};
use url::Host;

use crate::address::{self, AddressPolicy, Origin};
use crate::endpoint::Endpoint;
use crate::error::DialError;
use crate::io::Io;
use crate::options::{DialerOptions, Family, SetupError};
use crate::resolve::{Names, Resolution, Wait};
use crate::resume::Session;
use crate::roots::Roots;
use crate::tls::{Alpn, Hello, Tls12And13};
use crate::{connect, tcp_info, tunnel};

/// A connection, and what was learned on the way to it.
#[derive(Debug)]
pub struct Connection {
    /// The byte stream.
    pub io: Io,
    /// The address it goes to: the proxy's, where it goes through one.
    pub address: SocketAddr,
    /// What the resolver gave for the name of that address's host; absent for an IP literal, and
    /// where the addresses were known.
    pub resolution: Option<Resolution>,
    /// The kernel's round-trip time after the handshake, microseconds. Absent through a proxy: it
    /// would be the way to the proxy only.
    pub kernel_rtt_us: Option<u64>,
    /// What TLS negotiated, for https.
    pub tls: Option<Tls>,
    /// What TLS could be resumed with, for https.
    pub session: Option<Session>,
}

/// What is told while a connection is being opened, when it happens: whoever gives up waiting has
/// learned so much.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A phase begins.
    Phase(Phase),
    /// A name was resolved, and these of its addresses may be connected to.
    Resolved(&'a Resolution),
    /// TCP is connected to this address, or QUIC heard from it.
    Connected(SocketAddr),
}

/// Who is told.
pub type Watch<'a> = &'a (dyn Fn(Progress<'_>) + Send + Sync);

/// Opens connections.
#[derive(Clone)]
pub struct Dialer {
    names: Names,
    pub(crate) tls: Tls12And13,
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

    /// The same dialer for names of one family only.
    #[must_use]
    pub fn of(self, family: Family) -> Self {
        Self {
            names: self.names.of(family),
            ..self
        }
    }

    /// The same dialer, trusting further authorities. It costs a copy of all that are trusted.
    ///
    /// # Errors
    /// An authority cannot be used.
    pub fn trusting(self, roots: &Roots) -> Result<Self, SetupError> {
        Ok(Self {
            tls: self.tls.trusting(roots)?,
            ..self
        })
    }

    /// A dialer for what a target leads to: a URL of a challenge, of metadata. To be used with
    /// [`Origin::Remote`]; it opens public addresses, and those that are no more private than
    /// `target`, the address at which the target itself was reached, which `origin` named.
    #[must_use]
    pub fn led_by(&self, target: Option<IpAddr>, origin: Origin) -> Self {
        Self {
            policy: self.policy.led_by(target, origin),
            // A certificate of ours says who we are: to the target, and to whom the operator named.
            tls: self.tls.anonymous(),
            ..self.clone()
        }
    }

    /// Opens a connection, telling `watch` how it goes. `known` are addresses from an
    /// earlier connection of the same probe: a name is resolved once per probe.
    ///
    /// Through a proxy, `dns` is the proxy's name, `connect` is TCP to the proxy and the `CONNECT`
    /// exchange, in which the proxy resolves and connects; `tls` is with the target.
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
        watch: Watch<'_>,
    ) -> Result<Connection, DialError> {
        let hello = Hello::New(alpn);
        self.connect(endpoint, origin, hello, known, watch).await
    }

    /// Opens a connection that offers to resume `session`, and says whether the server resumed it.
    ///
    /// # Errors
    /// As [`Self::dial`].
    pub async fn resume(
        &self,
        endpoint: &Endpoint,
        origin: Origin,
        session: &Session,
        known: &[IpAddr],
        watch: Watch<'_>,
    ) -> Result<bool, DialError> {
        let hello = Hello::Resume(session);
        let connection = self.connect(endpoint, origin, hello, known, watch).await?;
        Ok(connection.io.is_resumed())
    }

    /// Every address of the endpoint's name that may be connected to, of both families; the address
    /// itself where it has none.
    ///
    /// # Errors
    /// As [`Self::dial`].
    pub async fn addresses(
        &self,
        endpoint: &Endpoint,
        origin: Origin,
    ) -> Result<Resolution, DialError> {
        let (addresses, resolution) = self.resolve(endpoint, origin, &[], Wait::Both).await?;
        Ok(resolution.unwrap_or(Resolution {
            addresses,
            ttl: None,
            resolver: Vec::new(),
        }))
    }

    async fn connect(
        &self,
        endpoint: &Endpoint,
        origin: Origin,
        hello: Hello<'_>,
        known: &[IpAddr],
        watch: Watch<'_>,
    ) -> Result<Connection, DialError> {
        if endpoint.is_https() {
            self.tls.seed();
        }
        watch(Progress::Phase(Phase::Dns));
        let (vetted, resolution) = self.resolve(endpoint, origin, known, Wait::First).await?;
        if let Some(resolution) = &resolution {
            watch(Progress::Resolved(resolution));
        }
        watch(Progress::Phase(Phase::Connect));
        match self.open(&vetted, endpoint, hello, watch).await {
            Ok(connection) => Ok(Connection {
                resolution,
                ..connection
            }),
            Err(error) => Err(DialError {
                resolution: resolution.map(Box::new),
                ..error
            }),
        }
    }

    /// The addresses of the first hop that may be connected to, and what the resolver said, if it
    /// was asked.
    pub(crate) async fn resolve(
        &self,
        endpoint: &Endpoint,
        origin: Origin,
        known: &[IpAddr],
        wait: Wait,
    ) -> Result<(Vec<IpAddr>, Option<Resolution>), DialError> {
        if origin == Origin::Remote && endpoint.proxy().is_some() {
            // Only the proxy learns the address, so nobody could vet it.
            let detail = "targets of remote origin are not reached through proxies";
            return Err(DialError::new(Reason::DnsBlockedAddr, detail));
        }
        let (host, _) = endpoint.hop();
        let (candidates, resolution) = match host {
            Host::Ipv4(ip) => (vec![IpAddr::V4(*ip)], None),
            Host::Ipv6(ip) => (vec![IpAddr::V6(*ip)], None),
            Host::Domain(_) if !known.is_empty() => (known.to_vec(), None),
            Host::Domain(name) => {
                let found = self.names.resolve(name, wait).await;
                let found = found.map_err(|error| of_hop(endpoint, error))?;
                (found.addresses.clone(), Some(found))
            }
        };
        let candidates: Vec<IpAddr> = candidates.into_iter().map(specified).collect();
        let vetted = self.vet(&candidates, endpoint, origin)?;
        let resolution = resolution.map(|found| Resolution {
            addresses: vetted.clone(),
            ..found
        });
        Ok((vetted, resolution))
    }

    async fn open(
        &self,
        vetted: &[IpAddr],
        endpoint: &Endpoint,
        hello: Hello<'_>,
        watch: Watch<'_>,
    ) -> Result<Connection, DialError> {
        let (_, port) = endpoint.hop();
        let connected = connect::race(vetted, port).await;
        let mut stream = connected.map_err(|error| of_hop(endpoint, error))?;
        let address = stream.peer_addr().map_err(|error| {
            of_hop(
                endpoint,
                DialError::new(Reason::TcpReset, error.to_string()),
            )
        })?;
        watch(Progress::Connected(address));
        let to = |error: DialError| DialError {
            address: Some(address),
            ..error
        };
        let mut rtt = tcp_info::read(stream.as_fd()).map(|info| info.rtt.as_micros());
        if let Some(proxy) = endpoint.proxy() {
            rtt = None;
            let opened = tunnel::open(&mut stream, proxy, &endpoint.authority()).await;
            opened.map_err(to)?;
        }
        let (io, tls, session) = if endpoint.is_https() {
            watch(Progress::Phase(Phase::Tls));
            let name = endpoint.server_name()?;
            let shaken = self.tls.handshake(stream, name, hello).await;
            let (stream, tls, session) = shaken.map_err(to)?;
            (Io::Tls(stream), Some(tls), Some(session))
        } else {
            (Io::Plain(stream), None, None)
        };
        Ok(Connection {
            io,
            address,
            resolution: None,
            kernel_rtt_us: rtt.and_then(|micros| u64::try_from(micros).ok()),
            tls,
            session,
        })
    }

    /// The candidates that may be connected to.
    fn vet(
        &self,
        candidates: &[IpAddr],
        endpoint: &Endpoint,
        origin: Origin,
    ) -> Result<Vec<IpAddr>, DialError> {
        let (_, port) = endpoint.hop();
        if origin == Origin::Remote && address::is_other_service(port) {
            let allowed = candidates.iter().any(|ip| self.policy.allows(*ip, port));
            if !allowed {
                let detail = format!("port {port} belongs to a service that is not HTTP");
                return Err(DialError::new(Reason::DnsBlockedAddr, detail));
            }
        }
        let mut vetted = Vec::with_capacity(candidates.len());
        let mut refused = None;
        for ip in candidates {
            match self.policy.admit(*ip, port, origin) {
                Ok(()) => vetted.push(*ip),
                Err(range) => refused = Some((*ip, range)),
            }
        }
        if origin == Origin::Remote && !endpoint.is_https() {
            vetted.retain(|ip| self.policy.allows(*ip, port));
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

/// A failure on the way to the first hop. Where that is a proxy, nothing is said of the target.
fn of_hop(endpoint: &Endpoint, error: DialError) -> DialError {
    match endpoint.proxy() {
        Some(proxy) if error.reason.class() != Class::Ours => DialError {
            address: error.address,
            resolution: error.resolution,
            ..tunnel::failed(proxy, &error.detail)
        },
        Some(_) | None => error,
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
