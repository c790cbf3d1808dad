//! What is broken while the check of most deploy pipelines is green: `initialize` by curl, and a
//! look by jq whether a version came back. Each test runs both on the same server.
//!
//! `PARALLAX_SHOW=1 cargo test -p tests --test green_handshake -- --nocapture --test-threads=1` prints what
//! a person sees of each.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use support::process::binary;
use testbed::ca::{Ca, Flaw};
use testbed::dns::NameServer;
use testbed::hostile::{Behaviour, Hostile};
use testbed::oauth::{self, Walled};
use testbed::server::{Dialect, Options, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinHandle;

/// A name that only the test's name server knows.
const NAME: &str = "mcp.testbed.example";

/// The pipeline's check, as it is found in the wild.
const CHECK: &str = r#"curl --silent --show-error --max-time 10 \
  --header 'Content-Type: application/json' --header 'Accept: application/json, text/event-stream' \
  --data '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",
    "capabilities":{},"clientInfo":{"name":"ci","version":"1"}}}' "$@" | jq -e .result.protocolVersion"#;

/// Runs the pipeline's check with these further arguments of curl, and sees it green.
async fn assert_green(args: &[&str]) {
    let mut command = Command::new("sh");
    command.args(["-c", CHECK, "check"]).args(args);
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim(), r#""2025-11-25""#);
}

/// `parallax probe` with these arguments; its report.
async fn probe(args: &[&str]) -> (i32, Value) {
    if std::env::var_os("PARALLAX_SHOW").is_some() {
        show(args).await;
    }
    let output = run(&[args, &["--output=json"]].concat()).await;
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().unwrap(), report)
}

async fn run(args: &[&str]) -> Output {
    let mut command = Command::new(binary("parallax"));
    command.arg("probe").args(args);
    command.env_clear().env("LANG", "C.UTF-8");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.unwrap()
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
async fn show(args: &[&str]) {
    let output = run(args).await;
    let text = String::from_utf8(output.stdout).unwrap();
    println!(
        "$ parallax probe {}\n{text}$ echo $?\n{:?}\n",
        args.join(" "),
        output.status.code()
    );
}

fn failed(report: &Value) -> (&str, &str) {
    let outcome = &report["outcome"];
    (
        outcome["step"].as_str().unwrap(),
        outcome["reason"].as_str().unwrap(),
    )
}

fn sentence(report: &Value) -> &str {
    report["summary"].as_str().unwrap()
}

async fn server(tls: Option<rustls::ServerConfig>) -> Server {
    let mut options = Options::new(Dialect::Legacy);
    options.tls = tls;
    Server::start(options).await.unwrap()
}

/// A leak, with a new start when memory is full: minutes, told here in requests. Sessions are in that
/// memory. Whoever opens one and goes never meets it; whoever works with one does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leak_with_a_restart_every_few_minutes() {
    let server = server(None).await;
    server.script(|script| script.restart_every = 8);
    let url = server.url();
    for _ in 0..10 {
        assert_green(&[&url]).await;
    }
    let restarts = server.log().restarts();
    let (code, report) = probe(&[&url, "--era=legacy", "--repeat=10"]).await;
    assert!(server.log().restarts() > restarts);
    for _ in 0..10 {
        assert_green(&[&url]).await;
    }
    // Some probes came through between two restarts; the status is of one that did not.
    assert_eq!(code, 1);
    assert_eq!(failed(&report).1, "mcp_session_lost");
    let said = sentence(&report);
    assert!(said.contains("mcp_session_lost: 404 Not Found"), "{said}");
    let repeat = &report["repeat"];
    let healthy = repeat["healthy"].as_u64().unwrap();
    assert!((1..10).contains(&healthy), "{repeat}");
    let results = repeat["results"].as_array().unwrap();
    let lost = |result: &Value| {
        let value = result["value"].as_str().unwrap();
        value == "ok" || value.starts_with("mcp_session_lost at ")
    };
    assert!(results.iter().all(lost), "{repeat}");
}

/// The check runs where the server is. The certificate that users see is on the entry in front.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_certificate_ends_behind_a_healthy_internal_entry() {
    let ca = Ca::new().unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(ca.pem().as_bytes()).unwrap();
    let internal = server(None).await;
    let site = ca.server(&[NAME], Flaw::Expired).unwrap();
    let public = server(Some(site)).await;
    assert_green(&[&internal.url()]).await;
    let rule = format!("{NAME}:443:{}", public.address());
    let (code, report) = probe(&[
        &format!("https://{NAME}/mcp"),
        "--connect-to",
        &rule,
        "--ca-file",
        file.path().to_str().unwrap(),
    ])
    .await;
    assert_eq!(code, 5);
    assert_eq!(failed(&report), ("discover", "tls_cert_expired"));
    let said = sentence(&report);
    let expected = "discover failed in tls: tls_cert_expired: the certificate ended ";
    assert!(said.starts_with(expected), "{said}");
}

/// A rule of a firewall that nobody deployed: the port that the world uses is dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_port_is_blocked() {
    let internal = server(None).await;
    assert_green(&[&internal.url()]).await;
    let stalled = Behaviour::named("tcp-stalled").unwrap();
    let public = Hostile::start(stalled, "127.0.0.1:0".parse().unwrap());
    let public = public.await.unwrap();
    let (code, report) = probe(&[public.url(), "--step-timeout=500ms"]).await;
    assert_eq!(code, 6);
    assert_eq!(failed(&report), ("discover", "tcp_timeout"));
    let expected = "discover failed in connect: tcp_timeout: no answer after 0.5 s";
    assert_eq!(sentence(&report), expected);
}

/// One of two addresses: curl takes the other, and so does half of the world.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_is_blocked_at_one_of_two_addresses() {
    let server = server(None).await;
    let port = server.address().port();
    let both: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
    let names = NameServer::start(&[(NAME, &both)], 60).await.unwrap();
    let url = format!("http://{NAME}:{port}/mcp");
    let known = format!("{NAME}:{port}:127.0.0.2,127.0.0.1");
    assert_green(&[&url, "--resolve", &known]).await;
    let resolver = names.address().to_string();
    let args = [&url, "--resolver", &resolver, "--all-addresses"];
    let (code, report) = probe(&[&args[..], &["--fail-on=degraded"]].concat()).await;
    assert_eq!(code, 3);
    assert_eq!(
        report["outcome"]["checks"],
        serde_json::json!(["net.addresses"])
    );
    let said = sentence(&report);
    assert!(said.contains(": net.addresses ("), "{said}");
    let odd = &report["differences"][0];
    assert_eq!(odd["kind"], "failing");
    let detail = odd["detail"].as_str().unwrap();
    assert!(detail.contains("127.0.0.2"), "{detail}");
    let reasons = report["addresses"].as_array().unwrap().iter();
    let reasons: Vec<&Value> = reasons
        .map(|address| &address["outcome"]["reason"])
        .collect();
    assert_eq!(reasons, [&Value::Null, &"tcp_refused".into()]);
}

/// Tokens that the pipeline holds are still good. Nobody gets a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_of_the_authorization_server_is_blocked() {
    let mut walled = Walled::start(Dialect::Legacy, oauth::Flaw::None)
        .await
        .unwrap();
    let (token, _) = walled.sign_in();
    walled.close_issuer();
    let url = walled.url();
    let header = format!("Authorization: Bearer {token}");
    assert_green(&[&url, "--header", &header]).await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), oauth::CLIENT.1).unwrap();
    let (code, report) = probe(&[
        &url,
        "--client-id",
        oauth::CLIENT.0,
        "--client-secret-file",
        secret.path().to_str().unwrap(),
    ])
    .await;
    assert_eq!(code, 4);
    assert_eq!(failed(&report), ("authorize", "auth_server_down"));
    let said = sentence(&report);
    assert!(said.contains("no authorization server was found"), "{said}");
    assert!(said.contains("tcp_refused"), "{said}");
}

/// Three replicas behind a balancer that gives each connection to the next.
struct Pool {
    replicas: Vec<Server>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Pool {
    async fn start() -> Self {
        let mut replicas = Vec::new();
        for name in ["a", "b", "c"] {
            let replica = server(None).await;
            replica.script(|script| {
                script
                    .headers
                    .insert("x-replica".to_owned(), name.to_owned());
            });
            replicas.push(replica);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let to: Vec<SocketAddr> = replicas.iter().map(Server::address).collect();
        let task = tokio::spawn(async move {
            let next = AtomicUsize::new(0);
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let to = to[next.fetch_add(1, Ordering::Relaxed) % to.len()];
                tokio::spawn(async move {
                    let mut replica = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut replica).await;
                });
            }
        });
        Self {
            replicas,
            address,
            task,
        }
    }

    /// The key that a replica has for its upstream is refused from now on.
    fn revoke(&self, replica: usize) {
        self.replicas[replica].script(|script| {
            script.failing_tools.insert("upstream".to_owned());
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The key of an upstream is dead, on one replica of three and then on all. Every handshake is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_key_is_dead_on_one_replica_of_three_then_on_all() {
    let pool = Pool::start().await;
    let url = format!("http://{}/mcp", pool.address);
    let args = [&url, "--call=upstream", "--instance-header=x-replica"];
    let many = [&args[..], &["--repeat=6"]].concat();
    let (code, report) = probe(&many).await;
    assert_eq!((code, &report["repeat"]["healthy"]), (0, &6.into()));

    pool.revoke(1);
    for _ in 0..3 {
        assert_green(&[&url]).await;
    }
    let (code, report) = probe(&many).await;
    assert_eq!((code, &report["repeat"]["healthy"]), (1, &4.into()));
    assert_eq!(failed(&report), ("tools_call", "tool_error"));
    assert_eq!(report["instance"], "b");

    pool.revoke(0);
    pool.revoke(2);
    for _ in 0..3 {
        assert_green(&[&url]).await;
    }
    let (code, report) = probe(&args).await;
    assert_eq!(code, 1);
    assert_eq!(failed(&report), ("tools_call", "tool_error"));
    let expected =
        "tools_call failed in receive: tool_error: isError: the upstream refused the key";
    assert_eq!(sentence(&report), expected);
}
