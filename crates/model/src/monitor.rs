//! What is to be watched.

mod written;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::period::Period;
use crate::{CheckId, EraPolicy, Severity, TargetUrl};

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

/// What is shown instead of a secret.
const HIDDEN: &str = "(hidden)";

/// Ids of regions, agents and hostings: names that are safe in labels, paths and logs.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(legal)
}

/// A value that is taken and never shown again.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The value, for the one who needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(HIDDEN)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}

/// A tool that every probe calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallSpec {
    /// The tool's name.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// Whether confirmations may repeat the call.
    #[serde(default = "yes")]
    pub idempotent: bool,
}

const fn yes() -> bool {
    true
}

/// What a monitor watches and how. What is absent has its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonitorSpec {
    /// The MCP endpoint.
    pub url: TargetUrl,
    /// Which era to speak.
    #[serde(default = "auto")]
    pub era: EraPolicy,
    /// How often each agent probes, 10 s to 24 h.
    #[serde(default = "minute")]
    pub interval: Period,
    /// From which regions; from all where empty.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Tools that every probe calls after the list; each once.
    #[serde(default)]
    pub calls: Vec<CallSpec>,
    /// How long one step may take, up to 60 s.
    #[serde(default = "ten_seconds")]
    pub step_timeout: Period,
    /// How long a call may take, up to 120 s.
    #[serde(default = "ten_seconds")]
    pub call_timeout: Period,
    /// How long the whole probe may take, up to 5 minutes.
    #[serde(default = "thirty_seconds")]
    pub total_timeout: Period,
    /// Headers for every request; their values are never shown again.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Severities that differ from the check table.
    #[serde(default)]
    pub severities: BTreeMap<CheckId, Severity>,
    /// How many agents probe it at most, 1 to 64.
    #[serde(default = "ten")]
    pub max_agents: u32,
    /// Whether confirmations repeat the calls that are idempotent.
    #[serde(default = "yes")]
    pub confirm_calls: bool,
    /// Whether an outage may rest on witnesses for whose networks too little vouches.
    #[serde(default)]
    pub accept_weak: bool,
    /// What the target is hosted on, for the agents' self-test.
    #[serde(default)]
    pub hosting: Option<String>,
    /// For people and dashboards.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

const fn ten() -> u32 {
    10
}

const fn auto() -> EraPolicy {
    EraPolicy::Auto
}

const fn minute() -> Period {
    Period::seconds(60)
}

const fn ten_seconds() -> Period {
    Period::seconds(10)
}

const fn thirty_seconds() -> Period {
    Period::seconds(30)
}

/// One thing that is wrong with a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// A JSON Pointer (RFC 6901) to the field.
    pub pointer: String,
    /// The problem and the way out.
    pub detail: String,
}

impl FieldError {
    /// An error about one field.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

impl MonitorSpec {
    /// A spec with defaults for everything but the URL.
    #[must_use]
    pub const fn new(url: TargetUrl) -> Self {
        Self {
            url,
            era: auto(),
            interval: minute(),
            regions: Vec::new(),
            calls: Vec::new(),
            step_timeout: ten_seconds(),
            call_timeout: ten_seconds(),
            total_timeout: thirty_seconds(),
            headers: BTreeMap::new(),
            severities: BTreeMap::new(),
            max_agents: ten(),
            confirm_calls: yes(),
            accept_weak: false,
            hosting: None,
            labels: BTreeMap::new(),
        }
    }

    /// Everything that is wrong with the spec beyond its shape.
    #[must_use]
    pub fn problems(&self) -> Vec<FieldError> {
        let mut problems = Vec::new();
        let mut within = |pointer: &str, period: Period, least: u64, most: u64| {
            let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
            if period.duration() < least || period.duration() > most {
                let detail = format!("{period} is not within {least:?} to {most:?}");
                problems.push(FieldError::new(pointer, detail));
            }
        };
        within("/interval", self.interval, 10, 86_400);
        within("/step_timeout", self.step_timeout, 1, 60);
        within("/call_timeout", self.call_timeout, 1, 120);
        within("/total_timeout", self.total_timeout, 1, 300);
        if !(1..=64).contains(&self.max_agents) {
            let detail = format!("{} is not within 1 to 64", self.max_agents);
            problems.push(FieldError::new("/max_agents", detail));
        }
        let bounds = [
            ("/regions", self.regions.len(), 64),
            ("/calls", self.calls.len(), 16),
            ("/headers", self.headers.len(), 32),
            ("/labels", self.labels.len(), 32),
        ];
        for (pointer, count, most) in bounds {
            if count > most {
                problems.push(FieldError::new(
                    pointer,
                    format!("{count} entries; at most {most}"),
                ));
            }
        }
        self.call_problems(&mut problems);
        for (id, severity) in &self.severities {
            if !id.may_become(*severity) {
                let detail = "cannot be lowered: without it a probe has nothing to go on with";
                problems.push(FieldError::new(format!("/severities/{id}"), detail));
            }
        }
        for (n, region) in self.regions.iter().enumerate() {
            if !is_id(region) {
                let detail = "use 1 to 64 letters, digits, `-`, `_` and `.`";
                problems.push(FieldError::new(format!("/regions/{n}"), detail));
            }
        }
        if self.hosting.as_ref().is_some_and(|hosting| !is_id(hosting)) {
            let detail = "use 1 to 64 letters, digits, `-`, `_` and `.`";
            problems.push(FieldError::new("/hosting", detail));
        }
        self.header_problems(&mut problems);
        let label = |text: &str| text.len() <= 128 && !text.chars().any(char::is_control);
        for (name, value) in &self.labels {
            if name.is_empty() || !label(name) || !label(value) {
                let shown = crate::text::line(name, 40);
                let detail = "names and values are lines of at most 128 bytes";
                problems.push(FieldError::new(format!("/labels/{shown}"), detail));
            }
        }
        problems
    }

    fn header_problems(&self, problems: &mut Vec<FieldError>) {
        for (name, value) in &self.headers {
            let mut problem = |detail: &str| {
                let pointer = format!("/headers/{}", crate::text::line(name, 40));
                problems.push(FieldError::new(pointer, detail));
            };
            if !crate::header::is_name(name) {
                problem("this is no legal header name");
            }
            if !crate::header::is_value(value.expose()) {
                problem("its value is no legal header value");
            }
            if value.expose() == HIDDEN {
                problem("this stands for a hidden value; send the value itself");
            }
        }
    }

    fn call_problems(&self, problems: &mut Vec<FieldError>) {
        for (n, call) in self.calls.iter().enumerate() {
            if call.name.is_empty() || call.name.len() > 128 {
                let pointer = format!("/calls/{n}/name");
                problems.push(FieldError::new(
                    pointer,
                    "a tool's name has 1 to 128 characters",
                ));
            }
            if self.calls[..n].iter().any(|other| other.name == call.name) {
                let detail = "the tool is called already; a failure would not say which call";
                problems.push(FieldError::new(format!("/calls/{n}/name"), detail));
            }
        }
    }
}

/// A registered monitor.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Monitor {
    /// Its name.
    pub id: MonitorId,
    /// Grows when the spec changes its meaning.
    pub generation: u64,
    /// What it watches.
    pub spec: MonitorSpec,
}

crate::closed_words! {
    /// What a region's agents see of a target.
    pub enum RegionState ("region state") {
        /// Every agent that has a say reaches it.
        Ok = "ok",
        /// It answers, with degrade-level findings, or some agents reach it and some do not.
        Degraded = "degraded",
        /// Every agent that has a say failed twice in a row.
        Failing = "failing",
        /// The server turns the region's agents away.
        Blocked = "blocked",
        /// No agent has a say.
        Unknown = "unknown",
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

    #[test]
    fn defaults_fill_and_unknown_fields_are_errors() {
        let spec: MonitorSpec = serde_json::from_str(r#"{"url":"https://x/mcp"}"#).unwrap();
        assert_eq!(spec.interval, Period::seconds(60));
        assert_eq!(spec.problems(), []);
        let error =
            serde_json::from_str::<MonitorSpec>(r#"{"url":"https://x/","intervall":"60s"}"#);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("unknown field `intervall`")
        );
        let spec = r#"{"url":"https://x/","interval":"5s","severities":{"rpc.id":"note"}}"#;
        let spec: MonitorSpec = serde_json::from_str(spec).unwrap();
        let pointers: Vec<_> = spec.problems().into_iter().map(|p| p.pointer).collect();
        assert_eq!(pointers, ["/interval", "/severities/rpc.id"]);
    }

    #[test]
    fn secrets_are_taken_and_not_given() {
        let spec = r#"{"url":"https://x/","headers":{"authorization":"Bearer s3cret"}}"#;
        let spec: MonitorSpec = serde_json::from_str(spec).unwrap();
        assert_eq!(spec.headers["authorization"].expose(), "Bearer s3cret");
        let shown = format!("{spec:?}{}", serde_json::to_string(&spec).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
