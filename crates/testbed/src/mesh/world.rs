//! The world's control API, from outside.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};

use super::client::Client;
use crate::proxy::Fault;
use crate::server::script::Script;

/// A world that runs.
#[derive(Debug, Clone)]
pub(crate) struct World(Client);

impl World {
    pub(crate) const fn new(control: SocketAddr) -> Self {
        Self(Client::new(control, None))
    }

    /// Whether it is there.
    pub(crate) async fn is_open(&self) -> bool {
        self.paths().await.is_ok()
    }

    /// All paths and what is wrong with them.
    pub(crate) async fn paths(&self) -> anyhow::Result<BTreeMap<String, Fault>> {
        let answer = self.0.call(Method::GET, "/paths", None).await?;
        let body = answer.ok("GET /paths")?;
        serde_json::from_value(body).context("GET /paths: an unexpected answer")
    }

    pub(crate) async fn break_path(&self, name: &str, fault: Fault) -> anyhow::Result<()> {
        let body = serde_json::to_value(fault)?;
        self.put(&format!("/paths/{name}"), &body).await
    }

    pub(crate) async fn script(&self, server: &str, script: &Script) -> anyhow::Result<()> {
        let body = serde_json::to_value(script)?;
        self.put(&format!("/servers/{server}/script"), &body).await
    }

    /// Takes a server down, or puts it up again.
    pub(crate) async fn run(&self, server: &str, up: bool) -> anyhow::Result<()> {
        let word = if up { "up" } else { "down" };
        self.put(&format!("/servers/{server}/{word}"), &json!({}))
            .await
    }

    /// Mends everything that is broken.
    pub(crate) async fn mend(&self) -> anyhow::Result<()> {
        for (name, fault) in self.paths().await? {
            if fault != Fault::None {
                self.break_path(&name, Fault::None).await?;
            }
        }
        let answer = self.0.call(Method::GET, "/servers", None).await?;
        let servers = answer.ok("GET /servers")?;
        for (name, server) in servers.as_object().into_iter().flatten() {
            if server["up"] != json!(true) {
                self.run(name, true).await?;
            }
            if server["script"] != Value::Null {
                self.script(name, &Script::default()).await?;
            }
        }
        Ok(())
    }

    async fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let answer = self.0.call(Method::PUT, path, Some(body)).await?;
        answer.ok(&format!("PUT {path}")).map(|_| ())
    }
}
