//! What a probe saw of the way to the server: overrides, sockets, edges, addresses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServerInfo;
use crate::{Outcome, Revision};

/// What the user put in the place of what the URL says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Overrides {
    /// Where the connection went instead of to the URL's host and port, `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_to: Option<String>,
    /// The name that TLS asked for and that the certificate was held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The value of `Host` (HTTP/2: `:authority`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl Overrides {
    /// Whether nothing was overridden.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.connect_to.is_none() && self.sni.is_none() && self.host.is_none()
    }
}

/// What the kernel knew of a further connection of the probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Socket {
    /// The address that was connected to, `ip:port`.
    pub address: String,
    /// The smoothed round-trip time when the handshake was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_rtt_us: Option<u64>,
    /// The smallest round-trip time until the last byte was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_min_rtt_us: Option<u64>,
    /// Segments that this host sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retransmits: Option<u32>,
}

/// What QUIC knew of a connection of HTTP/3 (RFC 9000, RFC 9002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quic {
    /// The version of QUIC.
    pub version: u32,
    /// From the first datagram to the end of the handshake: the phases `connect`, until the server's
    /// first datagram was there, and `tls`, the rest.
    pub handshake_us: u64,
    /// The smoothed round-trip time at the end of the probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u64>,
    /// The smallest round-trip time of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rtt_us: Option<u64>,
    /// Packets that this host sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_packets: Option<u64>,
    /// Packets of those that were lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_packets: Option<u64>,
}

crate::closed_words! {
    /// Whose edge answered.
    pub enum EdgeProvider ("edge provider") {
        /// `Akamai-GRN`.
        Akamai = "akamai",
        /// `X-Azure-Ref`.
        AzureFrontDoor = "azure_front_door",
        /// `CF-Ray`.
        Cloudflare = "cloudflare",
        /// `X-Amz-Cf-Pop`, `X-Amz-Cf-Id`.
        CloudFront = "cloudfront",
        /// `X-Served-By: cache-…`.
        Fastly = "fastly",
        /// `Fly-Request-Id`.
        Fly = "fly",
        /// `Via: 1.1 google`.
        Google = "google",
        /// `X-Nf-Request-Id`.
        Netlify = "netlify",
        /// `X-Vercel-Id`.
        Vercel = "vercel",
    }
}

/// The edge of a content delivery network, from its response headers. Anybody can send such
/// headers: it is what the answer claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// Whose it is.
    pub provider: EdgeProvider,
    /// Where it is, in the provider's own code, often an airport's; where the headers tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pop: Option<String>,
    /// What the provider's support asks for: the id of the request, or of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// One alternative service (RFC 7838 §3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alternative {
    /// The protocol by its ALPN name; `h3` is HTTP/3 (RFC 9114 §3.1.1). Escaped.
    pub protocol: String,
    /// Where, `host:port`, the host empty where it is the same. Escaped.
    pub authority: String,
    /// For how long it may be used, seconds; 24 hours where the server does not say.
    pub max_age_seconds: u64,
}

/// The probe run again over HTTP/3, without calls, where `Alt-Svc` advertises it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Http3Report {
    /// Where it is advertised, `host:port`, the host empty where it is the same. Escaped.
    pub authority: String,
    /// The address that answered, `ip:port`, empty where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The result.
    pub outcome: Outcome,
    /// The result in a sentence.
    pub summary: String,
    /// What QUIC knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quic: Option<Quic>,
    /// What the target and the network took.
    pub total_us: u64,
}

/// Whether a server lets clients resume TLS sessions (RFC 8446 §2.2, RFC 5077).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resumption {
    /// Tickets, or sessions of TLS 1.2, that the server issued on the first connection.
    pub tickets: u32,
    /// Whether a second handshake with them was a resumption; absent where none was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<bool>,
    /// How long the second handshake took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_us: Option<u64>,
}

crate::closed_words! {
    /// What is wrong with presented certificates.
    pub enum CertificateFault ("certificate fault") {
        /// The server's own certificate has ended.
        Expired = "expired",
        /// The server's own certificate has not begun.
        NotYetValid = "not_yet_valid",
        /// A certificate between the server's and the authority's has ended.
        IntermediateExpired = "intermediate_expired",
        /// A certificate between the server's and the authority's has not begun.
        IntermediateNotYetValid = "intermediate_not_yet_valid",
        /// The server's certificate is signed by itself.
        SelfSigned = "self_signed",
        /// The issuer of the last certificate was not sent, and is published where the certificate
        /// says: a server must send every certificate but the root (RFC 8446 §4.4.2).
        IntermediateMissing = "intermediate_missing",
        /// No authority that is trusted here signed it.
        AuthorityUnknown = "authority_unknown",
        /// It is for other names.
        WrongName = "wrong_name",
        /// Anything else.
        Malformed = "malformed",
    }
}

/// One address of the name, probed by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressReport {
    /// `ip:port`.
    pub address: String,
    /// The result.
    pub outcome: Outcome,
    /// The result in a sentence.
    pub summary: String,
    /// Which revision was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<Revision>,
    /// What the server says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerInfo>,
    /// How many tools it listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<u32>,
    /// SHA-256 of the certificate, lower-case hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
    /// When the first certificate that is needed ends, seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_not_after: Option<i64>,
    /// The instance that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The edge that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Edge>,
    /// Whether it turns away requests without a credential; absent where its answer does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walled: Option<bool>,
    /// The resource metadata that its 401 names (RFC 9728 §5.1). Untrusted, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_metadata: Option<String>,
    /// The kernel's round-trip time when the handshake was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_rtt_us: Option<u64>,
    /// What the target and the network took.
    pub total_us: u64,
}

crate::closed_words! {
    /// In what the addresses of a name differ.
    pub enum DifferenceKind ("difference") {
        /// Some addresses fail.
        Failing = "failing",
        /// No IPv6 address works, and IPv4 does.
        Ipv6Broken = "ipv6_broken",
        /// No IPv4 address works, and IPv6 does.
        Ipv4Broken = "ipv4_broken",
        /// This host has no way to an address family: nothing is said of the server.
        NoRoute = "no_route",
        /// Servers of several names or versions answer.
        Versions = "versions",
        /// Several protocol revisions are spoken.
        Revisions = "revisions",
        /// Several numbers of tools are listed.
        Tools = "tools",
        /// Several certificates are presented.
        Certificates = "certificates",
        /// Some let requests without a credential in, and others turn them away.
        Walls = "walls",
        /// Their challenges name different resource metadata, or none.
        Challenges = "challenges",
    }
}

/// One difference between the addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// In what they differ.
    pub kind: DifferenceKind,
    /// How, naming the addresses. Untrusted text in it is escaped.
    pub detail: String,
}
