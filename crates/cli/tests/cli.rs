//! The binary as a user meets it: input, exit status, message.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};

fn parallax(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parallax"))
        .args(args)
        .env_remove("MCP_TOKEN")
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server that answers every request with the same bytes; the URL of it.
fn answering(response: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(response.as_bytes());
        }
    });
    url
}

fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/mcp", listener.local_addr().unwrap())
}

/// What cannot be run: exit status and what stderr says.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn bad_input_has_a_status_and_a_way_out() {
    let missing = tempfile::tempdir().unwrap().path().join("token");
    let missing = missing.to_str().unwrap();
    let empty = tempfile::NamedTempFile::new().unwrap();
    let empty = empty.path().to_str().unwrap();
    let table: [(&[&str], i32, &str); 19] = [
        (&[], 2, "Usage: parallax"),
        (&["frobnicate"], 2, "unrecognized subcommand 'frobnicate'"),
        (&["probe"], 2, "<URL>"),
        (
            &["probe", "ftp://x/"],
            2,
            "url: scheme `ftp` cannot be probed; use https://",
        ),
        (
            &["probe", "x.example/mcp"],
            2,
            "has no scheme; write https://x.example/mcp",
        ),
        (
            &["probe", "https://u:hunter2@x/"],
            2,
            "url: remove the user name and password",
        ),
        (
            &["probe", "https://x/", "--era", "bronze"],
            2,
            "use one of: auto, modern, legacy",
        ),
        (
            &["probe", "https://x/", "--timeout", "10"],
            2,
            "write it like 500ms, 10s or 2m",
        ),
        (
            &["probe", "https://x/", "--timeout", "10000000000000000000s"],
            2,
            "more than 24h",
        ),
        (
            &["probe", "https://x/", "--call-timeout", "3m"],
            2,
            "at most 120s",
        ),
        (&["probe", "https://x/", "--arg", "a=1"], 2, "--call"),
        (
            &["probe", "https://x/", "--call", "t", "--arg", "a"],
            2,
            "has no `=`",
        ),
        (
            &["probe", "https://x/", "--call", "t={1}"],
            2,
            "the arguments are no JSON object",
        ),
        (
            &["probe", "https://x/", "--severity", "rpc.id=note"],
            2,
            "cannot be lowered",
        ),
        (
            &["probe", "https://x/", "--severity", "no.such=note"],
            2,
            "`no.such` is not a check",
        ),
        (
            &["probe", "https://x/", "-H", "Authorization: ${MCP_TOKEN}"],
            7,
            "the variable MCP_TOKEN is not set",
        ),
        (
            &["probe", "https://x/", "--bearer-file", missing],
            7,
            "--bearer-file",
        ),
        (
            &["probe", "https://x/", "--bearer-file", empty],
            7,
            "the file is empty",
        ),
        (
            &["probe", "https://x/", "--ca-file", empty],
            7,
            "it has no PEM certificate",
        ),
    ];
    for (args, status, message) in table {
        let output = parallax(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
        assert!(!stderr.contains("hunter2"), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}: words go to stderr");
    }
}

/// What was run: exit status and what stdout says.
#[test]
fn findings_have_a_status_and_a_reason() {
    let not_found =
        answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let walled = answering(
        "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer resource_metadata=\"https://h/x\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let silent = answering("");
    let table: [(&[&str], i32, &str); 5] = [
        (&[&not_found], 1, "not_found"),
        (&[&walled], 4, "auth_required"),
        (&[&closed_port()], 5, "tcp_refused"),
        (
            &["http://no-such-host.invalid/", "--resolver", "127.0.0.1:9"],
            5,
            "dns_",
        ),
        (&[&silent], 1, "http_conn_closed"),
    ];
    for (args, status, reason) in table {
        let args = [&["probe", "--step-timeout", "10s"], args].concat();
        let output = parallax(&args);
        let stdout = text(&output.stdout);
        let timed_out = output.status.code() == Some(6) && stdout.contains("dns_timeout");
        assert!(
            output.status.code() == Some(status) || timed_out,
            "{args:?}: {stdout}"
        );
        assert!(stdout.contains(reason), "{args:?}: {stdout}");
        assert!(
            stdout.lines().all(|line| line.chars().count() <= 80),
            "{stdout}"
        );
        assert!(
            !stdout.contains('\u{1b}'),
            "no colour where nobody looks: {stdout}"
        );
    }
}

#[test]
fn a_server_that_echoes_the_credential_does_not_spread_it() {
    let url = answering(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 37\r\nconnection: close\r\n\r\nbad header Authorization: Bearer s3cr3t",
    );
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "s3cr3t\n").unwrap();
    for output in ["human", "json"] {
        let file = token.path().to_str().unwrap();
        let output = parallax(&[
            "probe",
            &url,
            "--bearer-file",
            file,
            "--output",
            output,
            "-vv",
        ]);
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains("s3cr3t"), "{all}");
        assert!(all.contains("[redacted]"), "{all}");
    }
}

#[test]
fn json_is_the_report_and_matches_the_schema_command() {
    let url = closed_port();
    let output = parallax(&["probe", &url, "--output", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["outcome"]["kind"], "failed");
    assert_eq!(report["outcome"]["reason"], "tcp_refused");
    let schema = parallax(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    for member in report.as_object().unwrap().keys() {
        assert!(
            properties.contains_key(member),
            "{member} is not in the schema"
        );
    }
    let quiet = parallax(&["probe", &url, "--quiet"]);
    assert!(quiet.stdout.is_empty() && quiet.status.code() == Some(5));
}

/// Files that cannot be applied: nothing is sent to an API that would not be there.
#[test]
fn bad_files_are_all_told_and_nothing_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good.yaml", "monitors: {a: {url: 'https://a/mcp'}}");
    let bad = file(
        "bad.yaml",
        "monitors: {b: {url: 'ftp://b', x: '${PARALLAX_NO_SUCH}'}}",
    );
    let worse = file("worse.json", "{");
    let unknown = file("unknown.txt", "");
    let missing = folder.path().join("missing.toml");
    let missing = missing.to_str().unwrap();
    let table: [(&[&str], i32, &[&str]); 6] = [
        (&[], 2, &["--file <FILE>"]),
        (
            &["-f", &good, &bad, "-f", &worse],
            7,
            &[
                "nothing was applied, because of the files:\n",
                "bad.yaml: monitor b: /url: url: scheme `ftp`",
                "bad.yaml: monitor b: /x: the variable PARALLAX_NO_SUCH is not set",
                "worse.json:1:1: EOF",
            ],
        ),
        (&["-f", missing], 7, &["missing.toml: No such file"]),
        (
            &["-f", &unknown],
            2,
            &["unknown.txt: its name does not say", "--format toml"],
        ),
        (&["-f", "-"], 2, &["-f -: its name does not say"]),
        (&["-f", &good, &good], 7, &["good.yaml: monitor a: /name: "]),
    ];
    for (args, status, messages) in table {
        let output = parallax(&[&["apply", "--api", "http://127.0.0.1:1"], args].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}: words go to stderr");
        for message in messages {
            assert!(stderr.contains(message), "{args:?}: {message}: {stderr}");
        }
    }
    let output = parallax(&["apply", "--api", &closed_port(), "-f", &good]);
    assert_eq!(output.status.code(), Some(5));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("parallax: monitor a: ") && stderr.contains("0 of 1"),
        "{stderr}"
    );
}

/// Commands that ask the coordinator: what they print, and what they say where it says no.
#[test]
fn the_api_is_asked_and_its_refusals_are_told() {
    let answer = |status: &str, body: &str| -> &'static str {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        text.leak()
    };
    let api = |url: String| url.replace("/mcp", "");
    let made =
        r#"{"token":"plxj_s@h:1#sha256:0","agent":"eu-1","expires_at":"2026-11-20T00:00:00Z"}"#;
    let made = api(answering(answer("201 Created", made)));
    let place = ["--region", "eu", "--provider", "p"];
    let create = |api: &str| parallax(&[&["token", "create", "--api", api], &place[..]].concat());
    let output = create(&made);
    assert_eq!(
        text(&output.stdout),
        "plxj_s@h:1#sha256:0\n",
        "alone on stdout"
    );
    assert!(text(&output.stderr).contains("agent eu-1: start it with --token-file"));
    assert_eq!(output.status.code(), Some(0));

    let agents = r#"{"agents":[{"id":"eu-1","region":"eu","provider":"p","connected":true,"spool_records":3,"version":"1"}]}"#;
    let agents = api(answering(answer("200 OK", agents)));
    let output = parallax(&["agents", "--api", &agents]);
    assert!(text(&output.stdout).contains("eu-1   eu      p         true       -      3      1"));

    let table = [
        (
            "401 Unauthorized",
            r#"{"detail":"this needs a key"}"#,
            4,
            "this needs a key",
        ),
        (
            "422 Unprocessable Entity",
            r#"{"detail":"x","errors":[{"pointer":"/region","detail":"use letters"}]}"#,
            2,
            "/region: use letters",
        ),
        (
            "409 Conflict",
            r#"{"detail":"eu-1 is enrolled already"}"#,
            1,
            "enrolled already",
        ),
        (
            "500 Internal Server Error",
            "nonsense",
            1,
            "the API answers 500",
        ),
    ];
    for (status, body, code, message) in table {
        let output = create(&api(answering(answer(status, body))));
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{status}: {stderr}");
        assert!(stderr.contains(message), "{status}: {stderr}");
    }
    let output = create(&api(closed_port()));
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).contains("is the coordinator there"));
    let output = parallax(&["agents", "--api-key-file", "/no/such/key"]);
    assert_eq!(output.status.code(), Some(7));
    assert!(text(&output.stderr).contains("--api-key-file /no/such/key: No such file"));
}
