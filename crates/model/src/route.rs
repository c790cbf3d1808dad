//! Where a target is reached, where that is not what its URL says.

use std::str::FromStr;

use url::Host;

/// The longest text of a rule, in bytes: a host name has 253.
const MAX_BYTES: usize = 600;

/// A rule that connections to one host and port go to another, as `--connect-to` of curl:
/// `HOST:PORT:ADDRESS[:PORT]`. An empty `HOST` or `PORT` in front matches any; an empty one at the
/// end stays what it is. IPv6 addresses stand in brackets.
///
/// The URL, the name of the certificate and the `Host` header stay what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTo {
    from_host: Option<Host<String>>,
    from_port: Option<u16>,
    to_host: Option<Host<String>>,
    to_port: Option<u16>,
}

/// A text that is no [`ConnectTo`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no rule: {1}; write it like mcp.example.com:443:203.0.113.7 or mcp.example.com:443:[2001:db8::7]:8443"
)]
pub struct ConnectToError(String, &'static str);

impl FromStr for ConnectTo {
    type Err = ConnectToError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |problem| ConnectToError(crate::text::line(text, 80), problem);
        if text.len() > MAX_BYTES {
            return Err(bad("it is too long"));
        }
        let parts = split(text).ok_or_else(|| bad("a bracket is left open"))?;
        let (from_host, from_port, to_host, to_port) = match parts[..] {
            [from_host, from_port, to_host] => (from_host, from_port, to_host, ""),
            [from_host, from_port, to_host, to_port] => (from_host, from_port, to_host, to_port),
            _ => {
                return Err(bad(
                    "it has three or four parts, IPv6 addresses in brackets",
                ));
            }
        };
        let host = |text: &str| match text {
            "" => Ok(None),
            text => Host::parse(text)
                .map(Some)
                .map_err(|_| bad("a host is neither a name nor an address")),
        };
        let port = |text: &str| match text {
            "" => Ok(None),
            text => match text.parse::<u16>() {
                Ok(0) | Err(_) => Err(bad("a port is not between 1 and 65535")),
                Ok(port) => Ok(Some(port)),
            },
        };
        Ok(Self {
            from_host: host(from_host)?,
            from_port: port(from_port)?,
            to_host: host(to_host)?,
            to_port: port(to_port)?,
        })
    }
}

impl ConnectTo {
    /// Where a connection to `host` and `port` goes by this rule; `None` where it says nothing.
    #[must_use]
    pub fn apply(&self, host: &Host<String>, port: u16) -> Option<(Host<String>, u16)> {
        let is_host = self.from_host.as_ref().is_none_or(|from| from == host);
        let is_port = self.from_port.is_none_or(|from| from == port);
        (is_host && is_port).then(|| {
            let to_host = self.to_host.clone().unwrap_or_else(|| host.clone());
            (to_host, self.to_port.unwrap_or(port))
        })
    }
}

impl std::fmt::Display for ConnectTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = |host: &Option<Host<String>>| host.as_ref().map(ToString::to_string);
        let port = |port: Option<u16>| port.map(|port| port.to_string());
        let (from, to) = (host(&self.from_host), host(&self.to_host));
        write!(
            f,
            "{}:{}:{}",
            from.unwrap_or_default(),
            port(self.from_port).unwrap_or_default(),
            to.unwrap_or_default()
        )?;
        match self.to_port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl serde::Serialize for ConnectTo {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ConnectTo {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(input)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for ConnectTo {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ConnectTo".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": MAX_BYTES,
            "description": "HOST:PORT:ADDRESS[:PORT]; connections to HOST:PORT go to ADDRESS"
        })
    }
}

/// The parts between colons, of which those in brackets are none.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut begin, mut is_open) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '[' => is_open = true,
            ']' => is_open = false,
            ':' if !is_open => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    (!is_open).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(rule: &str, host: &str, port: u16) -> Option<String> {
        let rule: ConnectTo = rule.parse().unwrap();
        let applied = rule.apply(&Host::parse(host).unwrap(), port);
        applied.map(|(host, port)| format!("{host}:{port}"))
    }

    /// The forms of curl's manual, `--connect-to`, and ours without the last colon.
    #[test]
    fn rules_mean_what_they_mean_to_curl() {
        let table = [
            ("mcp.example.com:443:203.0.113.7", "203.0.113.7:443"),
            ("mcp.example.com:443:203.0.113.7:", "203.0.113.7:443"),
            (
                "MCP.example.com:443:blue.example.net:8443",
                "blue.example.net:8443",
            ),
            (":443:[2001:db8::7]:8443", "[2001:db8::7]:8443"),
            ("mcp.example.com::203.0.113.7", "203.0.113.7:443"),
            ("::203.0.113.7:1", "203.0.113.7:1"),
            ("mcp.example.com:443::8443", "mcp.example.com:8443"),
        ];
        for (rule, expected) in table {
            let found = applied(rule, "mcp.example.com", 443);
            assert_eq!(found.as_deref(), Some(expected), "{rule}");
        }
        assert_eq!(
            applied("other:443:203.0.113.7", "mcp.example.com", 443),
            None
        );
        let other_port = applied("mcp.example.com:80:203.0.113.7", "mcp.example.com", 443);
        assert_eq!(other_port, None);
        assert_eq!(
            applied("[::1]:443:127.0.0.1", "[::1]", 443).as_deref(),
            Some("127.0.0.1:443")
        );
    }

    #[test]
    fn a_bad_rule_says_how_to_write_it() {
        let table = [
            ("", "three or four parts"),
            ("a:1", "three or four parts"),
            ("a:1:2001:db8::7", "IPv6 addresses in brackets"),
            ("a:1:[::1", "bracket"),
            ("a:0:b", "a port is not"),
            ("a:1:b:65536", "a port is not"),
            ("a:1:b c", "a host is neither"),
        ];
        for (rule, message) in table {
            let error = rule.parse::<ConnectTo>().unwrap_err().to_string();
            assert!(error.contains(message), "{rule}: {error}");
            assert!(error.contains("write it like"), "{error}");
        }
    }
}
