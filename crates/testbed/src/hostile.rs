//! Targets that mean harm: a closed list of behaviours, each of which does one thing that no honest
//! server does, or that servers in the field do by mistake.
//!
//! A behaviour is honest in everything but the one thing that it is named for, so that what a probe
//! says of it has one cause. All of them listen on loopback only; those that lie about names bring
//! a name server of their own.

mod body;
mod cursors;
mod framing;
mod h2;
mod h3;
mod head;
mod ids;
mod log;
mod names;
mod network;
mod refusals;
mod request;
mod serve;
mod session;
mod stream;
mod surface;
mod talk;
mod tls;

use std::net::SocketAddr;

use model::EraPolicy;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use log::Log;
use request::Request;
use serve::Served;
use talk::Talk;

/// One thing that a target can do to a probe.
#[derive(Debug)]
pub struct Behaviour {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    /// The era to probe it in, so that the outcome has one cause.
    pub era: EraPolicy,
    /// Whether it is about targets that strangers named: only the loopback address itself is to be
    /// opened to the probe.
    pub is_remote: bool,
    way: Way,
}

/// On which layer a behaviour is.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// What is said to each request, over plain HTTP/1.1.
    Http(fn(&Request) -> Talk),
    /// What is said to each request, over HTTP/1.1 and TLS.
    Https(fn(&Request) -> Talk),
    /// What is said on each stream of HTTP/2, over TLS.
    H2(fn(u32) -> Talk),
    /// What happens over QUIC.
    H3(h3::Trick),
    /// What happens to a connection before anything is said.
    Tcp(network::Trick),
    /// What happens in the TLS handshake.
    Tls(tls::Trick),
    /// What the name server says of an honest server's name.
    Dns(names::Lie),
}

impl Behaviour {
    const fn new(name: &'static str, what: &'static str, era: EraPolicy, way: Way) -> Self {
        Self {
            name,
            what,
            era,
            is_remote: false,
            way,
        }
    }

    /// A behaviour over plain HTTP/1.1 that is probed in the modern era.
    const fn modern(name: &'static str, what: &'static str, say: fn(&Request) -> Talk) -> Self {
        Self::new(name, what, EraPolicy::Modern, Way::Http(say))
    }

    /// A behaviour over plain HTTP/1.1 that is probed in the legacy era.
    const fn legacy(name: &'static str, what: &'static str, say: fn(&Request) -> Talk) -> Self {
        Self::new(name, what, EraPolicy::Legacy, Way::Http(say))
    }

    /// A behaviour over plain HTTP/1.1 of which nobody knows the era.
    const fn of_no_era(name: &'static str, what: &'static str, say: fn(&Request) -> Talk) -> Self {
        Self::new(name, what, EraPolicy::Auto, Way::Http(say))
    }

    const fn remote(self) -> Self {
        Self {
            is_remote: true,
            ..self
        }
    }

    /// Whether it is to be probed over HTTP/3.
    #[must_use]
    pub const fn is_h3(&self) -> bool {
        matches!(self.way, Way::H3(_))
    }

    /// The behaviour of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        all().find(|behaviour| behaviour.name == name)
    }
}

/// Every behaviour, layer by layer.
pub fn all() -> impl Iterator<Item = &'static Behaviour> {
    let lists: [&'static [Behaviour]; 14] = [
        &names::LIST,
        &network::LIST,
        &tls::LIST,
        &h2::LIST,
        &h3::LIST,
        &head::LIST,
        &framing::LIST,
        &refusals::LIST,
        &body::LIST,
        &ids::LIST,
        &stream::LIST,
        &session::LIST,
        &surface::LIST,
        &cursors::LIST,
    ];
    lists.into_iter().flatten()
}

/// A running hostile target. Dropping it stops it.
#[derive(Debug)]
pub struct Hostile {
    served: Served,
    _guard: DropGuard,
}

impl Hostile {
    /// Starts a behaviour on `bind`; its name server, if it has one, is beside it.
    ///
    /// # Errors
    /// An address cannot be bound, or a certificate cannot be made.
    pub async fn start(behaviour: &Behaviour, bind: SocketAddr) -> anyhow::Result<Self> {
        let token = CancellationToken::new();
        let guard = token.clone().drop_guard();
        let served = serve::start(behaviour, bind, token).await?;
        Ok(Self {
            served,
            _guard: guard,
        })
    }

    /// What to probe.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.served.url
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.served.address
    }

    /// The name server to ask for the host of [`Self::url`], where that is a name.
    #[must_use]
    pub const fn name_server(&self) -> Option<SocketAddr> {
        self.served.name_server
    }

    /// The authority to trust, PEM, where there is TLS.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.served.authority.as_deref()
    }

    /// What has happened so far.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.served.log
    }
}
