//! Web origins that a server must let in, or keep out.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::monitor::FieldError;

/// Origins of one kind: each costs the target a request in every probe.
pub const MAX_ORIGINS: usize = 4;
/// The longest origin: a scheme, a host name of 253 characters and a port.
const MAX_BYTES: usize = 300;

/// Which origins a server must accept and refuse (`origin.expected`). A server that serves every
/// origin can be reached by any web page through a browser of its network (DNS rebinding,
/// 2026-07-28 transports/streamable-http, "Security Warning").
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OriginExpect {
    /// Those whose requests must be served like requests without an origin, at most 4.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<WebOrigin>,
    /// Those whose requests must be refused, with 403 where a server follows the specification, at
    /// most 4.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<WebOrigin>,
}

impl OriginExpect {
    /// Whether nothing is demanded.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.accepted.is_empty() && self.refused.is_empty()
    }

    /// How many requests it takes to see.
    #[must_use]
    pub const fn requests(&self) -> usize {
        self.accepted.len() + self.refused.len()
    }

    /// Everything that is wrong with the demand beyond its shape.
    #[must_use]
    pub fn problems(&self, pointer: &str) -> Vec<FieldError> {
        let mut problems = Vec::new();
        for (field, origins) in [("accepted", &self.accepted), ("refused", &self.refused)] {
            if origins.len() > MAX_ORIGINS {
                let detail = format!("{} origins; at most {MAX_ORIGINS}", origins.len());
                problems.push(FieldError::new(format!("{pointer}/{field}"), detail));
            }
        }
        for (n, origin) in self.refused.iter().enumerate() {
            if self.accepted.contains(origin) {
                let detail = format!("{origin} is to be accepted, too");
                problems.push(FieldError::new(format!("{pointer}/refused/{n}"), detail));
            }
        }
        problems
    }
}

/// The value of an `Origin` header (RFC 6454 §7): `scheme://host[:port]`, or `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(String);

/// A text that no browser sends as an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no origin: write it as a browser sends it, like https://app.example.com, without a path, or `null`"
)]
pub struct WebOriginError(String);

impl WebOrigin {
    /// The value of the header: visible ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebOrigin {
    type Err = WebOriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || WebOriginError(crate::text::line(text, 80));
        if text == "null" {
            return Ok(Self(text.to_owned()));
        }
        let is_plain = text.len() <= MAX_BYTES && text.bytes().all(|b| b.is_ascii_graphic());
        let url: Url = text.parse().map_err(|_| refuse())?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let port = url
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        // Schemes of editors have origins too, which the library takes for opaque.
        let serialised = format!("{}://{}{port}", url.scheme(), host.unwrap_or_default());
        if !is_plain || host.is_none() || serialised != text {
            return Err(refuse());
        }
        Ok(Self(serialised))
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for WebOrigin {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WebOrigin {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for WebOrigin {
    fn schema_name() -> Cow<'static, str> {
        "WebOrigin".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "maxLength": MAX_BYTES })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let good = [
            "https://app.example.com",
            "http://localhost:6274",
            "http://[::1]:8080",
            "vscode-webview://1a2b",
            "null",
        ];
        for text in good {
            assert_eq!(text.parse::<WebOrigin>().unwrap().as_str(), text);
        }
        let bad = [
            "",
            "*",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com:443",
            "https://user@app.example.com",
            "https://APP.example.com",
            "https://a b",
            "https://a\r\nX: y",
            "data:text/plain,x",
            "https://größe.example",
        ];
        for text in bad {
            let error = text.parse::<WebOrigin>().unwrap_err().to_string();
            assert!(error.contains("is no origin"), "{text}: {error}");
        }
    }

    #[test]
    fn an_origin_cannot_be_both_and_there_are_few() {
        let many: Vec<String> = (0..5).map(|n| format!("https://h{n}.example")).collect();
        let expect: OriginExpect = serde_json::from_value(
            json!({ "accepted": many, "refused": ["null", "https://h2.example"] }),
        )
        .unwrap();
        let problems = expect.problems("/expect/origin");
        let pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
        let expected = ["/expect/origin/accepted", "/expect/origin/refused/1"];
        assert_eq!(pointers, expected);
        assert_eq!(expect.requests(), 7);
    }
}
