//! How a target is reached, where that is not as its URL says.

use dial::{Alpn, Dialer, Family, Roots};
use model::monitor::{AddressFamily, HttpVersions};
use probe::Network;
use rpc::convert::ConvertError;
use rpc::v1;

/// How a target is reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// What the probe is told.
    pub(crate) network: Network,
    roots: Option<Roots>,
    family: Family,
    /// Which versions of HTTP are offered.
    pub(crate) alpn: Alpn,
}

impl Way {
    /// The dialer for this target. Most share the agent's; one with authorities of its own costs a
    /// copy of all that are trusted, some hundred small allocations a probe.
    pub(crate) fn dialer(&self, shared: &Dialer) -> Dialer {
        let dialer = match self.family {
            Family::Any => shared.clone(),
            family @ (Family::V4 | Family::V6) => shared.clone().of(family),
        };
        let Some(roots) = &self.roots else {
            return dialer;
        };
        // They were tried when the item was read; without them the target is untrusted, and says so.
        dialer.clone().trusting(roots).unwrap_or(dialer)
    }
}

/// Reads what the coordinator sent; nothing means as the URL says.
pub(crate) fn read(sent: Option<&v1::NetworkSpec>) -> Result<Way, ConvertError> {
    let Some(sent) = sent else {
        return Ok(Way::default());
    };
    let mut way = Way::default();
    for rule in &sent.connect_to {
        way.network.connect_to.push(parsed("connect_to", rule)?);
    }
    if !sent.sni.is_empty() {
        way.network.sni = Some(parsed("sni", &sent.sni)?);
    }
    if !sent.host.is_empty() {
        way.network.host = Some(parsed("host", &sent.host)?);
    }
    if !sent.ca_pem.is_empty() {
        way.roots = Some(parsed("ca_pem", &sent.ca_pem)?);
    }
    if !sent.family.is_empty() {
        way.family = match parsed("family", &sent.family)? {
            AddressFamily::Any => Family::Any,
            AddressFamily::Ipv4 => Family::V4,
            AddressFamily::Ipv6 => Family::V6,
        };
    }
    if !sent.http.is_empty() {
        way.alpn = match parsed("http", &sent.http)? {
            HttpVersions::Any => Alpn::Any,
            HttpVersions::Http1 => Alpn::Http1,
            HttpVersions::Http3 if probe::HAS_HTTP3 => Alpn::Http3,
            HttpVersions::Http3 => {
                let problem = "this agent was built without HTTP/3";
                return Err(ConvertError::new("http", problem));
            }
        };
    }
    way.network.alt_svc = sent.alt_svc;
    Ok(way)
}

fn parsed<T>(field: &'static str, text: &str) -> Result<T, ConvertError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| ConvertError::new(field, error.to_string()))
}
