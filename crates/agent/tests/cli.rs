//! The daemon as an operator meets it: bad settings, an absent coordinator, signals.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

/// A token whose coordinator is this address.
fn token(coordinator: &str) -> String {
    format!(
        "plxj_{}@{coordinator}#sha256:{}",
        "s".repeat(43),
        "0".repeat(64)
    )
}

fn agent_without_disk(coordinator: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax-agent"));
    command
        .env("PARALLAX_TOKEN", token(coordinator))
        .env_remove("PARALLAX_LOG")
        .env_remove("STATE_DIRECTORY");
    command
}

fn agent(coordinator: &str) -> Command {
    let mut command = agent_without_disk(coordinator);
    command.arg("--in-memory");
    command
}

#[test]
fn bad_settings_have_a_status_and_a_way_out() {
    let table: [(&[&str], i32, &str); 10] = [
        (
            &["--extra-roots", "/no/such/file"],
            78,
            "extra_roots: /no/such/file",
        ),
        (
            &["--max-probes", "0"],
            78,
            "max-probes: 0 is not within 1 to 4096",
        ),
        (&["--allow", "10.0.0.0/99"], 78, "write it like 10.1.0.0/16"),
        (
            &["--resolver", "nonsense"],
            78,
            "resolver: `nonsense` is no address and port",
        ),
        (
            &["--coordinator", "nonsense"],
            78,
            "coordinator: `nonsense` is no host and port",
        ),
        (
            &["--token-file", "/no/such/token"],
            78,
            "token-file: /no/such/token: No such file",
        ),
        (&["--spool-bytes", "5"], 78, "spool-bytes: 5 is not within"),
        (
            &["--state-dir", "x"],
            78,
            "in-memory: contradicts state-dir",
        ),
        (
            &["--canaries", "nonsense"],
            78,
            "canaries: `nonsense` is no host and port; write it like one.one.one.one:443",
        ),
        (&["--no-such-flag"], 2, "--no-such-flag"),
    ];
    for (args, status, message) in table {
        let output = agent("127.0.0.1:7443").args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
    }
    let output = agent_without_disk("127.0.0.1:7443").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{stderr}");
    assert!(
        stderr.contains("state-dir: is not set; name a folder"),
        "{stderr}"
    );
    let torn = agent("x:1").env("PARALLAX_TOKEN", "plxj_s3cret").output();
    let torn = String::from_utf8(torn.unwrap().stderr).unwrap();
    assert!(
        torn.contains("token: it has no @; copy the whole token"),
        "{torn}"
    );
    assert!(!torn.contains("s3cret"), "{torn}");
    let stranger = agent("x:1").env_remove("PARALLAX_TOKEN").output().unwrap();
    let said = String::from_utf8_lossy(&stranger.stderr);
    assert_eq!(stranger.status.code(), Some(1), "{said}");
    assert!(
        said.contains("token-file: this agent is not enrolled yet"),
        "{said}"
    );
}

#[test]
fn an_exporter_alone_says_where_it_serves_and_has_no_mesh() {
    let serving = "--http-listen=127.0.0.1:0";
    let table: [(&[&str], &str); 3] = [
        (
            &["--exporter-only"],
            "exporter-only: http-listen is not set; say where to serve",
        ),
        (
            &["--exporter-only", serving, "--coordinator=a:1"],
            "exporter-only: contradicts coordinator, which is of a mesh",
        ),
        (
            &["--in-memory", serving, "--http-max-requests-per-minute=0"],
            "http-max-requests-per-minute: 0 is not within 1 to 1000000",
        ),
    ];
    for (args, message) in table {
        let output = agent_without_disk("x:1").args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
    }
}

/// Where nothing outside can be reached, the self-test is turned off, in any of the ways to set it.
#[test]
fn canaries_are_on_by_default_and_can_be_turned_off() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    std::fs::write(&file, "canaries = []\n").unwrap();
    let file = format!("--config={}", file.display());
    let shown = |args: &[&str], variable: Option<&str>| {
        let mut command = agent_without_disk("127.0.0.1:7443");
        let value = variable.map(|value| ("PARALLAX_CANARIES", value));
        command.env_remove("PARALLAX_CANARIES").envs(value);
        command.arg("check-config").args(args).arg("--in-memory");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("canaries"))
            .unwrap();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let all = "one.one.one.one:443, dns.google:443, dns.quad9.net:443, www.fastly.com:443, \
               www.akamai.com:443";
    assert_eq!(shown(&[], None), format!("{all} default"));
    assert_eq!(
        shown(&["--canaries", "a:1,b:2"], None),
        "a:1, b:2 command line"
    );
    assert_eq!(shown(&["--canaries="], None), "(none) command line");
    assert_eq!(shown(&[], Some("")), "(none) environment");
    assert_eq!(shown(&[&file], None), "(none) file");
    assert_eq!(shown(&[&file], Some("c:3")), "c:3 environment");
}

/// No coordinator is no reason to stop: the agent says why, tries on, and ends in order.
#[test]
fn an_absent_coordinator_is_waited_for() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    // What the environment sets to nothing is not set.
    let mut child = agent(&closed.to_string())
        .env("PARALLAX_ALLOW", "")
        .env("PARALLAX_RESOLVER", "")
        .env("PARALLAX_STATE_DIR", "")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("not enrolled yet") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended");
    }
    assert!(
        line.contains("not enrolled yet") && line.contains("tcp_refused"),
        "{line}"
    );
    let kill = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let status = child.wait().unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(status.code(), Some(0), "{rest}");
}

/// `check-config` with a file: its status, what it shows, and what it says is wrong.
fn check(toml: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("agent.toml");
    std::fs::write(&config, toml).unwrap();
    let mut command = agent_without_disk("127.0.0.1:7443");
    let command = command.args(["check-config", "--in-memory", "--config"]);
    let command = command.arg(&config).args(args).env("DOCS", "s3cret");
    let output = command.output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), shown, said)
}

#[test]
fn what_is_served_is_shown_without_secrets() {
    let mut token = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut token, b"0123456789abcdef\n").unwrap();
    let token = token.path();
    let docs = "[modules.docs]\ntargets = [\"https://x\"]\nheaders.a = { env = \"DOCS\" }\n";
    let good = format!(
        "http-listen = \"0.0.0.0:9116\"\ninsecure-bind = true\nprobe-token-file = {token:?}\n{docs}"
    );
    let (status, shown, said) = check(&good, &[]);
    assert_eq!(status, Some(0), "{said}");
    for line in ["http-listen      0.0.0.0:9116 ", "modules          docs "] {
        assert!(shown.lines().any(|l| l.starts_with(line)), "{shown}");
    }
    assert!(
        !shown.contains("s3cret") && !shown.contains("0123"),
        "{shown}"
    );
}

#[test]
fn what_is_served_is_checked_before_anything_starts() {
    let table: [(&str, &[&str], &str); 7] = [
        (
            "",
            &["--http-listen", "0.0.0.0:1"],
            "http-listen: 0.0.0.0:1 is not loopback",
        ),
        (
            "",
            &["--http-listen", "9116"],
            "http-listen: `9116` is no address and port; write it like",
        ),
        (
            "http-listen = \"127.0.0.1:0\"\nhttp-tls-cert = \"x\"",
            &[],
            "http-tls-key: is not set",
        ),
        (
            "http-listen = \"127.0.0.1:0\"",
            &["--probe-token-file", "/no/such"],
            "probe-token-file: /no/such: No such file",
        ),
        (
            "[modules.m]\nera = \"old\"",
            &[],
            "modules.m.era: `old` is not",
        ),
        (
            "[modules.m]\nevery = 3",
            &[],
            "modules.m.every: is no field of a module",
        ),
        (
            "modules = 3",
            &[],
            "modules: write tables, like [modules.NAME]",
        ),
    ];
    for (toml, args, message) in table {
        let (status, _, said) = check(toml, args);
        assert_eq!(status, Some(78), "{toml}");
        assert!(said.contains(message), "{toml}: {said}");
    }
}
