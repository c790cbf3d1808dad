//! A scripted MCP server behind a wall, and the authorization server that opens it.
//!
//! Written from RFC 6749, 8414, 9728 and the MCP specification, not from the prober. What goes
//! wrong has a name ([`Flaw`]), so that a test says one thing.

mod documents;
mod token;
mod wall;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use tokio::time::Instant;

use crate::listen::{self, Listening};
use crate::server;

/// What is wrong with a wall or with its authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// The 401 has no challenge.
    NoChallenge,
    /// The challenge names no metadata; it lies at its well-known place.
    UnnamedMetadata,
    /// The challenge names metadata at the address of a cloud's metadata service.
    MetadataInside,
    /// There is no resource metadata.
    NoResourceMetadata,
    /// The resource metadata is about another resource.
    OtherResource,
    /// The resource metadata names no authorization server.
    NoServers,
    /// The resource metadata is larger than any client reads.
    HugeResourceMetadata,
    /// The resource metadata is a web page.
    HtmlResourceMetadata,
    /// The resource metadata has moved.
    RedirectedResourceMetadata,
    /// There is no server metadata.
    NoServerMetadata,
    /// The server metadata has another issuer.
    OtherIssuer,
    /// The token endpoint is plain http on a public host.
    HttpEndpoints,
    /// The server metadata does not list S256.
    NoS256,
    /// The token endpoint takes no such client.
    InvalidClient,
    /// The token endpoint grants no such scope, and repeats the client's secret.
    InvalidScope,
    /// The token endpoint fails.
    TokenServerError,
    /// The token endpoint never answers.
    TokenHangs,
    /// The token endpoint answers with more than any client reads.
    HugeToken,
    /// The token endpoint redirects.
    RedirectedToken,
    /// The token endpoint answers with a web page.
    HtmlToken,
    /// The server does not accept the tokens that its authorization server gives.
    TokensRejected,
}

/// The client that the authorization server knows. Its secret has characters that RFC 6749 §2.3.1
/// wants encoded.
pub const CLIENT: (&str, &str) = ("parallax ci", "s3cret:/+ %é-long-enough");

/// What the authorization server and the wall saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Paths that were asked for at the authorization server and at the well-known places.
    pub(crate) paths: Vec<String>,
    /// Token requests, as their forms.
    pub(crate) tokens: Vec<BTreeMap<String, String>>,
    /// Access tokens that open the wall, and until when.
    pub(crate) valid: BTreeMap<String, Instant>,
    /// How long new ones do.
    pub(crate) life: Option<Duration>,
    /// The refresh token that is good, once.
    pub(crate) refresh: Option<String>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) flaw: Mutex<Flaw>,
    pub(crate) seen: Mutex<Seen>,
    pub(crate) mcp: Arc<server::State>,
    /// Where the MCP server is, and its authorization server: `http://127.0.0.1:port`.
    pub(crate) origins: OnceLock<(String, String)>,
}

impl State {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn flaw(&self) -> Flaw {
        *self.flaw.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The origin of the MCP server.
    pub(crate) fn resource(&self) -> &str {
        self.origins.get().map_or("", |(resource, _)| resource)
    }

    /// The issuer.
    pub(crate) fn issuer(&self) -> &str {
        self.origins.get().map_or("", |(_, issuer)| issuer)
    }
}

/// A walled MCP server and its authorization server. Dropping it stops both.
#[derive(Debug)]
pub struct Walled {
    state: Arc<State>,
    _resource: Listening,
    issuer: Option<Listening>,
}

impl Walled {
    /// Starts both on free ports of loopback.
    ///
    /// # Errors
    /// An address cannot be bound.
    pub async fn start(dialect: server::Dialect, flaw: Flaw) -> std::io::Result<Self> {
        let state = Arc::new(State {
            flaw: Mutex::new(flaw),
            seen: Mutex::default(),
            mcp: Arc::new(server::State::new(dialect)),
            origins: OnceLock::new(),
        });
        let resource = Router::new()
            .route("/mcp", any(wall::handle))
            .fallback(get(documents::resource))
            .with_state(Arc::clone(&state));
        let issuer = Router::new()
            .route("/token", post(token::handle))
            .fallback(get(documents::server))
            .with_state(Arc::clone(&state));
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let resource = listen::serve(any_port, None, resource).await?;
        let issuer = listen::serve(any_port, None, issuer).await?;
        let origin = |listening: &Listening| format!("http://{}", listening.address);
        // Set once, before anybody knows where to ask.
        let _ = state.origins.set((origin(&resource), origin(&issuer)));
        Ok(Self {
            state,
            _resource: resource,
            issuer: Some(issuer),
        })
    }

    /// Closes the port of the authorization server; the MCP server goes on.
    pub fn close_issuer(&mut self) {
        self.issuer = None;
    }

    /// The MCP endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/mcp", self.state.resource())
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.state.issuer().to_owned()
    }

    /// Changes what is wrong from now on.
    pub fn spoil(&self, flaw: Flaw) {
        *self
            .state
            .flaw
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = flaw;
    }

    /// Lets no token in that was given so far.
    pub fn revoke(&self) {
        self.state.seen().valid.clear();
    }

    /// Gives tokens that live so long from now on; else it is an hour.
    pub fn shorten(&self, life: Duration) {
        self.state.seen().life = Some(life);
    }

    /// Takes no refresh token that was given so far.
    pub fn sign_out(&self) {
        self.state.seen().refresh = None;
    }

    /// The refresh token that is good now.
    #[must_use]
    pub fn refresh_token(&self) -> Option<String> {
        self.state.seen().refresh.clone()
    }

    /// What was asked for beside MCP, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.state.seen().paths.clone()
    }

    /// The forms of the token requests.
    #[must_use]
    pub fn token_requests(&self) -> Vec<BTreeMap<String, String>> {
        self.state.seen().tokens.clone()
    }

    /// A new access token, and the refresh token that is good now.
    #[must_use]
    pub fn sign_in(&self) -> (String, String) {
        let mut seen = self.state.seen();
        token::issue(&mut seen)
    }

    /// Requests of MCP that came through the wall, by method.
    #[must_use]
    pub fn methods(&self) -> BTreeMap<String, u64> {
        self.state.mcp.log.methods()
    }
}
