//! How a target is reached, beside what its URL says.

use std::str::FromStr;

use dial::Sni;
use http::uri::Authority;
use http::{HeaderName, HeaderValue};
use model::ConnectTo;

/// How a target is reached, and what more is looked at on the way.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Where to connect to instead of to the URL's host and port; the first that matches counts.
    pub connect_to: Vec<ConnectTo>,
    /// The name for TLS instead of the URL's host.
    pub sni: Option<Sni>,
    /// What stands in `Host` (HTTP/2: `:authority`) instead of the URL's host and port.
    pub host: Option<HostHeader>,
    /// The response header that names the instance which answered.
    pub instance_header: Option<HeaderName>,
    /// Whether a second handshake is made at the end, to see whether the server resumes.
    pub tls_resumption: bool,
    /// Whether each address of the name is probed by itself after the probe.
    pub all_addresses: bool,
    /// Whether the target is probed over HTTP/3 too, where it advertises that.
    pub alt_svc: bool,
}

impl Network {
    /// The part of it that concerns requests beside the sequence too.
    #[must_use]
    pub fn way(&self) -> auth::Way {
        let host = self.host.as_ref().map(ToString::to_string);
        auth::Way {
            connect_to: self.connect_to.clone(),
            sni: self.sni.clone(),
            // An authority is visible ASCII.
            host: host.and_then(|host| HeaderValue::from_str(&host).ok()),
        }
    }
}

/// A value of `Host` (RFC 9110 §7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostHeader(pub(crate) Authority);

/// A text that is no [`HostHeader`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host; write it like mcp.example.com or mcp.example.com:8443")]
pub struct HostHeaderError(String);

impl FromStr for HostHeader {
    type Err = HostHeaderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || HostHeaderError(model::text::line(text, 80));
        let authority: Authority = text.parse().map_err(|_| bad())?;
        // RFC 9110 §7.2: host and port, and never a user.
        if text.contains('@') || authority.host().is_empty() {
            return Err(bad());
        }
        Ok(Self(authority))
    }
}

impl std::fmt::Display for HostHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_host_and_perhaps_a_port() {
        for good in ["mcp.example.com", "mcp.example.com:8443", "[2001:db8::7]:1"] {
            assert_eq!(good.parse::<HostHeader>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "a b",
            "user@mcp.example.com",
            "https://x",
            "a/b",
            "a\r\nX: y",
        ] {
            let error = bad.parse::<HostHeader>().unwrap_err().to_string();
            assert!(error.contains("write it like"), "{error}");
        }
    }
}
