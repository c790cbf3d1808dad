//! The coordinator's API, as far as a mesh is set up and watched through it.

use std::net::SocketAddr;

use anyhow::Context as _;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::Client;
use crate::world::layout::{Agent, Target};

/// The verdict of a monitor that everyone reaches.
pub(crate) const UP: &str = "up";

/// The API of one coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Api(Client);

/// What is said of a monitor now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Status {
    pub(crate) verdict: String,
    #[serde(default)]
    pub(crate) why: Option<String>,
    #[serde(default)]
    pub(crate) scope: Option<String>,
    #[serde(default)]
    pub(crate) regions: Vec<Region>,
}

/// What one region sees.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Region {
    pub(crate) region: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// A change of what is said of a monitor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Transition {
    pub(crate) seq: u64,
    pub(crate) verdict: String,
    pub(crate) previous: String,
    #[serde(default)]
    pub(crate) scope: Option<String>,
    pub(crate) page: bool,
}

/// An agent as the mesh sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) connected: bool,
    #[serde(default)]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) fault: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Transitions {
    transitions: Vec<Transition>,
}

#[derive(Debug, Deserialize)]
struct Members {
    agents: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Registered {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Token {
    token: String,
}

#[derive(Debug, Deserialize)]
struct Key {
    key: String,
}

impl Status {
    /// Verdict and scope, for people.
    pub(crate) fn short(&self) -> String {
        said(&self.verdict, self.scope.as_deref())
    }
}

/// A verdict and its scope, for people.
pub(crate) fn said(verdict: &str, scope: Option<&str>) -> String {
    scope.map_or_else(
        || verdict.to_owned(),
        |scope| format!("{verdict} ({scope})"),
    )
}

impl Api {
    pub(crate) const fn new(address: SocketAddr, key: Option<String>) -> Self {
        Self(Client::new(address, key))
    }

    /// The address of the API.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Whether a coordinator is there that knows the key.
    pub(crate) async fn is_ready(&self) -> bool {
        let ready = self.0.call(Method::GET, "/readyz", None).await;
        if !ready.is_ok_and(|answer| answer.status == StatusCode::OK) {
            return false;
        }
        let listed = self.0.call(Method::GET, "/api/v1/monitors", None).await;
        listed.is_ok_and(|answer| answer.status == StatusCode::OK)
    }

    /// A token for an agent, which reaches the coordinator at `endpoint`.
    pub(crate) async fn token(
        &self,
        agent: &Agent,
        endpoint: SocketAddr,
    ) -> anyhow::Result<String> {
        let body = json!({
            "agent": agent.name, "region": agent.region, "provider": agent.provider,
            "latitude": agent.latitude, "longitude": agent.longitude,
            "endpoint": endpoint.to_string(), "replace": true,
        });
        let token: Token = self
            .ask(Method::POST, "/api/v1/tokens", Some(&body))
            .await?;
        Ok(token.token)
    }

    /// A new key that may only read.
    pub(crate) async fn read_key(&self) -> anyhow::Result<String> {
        let body = json!({ "name": "up-read", "scope": "read" });
        let key: Key = self.ask(Method::POST, "/api/v1/keys", Some(&body)).await?;
        Ok(key.key)
    }

    /// Registers the monitor of a server of the world.
    pub(crate) async fn register(&self, target: &Target, port: u16) -> anyhow::Result<()> {
        let calls = target
            .call
            .map(|name| json!({ "name": name, "arguments": {} }));
        let body = json!({
            "url": target.url(port), "hosting": target.hosting,
            "calls": calls.into_iter().collect::<Vec<Value>>(),
            "interval": "10s", "step_timeout": "3s", "call_timeout": "3s", "total_timeout": "10s",
        });
        let path = format!("/api/v1/monitors/{}", target.name);
        let _: Registered = self.ask(Method::PUT, &path, Some(&body)).await?;
        Ok(())
    }

    /// Registers a monitor by its URL; its id.
    pub(crate) async fn register_url(&self, url: &str) -> anyhow::Result<String> {
        let body = json!({ "url": url });
        let path = "/api/v1/monitors";
        let registered: Registered = self.ask(Method::POST, path, Some(&body)).await?;
        Ok(registered.id)
    }

    pub(crate) async fn status(&self, monitor: &str) -> anyhow::Result<Status> {
        let path = format!("/api/v1/monitors/{monitor}/status");
        self.ask(Method::GET, &path, None).await
    }

    /// The log of a monitor, the oldest change first.
    pub(crate) async fn transitions(&self, monitor: &str) -> anyhow::Result<Vec<Transition>> {
        let path = format!("/api/v1/monitors/{monitor}/transitions");
        let answer: Transitions = self.ask(Method::GET, &path, None).await?;
        Ok(answer.transitions)
    }

    pub(crate) async fn members(&self) -> anyhow::Result<Vec<Member>> {
        let answer: Members = self.ask(Method::GET, "/api/v1/agents", None).await?;
        Ok(answer.agents)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let what = format!("{method} {path}");
        let body = self.0.call(method, path, body).await?.ok(&what)?;
        serde_json::from_value(body).with_context(|| format!("{what}: an unexpected answer"))
    }
}
