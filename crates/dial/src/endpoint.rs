//! What to connect to, and through what.

use std::net::IpAddr;

use model::{ConnectTo, Reason, TargetUrl};
use rustls::pki_types::ServerName;
use url::Host;

use crate::error::DialError;
use crate::proxy::Proxy;
use crate::sni::Sni;

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: Host<String>,
    port: u16,
    is_https: bool,
    proxy: Option<Proxy>,
    /// Where the connection goes instead of to `host` and `port`.
    detour: Option<(Host<String>, u16)>,
    is_pinned: bool,
    sni: Option<Sni>,
}

impl Endpoint {
    /// The endpoint of a target.
    #[must_use]
    pub fn of(target: &TargetUrl) -> Option<Self> {
        Some(Self {
            host: target.as_url().host()?.to_owned(),
            port: target.port(),
            is_https: target.is_https(),
            proxy: None,
            detour: None,
            is_pinned: false,
            sni: None,
        })
    }

    /// The same endpoint, reached by a tunnel through `proxy`, if there is one. The endpoint's name
    /// is the proxy's to resolve; its own is named by the operator, so any address will do.
    ///
    /// Targets of remote origin are refused through a proxy: nobody could vet their addresses.
    #[must_use]
    pub fn through(self, proxy: Option<Proxy>) -> Self {
        Self { proxy, ..self }
    }

    /// The same endpoint, reached where the first rule that matches says. That place is resolved and
    /// vetted as the endpoint's own would be.
    #[must_use]
    pub fn detoured(self, rules: &[ConnectTo]) -> Self {
        let detour = rules
            .iter()
            .find_map(|rule| rule.apply(&self.host, self.port));
        Self { detour, ..self }
    }

    /// The same endpoint, held against another name in TLS, if there is one.
    #[must_use]
    pub fn named(self, sni: Option<Sni>) -> Self {
        Self { sni, ..self }
    }

    /// The same endpoint at one of the addresses that its name resolves to.
    #[must_use]
    pub fn pinned(self, ip: IpAddr) -> Self {
        let port = self.place().1;
        let host = match ip {
            IpAddr::V4(ip) => Host::Ipv4(ip),
            IpAddr::V6(ip) => Host::Ipv6(ip),
        };
        Self {
            detour: Some((host, port)),
            is_pinned: true,
            ..self
        }
    }

    /// The same endpoint where it advertises itself: at another port, and perhaps another host. Name
    /// and certificate stay the endpoint's (RFC 7838 §2.1).
    #[must_use]
    pub fn advertised(self, host: Option<Host<String>>, port: u16) -> Self {
        let host = host.unwrap_or_else(|| self.place().0.clone());
        Self {
            detour: Some((host, port)),
            is_pinned: true,
            ..self
        }
    }

    /// The proxy that it is reached through.
    #[must_use]
    pub const fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Where it is reached instead of where its URL says, `host:port`, if a rule says so.
    #[must_use]
    pub fn detour(&self) -> Option<String> {
        let detour = self.detour.as_ref().filter(|_| !self.is_pinned);
        detour.map(|(host, port)| format!("{host}:{port}"))
    }

    /// The name that TLS asks for, where it is not the URL's host.
    #[must_use]
    pub const fn sni(&self) -> Option<&Sni> {
        self.sni.as_ref()
    }

    pub(crate) const fn is_https(&self) -> bool {
        self.is_https
    }

    /// Where the endpoint is reached.
    fn place(&self) -> (&Host<String>, u16) {
        match &self.detour {
            Some((host, port)) => (host, *port),
            None => (&self.host, self.port),
        }
    }

    /// Where the socket goes: to the proxy, where there is one.
    pub(crate) fn hop(&self) -> (&Host<String>, u16) {
        match &self.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => self.place(),
        }
    }

    /// Host and port, as `CONNECT` names them.
    pub(crate) fn authority(&self) -> String {
        let (host, port) = self.place();
        format!("{host}:{port}")
    }

    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, DialError> {
        if let Some(sni) = &self.sni {
            return Ok(sni.0.clone());
        }
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
