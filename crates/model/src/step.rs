//! The parts of a probe and the timed parts of an exchange.

crate::closed_words! {
    /// A protocol part of a probe, in the order in which a probe may run them.
    pub enum Step ("step") {
        /// Getting a token for the probe. Its time is told apart, and never booked on the target.
        Authorize = "authorize",
        /// `GET` that opens the event stream of the 2024-11-05 HTTP+SSE transport and waits for
        /// its `endpoint` event.
        Stream = "stream",
        /// `server/discover`, the natural first request of the modern era.
        Discover = "discover",
        /// `initialize`, the first request of the legacy era.
        Initialize = "initialize",
        /// `notifications/initialized`, which ends the legacy handshake.
        Initialized = "initialized",
        /// `ping`, which exists in the legacy era only.
        Ping = "ping",
        /// `tools/list`, all pages.
        ToolsList = "tools_list",
        /// `tools/call` of a tool that the user named.
        ToolsCall = "tools_call",
        /// `DELETE` of the session, or the end of the event stream.
        Close = "close",
    }
}

impl Step {
    /// The JSON-RPC method that this step sends, if it sends one.
    #[must_use]
    pub const fn method(self) -> Option<&'static str> {
        match self {
            Self::Discover => Some("server/discover"),
            Self::Initialize => Some("initialize"),
            Self::Initialized => Some("notifications/initialized"),
            Self::Ping => Some("ping"),
            Self::ToolsList => Some("tools/list"),
            Self::ToolsCall => Some("tools/call"),
            Self::Authorize | Self::Stream | Self::Close => None,
        }
    }
}

crate::closed_words! {
    /// A timed part of a step's exchange. Phases are disjoint, and they sum to the step's total.
    pub enum Phase ("phase") {
        /// Name resolution.
        Dns = "dns",
        /// TCP connect, from the first SYN to an established connection.
        Connect = "connect",
        /// TLS handshake.
        Tls = "tls",
        /// From the first byte of the request to its last, handed to the kernel.
        Send = "send",
        /// From the request's last byte to the first byte of the response.
        Wait = "wait",
        /// From the response's first byte to the end of the matching JSON-RPC message.
        Receive = "receive",
    }
}
