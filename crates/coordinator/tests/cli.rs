//! The daemon as an operator meets it: bad settings, a port in use, signals.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

fn coordinator(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax-coordinator"));
    command.args([
        "--grpc-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
    ]);
    command
        .args(args)
        .env_remove("PARALLAX_LOG")
        .env_remove("STATE_DIRECTORY");
    command
}

fn refused(command: &mut Command, status: i32, message: &str) {
    let output: Output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(message), "{stderr}");
}

#[test]
fn bad_settings_have_a_status_and_a_way_out() {
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parallax-coordinator"));
        command
            .arg("--in-memory")
            .args(["--admin-key-file", "/dev/null/none"])
            .env_remove("PARALLAX_LOG")
            .env_remove("STATE_DIRECTORY");
        command
    };
    refused(
        command().args(["--http-listen", "0.0.0.0:1"]),
        78,
        "set --http-tls-cert and --http-tls-key",
    );
    refused(
        command().args(["--http-listen", "nonsense"]),
        2,
        "--http-listen",
    );
    refused(
        command().args(["--log-format", "xml"]),
        2,
        "use text or json",
    );
    refused(command().env("PARALLAX_LOG", "a=b=c"), 78, "PARALLAX_LOG: ");
    refused(
        command().args(["--retention-hours", "0"]),
        78,
        "retention-hours: 0",
    );
    refused(command().args(["--durability", "x"]), 2, "process, power");
    refused(
        &mut coordinator(&[]),
        78,
        "data-dir: is not set; name a folder",
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(
        command().args(["--grpc-listen", &address]),
        1,
        "is the port in use?",
    );
}

/// Starts the daemon and waits until it says that it listens.
fn listening(folder: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = coordinator(&["--data-dir", folder])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended");
    }
    (child, stderr)
}

#[test]
fn a_signal_ends_it_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for signal in ["-TERM", "-INT"] {
        let (mut child, mut stderr) = listening(folder.path().to_str().unwrap());
        let kill = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let status = child.wait().unwrap();
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert_eq!(status.code(), Some(0), "{signal}: {rest}");
        assert!(rest.contains("shutting down"), "{rest}");
    }
}

#[test]
fn a_store_has_one_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let (mut first, _) = listening(data);
    refused(
        &mut coordinator(&["--data-dir", data]),
        1,
        "is in use by another coordinator; give each a folder of its own",
    );
    first.kill().unwrap();
    first.wait().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    refused(
        &mut coordinator(&["--data-dir", file.to_str().unwrap()]),
        1,
        "data-dir: ",
    );
}
