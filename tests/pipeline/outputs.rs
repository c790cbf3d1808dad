//! What each consumer gets: a stream, evidence, GitHub, pods, Nagios, Prometheus, a terminal.

use super::*;

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
