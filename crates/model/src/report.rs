//! What one probe saw: one type for the command line, the agent and the API.

mod auth;
mod network;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::ContractReport;
use crate::{
    CheckId, Era, ListKind, Outcome, Phase, Reason, Revision, Severity, Step, TargetUrl, Transport,
};

pub use network::{
    AddressReport, Alternative, CertificateFault, Difference, DifferenceKind, Edge, EdgeProvider,
    Http3Report, Overrides, Quic, Resumption, Socket,
};

pub use auth::{Auth, AuthExchange, AuthState, AuthStep, ClientAuthentication, Credential};

/// The version of the report's JSON. Fields are only added within a version.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that one probe saw.
///
/// All durations are whole microseconds of a monotonic clock. Text that the target wrote has been
/// through [`crate::text::line`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was probed.
    pub url: TargetUrl,
    /// The agent's wall clock when the probe began, RFC 3339 UTC. For display only.
    pub started_at: String,
    /// The result.
    pub outcome: Outcome,
    /// The result in a sentence.
    pub summary: String,
    /// Which era the server spoke, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era: Option<Era>,
    /// Which revision was used, once agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<Revision>,
    /// How the messages travelled, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// What the server says it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerInfo>,
    /// Other servers, or versions of it, that gave results of the same probe, at most 8: a mixed
    /// rollout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_servers: Vec<ServerInfo>,
    /// The first connection of the probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// The connections that were opened after the first one, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_connections: Vec<Socket>,
    /// The edge of a content delivery network that answered, as its response headers say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Edge>,
    /// The instance of the server that answered first, by the header or paths that the user named.
    /// Untrusted, escaped, at most 96 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Other instances that answered requests of the same probe, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_instances: Vec<String>,
    /// What the server advertises in `Alt-Svc` (RFC 7838), at most 8; `h3` is HTTP/3.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alt_svc: Vec<Alternative>,
    /// The same over HTTP/3, where that is advertised; only when that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http3: Option<Http3Report>,
    /// Each address of the name, probed by itself, at most 16; only when that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressReport>,
    /// In what the addresses differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What all connections of the probe read, bytes: heads and framing of HTTP included, TLS aside.
    #[serde(default)]
    pub received_bytes: u64,
    /// What was learned of the authorization that the server wants, or gave a token for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The credential that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// How many tools the server listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<u32>,
    /// How many items the other lists had that the probe walked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lists: BTreeMap<ListKind, u32>,
    /// The size of the largest answer, bytes.
    #[serde(default)]
    pub largest_response_bytes: u64,
    /// The fingerprint of the listed tools, and how they differ from a baseline; absent where the
    /// list is not complete, or nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractReport>,
    /// What the resource said that was asked beside the sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthReport>,
    /// When the server wants to be asked again (`Retry-After`), seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// The steps that ran, in order.
    pub steps: Vec<StepReport>,
    /// Every check that could be examined, in the order of the check table.
    pub checks: Vec<CheckReport>,
    /// The sum of all phases of all steps: what the target and the network took.
    pub total_us: u64,
    /// What the prober itself took between the phases; never booked on the target.
    pub own_us: u64,
}

impl Report {
    /// The step that made the probe fail, if it failed. Other steps may have failed on the way
    /// to a good end, such as a question in the other era.
    #[must_use]
    pub fn failed_step(&self) -> Option<&StepReport> {
        let Outcome::Failed(failure) = &self.outcome else {
            return None;
        };
        let failed =
            |step: &&StepReport| step.step == failure.step && step.reason == Some(failure.reason);
        self.steps.iter().find(failed)
    }

    /// The checks that were violated, worst first.
    #[must_use]
    pub fn violations(&self) -> Vec<&CheckReport> {
        let mut violated: Vec<_> = self.checks.iter().filter(|check| !check.passed).collect();
        violated.sort_by_key(|check| check.severity);
        violated
    }
}

/// What a server says of itself. Untrusted, escaped, at most 128 characters each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ServerInfo {
    /// `serverInfo.name`.
    pub name: String,
    /// `serverInfo.version`; some servers leave it empty.
    pub version: String,
}

/// The first connection of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// What the user put in the place of what the URL says.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub overrides: Overrides,
    /// The proxy that the connection went through, `host:port`. Then `address` and `resolved` are
    /// the proxy's, the phases `dns` and `connect` end with its tunnel, and all times measure it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The address that was connected to, `ip:port`.
    pub address: String,
    /// The addresses that the resolver gave, those that may be probed first; empty for a literal.
    pub resolved: Vec<String>,
    /// Who was asked for the addresses: name servers, `ip:port`, or `hosts file`; empty where nobody was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolver: Vec<String>,
    /// The smallest time to live among the resolver's answers, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
    /// The kernel's smoothed round-trip time when the handshake was done (`TCP_INFO`); absent
    /// through a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_rtt_us: Option<u64>,
    /// The smallest round-trip time that the kernel saw on this connection until the last byte was
    /// read: what a warm connection's wait has in it beside the server's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_min_rtt_us: Option<u64>,
    /// Segments that this host sent again on this connection, SYNs included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retransmits: Option<u32>,
    /// `1.1`, `2` or `3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_version: Option<String>,
    /// What QUIC knew, for HTTP/3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quic: Option<Quic>,
    /// What TLS negotiated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// What TLS negotiated and what the server presented; the latter also when it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Tls {
    /// `1.2` or `1.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// IANA name of the cipher suite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<String>,
    /// IANA name of the key exchange group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_exchange: Option<String>,
    /// Whether that group resists quantum computers: it is or has ML-KEM (FIPS 203).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_quantum: Option<bool>,
    /// The application protocol that ALPN chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// What became of the client's own certificate; absent where there was none, and none was asked
    /// for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
    /// The presented chain, leaf first, at most 8 certificates.
    pub chain: Vec<Certificate>,
    /// The earliest end of validity in the presented chain, seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earliest_not_after: Option<i64>,
    /// The earliest end of validity among the presented certificates that the trusted path needs,
    /// seconds since the epoch; absent where there is none. What servers send beyond that path,
    /// such as a root or a cross-signed certificate, may end and nobody notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_not_after: Option<i64>,
    /// Everything that is wrong with what was presented, the cause of a refusal first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<CertificateFault>,
    /// Whether the server lets clients resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumption: Option<Resumption>,
}

impl Tls {
    /// When what was presented ends, seconds since the epoch: the trusted path's end, or without
    /// one, as nobody knows then which certificates are needed, the earliest end of all.
    // Never inlined: under a check of the option around it, rustc 1.95 at level 1 turned this
    // `or` into a load at an offset taken from the tag, and moved the load before the check: a
    // report without TLS ended the process with SIGSEGV. A call is not moved so.
    #[inline(never)]
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        self.path_not_after.or(self.earliest_not_after)
    }
}

crate::closed_words! {
    /// What became of the client's own certificate (RFC 8446 §4.3.2).
    pub enum ClientCertificate ("client certificate") {
        /// The server asked for one, and it was sent.
        Sent = "sent",
        /// The server asked for one, and there was none.
        Missing = "missing",
        /// The server did not ask for the one that there was.
        NotAsked = "not_asked",
    }
}

/// One presented certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// The subject, escaped.
    pub subject: String,
    /// The issuer, escaped.
    pub issuer: String,
    /// DNS names and addresses it is valid for, at most 16.
    pub names: Vec<String>,
    /// Begin of validity, seconds since the epoch.
    pub not_before: i64,
    /// End of validity, seconds since the epoch.
    pub not_after: i64,
    /// SHA-256 of the DER form, lower-case hex.
    pub sha256: String,
}

impl StepReport {
    /// A step of which nothing was sent.
    #[must_use]
    pub const fn unsent(step: Step) -> Self {
        Self {
            step,
            tool: None,
            phases_us: BTreeMap::new(),
            total_us: 0,
            warm: true,
            exchanges: 0,
            http_status: None,
            content_type: None,
            rpc_code: None,
            failed_phase: None,
            reason: None,
            detail: None,
        }
    }
}

/// What a plain HTTP resource said, beside what MCP says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthReport {
    /// What was asked for.
    pub url: TargetUrl,
    /// Whether it is as demanded.
    pub passed: bool,
    /// The HTTP status, if one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What is wrong, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it wants to be asked again, where it turned the probe away: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// The instance that answered, by the path that the user named. Untrusted, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The phases that ran, each in microseconds; they sum to `total_us`.
    pub phases_us: BTreeMap<Phase, u64>,
    /// How long it took. Part of no step, and of no total of the probe.
    pub total_us: u64,
}

/// One step of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// Which step.
    pub step: Step,
    /// The tool that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The phases that ran, each in microseconds; they sum to `total_us`.
    pub phases_us: BTreeMap<Phase, u64>,
    /// How long the step took.
    pub total_us: u64,
    /// Whether the step used a connection that an earlier step had opened.
    pub warm: bool,
    /// How many HTTP exchanges the step took: pages of a list, a retried version.
    pub exchanges: u32,
    /// The last HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The media type of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The JSON-RPC error code, if the answer was an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc_code: Option<i64>,
    /// The phase that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_phase: Option<Phase>,
    /// Why the step failed; absent when it went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What came back, in a few words. Untrusted text in it is escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One examined check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReport {
    /// Which check.
    pub id: CheckId,
    /// Whether it passed.
    pub passed: bool,
    /// Its severity in this probe, overrides applied.
    pub severity: Severity,
    /// Where the rule comes from.
    pub source: String,
    /// What was wrong; untrusted text in it is escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
