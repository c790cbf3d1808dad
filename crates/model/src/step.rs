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
        /// `resources/list`, all pages; only where the monitor asks for it.
        ResourcesList = "resources_list",
        /// `resources/templates/list`, all pages; only where the monitor asks for it.
        ResourceTemplatesList = "resource_templates_list",
        /// `prompts/list`, all pages; only where the monitor asks for it.
        PromptsList = "prompts_list",
        /// `tools/call` of a tool that the user named.
        ToolsCall = "tools_call",
        /// `subscriptions/listen` until it is acknowledged, or the legacy era's `GET` stream; only
        /// where the monitor asks for it.
        Subscribe = "subscribe",
        /// The cheapest request of the era once more, with an `Origin`; only where the monitor says
        /// which are let in or kept out.
        Origin = "origin",
        /// A request that is wrong on purpose, to see that it is refused as it should be; only in
        /// the strict profile.
        Strict = "strict",
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
            Self::ResourcesList => Some("resources/list"),
            Self::ResourceTemplatesList => Some("resources/templates/list"),
            Self::PromptsList => Some("prompts/list"),
            Self::ToolsCall => Some("tools/call"),
            Self::Subscribe => Some("subscriptions/listen"),
            Self::Authorize | Self::Stream | Self::Origin | Self::Strict | Self::Close => None,
        }
    }
}

crate::closed_words! {
    /// A list beside that of the tools, which a probe walks where it is asked to.
    pub enum ListKind ("list") {
        /// `resources/list`.
        Resources = "resources",
        /// `resources/templates/list`.
        ResourceTemplates = "resource_templates",
        /// `prompts/list`.
        Prompts = "prompts",
    }
}

impl ListKind {
    /// The step that walks it.
    #[must_use]
    pub const fn step(self) -> Step {
        match self {
            Self::Resources => Step::ResourcesList,
            Self::ResourceTemplates => Step::ResourceTemplatesList,
            Self::Prompts => Step::PromptsList,
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
