//! Probes on demand through the mesh: the command, the API, agents as processes, and paths that break.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path as File;
use std::process::Stdio;

use serde_json::{Value, json};
use support::eventually;
use support::mesh::{Agent, Coordinator, config};
use support::process::{Daemon, binary};
use testbed::proxy::{Fault, Path};
use testbed::server::{Dialect, Options, Server};
use tokio::process::{Child, Command};

async fn server() -> Server {
    Server::start(Options::new(Dialect::Legacy)).await.unwrap()
}

/// Waits until agents of these regions can be asked.
async fn until_asked(coordinator: &Coordinator, url: &str, regions: &[&str]) {
    let body = json!({ "url": url, "regions": regions }).to_string();
    for _ in 0..100 {
        let answer = coordinator.call("POST", "/api/v1/probes", &body).await;
        let is_there = |result: &Value| result["no_report"].is_null();
        let answer = if answer.status == 200 {
            answer.json()
        } else {
            Value::Null
        };
        let results = answer["results"].as_array();
        if results.is_some_and(|results| results.iter().all(is_there)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("nobody can be asked in {regions:?}");
}

/// `parallax probe` with a key of the mesh.
fn probe(coordinator: &Coordinator, folder: &File, args: &[&str]) -> Command {
    let key = folder.join("key");
    std::fs::write(&key, &coordinator.key).unwrap();
    let mut command = Command::new(binary("parallax"));
    command
        .arg("probe")
        .args(["--api", &format!("http://{}", coordinator.bound.http)])
        .arg("--api-key-file")
        .arg(&key)
        .args(args)
        .env("MCP_TOKEN", "s3cret-of-the-target")
        .env_remove("GITHUB_ACTIONS")
        .env_remove("PARALLAX_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(coordinator: &Coordinator, args: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = probe(coordinator, folder.path(), args)
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains("s3cret"), "{said}");
    (output.status.code().unwrap(), said)
}

async fn reports(coordinator: &Coordinator, args: &[&str]) -> (i32, Value) {
    let (code, said) = run(coordinator, &[args, &["--output", "json"]].concat()).await;
    let json = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{code}: {said}"));
    (code, json)
}

fn requests(server: &Server) -> u64 {
    server.log().methods().values().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_regions_are_asked_and_one_that_is_cut_off_is_said_so() {
    let server = server().await;
    let coordinator = Coordinator::start().await;
    let eu = Agent::start(&coordinator, "eu-1", "eu").await;
    let free = "127.0.0.1:0".parse().unwrap();
    let path = Path::open(free, coordinator.bound.grpc).unwrap();
    let token = coordinator.token("us-1", "us").await;
    let us = Agent::start_by(agent::Config {
        token: Some(token.parse().unwrap()),
        coordinators: vec![path.address().to_string()],
        ..config()
    });
    let url = server.url();
    until_asked(&coordinator, &url, &["eu", "us"]).await;

    let (code, both) = reports(&coordinator, &[&url, "--regions", "eu,us"]).await;
    assert_eq!((code, &both["verdict"]), (0, &"healthy".into()), "{both:#}");
    for (result, region) in both["results"].as_array().unwrap().iter().zip(["eu", "us"]) {
        assert_eq!(result["region"], region);
        assert_eq!(result["agent"], format!("{region}-1"));
        assert_eq!(result["provider"], "loopback");
        assert_eq!(result["report"]["url"], url);
        assert_eq!(result["report"]["outcome"]["kind"], "ok");
        assert!(result["report"]["steps"].as_array().unwrap().len() > 3);
    }
    let (code, human) = run(
        &coordinator,
        &[&url, "--regions", "all", "--call", "missing"],
    )
    .await;
    assert_eq!(code, 1, "{human}");
    assert!(
        human.contains("from eu/eu-1") && human.contains("tools_call"),
        "{human}"
    );

    // What is found is for whoever asked: the mesh has no monitor, and counts no result.
    let metrics = coordinator.call("GET", "/metrics", "").await.body;
    assert!(
        !metrics.contains("parallax_probe_results_total{"),
        "{metrics}"
    );
    assert!(metrics.contains("parallax_coordinator_on_demand_probes_total{result=\"report\"}"));

    path.set(Fault::Reset);
    let is_gone = |agents: &Value| agents[1]["connected"] == false;
    coordinator.until("cut off", is_gone).await;
    let (code, cut) = reports(&coordinator, &[&url, "--regions", "eu,us"]).await;
    assert_eq!(
        (code, &cut["verdict"]),
        (5, &"inconclusive".into()),
        "{cut:#}"
    );
    assert_eq!(cut["results"][0]["report"]["outcome"]["kind"], "ok");
    assert_eq!(cut["results"][1]["no_report"]["reason"], "no_agent");
    let enough = ["--regions", "eu,us", "--min-regions-ok", "1", "--quiet"];
    let (code, _) = run(&coordinator, &[&[url.as_str()][..], &enough].concat()).await;
    assert_eq!(code, 0, "one region is enough where that is said");
    // A wait through the mesh ends when its time is up, and says what it waited for.
    let waiting = [&url, "--regions", "us", "--wait", "1s", "--interval=300ms"];
    let (code, waited) = reports_of_wait(&coordinator, &waiting).await;
    assert_eq!(
        (code, &waited["wait"]["end"]),
        (5, &"time_up".into()),
        "{waited:#}"
    );
    let log = server.log();
    assert_eq!(log.sessions_opened(), log.sessions_closed());
    us.stop().await;
    eu.stop().await;
    coordinator.stop().await;
}

/// Progress of a wait is on stderr: only stdout is the document.
async fn reports_of_wait(coordinator: &Coordinator, args: &[&str]) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = probe(coordinator, folder.path(), args);
    let output = command.args(["--output", "json"]).output().await.unwrap();
    let json = serde_json::from_slice(&output.stdout);
    let json = json.unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), json)
}

/// An agent as a process of its own, which can be killed.
async fn process(coordinator: &Coordinator, folder: &File, name: &str, region: &str) -> Daemon {
    let (token, state) = (folder.join(name), folder.join(format!("{name}.state")));
    std::fs::write(&token, coordinator.token(name, region).await).unwrap();
    let args = [
        "--token-file",
        token.to_str().unwrap(),
        "--state-dir",
        state.to_str().unwrap(),
        "--allow",
        "127.0.0.0/8",
        "--resolver",
        "127.0.0.1:9",
        "--canaries",
        "",
    ];
    Daemon::start("parallax-agent", &args, &folder.join(format!("{name}.log")))
}

async fn until_calls(server: &Server, method: &str) {
    eventually("the probe hangs", || {
        server.log().methods().contains_key(method)
    })
    .await;
}

async fn said_by(child: Child) -> (i32, Value) {
    let output = child.wait_with_output().await.unwrap();
    let json = serde_json::from_slice(&output.stdout);
    let json = json.unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), json)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_dies_is_lost_and_who_goes_away_ends_the_work() {
    let server = server().await;
    let coordinator = Coordinator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut us = process(&coordinator, folder.path(), "us-1", "us").await;
    let eu = process(&coordinator, folder.path(), "eu-1", "eu").await;
    let url = server.url();
    until_asked(&coordinator, &url, &["eu", "us"]).await;
    let before = server.log().methods()["tools/list"];
    server.script(|script| {
        script.hang_on.insert("tools/list".to_owned());
    });

    let long = ["--timeout", "60s", "--step-timeout", "50s"];
    let header = ["--header", "authorization: Bearer ${MCP_TOKEN}"];
    let from = [url.as_str(), "--regions", "us", "--output", "json"];
    let args = [&from[..], &long, &header].concat();
    let asking = probe(&coordinator, folder.path(), &args).spawn().unwrap();
    eventually("the probe hangs", || {
        server.log().methods()["tools/list"] > before
    })
    .await;
    us.kill();
    let (code, lost) = said_by(asking).await;
    assert_eq!(code, 5, "{lost:#}");
    assert_eq!(lost["results"][0]["agent"], "us-1");
    assert_eq!(lost["results"][0]["no_report"]["reason"], "agent_lost");

    // Whoever asked is killed: the probe ends, and gives its session back.
    let opened = server.log().sessions_opened();
    let args = [&[url.as_str(), "--regions", "eu"][..], &long].concat();
    let mut asking = probe(&coordinator, folder.path(), &args).spawn().unwrap();
    eventually("another session", || {
        server.log().sessions_opened() > opened
    })
    .await;
    asking.kill().await.unwrap();
    // The agent that was killed could give nothing back.
    eventually("the session is closed", || {
        let log = server.log();
        log.sessions_opened() == log.sessions_closed() + 1
    })
    .await;

    // A slow server is told with its reason, not as a slow agent.
    let args = [url.as_str(), "--regions", "eu", "--step-timeout", "1s"];
    let (code, slow) = reports(&coordinator, &args).await;
    let failed = &slow["results"][0]["report"]["outcome"];
    assert_eq!(
        (code, &failed["reason"]),
        (6, &"http_timeout_headers".into()),
        "{slow:#}"
    );
    until_calls(&server, "tools/list").await;

    assert!(eu.terminate().await.success());
    for file in walk(folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let secret = b"s3cret-of-the-target";
        let has = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!has, "{}", file.display());
    }
    coordinator.stop().await;
}

fn walk(folder: &File) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_asked_for_a_pause_is_left_alone_whoever_asks() {
    let server = server().await;
    let coordinator = Coordinator::start().await;
    let eu = Agent::start(&coordinator, "eu-1", "eu").await;
    let url = server.url();
    until_asked(&coordinator, &url, &["eu"]).await;
    server.script(|script| {
        script.status = Some(429);
        script.retry_after = Some("600".to_owned());
    });
    let (code, told) = reports(&coordinator, &[&url, "--regions", "eu"]).await;
    let outcome = &told["results"][0]["report"]["outcome"];
    assert_eq!(
        (code, &outcome["reason"]),
        (4, &"rate_limited".into()),
        "{told:#}"
    );
    let asked = requests(&server);
    let (code, held) = reports(&coordinator, &[&url, "--regions", "eu"]).await;
    let no_report = &held["results"][0]["no_report"];
    assert_eq!(
        (code, &no_report["reason"]),
        (4, &"held".into()),
        "{held:#}"
    );
    let again = no_report["retry_after_seconds"].as_u64().unwrap();
    assert!((500..=600).contains(&again), "{again}");
    assert_eq!(requests(&server), asked, "nothing was asked of it");
    eu.stop().await;
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_is_refused_with_the_way_out() {
    let coordinator = Coordinator::start().await;
    let eu = Agent::start(&coordinator, "eu-1", "eu").await;
    coordinator.until_connected("eu-1").await;
    let url = "https://mcp.example.com/mcp";
    let table = [
        (json!({ "url": url }), "/regions", "no agent may be asked"),
        (
            json!({ "url": url, "regions": ["mars"] }),
            "/regions/0",
            "`mars` is no region of this mesh; it has eu",
        ),
        (
            json!({ "url": url, "agents": ["x"] }),
            "/agents/0",
            "`x` is no agent of this mesh; it has eu-1",
        ),
        (
            json!({ "url": url, "regions": ["eu"], "interval": "10s" }),
            "/interval",
            "is of monitors",
        ),
        (
            json!({ "url": url, "regions": ["eu"], "accept_weak": true }),
            "/accept_weak",
            "is of monitors",
        ),
        (
            json!({ "url": url, "regions": ["eu"], "speed": 1 }),
            "/speed",
            "is no field of a probe on demand",
        ),
        (
            json!({ "url": url, "regions": ["eu"], "agents_per_region": 9 }),
            "/agents_per_region",
            "9 is not within 1 to 8",
        ),
        (
            json!({ "url": url, "regions": ["eu"], "total_timeout": "2m" }),
            "/total_timeout",
            "at most 110s",
        ),
        (
            json!({ "url": url, "regions": ["eu"], "timeout": "1s" }),
            "/timeout",
            "1s is not within 2s to 120s",
        ),
        (
            json!({ "url": url, "regions": ["eu"], "headers": { "a b": "s3cret" } }),
            "/headers/a b",
            "no legal header name",
        ),
    ];
    for (body, pointer, detail) in table {
        let answer = coordinator
            .call("POST", "/api/v1/probes", &body.to_string())
            .await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.body);
        let errors = &answer.json()["errors"];
        assert_eq!(errors[0]["pointer"], pointer, "{errors}");
        assert!(
            errors[0]["detail"].as_str().unwrap().contains(detail),
            "{errors}"
        );
        assert!(!answer.body.contains("s3cret"));
    }
    let no_url = r#"{"regions":["eu"]}"#;
    let answer = coordinator.call("POST", "/api/v1/probes", no_url).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    eu.stop().await;
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_that_no_agent_can_follow_are_refused() {
    let coordinator = Coordinator::start().await;
    let eu = Agent::start(&coordinator, "eu-1", "eu").await;
    coordinator.until_connected("eu-1").await;
    let url = "https://mcp.example.com/mcp";
    let refused: [(&[&str], i32, &str); 9] = [
        (
            &["--regions", "mars"],
            2,
            "/regions/0: `mars` is no region of this mesh; it has eu",
        ),
        (
            &["--regions", "eu", "--proxy", "env"],
            2,
            "--proxy: agents never probe through a proxy",
        ),
        (
            &["--regions", "eu", "--resolver", "9.9.9.9:53"],
            2,
            "--resolver: agents have their own",
        ),
        (&["--regions", "eu", "--http1"], 2, "--http1: agents take"),
        (
            &["--regions", "eu", "--all-addresses"],
            2,
            "--all-addresses: agents do not",
        ),
        (
            &["--regions", "eu", "--baseline", "x"],
            2,
            "--baseline: the list of tools",
        ),
        (
            &["--regions", "eu", "--timeout", "2m"],
            2,
            "--timeout: a probe from the mesh",
        ),
        (
            &["--regions", "eu", "--repeat", "2"],
            2,
            "cannot be used with",
        ),
        (&["--regions", "a b"], 2, "a region has 1 to 64"),
    ];
    for (args, status, message) in refused {
        let (code, said) = run(&coordinator, &[&[url][..], args].concat()).await;
        assert_eq!(code, status, "{args:?}: {said}");
        assert!(said.contains(message), "{args:?}: {said}");
    }
    // Only this host's allow list opens private addresses, whoever names them.
    let metadata = "http://169.254.169.254/mcp";
    let (code, blocked) = reports(&coordinator, &[metadata, "--regions", "eu"]).await;
    let outcome = &blocked["results"][0]["report"]["outcome"];
    assert_eq!(
        (code, &outcome["reason"]),
        (5, &"dns_blocked_addr".into()),
        "{blocked:#}"
    );
    eu.stop().await;
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_for_probes_probes_and_does_nothing_else() {
    let coordinator = Coordinator::start().await;
    let body = json!({ "url": "https://a.example/mcp", "agents": ["nobody"] }).to_string();
    for (scope, probes, creates) in [("read", 403, 403), ("probe", 422, 403), ("admin", 422, 422)] {
        let wanted = json!({ "name": scope, "scope": scope }).to_string();
        let made = coordinator.call("POST", "/api/v1/keys", &wanted).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let key = made.json()["key"].as_str().unwrap().to_owned();
        let to = coordinator.bound.http;
        let send = |path, body| support::http_client::send(to, &key, "POST", path, body);
        assert_eq!(
            send("/api/v1/probes", body.as_str()).await.status,
            probes,
            "{scope}"
        );
        assert_eq!(send("/api/v1/keys", "{}").await.status, creates, "{scope}");
        let read = support::http_client::send(to, &key, "GET", "/api/v1/agents", "").await;
        assert_eq!(read.status, 200, "{scope}");
    }
    coordinator.stop().await;
}
