//! The four pictures that a user of `parallax probe` meets, each of a real probe of the testbed.
//!
//! `PARALLAX_ACCEPT_CAPTURES=1` keeps the reports in `docs/captures`; `cargo test -p parallax-cli
//! captures`, with the same variable, then draws them. `make captures` does both.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use support::process::binary;
use testbed::ca::{Ca, Flaw};
use testbed::dns::NameServer;
use testbed::oauth::{self, Walled};
use testbed::server::{Dialect, Options, Server};
use tokio::process::Command;

const NAME: &str = "mcp.example.com";

async fn run(args: &[&str]) -> Output {
    let mut command = Command::new(binary("parallax"));
    command.arg("probe").args(args);
    command.env_clear().env("LANG", "C.UTF-8");
    command.stdin(Stdio::null()).output().await.unwrap()
}

/// Runs `parallax probe`, looks at the picture, and keeps the report where that was asked for.
async fn capture(name: &str, code: i32, args: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().join("evidence.json");
    let save = ["--save", evidence.to_str().unwrap()];
    let output = run(&[args, &save].concat()).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{name}: {line}");
    }
    if std::env::var_os("PARALLAX_ACCEPT_CAPTURES").is_some() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/captures");
        // Not a copy: evidence is for its owner to read.
        let report = std::fs::read(evidence).unwrap();
        std::fs::write(kept.join(format!("{name}.json")), report).unwrap();
    }
}

/// A server over TLS by a name, as the world meets one, 18 ms away.
struct Site {
    server: Server,
    names: NameServer,
    authority: tempfile::NamedTempFile,
}

impl Site {
    async fn start(dialect: Dialect) -> Self {
        let ca = Ca::new().unwrap();
        let mut authority = tempfile::NamedTempFile::new().unwrap();
        authority.write_all(ca.pem().as_bytes()).unwrap();
        let mut options = Options::new(dialect);
        options.tls = Some(ca.server(&[NAME], Flaw::None).unwrap());
        let server = Server::start(options).await.unwrap();
        server.script(|script| {
            script.delay_ms = 18;
            "2.4.0".clone_into(&mut script.version);
        });
        let here: IpAddr = Ipv4Addr::LOCALHOST.into();
        let names = NameServer::start(&[(NAME, &[here])], 300).await.unwrap();
        names.late(7);
        Self {
            server,
            names,
            authority,
        }
    }

    /// What to call `parallax probe` with.
    fn args(&self) -> [String; 3] {
        [
            format!("https://{NAME}:{}/mcp", self.server.address().port()),
            format!("--resolver={}", self.names.address()),
            format!("--ca-file={}", self.authority.path().display()),
        ]
    }

    async fn capture(&self, name: &str, code: i32, more: &[&str]) {
        let args = self.args();
        let args = args.each_ref().map(String::as_str);
        capture(name, code, &[&args, more].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_server() {
    let site = Site::start(Dialect::Modern).await;
    let call = ["--call=search", "--arg=query=ping"];
    site.capture("healthy", 0, &call).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_that_is_healthy() {
    let walled = Walled::start(Dialect::Modern, oauth::Flaw::None).await;
    capture("walled", 4, &[&walled.unwrap().url()]).await;
}

fn tool(name: &str, description: &str, input: Value) -> Value {
    json!({ "name": name, "description": description, "inputSchema": input })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_tools_have_changed() {
    let site = Site::start(Dialect::Modern).await;
    let search = |description, required: &[&str]| {
        let properties = json!({ "query": { "type": "string" }, "limit": { "type": "integer" } });
        let input = json!({ "type": "object", "properties": properties, "required": required });
        tool("search", description, input)
    };
    let time = tool("time", "The time now", json!({ "type": "object" }));
    let before = vec![search("Search the documents", &["query"]), time.clone()];
    site.server.script(|script| script.tools = Some(before));
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("tools.lock.json");
    let lock = lock.to_str().unwrap();
    let args = site.args();
    let args = args.each_ref().map(String::as_str);
    let output = run(&[&args[..], &["--write-baseline", lock]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let after = vec![
        search(
            "Search the documents, and send them to the caller",
            &["query", "limit"],
        ),
        tool("delete", "Delete a document", json!({ "type": "object" })),
    ];
    site.server.script(|script| script.tools = Some(after));
    site.capture("drifted", 1, &["--baseline", lock]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_greets_and_then_hangs() {
    let site = Site::start(Dialect::Legacy).await;
    site.server.script(|script| {
        script.hang_on.insert("tools/list".to_owned());
    });
    site.capture("broken", 6, &["--step-timeout=1s"]).await;
}
