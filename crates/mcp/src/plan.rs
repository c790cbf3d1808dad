//! What a probe is to do.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{CheckId, EraPolicy, Severity, TargetUrl};

use crate::EraRecord;

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
    /// Whether the listed tools are kept as the server wrote them ([`crate::Listing`]).
    pub keep_listing: bool,
    /// Severities that differ from the check table.
    pub severities: BTreeMap<CheckId, Severity>,
    /// Who asks.
    pub client: ClientInfo,
}

impl Plan {
    /// The default time for one step.
    pub const STEP_TIMEOUT: Duration = Duration::from_secs(10);
    /// The default time for the whole sequence.
    pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
    /// The most that a configured call may be given.
    pub const MAX_CALL_TIMEOUT: Duration = Duration::from_secs(120);

    /// The default plan for a URL: both eras, no calls.
    #[must_use]
    pub fn new(url: TargetUrl, client: ClientInfo) -> Self {
        Self {
            url,
            era: EraPolicy::Auto,
            known: None,
            calls: Vec::new(),
            has_credential: false,
            is_proxied: false,
            step_timeout: Self::STEP_TIMEOUT,
            call_timeout: Self::STEP_TIMEOUT,
            total_timeout: Self::TOTAL_TIMEOUT,
            keep_listing: false,
            severities: BTreeMap::new(),
            client,
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
