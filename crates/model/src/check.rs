//! The rules that a probe examines.

crate::closed_words! {
    /// What a violated check does to the outcome.
    pub enum Severity ("severity") {
        /// The probe fails.
        Fail = "fail",
        /// The outcome is `degraded`.
        Degrade = "degrade",
        /// It is reported, and changes nothing else.
        Note = "note",
    }
}

/// What a check demands and where the demand comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The severity unless a monitor overrides it.
    pub severity: Severity,
    /// The section of the MCP specification, or the RFC, that demands it.
    pub source: &'static str,
    /// The demand, as a sentence that stands when the check passes.
    pub demand: &'static str,
}

impl CheckId {
    /// Whether a monitor may give this check another severity. What fails by default cannot be
    /// lowered: without it the sequence has nothing to go on with.
    #[must_use]
    pub fn may_become(self, severity: Severity) -> bool {
        self.rule().severity != Severity::Fail || severity == Severity::Fail
    }
}

macro_rules! checks {
    ( $( $variant:ident = $word:literal : $severity:ident, $source:literal, $demand:literal; )+ ) => {
        crate::closed_words! {
            /// The id of a check: `group.rule`, never changed once published.
            pub enum CheckId ("check") {
                $( #[doc = $demand] $variant = $word, )+
            }
        }

        impl CheckId {
            /// What the check demands and why.
            #[must_use]
            pub const fn rule(self) -> Rule {
                match self {
                    $( Self::$variant => Rule {
                        severity: Severity::$severity,
                        source: $source,
                        demand: $demand,
                    }, )+
                }
            }
        }
    };
}

checks! {
    NetDns = "net.dns": Fail, "RFC 1034", "the name resolves to an address that may be probed";
    NetTcp = "net.tcp": Fail, "RFC 9293", "the port accepts connections";
    NetTls = "net.tls": Fail, "RFC 8446; RFC 9525", "the TLS handshake succeeds and the certificate is valid for the name";
    NetCertExpiry = "net.cert_expiry": Degrade, "RFC 5280 §4.1.2.5", "every presented certificate is valid for 14 more days";
    HttpStatus = "http.status": Fail, "transports/streamable-http#sending-messages", "requests are answered with 2xx";
    HttpRedirect = "http.redirect": Fail, "RFC 9110 §15.4", "the endpoint answers itself, without a redirect";
    HttpContentType = "http.content_type": Fail, "transports/streamable-http#sending-messages", "answers are application/json or text/event-stream";
    HttpHtml = "http.html": Fail, "transports/streamable-http#sending-messages", "answers are MCP messages, not web pages";
    HttpEncoding = "http.encoding": Note, "RFC 8259 §8.1; RFC 9110 §12.5.3", "bodies are plain UTF-8 without byte order mark or unasked compression";
    HttpNotif202 = "http.notif_202": Note, "transports#sending-messages-to-the-server", "an accepted notification is answered with 202";
    HttpNotifEmpty = "http.notif_empty": Note, "transports#sending-messages-to-the-server", "the answer to a notification has no body";
    HttpNoSession = "http.no_session": Note, "2026-07-28 transports/streamable-http", "a stateless server issues no session id";
    SseParse = "sse.parse": Fail, "WHATWG HTML §9.2", "event streams are well framed";
    SseEndpointFirst = "sse.endpoint_first": Fail, "2024-11-05 transports#http-with-sse", "the first event names a message endpoint of the same origin";
    SseNoServerRequest = "sse.no_server_request": Note, "2026-07-28 transports/streamable-http#receiving-messages", "response streams carry no requests of the server";
    RpcEnvelope = "rpc.envelope": Fail, "JSON-RPC 2.0 §5", "a response is an object with jsonrpc 2.0 and exactly one of result and error";
    RpcId = "rpc.id": Fail, "JSON-RPC 2.0 §5", "a response repeats the request's id, value and type";
    RpcNoBatch = "rpc.no_batch": Note, "2025-06-18 changelog", "a response is not wrapped in an array";
    RpcNoError = "rpc.no_error": Fail, "JSON-RPC 2.0 §5.1", "requests are answered with a result, not with an error";
    RpcErrorShape = "rpc.error_shape": Note, "JSON-RPC 2.0 §5.1", "errors have an integer code and a message";
    RpcReservedCode = "rpc.reserved_code": Note, "2026-07-28 basic#error-codes", "errors use no code that the specification reserves or retired";
    EraAnswered = "era.answered": Note, "2026-07-28 basic/versioning", "a request of the other era is answered promptly, without 5xx";
    InitVersion = "init.version": Fail, "2025-11-25 basic/lifecycle#version-negotiation", "the server names a published protocol revision";
    InitVersionEcho = "init.version_echo": Note, "2025-11-25 basic/lifecycle#version-negotiation", "the server negotiates instead of rejecting the offered revision";
    InitRequired = "init.required": Fail, "2025-11-25 schema InitializeResult", "the result has protocolVersion, capabilities and serverInfo";
    InitServerInfo = "init.server_info": Note, "2025-11-25 schema Implementation", "serverInfo has a name and a version that are not empty";
    InitSessionAscii = "init.session_ascii": Note, "2025-11-25 transports#session-management", "the session id is visible ASCII";
    SessStable = "sess.stable": Fail, "2025-11-25 transports#session-management", "the session lives as long as it is used";
    SessDelete = "sess.delete": Note, "2025-11-25 transports#session-management", "DELETE of the session is answered with 2xx or 405";
    PingOk = "ping.ok": Note, "2025-11-25 basic/utilities/ping", "ping is answered with an empty result";
    DiscRequired = "disc.required": Fail, "2026-07-28 server/discover", "the result has supportedVersions and capabilities";
    DiscVersionListed = "disc.version_listed": Note, "2026-07-28 server/discover", "the revision in use is among supportedVersions";
    DiscServerInfo = "disc.server_info": Note, "2026-07-28 basic#_meta", "serverInfo has a name and a version that are not empty";
    CapabilityTruth = "disc.capability_truth": Note, "server/tools#capabilities", "what is announced is there, and what is there is announced";
    ResResultType = "res.result_type": Note, "2026-07-28 basic#result", "results carry a resultType";
    ListToolsArray = "list.tools_array": Fail, "server/tools#listing-tools", "tools is an array of objects, each with a name and an object inputSchema";
    ListNames = "list.names": Note, "2026-07-28 server/tools#tool-names", "tool names are unique, 1 to 128 characters of A-Z a-z 0-9 _ - .";
    ListPagination = "list.pagination": Fail, "server/utilities/pagination", "the list ends, and no cursor comes twice";
    ListCacheHints = "list.cache_hints": Note, "2026-07-28 server/utilities/caching", "results carry ttlMs and cacheScope, the same scope on all pages";
    CallContent = "call.content": Note, "server/tools#tool-result", "content is an array of known blocks";
    CallIsError = "call.is_error": Fail, "server/tools#error-handling", "the configured call succeeds";
    AuthChallenge = "auth.challenge": Note, "RFC 9110 §11.6.1; basic/authorization", "a 401 carries a Bearer challenge that names resource_metadata";
    AuthPrm = "auth.prm": Note, "RFC 9728 §3.3; basic/authorization", "the resource metadata is found, is about this URL, and names an authorization server";
    AuthAs = "auth.as": Note, "RFC 8414 §3.3; basic/authorization", "the authorization server's metadata is found, its issuer is identical, it has S256 and https endpoints";
    AuthToken = "auth.token": Fail, "RFC 6749 §4.4", "the credential is good for a token, and the token opens the server";
    AuthUniform = "auth.uniform": Note, "basic/authorization", "all steps agree about whether they want a credential";
    AuthExpiry = "auth.expiry": Degrade, "RFC 7519 §4.1.4", "the credential lasts for 72 more hours, better 14 days";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_group_dot_rule() {
        for id in CheckId::ALL {
            let (group, rule) = id.as_str().split_once('.').expect("group.rule");
            for part in [group, rule] {
                assert!(!part.is_empty(), "{id}");
                assert!(
                    part.chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
                    "{id}"
                );
            }
            assert!(!id.rule().source.is_empty(), "{id} has no source");
        }
    }
}
