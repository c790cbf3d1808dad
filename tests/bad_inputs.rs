//! What is wrong, by what is said of it: input, exit status, message. Everything is run as its
//! user would run it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;
use support::http_client::send;
use support::process::{Daemon, binary};
use support::real::free_address;

/// A coordinator as a process, and a folder for everything.
struct Place {
    folder: tempfile::TempDir,
    grpc: String,
    http: String,
    key: String,
    _coordinator: Daemon,
}

impl Place {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (grpc, http) = (free_address().to_string(), free_address().to_string());
        let data = folder.path().join("data");
        let args = ["--data-dir", data.to_str().unwrap(), "--grpc-listen", &grpc];
        let args = [&args[..], &["--http-listen", &http]].concat();
        let log = folder.path().join("coordinator.log");
        let coordinator = Daemon::start("parallax-coordinator", &args, &log);
        let key_file = data.join("admin.key");
        for _ in 0..1000 {
            let is_ready = send(http.parse().unwrap(), "", "GET", "/readyz", "");
            let is_listening = std::net::TcpStream::connect(&http).is_ok();
            if is_listening && key_file.exists() && is_ready.await.status == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self {
            key: std::fs::read_to_string(key_file).unwrap().trim().to_owned(),
            folder,
            grpc,
            http,
            _coordinator: coordinator,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn token(&self, agent: &str, ttl: &str) -> String {
        let place = json!({ "agent": agent, "region": "eu", "provider": "p", "ttl": ttl });
        let http = self.http.parse().unwrap();
        let made = send(
            http,
            &self.key,
            "POST",
            "/api/v1/tokens",
            &place.to_string(),
        )
        .await;
        made.json()["token"].as_str().unwrap().to_owned()
    }

    /// An agent with a token: bounded, because one that is taken goes on for ever.
    async fn agent(&self, name: &str, token: &str) -> Output {
        let token = self.file(&format!("{name}.token"), token);
        let state = self.path(name);
        run(
            "parallax-agent",
            &["--token-file", &token, "--state-dir", &state, "--canaries="],
        )
        .await
    }
}

impl Place {
    /// Starts an agent in a mount namespace of its own, in which its state folder is prepared.
    async fn start(&self, agent: &str, prepare: &str) -> Daemon {
        let state = self.path(agent);
        let token = self.path(&format!("{agent}.token"));
        if !Path::new(&token).exists() {
            std::fs::write(&token, self.token(agent, "10m").await).unwrap();
            std::fs::create_dir(&state).unwrap();
        }
        let prepare = prepare.replace("STATE", &state);
        let binary = binary("parallax-agent");
        let run = format!(
            "{prepare} && exec {} --token-file {token} --state-dir {state} --canaries=",
            binary.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &run]);
        let log = self.folder.path().join(format!("{agent}.log"));
        Daemon::run(command, &log)
    }
}

/// Runs a command to its end, for at most 20 s; then it is told to end.
async fn run(name: &str, args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new("timeout");
    command
        .args(["--foreground", "--preserve-status", "20"])
        .arg(binary(name));
    command.args(args).env_remove("PARALLAX_LOG");
    command.env_remove("STATE_DIRECTORY");
    command.output().await.unwrap()
}

fn check(what: &str, output: &Output, status: i32, message: &str) {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert_eq!(output.status.code(), Some(status), "{what}: {out}{err}");
    assert!(err.contains(message), "{what}: {err}");
    assert!(!err.contains("panicked"), "{what}: {err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn what_is_wrong_is_named_with_the_way_out() {
    let place = Place::open().await;
    let free = || free_address().to_string();
    let data = place.path("data");
    let unknown = place.file("unknown.toml", "cordinator = [\"mesh.example.com:7443\"]\n");
    let good = place.token("eu-1", "10m").await;
    let (secret, pin) = good.split_once("#sha256:").unwrap();
    let other_pin: String = pin.chars().rev().collect();
    let used = place.token("eu-2", "10m").await;
    let first = place.agent("first", &used).await;
    check("a good token", &first, 0, "enrolled");
    let short = place.token("eu-3", "1s").await;
    let expires = tokio::time::Instant::now() + Duration::from_millis(1100);
    tokio::time::sleep_until(expires).await;

    let cases: Vec<(&str, &str, Vec<&str>, i32, &str)> = vec![
        (
            "a scheme",
            "parallax",
            vec!["probe", "ftp://x/mcp"],
            2,
            "scheme `ftp`",
        ),
        (
            "a label without a value",
            "parallax",
            vec![
                "token",
                "create",
                "--region",
                "r",
                "--provider",
                "p",
                "--label",
                "net",
            ],
            2,
            "write NAME=VALUE",
        ),
        (
            "no URL",
            "parallax",
            vec!["probe", "nonsense"],
            2,
            "nonsense",
        ),
        (
            "an agent's unknown setting",
            "parallax-agent",
            vec!["--config", &unknown, "--in-memory"],
            78,
            "`cordinator` is no setting; they are",
        ),
        (
            "a coordinator's unknown setting",
            "parallax-coordinator",
            vec!["--config", &unknown, "--in-memory"],
            78,
            "`cordinator` is no setting; they are",
        ),
        (
            "a canary",
            "parallax-agent",
            vec!["--in-memory", "--canaries", "one.one.one.one"],
            78,
            "canaries: `one.one.one.one` is no host and port",
        ),
    ];
    for (what, name, args, status, message) in cases {
        check(what, &run(name, &args).await, status, message);
    }
    let (grpc, http) = (free(), free());
    let listen = ["--grpc-listen", &grpc, "--http-listen", &place.http];
    let taken = [
        &listen[..],
        &["--in-memory", "--admin-key-file", "/dev/null/x"],
    ]
    .concat();
    let taken = run("parallax-coordinator", &taken).await;
    check("a port in use", &taken, 1, "is the port in use?");
    let twice = [
        "--grpc-listen",
        &grpc,
        "--http-listen",
        &http,
        "--data-dir",
        &data,
    ];
    let twice = run("parallax-coordinator", &twice).await;
    check("two coordinators on one store", &twice, 1, "data-dir: ");
    let said = String::from_utf8_lossy(&twice.stderr).into_owned();
    assert!(
        said.contains("in use") || said.contains("another"),
        "{said}"
    );

    let table = [
        ("no token at all", "nonsense".to_owned(), 78, "token"),
        (
            "a token that nobody made",
            other_secret(&good),
            1,
            "token: is not known here; make one",
        ),
        (
            "a used token",
            used,
            1,
            "token: was used already, by another key",
        ),
        (
            "an expired token",
            short,
            1,
            "token: has expired; make another",
        ),
    ];
    for (what, token, status, message) in table {
        check(
            what,
            &place.agent(&what.replace(' ', "-"), &token).await,
            status,
            message,
        );
    }
    // Somebody else answers at the coordinator's address: the agent tells it nothing, and waits.
    let wrong = format!("{secret}#sha256:{other_pin}");
    let wrong = place.agent("wrong-authority", &wrong).await;
    check("another authority", &wrong, 0, "TLS");
    assert!(!Path::new(&place.path("wrong-authority/identity.json")).exists());
    let absent = good.replace(&place.grpc, &free());
    let absent = place.agent("absent", &absent).await;
    check("an absent coordinator", &absent, 0, "tcp_refused");

    let api = format!("http://{}", free());
    let args = ["agents", "--api", &api];
    check(
        "an absent API",
        &run("parallax", &args).await,
        5,
        "is the coordinator there",
    );
}

/// The same token with another secret of the same shape.
fn other_secret(token: &str) -> String {
    let (head, rest) = token.split_once('@').unwrap();
    let secret: String = head.trim_start_matches("plxj_").chars().rev().collect();
    format!("plxj_{secret}@{rest}")
}

/// Bodies of every kind that are no monitor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_bodies_are_refused_by_name() {
    let place = Place::open().await;
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let large = format!("{{\"url\":\"https://x/{}\"}}", "a".repeat(70_000));
    let monitor = |field: &str| format!("{{\"url\":\"https://x/mcp\",{field}}}");
    let table = [
        (String::new(), 400, ""),
        ("{".to_owned(), 400, ""),
        ("[]".to_owned(), 422, ""),
        ("null".to_owned(), 422, ""),
        ("{}".to_owned(), 422, "url"),
        (deep.clone(), 422, ""),
        (monitor(&format!("\"labels\":{{\"a\":{deep}}}")), 422, ""),
        (
            monitor(&format!(
                "\"calls\":[{{\"name\":\"a\",\"arguments\":{{\"a\":{deep}}}}}]"
            )),
            400,
            "",
        ),
        (large, 413, ""),
        (r#"{"url":7}"#.to_owned(), 422, "url"),
        (r#"{"url":"ftp://x"}"#.to_owned(), 422, "scheme"),
        (monitor(r#""intervall":"60s""#), 422, "intervall"),
        (monitor(r#""interval":"5s""#), 422, "/interval"),
        (monitor(r#""interval":60"#), 422, "interval"),
        (monitor(r#""max_agents":-1"#), 422, "max_agents"),
        (monitor(r#""headers":{"a b":"x"}"#), 422, "/headers/a b"),
        (monitor(r#""headers":{"x":"a\nb"}"#), 422, "/headers/x"),
        (monitor(r#""calls":[{"name":""}]"#), 422, "/calls/0/name"),
        (
            monitor(r#""calls":[{"name":"a"},{"name":"a"}]"#),
            422,
            "/calls/1/name",
        ),
        (monitor(r#""regions":["no spaces"]"#), 422, "/regions/0"),
        (monitor(r#""agent_labels":{"":"x"}"#), 422, "/agent_labels/"),
        (monitor(r#""severities":{"none":"note"}"#), 422, "none"),
    ];
    let http = place.http.parse().unwrap();
    for (body, status, message) in table {
        let answer = send(http, &place.key, "PUT", "/api/v1/monitors/docs", &body).await;
        let shown = body.chars().take(60).collect::<String>();
        assert_eq!(answer.status, status, "{shown}: {}", answer.body);
        let problem = answer.json();
        for field in ["type", "title", "status", "detail"] {
            assert!(!problem[field].is_null(), "{shown}: {}", answer.body);
        }
        assert!(answer.body.contains(message), "{shown}: {}", answer.body);
    }
    let listed = send(http, &place.key, "GET", "/api/v1/monitors", "").await;
    assert_eq!(listed.json()["monitors"], json!([]), "nothing was made");
}

/// The disk of an agent fills up while it runs, or is read-only when it starts: it probes on, and
/// says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_no_more_stops_nobody() {
    let may_mount = Command::new("unshare").args(["--mount", "true"]).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        let required = std::env::var_os("PARALLAX_REQUIRE_REAL").is_some();
        assert!(
            !required,
            "file systems cannot be mounted here: run as root"
        );
        return;
    }
    let place = Place::open().await;
    let http = place.http.parse().unwrap();
    let spec = json!({ "url": "https://127.0.0.1:9/mcp", "interval": "10s" }).to_string();
    let put = send(http, &place.key, "PUT", "/api/v1/monitors/docs", &spec).await;
    assert_eq!(put.status, 201);

    let full = place
        .start("eu-full", "mount -t tmpfs -o size=8m,mode=0700 none STATE")
        .await;
    until(&place, "eu-full", |a| {
        a["connected"] == true && a["spool_in_memory"] == false
    })
    .await;
    let fill = format!(
        "dd if=/dev/zero of={}/fill bs=64k 2>/dev/null; true",
        place.path("eu-full")
    );
    let pid = full.pid().to_string();
    let filled = Command::new("nsenter")
        .args(["--mount", "--target", &pid, "sh", "-c", &fill])
        .status();
    assert!(filled.unwrap().success());
    until(&place, "eu-full", |a| {
        a["spool_in_memory"] == true && a["connected"] == true
    })
    .await;
    assert!(
        full.said().contains("state-dir: the disk failed"),
        "{}",
        full.said()
    );
    assert!(full.terminate().await.success());

    let before = place.start("eu-readonly", "true").await;
    until(&place, "eu-readonly", |a| {
        a["connected"] == true && a["spool_in_memory"] == false
    })
    .await;
    assert!(before.terminate().await.success());
    let closed = "mount --bind STATE STATE && mount -o remount,bind,ro STATE";
    let readonly = place.start("eu-readonly", closed).await;
    until(&place, "eu-readonly", |a| {
        a["spool_in_memory"] == true && a["connected"] == true
    })
    .await;
    assert!(readonly.terminate().await.success());
}

async fn until(place: &Place, agent: &str, holds: impl Fn(&serde_json::Value) -> bool) {
    let http = place.http.parse().unwrap();
    let mut last = serde_json::Value::Null;
    for _ in 0..900 {
        last = send(http, &place.key, "GET", "/api/v1/agents", "")
            .await
            .json();
        let agents = last["agents"].as_array().unwrap();
        if agents.iter().any(|a| a["id"] == agent && holds(a)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{agent}: {last:#}");
}
