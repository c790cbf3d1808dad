//! Five minutes of the whole mesh on real servers that nobody here wrote, through recording
//! proxies: all up, the right era named, nothing left open, everything kept and counted once.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use coordinator::{Durability, Storage};
use serde_json::{Value, json};
use support::eventually;
use support::kept::Kept;
use support::mesh::{Agent, Coordinator};
use support::real::{RealServer, fixture, installed, node, python};
use testbed::recorder::Recorder;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const REGIONS: [&str; 3] = ["ap", "eu", "us"];
/// Long enough that a window of a monitor every 10 s is a histogram, and not a list.
const LONG: Duration = Duration::from_secs(300);

/// A monitor of a real server.
struct Watched {
    name: &'static str,
    server: usize,
    path: &'static str,
    era: &'static str,
    /// The era and version that its documentation promises.
    found: (&'static str, &'static str),
    call: Value,
}

const fn watched(
    name: &'static str,
    server: usize,
    path: &'static str,
    era: &'static str,
    found: (&'static str, &'static str),
    call: Value,
) -> Watched {
    Watched {
        name,
        server,
        path,
        era,
        found,
        call,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::too_many_lines,
    reason = "one story from registration to what was kept"
)]
async fn five_minutes_of_the_mesh_on_real_servers() {
    let Some(real) = installed() else { return };
    let everything = |mode: &str| {
        let mut command = node(&real);
        let package =
            "everything/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
        command.arg(real.join(package));
        RealServer::start(command, &[mode])
    };
    let start = |mut command: Command, script: std::path::PathBuf| {
        command.arg(script);
        RealServer::start(command, &["{port}"])
    };
    let servers = [
        everything("streamableHttp"),
        everything("sse"),
        start(node(&real), real.join("typescript/server.mjs")),
        start(python(&real), fixture("python_server.py")),
    ];
    let mut recorders = Vec::new();
    for server in &servers {
        let recorder = Recorder::start(LOOPBACK, server.address()).await.unwrap();
        recorders.push(recorder);
    }
    let legacy = ("legacy", "2025-11-25");
    let modern = ("modern", "2026-07-28");
    let echo = || json!({ "name": "echo", "arguments": { "message": "hi" } });
    let distance = || json!({ "name": "distance", "arguments": { "x": 3, "y": 4 } });
    let multiply = || json!({ "name": "multiply", "arguments": { "left": 6, "right": 7 } });
    let monitors = [
        watched("everything", 0, "/mcp", "auto", legacy, echo()),
        watched(
            "old-transport",
            1,
            "/sse",
            "auto",
            ("legacy", "2024-11-05"),
            echo(),
        ),
        watched("typescript", 2, "/mcp", "auto", modern, distance()),
        watched("typescript-old", 2, "/mcp", "legacy", legacy, distance()),
        watched("python", 3, "/mcp", "auto", modern, multiply()),
        watched("python-old", 3, "/mcp", "legacy", legacy, multiply()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let storage = Storage::Embedded {
        folder: data.clone(),
        durability: Durability::Process,
    };
    let coordinator = Coordinator::start_with(storage).await;
    for monitor in &monitors {
        let address = recorders[monitor.server].address();
        let spec = json!({
            "url": format!("http://{address}{}", monitor.path),
            "interval": "10s",
            "era": monitor.era,
            "calls": [monitor.call],
        });
        assert_eq!(coordinator.put(monitor.name, &spec).await.status, 201);
    }
    let mut agents = Vec::new();
    for region in REGIONS {
        let state = Some(folder.path().join(region));
        let name = format!("{region}-1");
        agents.push(Agent::start_in(&coordinator, &name, region, state).await);
    }
    tokio::time::sleep(LONG).await;

    for monitor in &monitors {
        for region in REGIONS {
            let seen = coordinator.until_state(monitor.name, region, "ok").await;
            let agent = &seen["agents"][0];
            let found = (&agent["era"], &agent["protocol_version"]);
            assert_eq!(found, (&json!(monitor.found.0), &json!(monitor.found.1)));
        }
    }
    for agent in agents {
        agent.stop().await;
    }
    for recorder in &recorders {
        let tally = recorder.tally();
        assert_eq!(tally.sessions_left(), Vec::<String>::new());
        let (opened, closed) = tally.streams();
        eventually("every GET stream is closed", || opened == closed).await;
    }
    coordinator.stop().await;
    let kept = Kept::read(&data).await;
    kept.windows_hold_what_they_name();
    assert_eq!(kept.gaps, 0);
    let probes = kept.outcomes.len();
    // Cancelled when the agents were stopped: at most one a monitor and agent.
    let ok = kept.ok();
    assert!(
        probes - ok <= monitors.len() * REGIONS.len(),
        "{ok} of {probes}"
    );
    let expected = monitors.len() * REGIONS.len() * 28;
    assert!(ok >= expected, "{ok} probes in five minutes");
    let windowed: u64 = kept.windows.iter().map(|(_, window)| window.count).sum();
    assert_eq!(windowed as usize, ok, "every ok probe is in a window");
    assert!(kept.hdr_windows > 0, "histograms were on the wire");
    println!("{probes} probes, {ok} ok, {} histograms", kept.hdr_windows);
}
