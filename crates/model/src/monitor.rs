//! What is to be watched.

mod authorization;
mod contract;
mod id;
mod load;
mod network;
mod problems;
mod secret;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expect::{CallExpect, Expect, HealthSpec, JsonPath};
use crate::instance::InstanceSpec;
use crate::period::Period;
use crate::{CheckId, ConnectTo, EraPolicy, ListKind, Profile, Severity, TargetUrl};

pub use authorization::{Authorization, Grant};
pub use contract::{ContractPin, ContractSpec};
pub use id::{LANES, MonitorId, MonitorIdError};
pub use problems::{FieldError, MAX_REQUESTS_PER_MINUTE, call_problems, is_id, label_problems};
pub use secret::Secret;

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
    /// What to answer where the tool asks for input, by the key of its question (2026-07-28
    /// basic/patterns/mrtr): `{"action":"accept","content":{}}`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub answers: serde_json::Map<String, serde_json::Value>,
    /// Whether to ask for progress, and see whether it arrives as it is sent (`sse.unbuffered`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub progress: bool,
    /// What its result must be.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expect: CallExpect,
    /// Values to take from its result, by name, for `{{name}}` in the arguments of later calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, JsonPath>,
    /// Whether it cleans up: then it is made also where an earlier call failed, once there is what
    /// it needs. Comes last.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cleanup: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl CallSpec {
    /// A call without arguments and demands.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            arguments: serde_json::Map::new(),
            idempotent: true,
            answers: serde_json::Map::new(),
            progress: false,
            expect: CallExpect::default(),
            capture: BTreeMap::new(),
            cleanup: false,
        }
    }
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
    /// From which agents: those that carry all of these labels; from all where empty.
    #[serde(default)]
    pub agent_labels: BTreeMap<String, String>,
    /// Tools that every probe calls after the list; each once.
    #[serde(default)]
    pub calls: Vec<CallSpec>,
    /// Lists to walk beside that of the tools, where the server announces them.
    #[serde(default)]
    pub lists: BTreeSet<ListKind>,
    /// Whether each probe subscribes to changes until that is acknowledged; modern era only.
    #[serde(default)]
    pub subscribe: bool,
    /// How long each probe listens to a silent stream, to see whether something on the way closes
    /// it (`sse.idle`), 1 s to 10 min; not at all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_stream: Option<Period>,
    /// How much to examine.
    #[serde(default = "standard")]
    pub profile: Profile,
    /// A plain HTTP resource to ask beside each probe, and what it must say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
    /// What the target must be beyond the protocol.
    #[serde(default)]
    pub expect: Expect,
    /// Where the instance that answers names itself.
    #[serde(default, skip_serializing_if = "InstanceSpec::is_empty")]
    pub instance: InstanceSpec,
    /// The tools as a contract: what they are held against, and what a change means.
    #[serde(default)]
    pub contract: ContractSpec,
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
    /// Where its access tokens come from; agents get those and nothing else of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// When its credential ends, RFC 3339, where nobody but the operator knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_expires_at: Option<String>,
    /// Severities that differ from the check table.
    #[serde(default)]
    pub severities: BTreeMap<CheckId, Severity>,
    /// How many agents probe it at most, 1 to 64.
    #[serde(default = "ten")]
    pub max_agents: u32,
    /// The most requests a minute that all agents together may make of the target by schedule, 1 to
    /// 1,000,000: where that is less than the interval wants, the interval is stretched. The
    /// coordinator has a cap for each origin; the lower one holds.
    #[serde(default)]
    pub max_requests_per_minute: Option<u32>,
    /// Whether confirmations repeat the calls that are idempotent.
    #[serde(default = "yes")]
    pub confirm_calls: bool,
    /// Whether an outage may rest on witnesses for whose networks too little vouches.
    #[serde(default)]
    pub accept_weak: bool,
    /// What the target is hosted on, for the agents' self-test.
    #[serde(default)]
    pub hosting: Option<String>,
    /// Where it is reached instead of where the URL says, `HOST:PORT:ADDRESS[:PORT]`, the first that
    /// matches; certificate and `Host` stay the URL's. The address policy of each agent holds.
    #[serde(default)]
    pub connect_to: Vec<ConnectTo>,
    /// The name for TLS, and of the certificate, instead of the URL's host.
    #[serde(default)]
    pub sni: Option<String>,
    /// The `Host` header (HTTP/2: `:authority`) instead of the URL's host and port.
    #[serde(default)]
    pub host_header: Option<String>,
    /// Certificates of authorities that are trusted for it beside those of the agents, PEM, up to 16 KiB.
    #[serde(default)]
    pub ca: Option<String>,
    /// Which addresses of the name are used.
    #[serde(default = "any")]
    pub family: AddressFamily,
    /// Which versions of HTTP are offered.
    #[serde(default)]
    pub http: HttpVersions,
    /// Whether it is probed over HTTP/3 too, where it advertises that: twice the load.
    #[serde(default)]
    pub alt_svc: bool,
    /// For people and dashboards.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

const fn standard() -> Profile {
    Profile::Standard
}

crate::closed_words! {
    /// Which addresses of a name are used.
    pub enum AddressFamily ("address family") {
        /// Both, as a client would.
        Any = "any",
        /// IPv4 only.
        Ipv4 = "ipv4",
        /// IPv6 only.
        Ipv6 = "ipv6",
    }
}

crate::closed_words! {
    /// Which versions of HTTP are offered.
    #[derive(Default)]
    pub enum HttpVersions ("HTTP version") {
        /// HTTP/2, then HTTP/1.1.
        #[default]
        Any = "any",
        /// HTTP/1.1 only.
        Http1 = "1.1",
        /// HTTP/3 only.
        Http3 = "3",
    }
}

const fn any() -> AddressFamily {
    AddressFamily::Any
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

impl MonitorSpec {
    /// A spec with defaults for everything but the URL.
    #[must_use]
    pub fn new(url: TargetUrl) -> Self {
        Self {
            url,
            era: auto(),
            interval: minute(),
            regions: Vec::new(),
            agent_labels: BTreeMap::new(),
            calls: Vec::new(),
            lists: BTreeSet::new(),
            subscribe: false,
            idle_stream: None,
            profile: Profile::Standard,
            health: None,
            expect: Expect::default(),
            instance: InstanceSpec::default(),
            contract: ContractSpec::default(),
            step_timeout: ten_seconds(),
            call_timeout: ten_seconds(),
            total_timeout: thirty_seconds(),
            headers: BTreeMap::new(),
            authorization: None,
            credential_expires_at: None,
            severities: BTreeMap::new(),
            max_agents: ten(),
            max_requests_per_minute: None,
            confirm_calls: yes(),
            accept_weak: false,
            hosting: None,
            connect_to: Vec::new(),
            sni: None,
            host_header: None,
            ca: None,
            family: any(),
            http: HttpVersions::default(),
            alt_svc: false,
            labels: BTreeMap::new(),
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
        let spec = r#"{"url":"https://x/","headers":{"Origin":"https://a"},
            "expect":{"origin":{"accepted":["https://b"],"refused":["https://b"]}},
            "severities":{"origin.expected":"note"}}"#;
        let spec: MonitorSpec = serde_json::from_str(spec).unwrap();
        let pointers: Vec<_> = spec.problems().into_iter().map(|p| p.pointer).collect();
        assert_eq!(pointers, ["/expect/origin/refused/0", "/headers/Origin"]);
    }
}
