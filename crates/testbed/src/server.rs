//! Scripted MCP servers.

pub(crate) mod answer;
mod http_sse;
pub mod script;
pub(crate) mod streamable;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};

use crate::listen::{self, Listening};
use crate::quic;
use script::{Log, Script, Scripted};

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// 2026-07-28 only.
    Modern,
    /// 2025-11-25 and older, with sessions.
    Legacy,
    /// Both.
    Dual,
    /// The 2024-11-05 transport: `GET /sse`, `POST /message`.
    HttpSse,
}

/// How a server is started.
#[derive(Debug)]
pub struct Options {
    /// What it speaks.
    pub dialect: Dialect,
    /// Where it listens; port 0 for any.
    pub bind: SocketAddr,
    /// TLS, if any.
    pub tls: Option<rustls::ServerConfig>,
}

impl Options {
    /// A plain server on a free port of loopback.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
        }
    }
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    state: Arc<State>,
    listening: Listening,
    scheme: &'static str,
    path: &'static str,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) dialect: Dialect,
    pub(crate) scripted: Scripted,
    pub(crate) log: Log,
}

impl State {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            scripted: Scripted::default(),
            log: Log::default(),
        }
    }
}

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let scheme = if options.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let (state, router, path) = routed(options.dialect);
        Ok(Self {
            listening: listen::serve(options.bind, options.tls, router).await?,
            state,
            scheme,
            path,
        })
    }

    /// Starts a server that speaks HTTP/3, and nothing over TCP.
    ///
    /// # Errors
    /// The address cannot be bound, or the configuration has no TLS 1.3.
    pub fn start_h3(
        dialect: Dialect,
        bind: SocketAddr,
        tls: rustls::ServerConfig,
    ) -> std::io::Result<Self> {
        let (state, router, path) = routed(dialect);
        Ok(Self {
            listening: quic::serve(bind, tls, router)?,
            state,
            scheme: "https",
            path,
        })
    }

    /// Where the endpoint is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.listening.address, self.path)
    }

    /// The address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// Changes the script from now on.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        self.state.scripted.change(change);
    }

    /// What has happened so far.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.state.log
    }
}

/// What a server of this dialect does, and at which path.
fn routed(dialect: Dialect) -> (Arc<State>, Router, &'static str) {
    let state = Arc::new(State::new(dialect));
    let (router, path) = match dialect {
        Dialect::HttpSse => {
            let streams = http_sse::Streams::new(Arc::clone(&state));
            let router = Router::new()
                .route("/sse", get(http_sse::open))
                .route("/message", post(http_sse::message))
                .with_state(streams);
            (router, "/sse")
        }
        Dialect::Modern | Dialect::Legacy | Dialect::Dual => {
            let router = Router::new().route("/mcp", any(streamable::handle));
            (router.with_state(Arc::clone(&state)), "/mcp")
        }
    };
    (state, router, path)
}
