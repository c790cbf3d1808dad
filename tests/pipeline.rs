//! `parallax probe` as a pipeline runs it, and `parallax doctor`: the real binary against the
//! testbed's servers.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};

use model::Report;
use serde_json::Value;
use support::eventually;
use support::mesh::Coordinator;
use support::process::binary;
use support::real::{fixture, free_address, installed, python};
use testbed::server::{Dialect, Options, Server};
use tokio::process::{Child, Command};

async fn server(dialect: Dialect) -> Server {
    Server::start(Options::new(dialect)).await.unwrap()
}

/// The command, in the surroundings of nobody.
fn parallax(args: &[&str]) -> Command {
    let mut command = Command::new(binary("parallax"));
    command.args(args).kill_on_drop(true);
    for name in [
        "CLICOLOR_FORCE",
        "GITHUB_ACTIONS",
        "KUBERNETES_SERVICE_HOST",
        "PARALLAX_API",
        "PARALLAX_API_KEY_FILE",
        "PARALLAX_LOG",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run(args: &[&str]) -> Output {
    parallax(args).output().await.unwrap()
}

fn start(args: &[&str]) -> Child {
    parallax(args).spawn().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn terminate(child: &Child) {
    let pid = child.id().unwrap().to_string();
    let told = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(told.unwrap().success());
}

fn asked(server: &Server, method: &str) -> u64 {
    server.log().methods().get(method).copied().unwrap_or(0)
}

/// A deploy: 502, then 404, then healthy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_is_waited_for() {
    let server = server(Dialect::Modern).await;
    server.script(|script| script.status = Some(502));
    let url = server.url();
    let child = start(&[
        "probe",
        &url,
        "--wait=60s",
        "--interval=20ms",
        "--consecutive=3",
        "--output=json",
    ]);
    let before = asked(&server, "server/discover");
    eventually("it is asked again", || {
        asked(&server, "server/discover") > before + 2
    })
    .await;
    server.script(|script| script.status = Some(404));
    let before = asked(&server, "server/discover");
    eventually("it is asked again", || {
        asked(&server, "server/discover") > before + 2
    })
    .await;
    server.script(|script| script.status = None);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let document = json(&output);
    let wait = &document["wait"];
    assert_eq!(
        (&wait["end"], &wait["streak"]),
        (&"healthy".into(), &3.into())
    );
    assert!(wait["attempts"].as_u64().unwrap() >= 5, "{wait}");
    let changes: Vec<&str> = wait["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["result"].as_str().unwrap())
        .collect();
    // Between those, a probe may have met both scripts.
    let ends = (changes.first(), changes.last());
    assert_eq!(ends, (Some(&"upstream_5xx at discover"), Some(&"ok")));
    assert!(changes.contains(&"not_found at initialize"), "{changes:?}");
    // No terminal: a line for each change, and nothing that moves a cursor.
    let said = err(&output);
    assert_eq!(said.lines().count(), changes.len(), "{said}");
    assert!(!said.contains(['\r', '\x1b']), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waiting_cannot_cure_is_not_waited_for() {
    let server = server(Dialect::Modern).await;
    for (status, code, reason) in [(401, 4, "auth_malformed"), (403, 4, "forbidden")] {
        server.script(|script| script.status = Some(status));
        let args = ["probe", &server.url(), "--wait=60s", "--output=json"];
        let output = run(&args).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let document = json(&output);
        assert_eq!(document["outcome"]["reason"], reason);
        assert_eq!(document["wait"]["end"], "incurable");
        assert_eq!(document["wait"]["attempts"], 1);
    }
    let output = run(&["probe", "nonsense", "--wait=60s"]).await;
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_time_is_up_the_last_result_decides() {
    let server = server(Dialect::Modern).await;
    server.script(|script| script.status = Some(502));
    let wait = ["--wait=300ms", "--interval=50ms", "--output=json"];
    let closed = format!("http://{}/mcp", free_address());
    for (url, code) in [(server.url(), 1), (closed, 5)] {
        let output = run(&[&["probe", &url], &wait[..]].concat()).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(json(&output)["wait"]["end"], "time_up");
    }
    // Healthy, but not so often as was asked for: no success.
    server.script(|script| script.status = None);
    let url = server.url();
    let args = [&["probe", &url, "--consecutive=1000"], &wait[..]].concat();
    let output = run(&args).await;
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let document = json(&output);
    assert_eq!(document["outcome"]["kind"], "ok");
    assert_eq!(document["wait"]["end"], "time_up");
}

/// In a pause, and in a probe that holds a session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_it_at_once_and_nothing_stays_open() {
    let server = server(Dialect::Legacy).await;
    server.script(|script| _ = script.status_on.insert("tools/list".into(), 502));
    let url = server.url();
    let pausing = start(&["probe", &url, "--wait=2h", "--interval=1h", "--output=json"]);
    eventually("a session is closed", || {
        server.log().sessions_closed() == 1
    })
    .await;
    terminate(&pausing);
    let output = pausing.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(json(&output)["wait"]["end"], "interrupted");

    server.script(|script| {
        script.status_on.clear();
        _ = script.hang_on.insert("tools/list".into());
    });
    let before = asked(&server, "tools/list");
    let args = [
        "probe",
        &url,
        "--wait=1h",
        "--timeout=1h",
        "--step-timeout=1h",
        "--output=json",
    ];
    let probing = start(&args);
    eventually("the list is asked for", || {
        asked(&server, "tools/list") > before
    })
    .await;
    terminate(&probing);
    let output = probing.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(json(&output)["outcome"]["reason"], "cancelled");
    assert_eq!(server.log().sessions_opened(), 2);
    assert_eq!(server.log().sessions_closed(), 2);
}

/// One report a line, each as `parallax schema` says; the last one says what came of all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ndjson_is_a_report_per_line_by_the_schema() {
    let server = server(Dialect::Dual).await;
    let schema = json(&run(&["schema"]).await);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let url = server.url();
    let series: [&[&str]; 4] = [
        &["--repeat=3"],
        &["--wait=60s", "--consecutive=3", "--interval=1ms"],
        &["--for=100ms", "--rate=20", "--i-own-this"],
        &[],
    ];
    for (args, lines) in series.iter().zip([3, 3, 1, 1]) {
        let output = run(&[&["probe", &url, "--output=ndjson"], *args].concat()).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = out(&output);
        assert_eq!(said.lines().count(), lines, "{said}");
        for (n, line) in said.lines().enumerate() {
            let document: Value = serde_json::from_str(line).unwrap();
            if let Err(error) = validator.validate(&document) {
                panic!("{error}: {line}");
            }
            serde_json::from_value::<Report>(document.clone()).unwrap();
            let more = ["wait", "repeat", "load"]
                .iter()
                .any(|key| document.get(key).is_some());
            assert_eq!(more, n + 1 == lines && !args.is_empty(), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeating_shows_how_results_spread() {
    let server = server(Dialect::Modern).await;
    let args = ["probe", &server.url(), "--repeat=5", "--output=json"];
    let document = json(&run(&args).await);
    let repeat = &document["repeat"];
    assert_eq!(
        (&repeat["probes"], &repeat["healthy"]),
        (&5.into(), &5.into())
    );
    assert_eq!(
        repeat["addresses"][0]["value"],
        server.address().to_string()
    );
    assert_eq!(repeat["servers"][0]["count"], 5);
    let steps: Vec<&str> = repeat["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["discover", "tools_list", "total"]);
    assert_eq!(asked(&server, "tools/list"), 5);
    server.script(|script| script.status = Some(429));
    let output = run(&args).await;
    assert_eq!(output.status.code(), Some(4));
}

/// 0600, whole, in every mode, and beside another format; a folder that is not there is said first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_is_kept_for_its_owner_alone() {
    let server = server(Dialect::Modern).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evidence.json");
    std::fs::write(&path, "an older one, readable to all").unwrap();
    let (url, save) = (server.url(), format!("--save={}", path.display()));
    for (mode, key) in [
        ("--wait=60s", "wait"),
        ("--repeat=2", "repeat"),
        ("--quiet", "outcome"),
    ] {
        let output = run(&["probe", &url, "--output=nagios", &save, mode]).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert!(kept.get(key).is_some(), "{mode}: {kept}");
        serde_json::from_value::<Report>(kept).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let before = asked(&server, "server/discover");
    let absent = format!(
        "--save={}",
        folder.path().join("absent/evidence.json").display()
    );
    let output = run(&["probe", &url, &absent]).await;
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(
        err(&output).contains("in a folder that exists"),
        "{output:?}"
    );
    assert_eq!(
        asked(&server, "server/discover"),
        before,
        "nothing was asked in vain"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn github_gets_annotations_a_summary_and_outputs() {
    let server = server(Dialect::Modern).await;
    let folder = tempfile::tempdir().unwrap();
    let [summary, outputs] = ["summary.md", "output"].map(|name| folder.path().join(name));
    std::fs::write(&outputs, "before=1\n").unwrap();
    server.script(|script| script.status = Some(502));
    let mut command = parallax(&[
        "probe",
        &server.url(),
        "--output=github",
        "--annotate=mcp.yaml:3",
    ]);
    command.env("GITHUB_ACTIONS", "true");
    command
        .env("GITHUB_STEP_SUMMARY", &summary)
        .env("GITHUB_OUTPUT", &outputs);
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = out(&output);
    assert!(
        said.starts_with("::error file=mcp.yaml,line=3,title=upstream_5xx%3A "),
        "{said}"
    );
    let table = std::fs::read_to_string(&summary).unwrap();
    assert!(
        table.contains("| step | time | result |\n|---|---:|---|\n| discover | "),
        "{table}"
    );
    let values = std::fs::read_to_string(&outputs).unwrap();
    let mut lines = values.lines();
    assert_eq!(lines.next(), Some("before=1"));
    let verdict = format!("verdict=unhealthy: {}: discover failed in ", server.url());
    assert!(lines.next().unwrap().starts_with(&verdict), "{values}");
    let rest: Vec<&str> = lines.collect();
    assert_eq!(
        rest,
        ["outcome=unhealthy", "reason=upstream_5xx", "exit-code=1"]
    );
    // What cannot be written is said, and changes nothing.
    command.env("GITHUB_OUTPUT", folder.path());
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("$GITHUB_OUTPUT"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_says_why_it_ended() {
    let server = server(Dialect::Modern).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let in_pod = |args: &[&str]| {
        let mut command = parallax(args);
        command.env("KUBERNETES_SERVICE_HOST", "10.96.0.1");
        command.env("PARALLAX_TERMINATION_LOG", file.path());
        command
    };
    let said = || std::fs::read_to_string(file.path()).unwrap();
    let mut command = in_pod(&["probe", &server.url(), "--quiet"]);
    assert!(command.status().await.unwrap().success());
    let begin = format!("healthy: {}: healthy in ", server.url());
    assert!(
        said().starts_with(&begin) && said().ends_with('\n'),
        "{}",
        said()
    );
    let mut command = in_pod(&["probe", &server.url(), "--header=x: ${NO_SUCH_VARIABLE}"]);
    assert_eq!(command.status().await.unwrap().code(), Some(7));
    assert!(said().contains("NO_SUCH_VARIABLE is not set"), "{}", said());
    // Elsewhere nothing is written, and a pod without the file is well.
    let before = said();
    let mut command = parallax(&["probe", &server.url(), "--quiet"]);
    command.env("PARALLAX_TERMINATION_LOG", file.path());
    assert!(command.status().await.unwrap().success());
    assert_eq!(said(), before);
    let mut command = in_pod(&["probe", &server.url(), "--quiet"]);
    command.env("PARALLAX_TERMINATION_LOG", "/nonexistent/termination-log");
    assert!(command.status().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nagios_has_statuses_of_its_own() {
    let server = server(Dialect::Modern).await;
    let url = server.url();
    let nagios = async |args: &[&str]| {
        let output = run(&[&["probe", "--output=nagios"], args].concat()).await;
        (output.status.code().unwrap(), out(&output))
    };
    let (code, line) = nagios(&[&url]).await;
    assert_eq!((code, line.lines().count()), (0, 1), "{line}");
    assert!(line.starts_with("MCP OK - healthy in "), "{line}");
    let (code, line) = nagios(&[&url, "--header=x: ${NO_SUCH_VARIABLE}"]).await;
    assert_eq!(code, 3);
    assert!(line.starts_with("MCP UNKNOWN - --header x: "), "{line}");
    server.script(|script| script.status = Some(502));
    let (code, line) = nagios(&[&url]).await;
    assert_eq!(code, 2);
    assert!(
        line.starts_with("MCP CRITICAL - discover failed in "),
        "{line}"
    );
}

/// By Prometheus' own client library.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_reads_the_text() {
    let Some(real) = installed() else { return };
    let server = server(Dialect::Modern).await;
    let url = format!("{}?q=\"\\", server.url());
    let args = ["probe", &url, "--for=200ms", "--rate=20", "--i-own-this"];
    let output = run(&[&args[..], &["--output=prom"]].concat()).await;
    let mut parser = python(&real)
        .arg(fixture("parse_prometheus.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    parser
        .stdin
        .take()
        .unwrap()
        .write_all(&output.stdout)
        .unwrap();
    let parsed = parser.wait_with_output().unwrap();
    assert!(parsed.status.success(), "{}", out(&output));
    let families = out(&parsed);
    for family in [
        "parallax_probe_success gauge 1",
        "parallax_probe_outcome gauge 4",
        "parallax_load_latency_seconds gauge 4",
    ] {
        assert!(families.lines().any(|line| line == family), "{families}");
    }
}

/// `script` gives the command a terminal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_sees_one_line_that_moves() {
    let server = server(Dialect::Modern).await;
    let command = format!(
        "{} probe {} --wait=60s --consecutive=3 --interval=1ms --output=json >/dev/null",
        binary("parallax").display(),
        server.url()
    );
    let mut terminal = Command::new("script");
    terminal
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .env("TERM", "xterm");
    let output = terminal.stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = out(&output);
    assert_eq!(said.matches("\r\x1b[K").count(), 4, "{said:?}");
    assert!(
        said.contains("ok (probe 3, 0 s of 60 s, healthy 3 of 3)"),
        "{said:?}"
    );
    assert!(
        said.ends_with("\r\x1b[K"),
        "the line is gone in the end: {said:?}"
    );
    assert!(!said.contains('\n'), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_is_for_owners_and_within_limits() {
    let server = server(Dialect::Modern).await;
    let url = server.url();
    let load = ["probe", &url, "--for=1s", "--rate=10"];
    for (more, message) in [
        (&[][..], "add --i-own-this if the server is yours"),
        (&["--rate=201", "--i-own-this"], "201 is not in 1..=200"),
        (&["--concurrency=65", "--i-own-this"], "65 is not in 1..=64"),
        (&["--for=11m", "--i-own-this"], "at most 10m"),
        (
            &["--max-error-rate=5", "--i-own-this"],
            "write it like 5% or 0.05",
        ),
        (&["--wait=1s", "--i-own-this"], "cannot be used with"),
    ] {
        let base = if more.first().is_some_and(|arg| arg.starts_with("--rate")) {
            &load[..3]
        } else if more.first().is_some_and(|arg| arg.starts_with("--for")) {
            &["probe", &url, "--rate=10"]
        } else {
            &load[..]
        };
        let output = run(&[base, more].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{more:?}: {output:?}");
        assert!(err(&output).contains(message), "{more:?}: {output:?}");
    }
    assert!(server.log().methods().is_empty(), "nothing was asked");
}

/// What is due is asked for, however slow the answers are; thresholds decide.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_is_due_by_the_clock_and_judged_by_thresholds() {
    let server = server(Dialect::Modern).await;
    let url = server.url();
    let load = async |more: &[&str]| {
        let args = ["probe", &url, "--i-own-this", "--output=json"];
        let output = run(&[&args[..], more].concat()).await;
        (output.status.code().unwrap(), json(&output))
    };
    let (code, document) = load(&["--for=500ms", "--rate=20", "--max-p95=1h"]).await;
    let loaded = &document["load"];
    assert_eq!(code, 0, "{loaded:#}");
    assert_eq!(
        (&loaded["scheduled"], &loaded["finished"]),
        (&10.into(), &10.into())
    );
    assert_eq!(
        asked(&server, "tools/list"),
        11,
        "and the one before the load"
    );
    let held: Vec<&Value> = loaded["thresholds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|threshold| &threshold["held"])
        .collect();
    assert_eq!(held, [true, true]);

    // One at a time, 200 ms each at least (two requests), due every 10 ms: most never begin, and the
    // time that they would have waited counts.
    server.script(|script| script.delay_ms = 100);
    let slow = [
        "--for=500ms",
        "--rate=100",
        "--concurrency=1",
        "--max-p95=200ms",
    ];
    let (code, document) = load(&slow).await;
    let loaded = &document["load"];
    assert_eq!(code, 1, "{loaded:#}");
    assert_eq!(loaded["scheduled"], 50);
    let unstarted = loaded["unstarted"].as_u64().unwrap();
    assert!(unstarted >= 47, "{loaded:#}");
    assert_eq!(loaded["finished"].as_u64().unwrap() + unstarted, 50);
    assert!(
        loaded["latency_us"]["p95"].as_u64().unwrap() > 400_000,
        "{loaded:#}"
    );
    let output = run(&[
        &["probe", &url, "--i-own-this", "--output=junit"],
        &slow[..],
    ]
    .concat())
    .await;
    assert!(
        out(&output).contains("type=\"load.p95\""),
        "{}",
        out(&output)
    );

    // Nobody there: no load is made.
    server.script(|script| script.status = Some(502));
    let before = asked(&server, "server/discover");
    let (code, document) = load(&["--for=500ms", "--rate=20"]).await;
    assert_eq!((code, document.get("load")), (1, None));
    assert!(asked(&server, "server/discover") <= before + 2);
}

/// How a check of `parallax doctor` came out.
fn result(diagnosis: &Value, check: &str) -> String {
    let checks = diagnosis["checks"].as_array().unwrap();
    let found = checks.iter().find(|line| line["check"] == check);
    let found = found.unwrap_or_else(|| panic!("{check}: {diagnosis:#}"));
    found["result"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_examined() {
    let coordinator = Coordinator::start().await;
    let api = format!("http://{}", coordinator.bound.http);
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, &coordinator.key).unwrap();
    let [key, state] = [&key, folder.path()].map(|path| path.to_str().unwrap().to_owned());
    let egress = coordinator.bound.grpc.to_string();
    let args = [
        "doctor",
        "--api",
        &api,
        "--api-key-file",
        &key,
        "--state-dir",
        &state,
    ];
    let args = [&args[..], &["--egress", &egress, "--output", "json"]].concat();
    let output = run(&args).await;
    let diagnosis = json(&output);
    assert_eq!(output.status.code(), Some(0), "{diagnosis:#}");
    assert_eq!(diagnosis["passed"], true);
    for check in [
        "clock",
        "egress",
        "tls_roots",
        "api",
        "api_key",
        "disk",
        "version",
    ] {
        assert_eq!(result(&diagnosis, check), "pass", "{diagnosis:#}");
    }
    assert!(diagnosis.to_string().contains("read and change everything"));
    assert!(
        !diagnosis.to_string().contains(&coordinator.key),
        "keys are not shown"
    );
    coordinator.stop().await;
}

/// Each that can fail does, with its cure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_host_lacks_is_said_with_the_cure() {
    let coordinator = Coordinator::start().await;
    let api = format!("http://{}", coordinator.bound.http);
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "plxk_file_wrong").unwrap();
    let closed = free_address().to_string();
    let absent = folder.path().join("absent");
    let key = key.to_str().unwrap();
    let args = [
        "doctor",
        "--api",
        &api,
        "--api-key-file",
        key,
        "--egress",
        &closed,
    ];
    let args = [&args[..], &["--egress=nosuch.invalid:443", "--output=json"]].concat();
    let args = [&args[..], &["--state-dir", absent.to_str().unwrap()]].concat();
    let output = run(&args).await;
    let diagnosis = json(&output);
    assert_eq!(output.status.code(), Some(1), "{diagnosis:#}");
    for check in ["dns", "egress", "api_key", "disk"] {
        assert_eq!(result(&diagnosis, check), "fail", "{diagnosis:#}");
    }
    for line in diagnosis["checks"].as_array().unwrap() {
        assert_eq!(
            line["result"] == "pass",
            line.get("cure").is_none(),
            "{line}"
        );
    }
    let text = out(&run(&["doctor", "--state-dir", absent.to_str().unwrap()]).await);
    assert!(text.contains("disk") && text.contains("mkdir -p"), "{text}");
    coordinator.stop().await;
}
