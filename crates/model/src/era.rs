//! Protocol revisions, eras and transports of MCP.

crate::closed_words! {
    /// The two families of the protocol (specification 2026-07-28, basic/versioning).
    pub enum Era ("era") {
        /// Revisions up to 2025-11-25: `initialize`, sessions, `ping`.
        Legacy = "legacy",
        /// Revisions from 2026-07-28 on: stateless, every request stands alone.
        Modern = "modern",
    }
}

crate::closed_words! {
    /// Which era a monitor asks for.
    pub enum EraPolicy ("era policy") {
        /// Whatever the server speaks, modern first; the found era is a reported fact.
        Auto = "auto",
        /// Modern only: a server that answers as legacy fails.
        Modern = "modern",
        /// Legacy only: the probe begins with `initialize`.
        Legacy = "legacy",
    }
}

crate::closed_words! {
    /// A published revision of the protocol, oldest first.
    pub enum Revision ("protocol revision") {
        /// HTTP+SSE.
        V2024_11_05 = "2024-11-05",
        /// Streamable HTTP, with JSON-RPC batches.
        V2025_03_26 = "2025-03-26",
        /// Streamable HTTP, `MCP-Protocol-Version` header.
        V2025_06_18 = "2025-06-18",
        /// Streamable HTTP, resumable polling streams.
        V2025_11_25 = "2025-11-25",
        /// Stateless.
        V2026_07_28 = "2026-07-28",
    }
}

impl Revision {
    /// The newest revision of the legacy era, which a probe offers in `initialize`.
    pub const NEWEST_LEGACY: Self = Self::V2025_11_25;
    /// The newest revision of the modern era, which a probe names in every modern request.
    pub const NEWEST_MODERN: Self = Self::V2026_07_28;

    /// The era this revision belongs to.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => {
                Era::Legacy
            }
            Self::V2026_07_28 => Era::Modern,
        }
    }
}

crate::closed_words! {
    /// How MCP messages travel.
    pub enum Transport ("transport") {
        /// One endpoint, a POST per message (2025-03-26 on).
        StreamableHttp = "streamable_http",
        /// A GET stream that names a POST endpoint (2024-11-05, deprecated).
        HttpSse = "http_sse",
    }
}
