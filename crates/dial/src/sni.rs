//! The name that TLS asks for.

use std::str::FromStr;

use rustls::pki_types::ServerName;

/// A name that TLS asks for instead of the URL's host, and that the certificate is held against.
///
/// An address is held against the certificate too, but never sent (RFC 6066 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sni(pub(crate) ServerName<'static>);

/// A text that is no [`Sni`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name that TLS knows; write it like mcp.example.com")]
pub struct SniError(String);

impl FromStr for Sni {
    type Err = SniError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ServerName::try_from(text.to_ascii_lowercase())
            .map(Self)
            .map_err(|_| SniError(model::text::line(text, 80)))
    }
}

impl std::fmt::Display for Sni {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_tls_are_names_or_addresses() {
        assert_eq!(
            "MCP.Example.com".parse::<Sni>().unwrap().to_string(),
            "mcp.example.com"
        );
        assert!("203.0.113.7".parse::<Sni>().is_ok());
        for bad in ["", "a b", "mcp.example.com:443", "https://x"] {
            let error = bad.parse::<Sni>().unwrap_err().to_string();
            assert!(error.contains("write it like"), "{error}");
        }
    }
}
