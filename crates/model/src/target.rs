//! The URL of an MCP endpoint, validated once.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// The longest URL that is accepted, in bytes: what common servers accept as a request line.
pub const MAX_URL_BYTES: usize = 2048;

/// An absolute `http` or `https` URL with a host and without user info or fragment.
///
/// Parsing follows the WHATWG URL standard, so that `http://2130706433/` and `http://0x7f.1/` are
/// the addresses that they mean and not names that a policy might miss.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetUrl(Url);

/// Why a text is no target URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetUrlError {
    /// The scheme is not `http` or `https`.
    #[error("url: scheme `{0}` cannot be probed; use https:// (or http:// for a private server)")]
    Scheme(String),
    /// There is no scheme at all.
    #[error("url: `{0}` has no scheme; write https://{0}")]
    NoScheme(String),
    /// The text is no URL.
    #[error("url: {0}; write it like https://mcp.example.com/mcp")]
    Malformed(String),
    /// User info in the URL would end up in logs.
    #[error("url: remove the user name and password; give the credential as a header")]
    UserInfo,
    /// The URL is longer than [`MAX_URL_BYTES`].
    #[error("url: {0} bytes is too long; the limit is {MAX_URL_BYTES}")]
    TooLong(usize),
}

impl TargetUrl {
    /// The URL as parsed.
    #[must_use]
    pub const fn as_url(&self) -> &Url {
        &self.0
    }

    /// Whether the URL asks for TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The origin, `scheme://host[:port]`: what a load is counted for.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The port, explicit or of the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        // `http` and `https` always have a known port.
        self.0.port_or_known_default().unwrap_or(443)
    }
}

impl FromStr for TargetUrl {
    type Err = TargetUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_URL_BYTES {
            return Err(TargetUrlError::TooLong(text.len()));
        }
        let shown = || crate::text::line(&masked(text), 120);
        let mut url = match Url::parse(text) {
            Ok(url) => url,
            Err(url::ParseError::RelativeUrlWithoutBase) => {
                return Err(TargetUrlError::NoScheme(shown()));
            }
            Err(error) => {
                return Err(TargetUrlError::Malformed(format!("`{}`: {error}", shown())));
            }
        };
        if !matches!(url.scheme(), "http" | "https") {
            // `mcp.example.com:443/mcp` parses as scheme `mcp.example.com`.
            return Err(
                if url.scheme().contains('.') || url.scheme() == "localhost" {
                    TargetUrlError::NoScheme(shown())
                } else {
                    TargetUrlError::Scheme(url.scheme().to_owned())
                },
            );
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetUrlError::UserInfo);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }
}

/// The text without what may be a user name and password.
fn masked(text: &str) -> String {
    let authority = text
        .split(['/', '?', '#'])
        .rev()
        .find(|part| part.contains('@'));
    match authority.and_then(|part| part.rsplit_once('@').map(|(user, _)| (part, user))) {
        Some((part, user)) if !user.is_empty() => {
            text.replacen(part, &part.replacen(user, "***", 1), 1)
        }
        _ => text.to_owned(),
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetUrl({self})")
    }
}

impl serde::Serialize for TargetUrl {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.0.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for TargetUrl {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(input)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for TargetUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TargetUrl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "uri", "maxLength": MAX_URL_BYTES })
    }
}

/// Whether a text is a host and a port, and nothing else.
#[must_use]
pub fn is_endpoint(text: &str) -> bool {
    let url: Result<TargetUrl, _> = format!("https://{text}/").parse();
    let has_port = text
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
    has_port && url.is_ok() && !text.contains(['/', '@', '#', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_normalised() {
        let table = [
            (
                "https://Mcp.Example.com/mcp#top",
                "https://mcp.example.com/mcp",
            ),
            ("http://2130706433/", "http://127.0.0.1/"),
            ("http://0x7f.1:80/x", "http://127.0.0.1/x"),
            ("https://[::1]:8443", "https://[::1]:8443/"),
            (
                "https://bücher.example/mcp",
                "https://xn--bcher-kva.example/mcp",
            ),
        ];
        for (given, parsed) in table {
            assert_eq!(given.parse::<TargetUrl>().unwrap().to_string(), parsed);
        }
    }

    #[test]
    fn bad_urls_name_the_way_out() {
        let table = [
            (
                "ftp://x/",
                "url: scheme `ftp` cannot be probed; use https:// (or http:// for a private server)",
            ),
            (
                "stdio:server",
                "url: scheme `stdio` cannot be probed; use https:// (or http:// for a private server)",
            ),
            (
                "example.com/mcp",
                "url: `example.com/mcp` has no scheme; write https://example.com/mcp",
            ),
            (
                "mcp.example.com:443/mcp",
                "url: `mcp.example.com:443/mcp` has no scheme; write https://mcp.example.com:443/mcp",
            ),
            (
                "localhost:3000/mcp",
                "url: `localhost:3000/mcp` has no scheme; write https://localhost:3000/mcp",
            ),
            (
                "https//u:hunter2@x/",
                "url: `https//***@x/` has no scheme; write https://https//***@x/",
            ),
            (
                "u:hunter2@x",
                "url: scheme `u` cannot be probed; use https:// (or http:// for a private server)",
            ),
            (
                "https://u:hunter2@x:99999/",
                "url: `https://***@x:99999/`: invalid port number; write it like https://mcp.example.com/mcp",
            ),
            (
                "https://u:p@x/",
                "url: remove the user name and password; give the credential as a header",
            ),
            (
                "https://",
                "url: `https://`: empty host; write it like https://mcp.example.com/mcp",
            ),
            (
                "https://x:99999/",
                "url: `https://x:99999/`: invalid port number; write it like https://mcp.example.com/mcp",
            ),
        ];
        for (given, message) in table {
            assert_eq!(
                given.parse::<TargetUrl>().unwrap_err().to_string(),
                message,
                "{given}"
            );
        }
        let long = format!("https://x/{}", "a".repeat(MAX_URL_BYTES));
        assert_eq!(
            long.parse::<TargetUrl>().unwrap_err().to_string(),
            "url: 2058 bytes is too long; the limit is 2048"
        );
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for good in ["127.0.0.1:7443", "[::1]:1", "mesh.example.com:443"] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a:",
            "a:0",
            "a:99999",
            "u@a:1",
            "a:1/x",
            "http://a:1",
        ] {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }
}
