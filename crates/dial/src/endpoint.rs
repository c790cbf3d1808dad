//! What to connect to, and through what.

use std::net::IpAddr;

use model::{Reason, TargetUrl};
use rustls::pki_types::ServerName;
use url::Host;

use crate::error::DialError;
use crate::proxy::Proxy;

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: Host<String>,
    port: u16,
    is_https: bool,
    proxy: Option<Proxy>,
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

    /// The proxy that it is reached through.
    #[must_use]
    pub const fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    pub(crate) const fn is_https(&self) -> bool {
        self.is_https
    }

    /// Where the socket goes: to the proxy, where there is one.
    pub(crate) fn hop(&self) -> (&Host<String>, u16) {
        match &self.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.host, self.port),
        }
    }

    /// Host and port, as `CONNECT` names them.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, DialError> {
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
