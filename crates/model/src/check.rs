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

crate::closed_words! {
    /// How much a probe examines.
    pub enum Profile ("profile") {
        /// What any client would meet.
        Standard = "standard",
        /// Also how requests that are wrong on purpose are refused: some ten requests more.
        Strict = "strict",
    }
}

/// What a check demands and where the demand comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The severity unless a monitor overrides it.
    pub severity: Severity,
    /// The first profile that examines it.
    pub profile: Profile,
    /// The section of the MCP specification, or the RFC, that demands it.
    pub source: &'static str,
    /// The demand, as a sentence that stands when the check passes.
    pub demand: &'static str,
}

impl CheckId {
    /// Whether a monitor may give this check another severity. What fails by default cannot be
    /// lowered: without it the sequence has nothing to go on with. What a user demands can.
    #[must_use]
    pub fn may_become(self, severity: Severity) -> bool {
        let is_demand = matches!(
            self,
            Self::ListExpected
                | Self::CallExpected
                | Self::ServerExpected
                | Self::EraExpected
                | Self::OriginExpected
        );
        is_demand || self.rule().severity != Severity::Fail || severity == Severity::Fail
    }
}

macro_rules! checks {
    ( $( $variant:ident = $word:literal : $severity:ident in $profile:ident, $source:literal, $demand:literal; )+ ) => {
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
                        profile: Profile::$profile,
                        source: $source,
                        demand: $demand,
                    }, )+
                }
            }
        }
    };
}

checks! {
    NetDns = "net.dns": Fail in Standard, "RFC 1034", "the name resolves to an address that may be probed";
    NetTcp = "net.tcp": Fail in Standard, "RFC 9293", "the port accepts connections";
    NetTls = "net.tls": Fail in Standard, "RFC 8446; RFC 9525", "the TLS handshake succeeds and the certificate is valid for the name";
    NetCertExpiry = "net.cert_expiry": Degrade in Standard, "RFC 5280 §4.1.2.5", "every certificate that a client needs is valid for 14 more days";
    NetAddresses = "net.addresses": Degrade in Standard, "RFC 8305", "every address of the name answers";
    NetAddressesAlike = "net.addresses_alike": Note in Standard, "RFC 8305", "every address of the name answers alike";
    NetAltSvc = "net.alt_svc": Note in Standard, "RFC 9114 §3.1.1; RFC 7838 §2.4", "what Alt-Svc advertises as HTTP/3 answers over HTTP/3";
    HttpStatus = "http.status": Fail in Standard, "transports/streamable-http#sending-messages", "requests are answered with 2xx";
    HttpRedirect = "http.redirect": Fail in Standard, "RFC 9110 §15.4", "the endpoint answers itself, without a redirect";
    HttpContentType = "http.content_type": Fail in Standard, "transports/streamable-http#sending-messages", "answers are application/json or text/event-stream";
    HttpHtml = "http.html": Fail in Standard, "transports/streamable-http#sending-messages", "answers are MCP messages, not web pages";
    HttpEncoding = "http.encoding": Note in Standard, "RFC 8259 §8.1; RFC 9110 §12.5.3", "bodies are plain UTF-8 without byte order mark or unasked compression";
    HttpNotif202 = "http.notif_202": Note in Standard, "transports#sending-messages-to-the-server", "an accepted notification is answered with 202";
    HttpNotifEmpty = "http.notif_empty": Note in Standard, "transports#sending-messages-to-the-server", "the answer to a notification has no body";
    HttpNoSession = "http.no_session": Note in Standard, "2026-07-28 transports/streamable-http", "a stateless server issues no session id";
    HttpXAccel = "http.x_accel": Note in Strict, "2026-07-28 transports/streamable-http#sending-messages", "event streams tell proxies not to buffer them (X-Accel-Buffering: no)";
    HttpGet405OrSse = "http.get_405_or_sse": Note in Strict, "2025-11-25 transports#listening-for-messages-from-the-server", "GET is answered with an event stream or 405";
    HttpGetDelete405 = "http.get_delete_405": Note in Strict, "2026-07-28 transports/streamable-http#earlier-streamable-http-revisions", "GET and DELETE are answered with 405";
    HttpOrigin403 = "http.origin_403": Note in Strict, "2025-11-25 transports#security-warning", "a forged Origin is answered with 403";
    HttpAccept406 = "http.accept_406": Note in Strict, "transports/streamable-http#sending-messages", "a client that takes only JSON is answered with JSON or 406";
    SseParse = "sse.parse": Fail in Standard, "WHATWG HTML §9.2", "event streams are well framed";
    SseEndpointFirst = "sse.endpoint_first": Fail in Standard, "2024-11-05 transports#http-with-sse", "the first event names a message endpoint of the same origin";
    SseTerminated = "sse.terminated": Note in Strict, "2026-07-28 transports/streamable-http#receiving-messages", "a response stream ends within 2 s of its response";
    SseNoServerRequest = "sse.no_server_request": Note in Standard, "2026-07-28 transports/streamable-http#receiving-messages", "response streams carry no requests of the server";
    SseNoForeignNotif = "sse.no_foreign_notif": Note in Standard, "2026-07-28 transports/streamable-http#receiving-messages", "response streams carry only notifications that belong to the request";
    SseResume = "sse.resume": Degrade in Standard, "2025-11-25 transports#resumability-and-redelivery", "a stream that closes early is resumed by Last-Event-ID and brings the answer";
    SseUnbuffered = "sse.unbuffered": Note in Standard, "2026-07-28 transports/streamable-http#sending-messages", "events of a stream arrive as they are sent, not in one burst";
    SseIdle = "sse.idle": Note in Standard, "2025-11-25 transports#listening-for-messages-from-the-server", "a silent stream stays open for as long as the monitor wants";
    RpcEnvelope = "rpc.envelope": Fail in Standard, "JSON-RPC 2.0 §5", "a response is an object with jsonrpc 2.0 and exactly one of result and error";
    RpcId = "rpc.id": Fail in Standard, "JSON-RPC 2.0 §5", "a response repeats the request's id, value and type";
    RpcNoBatch = "rpc.no_batch": Note in Standard, "2025-06-18 changelog", "a response is not wrapped in an array";
    RpcNoError = "rpc.no_error": Fail in Standard, "JSON-RPC 2.0 §5.1", "requests are answered with a result, not with an error";
    RpcErrorShape = "rpc.error_shape": Note in Standard, "JSON-RPC 2.0 §5.1", "errors have an integer code and a message";
    RpcReservedCode = "rpc.reserved_code": Note in Standard, "2026-07-28 basic#error-codes", "errors use no code that the specification reserves or retired";
    EraAnswered = "era.answered": Note in Standard, "2026-07-28 basic/versioning", "a request of the other era is answered promptly, without 5xx";
    InitVersion = "init.version": Fail in Standard, "2025-11-25 basic/lifecycle#version-negotiation", "the server names a published protocol revision";
    InitVersionEcho = "init.version_echo": Note in Standard, "2025-11-25 basic/lifecycle#version-negotiation", "the server negotiates instead of rejecting the offered revision; strict: it answers one that nobody knows with one of its own";
    InitRequired = "init.required": Fail in Standard, "2025-11-25 schema InitializeResult", "the result has protocolVersion, capabilities and serverInfo";
    InitServerInfo = "init.server_info": Note in Standard, "2025-11-25 schema Implementation", "serverInfo has a name and a version that are not empty";
    InitSessionAscii = "init.session_ascii": Note in Standard, "2025-11-25 transports#session-management", "the session id is visible ASCII, and of one session only";
    SessStable = "sess.stable": Fail in Standard, "2025-11-25 transports#session-management", "the session lives as long as it is used";
    SessDelete = "sess.delete": Note in Standard, "2025-11-25 transports#session-management", "DELETE of the session is answered with 2xx or 405";
    SessRequired400 = "sess.required_400": Note in Strict, "2025-11-25 transports#session-management", "a request without its session is answered with 400";
    SessUnknown404 = "sess.unknown_404": Note in Strict, "2025-11-25 transports#session-management", "an unknown session is answered with 404";
    PingOk = "ping.ok": Note in Standard, "2025-11-25 basic/utilities/ping", "ping is answered with an empty result";
    DiscRequired = "disc.required": Fail in Standard, "2026-07-28 server/discover", "the result has supportedVersions and capabilities";
    DiscVersionListed = "disc.version_listed": Note in Standard, "2026-07-28 server/discover", "the revision in use is among supportedVersions";
    DiscServerInfo = "disc.server_info": Note in Standard, "2026-07-28 basic#_meta", "serverInfo has a name and a version that are not empty";
    CapabilityTruth = "disc.capability_truth": Note in Standard, "server/tools#capabilities", "what is announced is there, and what is there is announced";
    VerUnsupported400 = "ver.unsupported_400": Note in Strict, "2026-07-28 basic/versioning", "an unknown version is answered with 400 and -32022, naming what is supported";
    VerMismatch400 = "ver.mismatch_400": Note in Strict, "2026-07-28 transports/streamable-http#server-validation", "headers that differ from the body are answered with 400 and -32020";
    VerMethod404 = "ver.method_404": Note in Strict, "2026-07-28 transports/streamable-http; JSON-RPC 2.0 §5.1", "an unknown method is answered with -32601, in the modern era with 404";
    VerMeta400 = "ver.meta_400": Note in Strict, "2026-07-28 basic#_meta", "a request without _meta is answered with 400 and -32602";
    VerHeaderBad400 = "ver.header_bad_400": Note in Strict, "2025-11-25 transports#protocol-version-header", "an unknown version header is answered with 400";
    ResResultType = "res.result_type": Note in Standard, "2026-07-28 basic#result", "results carry a resultType";
    ResSchema = "res.schema": Note in Standard, "the schema of the revision in use", "the members of results have the types that the schema gives them";
    ListToolsArray = "list.tools_array": Fail in Standard, "server/tools#listing-tools", "tools is an array of objects, each with a name and an object inputSchema";
    ListNames = "list.names": Note in Standard, "2026-07-28 server/tools#tool-names", "tool names are unique, 1 to 128 characters of A-Z a-z 0-9 _ - .";
    ListSchemaValid = "list.schema_valid": Note in Standard, "server/tools#tool; JSON Schema 2020-12", "schemas of tools are valid and refer to nothing elsewhere";
    ListXMcpHeader = "list.x_mcp_header": Note in Standard, "2026-07-28 transports/streamable-http#custom-headers", "x-mcp-header annotations are valid: clients must drop a tool where they are not";
    ListPagination = "list.pagination": Fail in Standard, "server/utilities/pagination", "the list ends, and no cursor comes twice";
    ListOrderStable = "list.order_stable": Note in Strict, "2026-07-28 server/tools#listing-tools", "tools are listed in the same order again";
    ListCacheHints = "list.cache_hints": Note in Standard, "2026-07-28 server/utilities/caching", "results carry ttlMs and cacheScope, the same scope on all pages";
    CallContent = "call.content": Note in Standard, "server/tools#tool-result", "content is an array of known blocks";
    CallIsError = "call.is_error": Fail in Standard, "server/tools#error-handling", "the configured call succeeds";
    ContractBaseline = "contract.baseline": Degrade in Standard, "docs/contract.md", "the tools are those of the baseline";
    CallOutputSchema = "call.output_schema": Degrade in Standard, "2025-06-18 server/tools#output-schema", "structuredContent conforms to the tool's outputSchema: clients refuse it where it does not";
    CallInputRequired = "call.input_required": Note in Standard, "2026-07-28 basic/patterns/mrtr", "input is asked for only where the client declared that it can give it";
    CallTask = "call.task": Note in Standard, "tasks extension", "a task is answered only to clients that declared the extension";
    SubAck = "sub.ack": Degrade in Standard, "2026-07-28 basic/patterns/subscriptions", "the first message of a subscription acknowledges it and carries its id";
    ListExpected = "list.expected": Fail in Standard, "the monitor's `expect.tools`", "every tool that must be there is listed";
    CallExpected = "call.expected": Fail in Standard, "the monitor's `calls[].expect`", "the result of the call is what the monitor demands";
    ServerExpected = "server.expected": Fail in Standard, "the monitor's `expect.server_name` and `server_version`", "the server gives itself the name and version that it must have";
    ServerUniform = "server.uniform": Note in Standard, "2026-07-28 basic#_meta", "all results come from one version of the server";
    EraExpected = "era.expected": Fail in Standard, "the monitor's `expect.era` and `protocol_version`", "the era and revision are those that must be spoken";
    OriginExpected = "origin.expected": Fail in Standard, "the monitor's `expect.origin`; 2026-07-28 transports/streamable-http#security-warning", "the origins that must be let in are, and those that must be kept out are";
    PerfStep = "perf.step": Degrade in Standard, "the monitor's `expect.max_step` and `calls[].expect.max`", "every step takes no longer than it may";
    PerfTotal = "perf.total": Degrade in Standard, "the monitor's `expect.max_total`", "the probe takes no longer than it may";
    HttpSize = "http.size": Degrade in Standard, "the monitor's `expect.max_response_bytes`", "no answer is larger than it may be";
    HealthExpected = "health.expected": Degrade in Standard, "the monitor's `health`", "the health page answers as it must";
    AuthChallenge = "auth.challenge": Note in Standard, "RFC 9110 §11.6.1; basic/authorization", "a 401 carries a Bearer challenge that names resource_metadata";
    AuthPrm = "auth.prm": Note in Standard, "RFC 9728 §3.3; basic/authorization", "the resource metadata is found, is about this URL, and names an authorization server";
    AuthAs = "auth.as": Note in Standard, "RFC 8414 §3.3; basic/authorization", "the authorization server's metadata is found, its issuer is identical, it has S256 and https endpoints";
    AuthToken = "auth.token": Fail in Standard, "RFC 6749 §4.4", "the credential is good for a token, and the token opens the server";
    AuthUniform = "auth.uniform": Note in Standard, "basic/authorization", "all steps agree about whether they want a credential";
    AuthAddresses = "auth.addresses": Degrade in Standard, "RFC 9110 §11.6.1; basic/authorization", "every address of the name turns strangers away in the same way, or none does";
    AuthExpiry = "auth.expiry": Degrade in Standard, "RFC 7519 §4.1.4", "the credential lasts for 72 more hours, better 14 days";
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
            assert!(id.rule().profile == Profile::Standard || id.rule().severity == Severity::Note);
            assert!(!id.rule().source.is_empty(), "{id} has no source");
        }
    }
}
