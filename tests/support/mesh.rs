//! A coordinator and agents, in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use coordinator::{Bound, Config, Storage};
use serde_json::Value;
use store::MemoryStore;
use tempfile::TempPath;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http_client::{Answer, send};

/// A running coordinator.
pub struct Coordinator {
    /// Where it listens.
    pub bound: Bound,
    /// A key that may do everything.
    pub key: String,
    storage: Storage,
    key_file: TempPath,
    monitors_dir: Option<PathBuf>,
    cap: u32,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A coordinator that was stopped, with what it kept.
pub struct Stopped {
    bound: Bound,
    storage: Storage,
    key_file: TempPath,
    monitors_dir: Option<PathBuf>,
    cap: u32,
}

impl Coordinator {
    /// Starts one on free ports of loopback, with a store in memory.
    pub async fn start() -> Self {
        Self::start_with(Storage::Memory(MemoryStore::new(1))).await
    }

    /// Starts one on free ports of loopback, with this storage.
    pub async fn start_with(storage: Storage) -> Self {
        Self::start_by(storage, None, Config::MAX_REQUESTS_PER_MINUTE).await
    }

    /// Starts one that spares origins: so many requests a minute of all their monitors.
    pub async fn start_sparing(cap: u32) -> Self {
        Self::start_by(Storage::Memory(MemoryStore::new(1)), None, cap).await
    }

    /// Starts one that follows a folder of monitors, with a store in memory.
    pub async fn start_following(folder: PathBuf) -> Self {
        let storage = Storage::Memory(MemoryStore::new(1));
        Self::start_by(storage, Some(folder), Config::MAX_REQUESTS_PER_MINUTE).await
    }

    async fn start_by(storage: Storage, monitors_dir: Option<PathBuf>, cap: u32) -> Self {
        let free = "127.0.0.1:0".parse().unwrap();
        let bound = Bound {
            grpc: free,
            http: free,
        };
        let key_file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::remove_file(&key_file).unwrap();
        let stopped = Stopped {
            bound,
            storage,
            key_file,
            monitors_dir,
            cap,
        };
        stopped.start().await
    }

    /// Stops it, and waits until it has ended.
    pub async fn stop(self) -> Stopped {
        self.stop.cancel();
        self.task.await.unwrap();
        Stopped {
            bound: self.bound,
            storage: self.storage,
            key_file: self.key_file,
            monitors_dir: self.monitors_dir,
            cap: self.cap,
        }
    }

    /// The store in memory.
    ///
    /// # Panics
    /// It has another.
    pub fn memory(&self) -> MemoryStore {
        match &self.storage {
            Storage::Memory(store) => store.clone(),
            Storage::Embedded { .. } => panic!("its store is in a folder"),
        }
    }

    /// Calls the API with the key.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        send(self.bound.http, &self.key, method, path, body).await
    }

    /// Makes a token for an agent, which may be there already.
    pub async fn token(&self, agent: &str, region: &str) -> String {
        self.token_at(agent, region, "loopback").await
    }

    /// The same on a provider's network.
    pub async fn token_at(&self, agent: &str, region: &str, provider: &str) -> String {
        let place = serde_json::json!({
            "agent": agent, "region": region, "provider": provider, "replace": true,
        });
        let place = place.to_string();
        let answer = self.call("POST", "/api/v1/tokens", &place).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["token"].as_str().unwrap().to_owned()
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
        self.until_region(monitor, region, |found| found["state"] == state)
            .await
    }

    /// Waits until a region of a monitor is as wanted, for at most 40 s.
    ///
    /// # Panics
    /// Where it does not come to be.
    pub async fn until_region(
        &self,
        monitor: &str,
        region: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        for _ in 0..400 {
            last = self.status(monitor).await;
            let regions = last["regions"].as_array().cloned().unwrap_or_default();
            let found = regions
                .into_iter()
                .find(|r| r["region"] == region && holds(r));
            if let Some(found) = found {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{monitor} in {region} does not become as wanted: {last:#}");
    }

    /// Waits until the verdict on a monitor is so, for at most a minute.
    ///
    /// # Panics
    /// Where it does not come to be.
    pub async fn until_verdict(&self, monitor: &str, verdict: &str) -> Value {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.status(monitor).await;
            if last["verdict"] == verdict {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{monitor} does not become {verdict}: {last:#}");
    }

    /// The changes of the verdict on a monitor: verdict, scope, page.
    pub async fn transitions(&self, monitor: &str) -> Vec<(String, String, bool)> {
        let path = format!("/api/v1/monitors/{monitor}/transitions");
        let answer = self.call("GET", &path, "").await.json();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let changes = answer["transitions"].as_array().unwrap().iter();
        changes
            .map(|c| (text(&c["verdict"]), text(&c["scope"]), c["page"] == true))
            .collect()
    }

    /// Waits until the agents, as the API lists them, are as wanted, for at most a minute: the
    /// longest that an agent leaves a coordinator alone that it could not reach.
    ///
    /// # Panics
    /// Where they do not come to be.
    pub async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.call("GET", "/api/v1/agents", "").await.json();
            if holds(&last["agents"]) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what}: {last:#}");
    }

    /// Waits until an agent is connected.
    pub async fn until_connected(&self, agent: &str) {
        let is_it = |a: &Value| a["id"] == agent && a["connected"] == true;
        let connected = |agents: &Value| agents.as_array().is_some_and(|a| a.iter().any(is_it));
        self.until("connected", connected).await;
    }

    /// The value of a series of `/metrics`, found by its name and label text.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.call("GET", "/metrics", "").await.body;
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}

impl Stopped {
    /// Starts it again, where it was.
    pub async fn start(self) -> Coordinator {
        let mut config = Config::new(self.bound.grpc, self.bound.http, self.storage.clone());
        config.admin_key_file = Some(self.key_file.to_path_buf());
        config.monitors_dir.clone_from(&self.monitors_dir);
        config.max_requests_per_minute = self.cap;
        config.allow = vec!["127.0.0.0/8".parse().unwrap()];
        let stop = CancellationToken::new();
        let (bound, listening) = oneshot::channel();
        let running = coordinator::run(config.check().unwrap(), stop.clone(), bound);
        let task = tokio::spawn(async move { running.await.unwrap() });
        let bound = listening.await.unwrap();
        let key = std::fs::read_to_string(&self.key_file).unwrap();
        Coordinator {
            bound,
            key: key.trim().to_owned(),
            storage: self.storage,
            key_file: self.key_file,
            monitors_dir: self.monitors_dir,
            cap: self.cap,
            stop,
            task,
        }
    }
}

/// A running agent.
pub struct Agent {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Agent {
    /// Enrols and starts an agent that may probe loopback.
    pub async fn start(coordinator: &Coordinator, name: &str, region: &str) -> Self {
        Self::start_in(coordinator, name, region, None).await
    }

    /// Starts one that keeps its state in a folder.
    pub async fn start_in(
        coordinator: &Coordinator,
        name: &str,
        region: &str,
        state_dir: Option<PathBuf>,
    ) -> Self {
        let token = coordinator.token(name, region).await;
        Self::start_by(agent::Config {
            token: Some(token.parse().unwrap()),
            state_dir,
            ..config()
        })
    }

    /// Starts one that is a member already, by what its state folder has.
    #[must_use]
    pub fn start_again(state_dir: PathBuf) -> Self {
        Self::start_by(agent::Config {
            state_dir: Some(state_dir),
            ..config()
        })
    }

    /// Starts one by these settings.
    #[must_use]
    pub fn start_by(config: agent::Config) -> Self {
        let stop = CancellationToken::new();
        let running = agent::run(config.check().unwrap(), stop.clone());
        let task = tokio::spawn(async move { running.await.unwrap() });
        Self { stop, task }
    }

    /// Starts one by these settings, which say that it serves HTTP; and where it does.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn start_serving(config: agent::Config) -> (Self, SocketAddr) {
        let stop = CancellationToken::new();
        let (bound, listening) = oneshot::channel();
        let running = agent::run_bound(config.check().unwrap(), stop.clone(), bound);
        let task = tokio::spawn(async move { running.await.unwrap() });
        (Self { stop, task }, listening.await.unwrap())
    }

    /// Stops it, and waits until it has drained.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Settings of an agent that may probe loopback, asks no name server, and keeps nothing.
#[must_use]
pub fn config() -> agent::Config {
    agent::Config {
        coordinators: Vec::new(),
        token: None,
        link_proxy: None,
        name_servers: vec!["127.0.0.1:9".parse().unwrap()],
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        extra_roots: Vec::new(),
        canaries: Vec::new(),
        peering: agent::Peering::Off,
        contact: probe::Contact::default(),
        max_probes: 16,
        state_dir: None,
        spool_bytes: agent::Config::SPOOL_BYTES,
        http: None,
    }
}
