//! An agent that is nothing but an exporter, and its files while it runs.

use super::*;
use std::path::Path;
use std::process::Command;

use support::process::{Daemon, binary};

/// Starts one on a free port of loopback.
async fn start(folder: &Path, args: &[&str], files: u32) -> (Daemon, SocketAddr) {
    let mut command = Command::new("sh");
    let limited = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
    command
        .args(["-c", &limited])
        .arg(binary("parallax-agent"))
        .args(["--exporter-only", "--http-listen=127.0.0.1:0"])
        .args(["--allow=127.0.0.0/8", "--resolver=127.0.0.1:9"])
        .args(args)
        .env_remove("PARALLAX_TOKEN")
        .env_remove("STATE_DIRECTORY");
    let daemon = Daemon::run(command, &folder.join("log"));
    let mut to = None;
    until("it listens", async || {
        let said = daemon.said();
        let line = said.lines().find(|line| line.contains("serving /probe"));
        to = line.and_then(|line| line.split_once("address=")?.1.parse().ok());
        to.is_some()
    })
    .await;
    (daemon, to.unwrap())
}

/// Waits until something holds, for at most a minute.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}

fn hang_up(daemon: &Daemon) {
    let pid = daemon.pid().to_string();
    let told = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(told.unwrap().success());
}

const IS_GOOD: &str = "parallax_agent_exporter_config_last_reload_successful";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_alone_needs_no_mesh() {
    let server = server(Dialect::Modern).await;
    let folder = tempfile::tempdir().unwrap();
    let (daemon, to) = start(folder.path(), &[], 1024).await;
    let answer = ask(to, &probe_of(&server.url()), &[]).await;
    answer.has(&[("probe_success", 1.0)]);
    let own = ask(to, "/metrics", &[]).await;
    let finished = "parallax_agent_probes_finished_total{cause=\"request\",outcome=\"ok\"}";
    own.has(&[(finished, 1.0), (IS_GOOD, 1.0)]);
    // Nothing is said of a mesh that it is not in.
    assert_eq!(own.value("parallax_agent_connected"), None);
    assert_eq!(own.value("parallax_agent_spool_records"), None);
    assert_eq!(daemon.terminate().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_and_credentials_are_read_anew_and_bad_ones_change_nothing() {
    let server = server(Dialect::Modern).await;
    let folder = tempfile::tempdir().unwrap();
    let (config, token) = (
        folder.path().join("agent.toml"),
        folder.path().join("token"),
    );
    let path = |module: &str| format!("{}&module={module}", probe_of(&server.url()));
    let write = |name: &str, era: &str| {
        let text = format!(
            "[modules.{name}]\ntargets = [\"http://{}\"]\nera = \"{era}\"\n\
             headers.authorization = {{ file = \"{}\", prefix = \"Bearer \" }}\n",
            server.address(),
            token.display()
        );
        std::fs::write(&config, text).unwrap();
    };
    std::fs::write(&token, "first-token\n").unwrap();
    write("docs", "auto");
    let args = format!("--config={}", config.display());
    let (daemon, to) = start(folder.path(), &[&args], 1024).await;
    assert_eq!(ask(to, &path("docs"), &[]).await.status, 200);
    assert_eq!(ask(to, &path("late"), &[]).await.status, 400);
    // A changed file is found without a word.
    write("late", "auto");
    until("the new module is there", async || {
        ask(to, &path("late"), &[]).await.status == 200
    })
    .await;
    assert_eq!(ask(to, &path("docs"), &[]).await.status, 400);
    // One that cannot be used changes nothing, and is said.
    write("worse", "none");
    hang_up(&daemon);
    until("it is not taken", async || {
        ask(to, "/metrics", &[]).await.value(IS_GOOD) == Some(0.0)
    })
    .await;
    assert_eq!(ask(to, &path("late"), &[]).await.status, 200);
    let said = daemon.said();
    let problem = "what was in force before stays so: modules.worse.era";
    assert!(said.contains(problem), "{said}");
    // So does a credential that is gone; and it is mended by itself.
    std::fs::remove_file(&token).unwrap();
    write("mended", "auto");
    until("it says what is missing", async || {
        daemon
            .said()
            .contains("modules.mended.headers.authorization")
    })
    .await;
    std::fs::write(&token, "second-token\n").unwrap();
    until("it is mended", async || {
        ask(to, &path("mended"), &[]).await.status == 200
    })
    .await;
    let own = ask(to, "/metrics", &[]).await;
    own.has(&[(IS_GOOD, 1.0)]);
    let said = daemon.said();
    assert!(!said.contains("first-token") && !said.contains("second-token"));
    assert_eq!(daemon.terminate().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_and_a_bad_one_is_not() {
    let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (old, new) = (made(), made());
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("cert"), folder.path().join("key"));
    let write = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    };
    write(&old);
    let args = [
        format!("--http-tls-cert={}", chain.display()),
        format!("--http-tls-key={}", key.display()),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (daemon, to) = start(folder.path(), &args, 1024).await;
    let shows = async |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        let plain = TcpStream::connect(to).await.unwrap();
        let name = "localhost".try_into().unwrap();
        trusting(made).connect(name, plain).await.is_ok()
    };
    assert!(shows(&old).await && !shows(&new).await);
    write(&new);
    hang_up(&daemon);
    until("the new one is shown", async || shows(&new).await).await;
    assert!(!shows(&old).await);
    std::fs::write(&chain, "no certificate").unwrap();
    hang_up(&daemon);
    until("it is said", async || {
        let problem = format!("http-tls-cert: {}: it has no PEM", chain.display());
        daemon.said().contains(&problem)
    })
    .await;
    assert!(shows(&new).await);
    assert_eq!(daemon.terminate().await.code(), Some(0));
}

/// Whoever holds connections until there are no files left costs others their time, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_out_of_files_is_said_once_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, to) = start(folder.path(), &[], 48).await;
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(TcpStream::connect(to).await.unwrap());
    }
    let failing = "connections cannot be accepted";
    until("it runs out", async || daemon.said().contains(failing)).await;
    drop(held);
    assert_eq!(ask(to, "/livez", &[]).await.status, 200);
    let said = daemon.said();
    assert_eq!(said.matches(failing).count(), 1, "{said}");
    assert!(said.contains("connections are accepted again"), "{said}");
    assert_eq!(daemon.terminate().await.code(), Some(0));
}
