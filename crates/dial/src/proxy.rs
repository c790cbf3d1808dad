//! Which HTTP proxy to go through, as people write it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The longest text of a proxy, in bytes: credentials are short.
const MAX_BYTES: usize = 2048;

/// An HTTP proxy that opens tunnels (`CONNECT`, RFC 9110 §9.3.6).
///
/// Written `http://[user:password@]host[:port]`, port 80 by default, the scheme optional; user and
/// password percent-encoded where they have characters of a URL. Neither is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<String>,
}

/// A text that is no [`Proxy`]: the problem and the way out, and nothing of the text, which may
/// have a password. Whoever reads the text knows the field to put before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// TLS to the proxy itself.
    #[error(
        "https:// proxies are not spoken to; name the proxy's http:// port (what goes through it has TLS of its own)"
    )]
    Https,
    /// Another protocol.
    #[error("SOCKS proxies are not spoken to; name an HTTP proxy, http://host:port")]
    Socks,
    /// No URL of a proxy at all.
    #[error("is no proxy: {0}; write it like http://proxy.example.com:3128")]
    Malformed(&'static str),
    /// RFC 7617 §2.
    #[error(
        "the user name or password has a character that Basic authentication cannot carry; give the proxy others"
    )]
    Credentials,
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let text = text.trim();
        if text.len() > MAX_BYTES {
            return Err(ProxyError::Malformed("it is longer than 2048 bytes"));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(ProxyError::Https),
            socks if socks.starts_with("socks") => return Err(ProxyError::Socks),
            _ => return Err(ProxyError::Malformed("its scheme is not http")),
        }
        let url = Url::parse(&format!("http://{rest}"))
            .map_err(|_| ProxyError::Malformed("host or port cannot be read"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Malformed("something follows the port"));
        }
        let host = url.host().ok_or(ProxyError::Malformed("it has no host"))?;
        let port = url.port_or_known_default().unwrap_or(80);
        if port == 0 {
            return Err(ProxyError::Malformed("port 0 is none"));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            authorization: authorization(&url)?,
        })
    }
}

/// Basic authentication (RFC 7617), where the URL has a user.
fn authorization(url: &Url) -> Result<Option<String>, ProxyError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let user: Vec<u8> = percent_decode_str(url.username()).collect();
    let password: Vec<u8> = percent_decode_str(url.password().unwrap_or_default()).collect();
    let is_control = |byte: &u8| byte.is_ascii_control();
    if user.contains(&b':') || user.iter().chain(&password).any(is_control) {
        return Err(ProxyError::Credentials);
    }
    let pair = [&user[..], b":", &password[..]].concat();
    Ok(Some(format!("Basic {}", STANDARD.encode(pair))))
}

impl Proxy {
    /// Whether credentials are sent to it.
    #[must_use]
    pub const fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }
}

/// Host and port, without credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        let table = [
            ("http://proxy.example.com:3128", "proxy.example.com:3128"),
            ("HTTP://Proxy.Example.com:3128/", "proxy.example.com:3128"),
            ("proxy:3128", "proxy:3128"),
            ("http://proxy", "proxy:80"),
            (" 10.0.0.1:8080\n", "10.0.0.1:8080"),
            ("http://[fd00::1]:3128", "[fd00::1]:3128"),
            ("http://u:p@proxy:3128", "proxy:3128"),
            ("u:p@proxy:3128", "proxy:3128"),
        ];
        for (text, shown) in table {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown, "{text}");
            assert_eq!(proxy.has_credentials(), text.contains('@'), "{text}");
        }
    }

    /// The example of RFC 7617 §2, and one whose characters a URL cannot have as they are.
    #[test]
    fn credentials_are_sent_as_basic_and_never_shown() {
        let table = [
            (
                "http://Aladdin:open%20sesame@proxy:1",
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            ),
            ("http://a%40b:c%3Ad%2F@proxy:1", "Basic YUBiOmM6ZC8="),
            ("http://user@proxy:1", "Basic dXNlcjo="),
        ];
        for (text, value) in table {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.authorization.as_deref(), Some(value));
            assert_eq!(format!("{proxy:?}"), "Proxy(proxy:1)");
        }
    }

    #[test]
    fn what_is_no_proxy_says_the_way_out_and_shows_no_password() {
        let table = [
            ("https://u:hunter2@proxy:3128", "name the proxy's http://"),
            ("socks5h://u:hunter2@proxy:1080", "name an HTTP proxy"),
            ("SOCKS4://proxy:1080", "name an HTTP proxy"),
            ("ftp://u:hunter2@proxy:21", "its scheme is not http"),
            ("http://u:hunter2@proxy:99999", "host or port"),
            ("http://u:hunter2/@proxy:1", "host or port"),
            ("", "host or port"),
            ("http://proxy:0", "port 0"),
            ("http://u:hunter2@proxy:1/path", "follows the port"),
            ("http://proxy:1?x", "follows the port"),
            ("http://u%3A:hunter2@proxy:1", "cannot carry"),
            ("http://u:hunter2%0D%0AX-A:%20b@proxy:1", "cannot carry"),
        ];
        for (text, message) in table {
            let error = text.parse::<Proxy>().unwrap_err();
            let said = error.to_string();
            assert!(said.contains(message), "{text}: {said}");
            assert!(!format!("{said}{error:?}").contains("hunter2"), "{said}");
        }
    }
}
