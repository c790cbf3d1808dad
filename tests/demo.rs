//! `make up`, `make demo`, `make down`, as a stranger would run them: real processes, and every
//! verdict checked.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path;
use std::process::Output;

use support::process::binary;
use tokio::process::Command;

/// Runs a command of the testbed on a folder, beside a mesh that may run on the usual ports.
async fn run(command: &str, folder: &Path, more: &[&str]) -> Output {
    let mut testbed = Command::new(binary("parallax-testbed"));
    testbed.arg(command).arg("--folder").arg(folder).args(more);
    testbed.output().await.unwrap()
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{err}")
}

#[tokio::test]
async fn the_demo_is_right_about_everything_that_it_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("mesh");
    let ports = [
        ["--http", "127.0.0.1:17080"],
        ["--grpc", "127.0.0.1:17443"],
        ["--control", "127.0.0.1:17090"],
        ["--port", "18443"],
        ["--dns-port", "15300"],
    ];
    let up = run("up", &folder, &ports.concat()).await;
    let demo = match up.status.success() {
        true => Some(run("demo", &folder, &["--link-silence"]).await),
        false => None,
    };
    // Whatever happened, nothing is left behind.
    let down = run("down", &folder, &["--purge"]).await;
    assert!(up.status.success(), "{}", said(&up));
    let demo = demo.unwrap();
    assert!(demo.status.success(), "{}", said(&demo));
    for step in ["region", "provider", "egress", "agent", "key", "server"] {
        assert!(
            said(&demo).contains(&format!("✔ {step}")),
            "{}",
            said(&demo)
        );
    }
    assert!(down.status.success(), "{}", said(&down));
    assert!(!folder.exists());
}
