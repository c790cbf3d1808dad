//! HTTP proxies: a probe goes through one when it is asked to, an agent's link when its settings
//! name one, and nothing else ever does.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use dial::{Origin, Proxy};
use model::{Outcome, Phase, Reason, Report};
use serde_json::json;
use support::mesh::Coordinator;
use support::process::{Daemon, binary};
use support::{Probe, eventually};
use testbed::ca::{Ca, Flaw};
use testbed::connect_proxy::{ConnectProxy, Manner};
use testbed::server::{Dialect, Options, Server};

/// A name that only the proxy knows: the tests' name server is nowhere.
const NAME: &str = "mcp.testbed.example";
type Args<'a> = &'a [&'a str];
type Variables<'a> = &'a [(&'a str, &'a str)];

/// `user:hunter2`.
const BASIC: &str = "Basic dXNlcjpodW50ZXIy";

fn with_password(proxy: &ConnectProxy) -> String {
    format!("http://user:hunter2@{}", proxy.address())
}

fn through(url: &str, proxy: &str) -> Probe {
    let mut probe = Probe::of(url);
    probe.proxy = Some(proxy.parse().unwrap());
    probe
}

fn inconclusive(report: &Report) -> (Reason, String) {
    let Outcome::Inconclusive { reason } = report.outcome else {
        panic!("expected it to be inconclusive: {report:#?}");
    };
    (reason, report.summary.clone())
}

#[tokio::test]
async fn a_probe_goes_through_and_says_so() {
    let ca = Ca::new().unwrap();
    let mut options = Options::new(Dialect::Modern);
    options.tls = Some(ca.server(&[NAME], Flaw::None).unwrap());
    let server = Server::start(options).await.unwrap();
    let mut ca_file = tempfile::NamedTempFile::new().unwrap();
    ca_file.write_all(ca.pem().as_bytes()).unwrap();
    let proxy = ConnectProxy::start(Manner::Allow).await.unwrap();
    let target = format!("{NAME}:{}", server.address().port());
    proxy.place(&target, server.address());

    let mut probe = through(&format!("https://{target}/mcp"), &proxy.url());
    probe.ca_file.push(ca_file.path().to_owned());
    let report = probe.report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let connection = report.connection.unwrap();
    assert_eq!(connection.proxy, Some(proxy.address().to_string()));
    assert_eq!(connection.address, proxy.address().to_string());
    assert_eq!(connection.resolved, Vec::<String>::new());
    assert_eq!(connection.kernel_rtt_us, None);
    assert_eq!(connection.tls.unwrap().chain[0].names, [NAME]);
    let phases = &report.steps[0].phases_us;
    for phase in [Phase::Dns, Phase::Connect, Phase::Tls, Phase::Wait] {
        assert!(phases.contains_key(&phase), "{phase}: {phases:?}");
    }
    // HTTP/2: one connection for all, and the name unresolved.
    assert_eq!(proxy.log(), [format!("CONNECT {target} HTTP/1.1")]);
}

/// A tunnel for plain http too, so that nothing on the way reads or caches.
#[tokio::test]
async fn plain_targets_are_tunnelled_and_credentials_sent() {
    let server = Server::start(Options::new(Dialect::Legacy)).await.unwrap();
    let proxy = ConnectProxy::start(Manner::Demand(BASIC.to_owned()));
    let proxy = proxy.await.unwrap();
    let probe = through(&server.url(), &with_password(&proxy));
    let report = probe.report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let line = format!("CONNECT {} HTTP/1.1", server.address());
    let log = proxy.log();
    assert!(!log.is_empty() && log.iter().all(|asked| *asked == line));
    let shown = serde_json::to_string(&report).unwrap();
    assert!(!shown.contains("hunter2") && !shown.contains(BASIC));
    let said = inconclusive(&through(&server.url(), &proxy.url()).report().await).1;
    assert!(said.contains("wants a user and password (407)"), "{said}");
}

#[tokio::test]
async fn a_proxys_failure_is_not_the_targets() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let proxy = ConnectProxy::start(Manner::Allow).await.unwrap();
    let table = [
        (
            Manner::Demand(BASIC.to_owned()),
            "wants a user and password",
        ),
        (Manner::Refuse(403), "opens no tunnel to 127.0.0.1:"),
        (Manner::Refuse(504), "it answers 504"),
        (Manner::Hang, "no answer after 0.5 s"),
        (Manner::Garbage, "what it answers is not HTTP"),
        (Manner::HugeHead, "has no end in 8 KiB"),
        (Manner::Close, "proxy 127.0.0.1:"),
    ];
    for (manner, message) in table {
        proxy.set(manner.clone());
        let probe = through(&server.url(), &proxy.url());
        let report = probe.patience(Duration::from_millis(500)).report().await;
        let (reason, said) = inconclusive(&report);
        assert_eq!(reason, Reason::ProxyFailed, "{manner:?}");
        assert!(said.contains(message), "{manner:?}: {said}");
        assert_eq!(report.steps.len(), 1, "nothing else is tried");
        assert_eq!(report.steps[0].failed_phase, Some(Phase::Connect));
        let connection = report.connection.unwrap();
        assert_eq!(connection.proxy, Some(proxy.address().to_string()));
    }
    let closed = proxy.url();
    drop(proxy);
    for (at, message) in [
        (closed.as_str(), "refused"),
        ("http://proxy.testbed.example:3128", "proxy_failed"),
    ] {
        let probe = through(&server.url(), at).patience(Duration::from_secs(1));
        let (reason, said) = inconclusive(&probe.report().await);
        assert_eq!(reason, Reason::ProxyFailed, "{said}");
        assert!(said.contains(message), "{said}");
    }
    assert!(server.log().methods().is_empty(), "nobody came through");
}

/// An address that nobody vetted is not reached by a detour.
#[tokio::test]
async fn targets_of_remote_origin_are_not_reached_through_a_proxy() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let proxy = ConnectProxy::start(Manner::Allow).await.unwrap();
    let mut probe = through(&server.url(), &proxy.url());
    probe.origin = Origin::Remote;
    let (reason, said) = inconclusive(&probe.report().await);
    assert_eq!(reason, Reason::DnsBlockedAddr, "{said}");
    assert_eq!(proxy.log(), Vec::<String>::new());
}

/// `parallax probe` with these variables about proxies and no others.
fn parallax(url: &str, args: Args<'_>, variables: Variables<'_>) -> (Option<i32>, String) {
    let mut command = Command::new(binary("parallax"));
    command.env_clear().envs(variables.iter().copied());
    let output = command.args(["probe", url]).args(args).output().unwrap();
    (output.status.code(), all(&output))
}

fn all(output: &Output) -> String {
    let bytes = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_uses_a_proxy_only_when_asked() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let proxy = ConnectProxy::start(Manner::Demand(BASIC.to_owned()));
    let proxy = proxy.await.unwrap();
    let (url, via) = (server.url(), with_password(&proxy));
    let set = ["http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let set = set.map(|name| (name, via.as_str()));
    let direct: [(Args<'_>, Variables<'_>); 4] = [
        (&[], &set),
        (&["--proxy", "none"], &set),
        (&["--proxy", "env"], &set[1..3]),
        (&["--proxy", "env"], &[set[0], ("NO_PROXY", "127.0.0.0/8")]),
    ];
    for (args, variables) in direct {
        let (code, said) = parallax(&url, args, variables);
        assert_eq!(code, Some(0), "{args:?}: {said}");
        assert!(!said.contains("proxy"), "{args:?}: {said}");
        assert_eq!(proxy.log(), Vec::<String>::new(), "{args:?}");
    }
    let shown = proxy.address().to_string();
    let line = format!("through the proxy {shown}, which the times measure too");
    let field = format!("\"proxy\": \"{shown}\"");
    let asked: [(Args<'_>, Variables<'_>, &str); 3] = [
        (&["--proxy", &via], &[], &line),
        (&["--proxy", "env"], &set[..1], &line),
        (&["--proxy", "env", "--output", "json"], &set[3..], &field),
    ];
    for (n, (args, variables, message)) in asked.into_iter().enumerate() {
        let (code, said) = parallax(&url, args, variables);
        assert_eq!(code, Some(0), "{args:?}: {said}");
        assert!(said.contains(message), "{args:?}: {said}");
        assert!(!said.contains("hunter2"), "{args:?}: {said}");
        assert!(proxy.log().len() > n, "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_tells_what_is_wrong_with_a_proxy() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let proxy = ConnectProxy::start(Manner::Refuse(403)).await.unwrap();
    let (url, via) = (server.url(), with_password(&proxy));
    let (code, said) = parallax(&url, &["--proxy", &via], &[]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("it answers 403"), "{said}");
    proxy.set(Manner::Hang);
    let (code, said) = parallax(&url, &["--proxy", &via, "--step-timeout", "1s"], &[]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("no answer after 1.0 s"), "{said}");
    let table: [(Args<'_>, Variables<'_>, i32, &str); 3] = [
        (
            &["--proxy", "https://u:hunter2@p:1"],
            &[],
            2,
            "parallax: --proxy: https:// proxies are not spoken to; name",
        ),
        (
            &["--proxy", "u:hunter2@p:none"],
            &[],
            2,
            "parallax: --proxy: is no proxy: host or port cannot be read; write it like",
        ),
        (
            &["--proxy", "env"],
            &[("ALL_PROXY", "socks5://u:hunter2@p:1")],
            7,
            "parallax: ALL_PROXY: SOCKS proxies are not spoken to; name",
        ),
    ];
    for (args, variables, status, message) in table {
        let (code, said) = parallax(&url, args, variables);
        assert_eq!(code, Some(status), "{said}");
        assert!(said.starts_with(message), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let mistyped = "proxy.example.com:3128".parse::<Proxy>();
    assert!(mistyped.is_ok(), "the scheme may be left out");
}

fn file_with(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The coordinator's name means nothing on the agent's host: only the proxy leads to it. What the
/// agent probes, and its canaries, it reaches without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_link_goes_through_the_proxy_and_its_probes_do_not() {
    const MESH: &str = "mesh.testbed.example:7443";
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let spec = json!({ "url": server.url(), "interval": "10s" });
    coordinator.put("docs", &spec).await;
    let proxy = ConnectProxy::start(Manner::Refuse(403)).await.unwrap();
    proxy.place(MESH, coordinator.bound.grpc);
    let folder = tempfile::tempdir().unwrap();
    let via = file_with(
        folder.path(),
        "proxy",
        &format!("{}\n", with_password(&proxy)),
    );

    let mut command = Command::new(binary("parallax-agent"));
    let token = coordinator.token("eu-1", "eu").await;
    command.env("PARALLAX_TOKEN", token);
    // These are nobody's business.
    for name in ["http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, proxy.url());
    }
    command.args(["--coordinator", MESH, "--link-proxy-file", &via]);
    command.args(["--allow", "127.0.0.0/8", "--resolver", "127.0.0.1:9"]);
    let canary: SocketAddr = server.address();
    command
        .arg("--in-memory")
        .arg(format!("--canaries={canary}"));
    let agent = Daemon::run(command, &folder.path().join("log"));

    let refused = format!(
        "proxy_failed: proxy {}: opens no tunnel to {MESH}: it answers 403",
        proxy.address()
    );
    eventually("the refusal is told", || agent.said().contains(&refused)).await;
    proxy.set(Manner::Demand(BASIC.to_owned()));
    coordinator.until_state("docs", "eu", "ok").await;
    let line = format!("CONNECT {MESH} HTTP/1.1");
    let log = proxy.log();
    assert!(log.len() >= 3, "refused, enrolled, linked: {log:?}");
    assert!(log.iter().all(|asked| *asked == line), "{log:?}");
    let said = agent.said();
    assert!(!said.contains("hunter2"), "{said}");
    assert!(agent.terminate().await.success());
    coordinator.stop().await;
}

/// `check-config` of an agent that keeps nothing.
fn check_config(args: Args<'_>, variables: Variables<'_>) -> (bool, String) {
    let mut command = Command::new(binary("parallax-agent"));
    command.env_clear().envs(variables.iter().copied());
    command.args(["check-config", "--in-memory"]).args(args);
    let output = command.output().unwrap();
    (output.status.success(), all(&output))
}

#[test]
fn an_agents_settings_show_no_password_of_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let url = "http://user:hunter2@proxy:3128";
    let secret = file_with(folder.path(), "secret", url);
    let config = file_with(folder.path(), "config", &format!("link-proxy = \"{url}\""));
    let variable = [("PARALLAX_LINK_PROXY", url)];
    let good: [(Args<'_>, Variables<'_>, &str); 4] = [
        (&["--link-proxy", url], &[], "http://***@proxy:3128"),
        (&[], &variable, "http://***@proxy:3128"),
        (&["--config", &config], &[], "http://***@proxy:3128"),
        (&["--link-proxy-file", &secret], &[], "(not set)"),
    ];
    for (args, variables, shown) in good {
        let (is_good, said) = check_config(args, variables);
        assert!(is_good, "{args:?}: {said}");
        let line = said.lines().find(|line| line.starts_with("link-proxy "));
        assert!(line.unwrap().contains(shown), "{args:?}: {said}");
        assert!(!said.contains("hunter2"), "{args:?}: {said}");
    }
    let bad = file_with(folder.path(), "bad", "socks5://u:hunter2@proxy:1");
    let bad: [(Args<'_>, &str); 4] = [
        (
            &["--link-proxy-file", &secret, "--link-proxy", "proxy:1"],
            "link-proxy: contradicts link-proxy-file; set one of them",
        ),
        (
            &["--link-proxy-file", &bad],
            "link-proxy-file: SOCKS proxies are not spoken to; name an HTTP proxy",
        ),
        (
            &["--link-proxy-file", "/no/such"],
            "link-proxy-file: /no/such: No such file",
        ),
        (
            &["--link-proxy", "https://u:hunter2@proxy:1"],
            "link-proxy: https:// proxies are not spoken to; name",
        ),
    ];
    for (args, message) in bad {
        let (is_good, said) = check_config(args, &[]);
        assert!(!is_good && said.contains(message), "{args:?}: {said}");
        assert!(!said.contains("hunter2"), "{args:?}: {said}");
    }
    // Help shows what variables are set to.
    let mut help = Command::new(binary("parallax-agent"));
    let output = help.arg("--help").env("PARALLAX_LINK_PROXY", url).output();
    assert!(!all(&output.unwrap()).contains("hunter2"));
}
