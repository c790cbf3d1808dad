//! What a probe is to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::expect::{CallExpect, Expect, JsonPath};
use model::instance::InstanceSpec;
use model::monitor::CallSpec;
use model::{CheckId, EraPolicy, ListKind, Profile, Severity, TargetUrl};

use crate::EraRecord;
use crate::limits::CLOSE_TIMEOUT;

/// Who the probe says it is (`clientInfo`). The same for every agent of a mesh, so that regions
/// see the same server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// `clientInfo.name`.
    pub name: String,
    /// `clientInfo.version`.
    pub version: String,
}

impl ClientInfo {
    /// The client that Parallax is.
    #[must_use]
    pub fn parallax() -> Self {
        Self {
            name: "parallax".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A tool that the user told the probe to call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The tool's name.
    pub name: String,
    /// Its arguments.
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// What to answer where the tool asks for input, by the key of its question (2026-07-28
    /// basic/patterns/mrtr): `{"action":"accept","content":{…}}`.
    pub answers: serde_json::Map<String, serde_json::Value>,
    /// Whether to ask for progress, and see whether it arrives as it is sent.
    pub progress: bool,
    /// What its result must be.
    pub expect: CallExpect,
    /// Values to take from its result, by name, for the arguments of later calls
    /// ([`model::flow`]).
    pub capture: BTreeMap<String, JsonPath>,
    /// Whether it cleans up: made also where an earlier call failed, once there is what it needs.
    pub cleanup: bool,
}

impl ToolCall {
    /// A call that demands and captures nothing.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        arguments: serde_json::Map<String, serde_json::Value>,
    ) -> Self {
        Self {
            name: name.into(),
            arguments,
            answers: serde_json::Map::new(),
            progress: false,
            expect: CallExpect::default(),
            capture: BTreeMap::new(),
            cleanup: false,
        }
    }
}

impl From<&CallSpec> for ToolCall {
    fn from(spec: &CallSpec) -> Self {
        Self {
            name: spec.name.clone(),
            arguments: spec.arguments.clone(),
            answers: spec.answers.clone(),
            progress: spec.progress,
            expect: spec.expect.clone(),
            capture: spec.capture.clone(),
            cleanup: spec.cleanup,
        }
    }
}

/// What a probe is to do, and how long it may take.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The endpoint.
    pub url: TargetUrl,
    /// Which era to speak.
    pub era: EraPolicy,
    /// What an earlier probe of this origin found, if it is still fresh.
    pub known: Option<EraRecord>,
    /// Tools to call, in this order, after the list.
    pub calls: Vec<ToolCall>,
    /// Lists to walk beside that of the tools, where the server announces them.
    pub lists: BTreeSet<ListKind>,
    /// Whether to subscribe to changes, until that is acknowledged; modern era only.
    pub subscribe: bool,
    /// How long to listen to a silent stream, to see whether something on the way closes it; at
    /// most [`Plan::MAX_IDLE`], and beyond the probe's total time.
    pub idle: Option<Duration>,
    /// How much to examine.
    pub profile: Profile,
    /// What the target must be beyond the protocol.
    pub expect: Expect,
    /// Where the instance that answers names itself.
    pub instance: InstanceSpec,
    /// Whether the shell adds a credential: then a 401 means that it was rejected.
    pub has_credential: bool,
    /// Whether the endpoint is reached through a proxy: what takes too long before there is a
    /// tunnel is not the endpoint's.
    pub is_proxied: bool,
    /// How long a step may take.
    pub step_timeout: Duration,
    /// How long a `tools_call` step may take.
    pub call_timeout: Duration,
    /// How long the probe may take, closing aside.
    pub total_timeout: Duration,
    /// How long closing a session may take, beyond that.
    pub close_timeout: Duration,
    /// Whether the listed tools are kept as the server wrote them ([`crate::Listing`]).
    pub keep_listing: bool,
    /// Severities that differ from the check table.
    pub severities: BTreeMap<CheckId, Severity>,
    /// Who asks.
    pub client: ClientInfo,
    /// The wall clock when the probe begins, since the Unix epoch, for dates of servers that do not
    /// say what time they think it is.
    pub wall: Option<Duration>,
}

impl Plan {
    /// The default time for one step.
    pub const STEP_TIMEOUT: Duration = Duration::from_secs(10);
    /// The default time for the whole sequence.
    pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
    /// The most that a configured call may be given.
    pub const MAX_CALL_TIMEOUT: Duration = Duration::from_secs(120);

    /// The longest that a silent stream is listened to.
    pub const MAX_IDLE: Duration = Duration::from_secs(600);

    /// The default plan for a URL: both eras, no calls.
    #[must_use]
    pub fn new(url: TargetUrl, client: ClientInfo) -> Self {
        Self {
            url,
            era: EraPolicy::Auto,
            known: None,
            calls: Vec::new(),
            lists: BTreeSet::new(),
            subscribe: false,
            idle: None,
            profile: Profile::Standard,
            expect: Expect::default(),
            instance: InstanceSpec::default(),
            has_credential: false,
            is_proxied: false,
            step_timeout: Self::STEP_TIMEOUT,
            call_timeout: Self::STEP_TIMEOUT,
            total_timeout: Self::TOTAL_TIMEOUT,
            close_timeout: CLOSE_TIMEOUT,
            keep_listing: false,
            severities: BTreeMap::new(),
            client,
            wall: None,
        }
    }

    /// The severity of a check in this plan.
    #[must_use]
    pub fn severity(&self, id: CheckId) -> Severity {
        self.severities
            .get(&id)
            .copied()
            .unwrap_or_else(|| id.rule().severity)
    }
}
