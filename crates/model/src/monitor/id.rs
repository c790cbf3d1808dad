//! The names of monitors, and their lanes.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::TargetUrl;

/// Lanes: shards of monitors. Fixed for ever, because sequences are counted per lane.
pub const LANES: u16 = 256;

/// The name of a monitor, which is its id: 1 to 63 of `a-z 0-9 -`, not at the edges a `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonitorId(String);

/// A text that is no monitor name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("name: `{0}` is no monitor name; use 1 to 63 of a-z, 0-9 and -, not - at the ends")]
pub struct MonitorIdError(String);

impl MonitorId {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of a monitor that was registered without a name: always the same for a URL.
    #[must_use]
    pub fn of_url(url: &TargetUrl) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_64(url.as_url().as_str().as_bytes());
        let host = url.as_url().host_str().unwrap_or_default();
        let slug: String = host
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .take(46)
            .collect();
        let slug = slug.trim_matches('-');
        let slug = if slug.is_empty() { "monitor" } else { slug };
        Self(format!("{slug}-{hash:016x}"))
    }

    /// The lane of this monitor.
    #[must_use]
    pub fn lane(&self) -> u16 {
        let hash = xxhash_rust::xxh3::xxh3_64(self.0.as_bytes());
        u16::try_from(hash % u64::from(LANES)).unwrap_or_default()
    }
}

impl FromStr for MonitorId {
    type Err = MonitorIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let edges = text.starts_with('-') || text.ends_with('-');
        if text.is_empty() || text.len() > 63 || edges || !text.bytes().all(legal) {
            return Err(MonitorIdError(crate::text::line(text, 64)));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for MonitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MonitorId {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl JsonSchema for MonitorId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MonitorId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
        schemars::json_schema!({ "type": "string", "pattern": pattern })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_slugs_and_lanes_are_stable() {
        for good in ["a", "docs", "docs-1", &"a".repeat(63)] {
            assert!(good.parse::<MonitorId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", &"a".repeat(64)] {
            assert!(bad.parse::<MonitorId>().is_err(), "{bad}");
        }
        let id: MonitorId = "docs".parse().unwrap();
        assert!(id.lane() < LANES);
        assert_eq!(id.lane(), "docs".parse::<MonitorId>().unwrap().lane());
    }

    #[test]
    fn a_url_has_one_name_and_it_is_legal() {
        for url in [
            "https://mcp.example.com/mcp",
            "https://[::1]:8443/",
            "http://127.0.0.1/",
        ] {
            let url: TargetUrl = url.parse().unwrap();
            let id = MonitorId::of_url(&url);
            assert_eq!(id, MonitorId::of_url(&url));
            assert_eq!(id.as_str().parse::<MonitorId>().as_ref(), Ok(&id));
        }
    }
}
