//! `parallax probe` as a pipeline runs it, and `parallax doctor`: the real binary against the
//! testbed's servers.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod doctor;
mod load;
mod outputs;
mod waiting;

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
