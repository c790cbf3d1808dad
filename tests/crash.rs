//! Agents and coordinator are killed at random, many times, under load: afterwards every probe
//! that the target saw finished is kept exactly once, or was finished in the last moment before a
//! kill of its agent.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coordinator::{Durability, Storage};
use serde_json::json;
use support::eventually;
use support::http_client::send;
use support::kept::Kept;
use support::mesh::{Agent, Coordinator};
use support::process::Daemon;
use support::real::free_address;
use testbed::server::{Dialect, Server};

const REGIONS: [&str; 3] = ["ap", "eu", "us"];
/// Monitors of each region, every 10 s: together 240 results a second.
const MONITORS: usize = 800;
const INTERVAL: Duration = Duration::from_secs(10);
const KILLS: usize = 20;
/// Before a kill: the answer on its way to the agent, the 100 ms in which a group gathers, and two
/// commits, because a group waits for the one before it: of a busy disk.
const LAST_GROUP_MS: u64 = 1500;
/// What that is on average, in probes of one agent: half a second of them.
const LAST_GROUP: usize = MONITORS / 20;

/// The mesh under test, as processes.
struct Mesh {
    grpc: SocketAddr,
    http: SocketAddr,
    folder: PathBuf,
    coordinator: Option<Daemon>,
    agents: BTreeMap<&'static str, Daemon>,
    /// When each agent was killed, milliseconds since the Unix epoch.
    kills: BTreeMap<&'static str, Vec<u64>>,
}

fn wall_ms() -> u64 {
    telemetry::clock::wall().as_millisecond().unsigned_abs()
}

impl Mesh {
    fn new(folder: &Path) -> Self {
        let (grpc, http) = (free_address(), free_address());
        Self {
            grpc,
            http,
            folder: folder.to_owned(),
            coordinator: None,
            agents: BTreeMap::new(),
            kills: BTreeMap::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn start_coordinator(&mut self) {
        let data = self.path("data");
        let args = [
            "--grpc-listen",
            &self.grpc.to_string(),
            "--http-listen",
            &self.http.to_string(),
            // Sixteen hundred monitors of one server are more than any other server should bear.
            "--max-requests-per-minute",
            "1000000",
            "--data-dir",
            data.to_str().unwrap(),
        ];
        let log = self.path("coordinator.log");
        self.coordinator = Some(Daemon::start("parallax-coordinator", &args, &log));
    }

    fn start_agent(&mut self, region: &'static str) {
        let state = self.path(&format!("agent-{region}"));
        let token = self.path(&format!("{region}.token"));
        let args = [
            "--token-file",
            token.to_str().unwrap(),
            "--allow",
            "127.0.0.0/8",
            "--resolver",
            "127.0.0.1:9",
            "--state-dir",
            state.to_str().unwrap(),
        ];
        let log = self.path(&format!("{region}.log"));
        let agent = Daemon::start("parallax-agent", &args, &log);
        self.agents.insert(region, agent);
    }

    fn kill_agent(&mut self, region: &'static str) {
        let mut agent = self.agents.remove(region).unwrap();
        agent.kill();
        self.kills.entry(region).or_default().push(wall_ms());
    }

    /// A key that may do everything.
    fn key(&self) -> String {
        let file = self.path("data").join("admin.key");
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    /// Makes the token of an agent, which its first life uses.
    async fn enrol(&self, region: &str) {
        let agent = format!("{region}-1");
        let place = json!({ "agent": agent, "region": region, "provider": "loopback" });
        let place = place.to_string();
        let answer = send(self.http, &self.key(), "POST", "/api/v1/tokens", &place).await;
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        std::fs::write(self.path(&format!("{region}.token")), token).unwrap();
    }

    async fn until_ready(&self) {
        for _ in 0..300 {
            if tokio::net::TcpStream::connect(self.http).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{}", self.coordinator.as_ref().unwrap().said());
    }
}

/// The name of a monitor says which agent probes it, and its URL says its name to the target.
fn name(region: &str, n: usize) -> String {
    format!("{region}-{n}")
}

async fn register(mesh: &Mesh, url: &str) {
    let key = mesh.key();
    for region in REGIONS {
        for n in 0..MONITORS {
            let name = name(region, n);
            let spec = json!({
                "url": format!("{url}?{name}"),
                "interval": "10s",
                "regions": [region],
                "step_timeout": "5s",
                "total_timeout": "8s",
            });
            let path = format!("/api/v1/monitors/{name}");
            let answer = send(mesh.http, &key, "PUT", &path, &spec.to_string()).await;
            assert_eq!(answer.status, 201, "{}", answer.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_finished_is_lost_or_counted_twice() {
    let seed = std::env::var("PARALLAX_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_261_120);
    println!("PARALLAX_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(testbed::server::Options::new(Dialect::Modern))
        .await
        .unwrap();
    let mut mesh = Mesh::new(folder.path());
    mesh.start_coordinator();
    mesh.until_ready().await;
    register(&mesh, &server.url()).await;
    for region in REGIONS {
        mesh.enrol(region).await;
        mesh.start_agent(region);
    }
    eventually("every monitor has had a slot", || {
        let listed = server.log().listed();
        let names: BTreeSet<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
        names.len() == REGIONS.len() * MONITORS
    })
    .await;
    let (begin_ms, before) = (wall_ms(), server.log().listed().len());

    for _ in 0..KILLS {
        let millis = |random: &mut fastrand::Rng, most| Duration::from_millis(random.u64(0..most));
        tokio::time::sleep(millis(&mut random, 3000)).await;
        let pause = millis(&mut random, 1000);
        let victim = random.usize(0..=REGIONS.len());
        if let Some(region) = REGIONS.get(victim) {
            mesh.kill_agent(region);
            tokio::time::sleep(pause).await;
            mesh.start_agent(region);
        } else {
            mesh.coordinator.take().unwrap().kill();
            tokio::time::sleep(pause).await;
            mesh.start_coordinator();
        }
    }
    let seconds = wall_ms().saturating_sub(begin_ms) / 1000;
    let rate = (server.log().listed().len() - before) as u64 / seconds.max(1);
    println!("{rate} probes a second over {seconds} s of kills");
    // Everybody is back, and hands in what waits when it is told to stop.
    mesh.until_ready().await;
    let back_ms = wall_ms();
    eventually("every agent probes again", || {
        let listed = server.log().listed();
        let since = listed.iter().filter(|(_, at_ms)| *at_ms > back_ms);
        let names: Vec<&str> = since.map(|(name, _)| name.as_str()).collect();
        let probes = |region: &&str| names.iter().any(|name| name.starts_with(*region));
        REGIONS.iter().all(probes)
    })
    .await;
    for (_, agent) in std::mem::take(&mut mesh.agents) {
        assert!(agent.terminate().await.success());
    }
    let coordinator = mesh.coordinator.take().unwrap();
    assert!(coordinator.terminate().await.success());

    let kept = Kept::read(&mesh.path("data")).await;
    check(&kept, &server.log().listed(), &mesh.kills);
    assert!(rate >= 150, "{rate} probes a second: this was no load");
}

/// The slot of a monitor in which something happened, by the rule that both sides know.
fn slot(monitor: &str, at_ms: u64) -> u64 {
    let phase = schedule::slot::phase(monitor, 0, INTERVAL);
    let (next, _) = schedule::slot::next(Duration::from_millis(at_ms), phase, INTERVAL);
    next - 1
}

#[expect(clippy::print_stdout, reason = "what the run measured")]
fn check(kept: &Kept, listed: &[(String, u64)], kills: &BTreeMap<&'static str, Vec<u64>>) {
    for (slot, (count, _)) in &kept.outcomes {
        assert_eq!(*count, 1, "{slot:?} is kept {count} times");
    }
    let mut finished = BTreeSet::new();
    let mut missing = 0;
    for (monitor, at_ms) in listed {
        let region = monitor.split('-').next().unwrap();
        let agent = format!("{region}-1");
        let slot = (agent, monitor.clone(), slot(monitor, *at_ms));
        if kept.outcomes.contains_key(&slot) {
            finished.insert(slot);
            continue;
        }
        let before_a_kill = kills
            .get(region)
            .into_iter()
            .flatten()
            .any(|kill| (*at_ms..=*at_ms + LAST_GROUP_MS).contains(kill));
        assert!(before_a_kill, "{slot:?} at {at_ms} is lost: {kills:?}");
        missing += 1;
    }
    for (slot, (_, is_ok)) in &kept.outcomes {
        let is_true = !is_ok || finished.contains(slot);
        assert!(is_true, "{slot:?} is kept and did not happen");
    }
    assert_eq!(kept.gaps, 0);
    let agents_killed: usize = kills.values().map(Vec::len).sum();
    assert!(
        missing <= agents_killed * LAST_GROUP,
        "{missing} are missing after {agents_killed} kills"
    );
    println!(
        "{} finished, {} kept once, {missing} in the last moment before {agents_killed} kills of agents",
        listed.len(),
        kept.outcomes.len(),
    );
    kept.windows_hold_what_they_name();
    let windowed: u64 = kept.windows.iter().map(|(_, window)| window.count).sum();
    println!("{} windows hold {windowed} probes", kept.windows.len());
    assert!(windowed > 0);
}

/// States, their begin and percentiles are there before any agent is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_coordinator_knows_at_once_what_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::Embedded {
        folder: folder.path().join("data"),
        durability: Durability::Power,
    };
    let server = Server::start(testbed::server::Options::new(Dialect::Modern))
        .await
        .unwrap();
    let coordinator = Coordinator::start_with(storage).await;
    let state = Some(folder.path().join("agent"));
    let agent = Agent::start_in(&coordinator, "eu-1", "eu", state).await;
    let spec = json!({ "url": server.url(), "interval": "10s" });
    let put = coordinator.put("docs", &spec).await.json();
    let before = coordinator.until_state("docs", "eu", "ok").await;
    agent.stop().await;
    let handed_in = coordinator.status("docs").await["regions"][0].clone();
    let coordinator = coordinator.stop().await.start().await;
    let after = coordinator.status("docs").await["regions"][0].clone();
    assert_eq!(after["state"], "ok", "{after:#}");
    let millis = |value: &serde_json::Value| -> i64 {
        let at: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
        at.as_millisecond()
    };
    // What is kept is kept to the millisecond.
    assert!((millis(&after["since"]) - millis(&before["since"])).abs() <= 1);
    assert_eq!(after["latency"]["p50_ms"], handed_in["latency"]["p50_ms"]);
    assert_eq!(after["latency"]["samples"], handed_in["latency"]["samples"]);
    let again = coordinator.put("docs", &spec).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["generation"], put["generation"]);
    let counted =
        "parallax_probe_results_total{monitor=\"docs\",region=\"eu\",outcome=\"ok\",reason=\"\"}";
    assert_eq!(
        coordinator.metric(counted).await,
        None,
        "counters begin anew"
    );
    coordinator.stop().await;
}
