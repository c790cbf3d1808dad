//! What a probe sees of the way to its target, put together as it goes along.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dial::tcp_info::TcpInfo;
use dial::{DialError, Endpoint, Resolution, Session};
use http::{HeaderMap, HeaderName};
use model::instance;
use model::report::{
    Alternative, ClientCertificate, Connection, Edge, Overrides, Resumption, Socket,
};

use crate::network::Network;
use crate::stamp::Gauge;
use crate::{alt_svc, edge, h3};

/// Further connections that are told of.
const MAX_SOCKETS: usize = 8;

/// What was seen of the network, for the report.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) connection: Option<Connection>,
    pub(crate) more_connections: Vec<Socket>,
    pub(crate) edge: Option<Edge>,
    pub(crate) instances: Vec<String>,
    pub(crate) alt_svc: Vec<Alternative>,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The first connection, from the moment at which something is known of it.
    first: Connection,
    is_known: bool,
    /// Whether the first connection came about, or failed to.
    is_settled: bool,
    known: Vec<IpAddr>,
    /// Whether any request was answered.
    is_answered: bool,
    session: Option<Session>,
    resumed: Option<(bool, Option<Duration>)>,
    sockets: Vec<(Socket, Gauge, bool)>,
    /// What QUIC knows of the first connection, where it is of HTTP/3.
    quic: Option<h3::Gauge>,
    instance_header: Option<HeaderName>,
    edge: Option<Edge>,
    instances: Vec<String>,
    alt_svc: Vec<Alternative>,
}

impl Seen {
    pub(crate) fn new(endpoint: &Endpoint, network: &Network) -> Self {
        let overrides = Overrides {
            connect_to: endpoint.detour(),
            sni: endpoint.sni().map(ToString::to_string),
            host: network.host.as_ref().map(ToString::to_string),
        };
        let proxy = endpoint.proxy().map(ToString::to_string);
        Self {
            // That it goes another way is known before all else.
            is_known: proxy.is_some() || !overrides.is_empty(),
            first: Connection {
                overrides,
                proxy,
                ..Connection::default()
            },
            instance_header: network.instance_header.clone(),
            ..Self::default()
        }
    }

    /// The addresses that the name was resolved to: once per probe.
    pub(crate) fn known(&self) -> Vec<IpAddr> {
        self.known.clone()
    }

    /// Whether the server asked for a client certificate, got none, and has answered nothing since.
    pub(crate) fn lacks_certificate(&self) -> bool {
        let tls = self.first.tls.as_ref();
        let is_missing =
            tls.is_some_and(|tls| tls.client_certificate == Some(ClientCertificate::Missing));
        is_missing && !self.is_answered
    }

    pub(crate) fn session(&self) -> Option<Session> {
        self.session.clone()
    }

    pub(crate) fn resolved(&mut self, resolution: &Resolution) {
        if self.is_settled {
            return;
        }
        self.is_known = true;
        let addresses = resolution.addresses.iter().map(IpAddr::to_string);
        self.first.resolved = addresses.collect();
        self.first.resolver.clone_from(&resolution.resolver);
        self.first.ttl_seconds = resolution.ttl;
    }

    pub(crate) fn connected(&mut self, address: SocketAddr) {
        if !self.is_settled {
            self.is_known = true;
            self.first.address = address.to_string();
        }
    }

    /// A connection that did not come about is evidence too.
    pub(crate) fn refused(&mut self, error: DialError) {
        if self.is_settled {
            return;
        }
        self.is_settled = true;
        self.is_known = true;
        if let Some(resolution) = &error.resolution {
            self.first.resolved = resolution.addresses.iter().map(IpAddr::to_string).collect();
        }
        self.first.tls = error.tls.map(|tls| *tls);
    }

    /// A connection came about; where it is to tell at its end what the kernel knew.
    pub(crate) fn opened(&mut self, connection: &dial::Connection, is_h2: bool) -> Gauge {
        let gauge = Gauge::default();
        // Through a proxy the kernel knows the way to the proxy only.
        let is_direct = self.first.proxy.is_none();
        if self.sockets.len() <= MAX_SOCKETS {
            let socket = Socket {
                address: connection.address.to_string(),
                kernel_rtt_us: connection.kernel_rtt_us,
                kernel_min_rtt_us: None,
                retransmits: None,
            };
            self.sockets.push((socket, gauge.clone(), is_direct));
        }
        if !self.is_settled {
            self.is_settled = true;
            self.is_known = true;
            if let Some(resolution) = &connection.resolution {
                self.known.clone_from(&resolution.addresses);
            }
            self.first.kernel_rtt_us = connection.kernel_rtt_us;
            self.first.http_version = Some(if is_h2 { "2" } else { "1.1" }.to_owned());
            self.first.tls.clone_from(&connection.tls);
            self.session.clone_from(&connection.session);
        }
        gauge
    }

    /// A connection of HTTP/3 came about: the kernel knows nothing of it, and QUIC `gauge` does.
    #[cfg(feature = "http3")]
    pub(crate) fn opened_quic(&mut self, quic: &dial::Quic, gauge: h3::Gauge) {
        if self.sockets.len() <= MAX_SOCKETS {
            let socket = Socket {
                address: quic.address.to_string(),
                kernel_rtt_us: None,
                kernel_min_rtt_us: None,
                retransmits: None,
            };
            self.sockets.push((socket, Gauge::default(), false));
        }
        if !self.is_settled {
            self.is_settled = true;
            self.is_known = true;
            if let Some(resolution) = &quic.resolution {
                self.known.clone_from(&resolution.addresses);
            }
            self.first.http_version = Some("3".to_owned());
            self.first.tls = Some(quic.tls.clone());
            self.quic = Some(gauge);
        }
    }

    pub(crate) fn resumed(&mut self, is_resumed: bool, took: Option<Duration>) {
        self.resumed = Some((is_resumed, took));
    }

    /// What the headers of a response say of who answered.
    pub(crate) fn observe(&mut self, headers: &HeaderMap) {
        // Whatever TLS asked for was enough.
        self.is_answered = true;
        if self.edge.is_none() {
            self.edge = edge::of(headers);
        }
        if self.alt_svc.is_empty() {
            self.alt_svc = alt_svc::of(headers);
        }
        let named = self.instance_header.as_ref();
        let Some(value) = named.and_then(|name| headers.get(name)) else {
            return;
        };
        let name = model::text::line_of_bytes(value.as_bytes(), instance::MAX_NAME);
        if !name.is_empty() {
            instance::add(&mut self.instances, name);
        }
    }

    /// All of it, once the connections are closed.
    pub(crate) fn facts(&mut self) -> Facts {
        let mut sockets = std::mem::take(&mut self.sockets).into_iter();
        let mut sockets = sockets.by_ref().map(|(socket, gauge, is_direct)| {
            let info = gauge.read().filter(|_| is_direct);
            Socket {
                kernel_min_rtt_us: info.and_then(min_rtt),
                retransmits: info.map(|info| info.retransmits),
                ..socket
            }
        });
        let mut first = std::mem::take(&mut self.first);
        // Where the first connection failed, those that came about are all others.
        let is_open = first.http_version.is_some();
        if let Some(socket) = is_open.then(|| sockets.next()).flatten() {
            first.kernel_min_rtt_us = socket.kernel_min_rtt_us;
            first.retransmits = socket.retransmits;
        }
        first.quic = self.quic.take().map(|gauge| gauge.read());
        if let (Some(tls), Some(session)) = (&mut first.tls, &self.session) {
            tls.resumption = Some(Resumption {
                tickets: session.tickets(),
                resumed: self.resumed.map(|(is_resumed, _)| is_resumed),
                handshake_us: self.resumed.and_then(|(_, took)| micros(took?)),
            });
        }
        Facts {
            more_connections: sockets.collect(),
            connection: self.is_known.then_some(first),
            edge: self.edge.take(),
            instances: std::mem::take(&mut self.instances),
            alt_svc: std::mem::take(&mut self.alt_svc),
        }
    }
}

fn min_rtt(info: TcpInfo) -> Option<u64> {
    micros(info.min_rtt?)
}

fn micros(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_micros()).ok()
}
