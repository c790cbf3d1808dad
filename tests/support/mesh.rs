//! A coordinator and agents, in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use coordinator::Bound;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http_client::{Answer, send};

/// A running coordinator.
pub struct Coordinator {
    /// Where it listens.
    pub bound: Bound,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Coordinator {
    /// Starts one on free ports of loopback.
    pub async fn start() -> Self {
        let free = "127.0.0.1:0".parse().unwrap();
        Self::start_on(free, free).await
    }

    /// Starts one on these addresses.
    pub async fn start_on(grpc: SocketAddr, http: SocketAddr) -> Self {
        Self::start_with(grpc, http, coordinator::Storage::Memory).await
    }

    /// Starts one on these addresses, with this storage.
    pub async fn start_with(
        grpc: SocketAddr,
        http: SocketAddr,
        storage: coordinator::Storage,
    ) -> Self {
        let config = coordinator::Config::new(grpc, http, storage).unwrap();
        let stop = CancellationToken::new();
        let (bound, listening) = oneshot::channel();
        let running = coordinator::run(config, stop.clone(), bound);
        let task = tokio::spawn(async move { running.await.unwrap() });
        Self {
            bound: listening.await.unwrap(),
            stop,
            task,
        }
    }

    /// Stops it, and waits until it has ended.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Calls the API.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        send(self.bound.http, method, path, body).await
    }

    /// Registers a monitor.
    pub async fn put(&self, name: &str, spec: &Value) -> Answer {
        self.call(
            "PUT",
            &format!("/api/v1/monitors/{name}"),
            &spec.to_string(),
        )
        .await
    }

    /// The status of a monitor.
    pub async fn status(&self, name: &str) -> Value {
        self.call("GET", &format!("/api/v1/monitors/{name}/status"), "")
            .await
            .json()
    }

    /// Waits until a region of a monitor is in a state, for at most 40 s.
    ///
    /// # Panics
    /// Where it does not come to be.
    pub async fn until_state(&self, monitor: &str, region: &str, state: &str) -> Value {
        let mut last = Value::Null;
        for _ in 0..400 {
            last = self.status(monitor).await;
            let regions = last["regions"].as_array().cloned().unwrap_or_default();
            let found = regions
                .into_iter()
                .find(|r| r["region"] == region && r["state"] == state);
            if let Some(found) = found {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{monitor} in {region} does not become {state}: {last:#}");
    }

    /// The value of a series of `/metrics`, found by its name and label text.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.call("GET", "/metrics", "").await.body;
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}

/// A running agent.
pub struct Agent {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Agent {
    /// Starts an agent that may probe loopback.
    #[must_use]
    pub fn start(name: &str, region: &str, coordinator: SocketAddr) -> Self {
        Self::start_in(name, region, coordinator, None)
    }

    /// Starts one that keeps its state in a folder.
    #[must_use]
    pub fn start_in(
        name: &str,
        region: &str,
        coordinator: SocketAddr,
        state_dir: Option<PathBuf>,
    ) -> Self {
        let config = agent::Config {
            coordinators: vec![coordinator.to_string()],
            agent: name.to_owned(),
            region: region.to_owned(),
            provider: "loopback".to_owned(),
            name_servers: vec!["127.0.0.1:9".parse().unwrap()],
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            extra_roots: Vec::new(),
            max_probes: 16,
            state_dir,
            spool_bytes: agent::Config::SPOOL_BYTES,
        };
        let stop = CancellationToken::new();
        let running = agent::run(config.check().unwrap(), stop.clone());
        let task = tokio::spawn(async move { running.await.unwrap() });
        Self { stop, task }
    }

    /// Stops it, and waits until it has drained.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}
