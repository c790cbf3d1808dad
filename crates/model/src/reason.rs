//! Why a probe failed: a closed list, each reason with a class.

crate::closed_words! {
    /// What a failure says about the target. A class decides what a failing vote may mean.
    pub enum Class ("class") {
        /// Names, routes, connections, certificates.
        Network = "network",
        /// HTTP answered, but not as an MCP endpoint should.
        Http = "http",
        /// MCP or JSON-RPC rules were broken.
        Protocol = "protocol",
        /// The protocol works, but a configured call does not.
        Tool = "tool",
        /// The tool surface is not the one that was agreed.
        Contract = "contract",
        /// The server turned this client away: authorization, rate limit, firewall. Never an
        /// outage.
        Refused = "refused",
        /// The probe itself could not do its work. Never counted against the target.
        Ours = "ours",
    }
}

macro_rules! reasons {
    ( $( $(#[$meta:meta])* $variant:ident = $word:literal : $class:ident, )+ ) => {
        crate::closed_words! {
            /// Why a step failed. One reason per failed step: the first that applies.
            pub enum Reason ("reason") {
                $( $(#[$meta])* $variant = $word, )+
            }
        }

        impl Reason {
            /// What a failure for this reason says about the target.
            #[must_use]
            pub const fn class(self) -> Class {
                match self { $( Self::$variant => Class::$class, )+ }
            }
        }
    };
}

reasons! {
    /// The name does not exist (RFC 8020).
    DnsNxdomain = "dns_nxdomain": Network,
    /// The name exists but has no address (RFC 2308, NODATA).
    DnsNoData = "dns_no_data": Network,
    /// No resolver answered in time.
    DnsTimeout = "dns_timeout": Network,
    /// The resolver answered with a failure (SERVFAIL, REFUSED) or garbage.
    DnsServfail = "dns_servfail": Network,
    /// The address policy refuses every address of the name.
    DnsBlockedAddr = "dns_blocked_addr": Ours,
    /// The port is closed.
    TcpRefused = "tcp_refused": Network,
    /// No answer to the connection attempt.
    TcpTimeout = "tcp_timeout": Network,
    /// The connection was reset before a response.
    TcpReset = "tcp_reset": Network,
    /// No route to the address.
    TcpUnreachable = "tcp_unreachable": Network,
    /// The TLS handshake failed for a reason other than the certificate.
    TlsHandshake = "tls_handshake": Network,
    /// The TLS handshake did not finish in time.
    TlsTimeout = "tls_timeout": Network,
    /// A certificate of the chain has expired.
    TlsCertExpired = "tls_cert_expired": Network,
    /// A certificate of the chain is not valid yet.
    TlsCertNotYetValid = "tls_cert_not_yet_valid": Network,
    /// The certificate is for another name.
    TlsCertName = "tls_cert_name": Network,
    /// No trusted authority vouches for the certificate.
    TlsCertUntrusted = "tls_cert_untrusted": Network,
    /// The server insists on an application protocol that is not HTTP/1.1 or HTTP/2.
    TlsAlpn = "tls_alpn": Network,
    /// The request was sent; no response head came in time.
    HttpTimeoutHeaders = "http_timeout_headers": Http,
    /// The response head came; its body did not end in time.
    HttpTimeoutBody = "http_timeout_body": Http,
    /// The connection closed before the response was complete.
    HttpConnClosed = "http_conn_closed": Http,
    /// The response broke the rules of HTTP.
    HttpProtocol = "http_protocol": Http,
    /// A redirect: an MCP endpoint must answer itself.
    HttpRedirect = "http_redirect": Http,
    /// The response was larger than the probe's budget.
    HttpBodyTooLarge = "http_body_too_large": Http,
    /// 404, 405 or 410 with no MCP message: no endpoint of either era at this URL.
    NotFound = "not_found": Http,
    /// A 2xx answer that is not MCP: an HTML page, or JSON that is not JSON-RPC.
    NotMcp = "not_mcp": Http,
    /// 502, 503 or 504: something in front of the server cannot reach it.
    Upstream5xx = "upstream_5xx": Http,
    /// 500 or another 5xx of the server.
    Server5xx = "server_5xx": Http,
    /// Another 4xx.
    Client4xx = "client_4xx": Http,
    /// 429, or 503 with `Retry-After`.
    RateLimited = "rate_limited": Refused,
    /// A firewall's challenge or block page.
    WafChallenge = "waf_challenge": Refused,
    /// 403 for a reason other than scope.
    Forbidden = "forbidden": Refused,
    /// 401 with a challenge that names where to get a token.
    AuthRequired = "auth_required": Refused,
    /// 401 without a usable challenge (RFC 9110 §11.6.1 requires one).
    AuthMalformed = "auth_malformed": Refused,
    /// 401 although a credential was sent.
    AuthTokenRejected = "auth_token_rejected": Refused,
    /// 403 `insufficient_scope`.
    AuthScope = "auth_scope": Refused,
    /// The authorization server cannot be reached, or does not answer as one.
    AuthServerDown = "auth_server_down": Refused,
    /// The authorization server gave no token for the credential (RFC 6749 §5.2).
    AuthCredentialRefused = "auth_credential_refused": Refused,
    /// The media type is neither `application/json` nor `text/event-stream`.
    McpWrongContentType = "mcp_wrong_content_type": Protocol,
    /// The event stream breaks the framing of Server-Sent Events.
    McpSseMalformed = "mcp_sse_malformed": Protocol,
    /// The event stream ended without the answer.
    McpSseNoResponse = "mcp_sse_no_response": Protocol,
    /// The event stream stayed open, but the answer did not come in time.
    McpSseStalled = "mcp_sse_stalled": Protocol,
    /// The body is not JSON.
    McpJsonInvalid = "mcp_json_invalid": Protocol,
    /// JSON, but not a JSON-RPC 2.0 response.
    McpRpcInvalid = "mcp_rpc_invalid": Protocol,
    /// A response to another request's id.
    McpIdMismatch = "mcp_id_mismatch": Protocol,
    /// No protocol revision in common, or not the era that was asked for.
    McpVersionUnsupported = "mcp_version_unsupported": Protocol,
    /// -32020: something between probe and server altered or removed a header.
    McpHeaderMismatch = "mcp_header_mismatch": Protocol,
    /// -32021: the server demands a client capability.
    McpCapabilityRequired = "mcp_capability_required": Protocol,
    /// 404 within a live session.
    McpSessionLost = "mcp_session_lost": Protocol,
    /// The server demands a session id that it never gave.
    McpSessionRequired = "mcp_session_required": Protocol,
    /// The server rejected `initialize`.
    McpInitRejected = "mcp_init_rejected": Protocol,
    /// The server rejected `notifications/initialized`.
    McpNotifRejected = "mcp_notif_rejected": Protocol,
    /// The server answered with a JSON-RPC error.
    McpRpcError = "mcp_rpc_error": Protocol,
    /// The result lacks what the specification requires.
    McpSchemaViolation = "mcp_schema_violation": Protocol,
    /// The list never ends.
    McpPaginationLoop = "mcp_pagination_loop": Protocol,
    /// The server asks the user for input, which a monitor cannot give.
    McpInputRequired = "mcp_input_required": Protocol,
    /// The tool answered `isError`.
    ToolError = "tool_error": Tool,
    /// The tool does not exist.
    ToolMissing = "tool_missing": Tool,
    /// The tool's result is not what was asked for.
    ToolOutputInvalid = "tool_output_invalid": Tool,
    /// The tool surface differs from the pinned one.
    ContractDrift = "contract_drift": Contract,
        /// A check that the monitor made strict is violated.
    CheckViolated = "check_violated": Contract,
    /// The probe was cancelled.
    Cancelled = "cancelled": Ours,
    /// A budget of the agent ran out before the probe could finish.
    BudgetExceeded = "budget_exceeded": Ours,
    /// The proxy that the probe was told to go through opened no tunnel: the target was not asked.
    ProxyFailed = "proxy_failed": Ours,
    /// The prober itself failed.
    ProberInternal = "prober_internal": Ours,
}

impl Reason {
    /// Whether the reason is that something took too long.
    #[must_use]
    pub const fn is_timeout(self) -> bool {
        matches!(
            self,
            Self::DnsTimeout
                | Self::TcpTimeout
                | Self::TlsTimeout
                | Self::HttpTimeoutHeaders
                | Self::HttpTimeoutBody
                | Self::McpSseStalled
        )
    }
}
