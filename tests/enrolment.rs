//! Becoming a member of a mesh, and ceasing to be one.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::TokioIo;
use rpc::v1;
use rpc::v1::enrolment_service_client::EnrolmentServiceClient;
use rpc::v1::evidence_service_client::EvidenceServiceClient;
use rpc::v1::schedule_service_client::ScheduleServiceClient;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use support::eventually;
use support::mesh::{Agent, Coordinator, config};
use support::process::{Daemon, binary};
use testbed::server::{Dialect, Options, Server};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::{Channel, Uri};

fn with(token: &str, state_dir: Option<&Path>) -> agent::Config {
    agent::Config {
        token: Some(token.parse().unwrap()),
        state_dir: state_dir.map(Path::to_owned),
        ..config()
    }
}

/// Runs an agent that cannot join; what it says.
async fn refused(config: agent::Config) -> String {
    let running = agent::run(config.check().unwrap(), CancellationToken::new());
    let refused = tokio::time::timeout(Duration::from_secs(20), running).await;
    format!("{:#}", refused.expect("it ends").unwrap_err())
}

/// An agent as a process, whose log says what it was told; with its state in the folder.
fn process(folder: &Path, token: Option<&str>) -> Daemon {
    let mut command = Command::new(binary("parallax-agent"));
    command.env_remove("PARALLAX_TOKEN");
    command.envs(token.map(|token| ("PARALLAX_TOKEN", token)));
    command.args(["--allow", "127.0.0.0/8", "--resolver", "127.0.0.1:9"]);
    command
        .args(["--canaries", ""])
        .arg("--state-dir")
        .arg(folder);
    Daemon::run(command, &folder.join("log"))
}

#[tokio::test]
async fn a_token_that_is_no_good_is_refused_with_the_way_out() {
    let coordinator = Coordinator::start().await;
    let good = coordinator.token("eu-1", "eu").await;
    let rest = good.split_once('@').unwrap().1;
    let unknown = format!("plxj_{}@{rest}", "x".repeat(43));
    let said = refused(with(&unknown, None)).await;
    assert!(
        said.contains("token: is not known here; make one"),
        "{said}"
    );
    assert!(!said.contains("xxx"), "a secret is not shown");

    // Used: what it brought is in the folder, and goes on; somebody else gets nothing for it.
    let folder = tempfile::tempdir().unwrap();
    for _life in 1..=2 {
        let agent = Agent::start_by(with(&good, Some(folder.path())));
        coordinator.until_connected("eu-1").await;
        agent.stop().await;
    }
    let said = refused(with(&good, None)).await;
    assert!(
        said.contains("token: was used already, by another key"),
        "{said}"
    );

    // An agent that is there is not replaced by accident.
    let place = json!({ "agent": "eu-1", "region": "eu", "provider": "p" }).to_string();
    let taken = coordinator.call("POST", "/api/v1/tokens", &place).await;
    assert_eq!(taken.status, 409, "{}", taken.body);

    // Expired.
    let place = json!({ "region": "eu", "provider": "p", "ttl": "1s" }).to_string();
    let short = coordinator.call("POST", "/api/v1/tokens", &place).await;
    let short = short.json();
    let ends: jiff::Timestamp = short["expires_at"].as_str().unwrap().parse().unwrap();
    let short = short["token"].as_str().unwrap().to_owned();
    eventually("it ends", || telemetry::clock::wall() > ends).await;
    let said = refused(with(&short, None)).await;
    assert!(said.contains("token: has expired; make another"), "{said}");
    coordinator.stop().await;
}

/// The token pins the authority: somebody else at the coordinator's address learns nothing.
#[tokio::test]
async fn a_coordinator_of_another_authority_is_not_believed() {
    let ours = Coordinator::start().await;
    let theirs = Coordinator::start().await;
    let token = ours.token("eu-1", "eu").await;
    let misled = token.replace(&ours.bound.grpc.to_string(), &theirs.bound.grpc.to_string());
    let folder = tempfile::tempdir().unwrap();
    let agent = process(folder.path(), Some(&misled));
    eventually("it does not believe", || {
        let said = agent.said();
        let line = said.lines().find(|line| line.contains("not enrolled yet"));
        line.is_some_and(|line| line.contains("certificate"))
    })
    .await;
    assert!(!folder.path().join("identity.json").exists());
    assert!(agent.terminate().await.success());
    // It was not spent on them.
    let agent = Agent::start_by(with(&token, Some(folder.path())));
    ours.until_connected("eu-1").await;
    agent.stop().await;
    ours.stop().await;
    theirs.stop().await;
}

/// Its streams end, it gets no others, and what it would say is no evidence.
#[tokio::test]
async fn a_revoked_agent_is_cut_off_at_once_and_stays_out() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start_in(&coordinator, "eu-1", "eu", Some(folder.path().into())).await;
    let spec = json!({ "url": server.url(), "interval": "10s" });
    coordinator.put("docs", &spec).await;
    coordinator.until_state("docs", "eu", "ok").await;
    let revoke = "/api/v1/agents/eu-1/revoke";
    assert_eq!(coordinator.call("POST", revoke, "").await.status, 204);
    coordinator
        .until("cut off", |agents| agents[0]["connected"] == false)
        .await;
    agent.stop().await;
    let counted = coordinator.call("GET", "/metrics", "").await.body;
    let again = process(folder.path(), None);
    eventually("it is turned out", || {
        let said = again.said();
        said.contains("the coordinator turns this agent out")
    })
    .await;
    let agents = coordinator.call("GET", "/api/v1/agents", "").await.json();
    assert_eq!(agents["agents"][0]["connected"], false, "{agents:#}");
    assert!(again.terminate().await.success());
    let results = |text: &str| -> Vec<String> {
        let results = text
            .lines()
            .filter(|l| l.starts_with("parallax_probe_results"));
        results.map(str::to_owned).collect()
    };
    let now = coordinator.call("GET", "/metrics", "").await.body;
    assert_eq!(results(&now), results(&counted));
    // A new token lets it in again, with another key, in the same folder.
    let folder = Some(folder.path().into());
    let back = Agent::start_in(&coordinator, "eu-1", "eu", folder).await;
    coordinator.until_connected("eu-1").await;
    back.stop().await;
    coordinator.stop().await;
}

/// Two agents of one folder would give the same sequences twice.
#[tokio::test]
async fn a_state_folder_has_one_agent() {
    let coordinator = Coordinator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let first = Agent::start_in(&coordinator, "eu-1", "eu", Some(folder.path().into())).await;
    coordinator.until_connected("eu-1").await;
    let said = refused(agent::Config {
        state_dir: Some(folder.path().into()),
        ..config()
    })
    .await;
    assert!(
        said.contains("is in use by another agent; give each"),
        "{said}"
    );
    first.stop().await;
    coordinator.stop().await;
}

/// The library of Debian's package `faketime`, if it is there.
#[expect(clippy::print_stderr, reason = "a skip is said aloud")]
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let library = folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library| library.exists());
    if library.is_none() {
        let required = std::env::var("PARALLAX_REQUIRE_REAL").is_ok_and(|value| value == "1");
        assert!(!required, "faketime is required; install it");
        eprintln!("skipped: faketime is not installed");
    }
    library
}

/// A clock that is an hour off is shown, and changes nothing: neither certificates nor ages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_clock_is_off_by_an_hour_works() {
    let Some(library) = faketime() else { return };
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let coordinator = Coordinator::start().await;
    let spec = json!({ "url": server.url(), "interval": "10s" });
    coordinator.put("docs", &spec).await;
    let folder = tempfile::tempdir().unwrap();
    let mut agents = Vec::new();
    for (region, offset) in [("ahead", "+3600s"), ("behind", "-3600s")] {
        let mut command = Command::new(binary("parallax-agent"));
        command.env("LD_PRELOAD", &library).env("FAKETIME", offset);
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let token = coordinator.token(region, region).await;
        command.env("PARALLAX_TOKEN", token);
        command.args(["--allow", "127.0.0.0/8", "--resolver", "127.0.0.1:9"]);
        command.arg("--state-dir").arg(folder.path().join(region));
        agents.push(Daemon::run(command, &folder.path().join("log")));
    }
    for (region, offset) in [("ahead", 3600.0), ("behind", -3600.0)] {
        let seen = coordinator.until_state("docs", region, "ok").await;
        let probed: jiff::Timestamp = seen["last_probe_at"].as_str().unwrap().parse().unwrap();
        let age = telemetry::clock::wall().duration_since(probed).as_secs();
        assert!((0..60).contains(&age), "{age} s ago by our clock");
        let near = |agents: &serde_json::Value| {
            let agents = agents.as_array().unwrap().iter();
            let skew = agents.filter(|a| a["id"] == region);
            let mut skew = skew.filter_map(|a| a["clock_offset_seconds"].as_f64());
            skew.next()
                .is_some_and(|skew: f64| (skew - offset).abs() < 60.0)
        };
        coordinator.until("the skew is shown", near).await;
    }
    for agent in agents {
        assert!(agent.terminate().await.success());
    }
    coordinator.stop().await;
}

/// What an agent's folder says it is, to speak as it does.
fn identity(folder: &Path) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let text = std::fs::read_to_string(folder.join("identity.json")).unwrap();
    let row: serde_json::Value = serde_json::from_str(&text).unwrap();
    let chain = row["chain"].as_array().unwrap().iter();
    let der = |text: &serde_json::Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
    let key = row["key_pem"].as_str().unwrap();
    (
        chain.map(|text| der(text).into()).collect(),
        PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
    )
}

/// A channel to the agents' port of a coordinator, as whoever shows this certificate. Whom it
/// talks to is checked elsewhere.
fn channel(
    to: &Coordinator,
    authority: &CertificateDer<'static>,
    shown: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Channel {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (tls, address) = (TlsConnector::from(Arc::new(config)), to.bound.grpc);
    let connector = tower::service_fn(move |_: Uri| {
        let tls = tls.clone();
        async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            let name = ServerName::try_from(rpc::COORDINATOR_NAME).unwrap();
            tls.connect(name, stream).await.map(TokioIo::new)
        }
    });
    Channel::from_static("http://coordinator").connect_with_connector_lazy(connector)
}

/// Asks for everything that only a member gets; the codes of the answers.
async fn ask_everything(channel: Channel) -> Vec<Code> {
    let protocol_version = rpc::PROTOCOL_VERSION;
    let hello = v1::WatchHello {
        protocol_version,
        ..Default::default()
    };
    let hello = v1::WatchRequest {
        message: Some(v1::watch_request::Message::Hello(hello)),
    };
    let watch = ScheduleServiceClient::new(channel.clone())
        .watch(tokio_stream::iter([hello]))
        .await
        .map(|_| ());
    let hello = v1::ReportHello {
        protocol_version,
        ..Default::default()
    };
    let hello = v1::ReportRequest {
        message: Some(v1::report_request::Message::Hello(hello)),
    };
    let report = EvidenceServiceClient::new(channel.clone())
        .report(tokio_stream::iter([hello]))
        .await
        .map(|_| ());
    let params = rcgen::CertificateParams::default();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = params.serialize_request(&key).unwrap();
    let renew = v1::RenewRequest {
        protocol_version,
        certificate_request: request.der().to_vec(),
        generation: 0,
    };
    let renew = EnrolmentServiceClient::new(channel)
        .renew(renew)
        .await
        .map(|_| ());
    let code = |answer: Result<(), tonic::Status>| match answer {
        Ok(()) => Code::Ok,
        Err(status) => status.code(),
    };
    [watch, report, renew].map(code).to_vec()
}

/// Nobody gets a schedule, hands in evidence or renews without a certificate of the mesh; and a
/// member renews for its own key only.
#[tokio::test]
async fn the_agents_port_is_closed_to_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let mut members = Vec::new();
    for name in ["ours", "theirs"] {
        let coordinator = Coordinator::start().await;
        let state = folder.path().join(name);
        let agent = Agent::start_in(&coordinator, "eu-1", "eu", Some(state.clone())).await;
        coordinator.until_connected("eu-1").await;
        agent.stop().await;
        members.push((coordinator, identity(&state)));
    }
    let (theirs, (their_chain, their_key)) = members.pop().unwrap();
    let (ours, (our_chain, our_key)) = members.pop().unwrap();
    let authority = our_chain.last().unwrap().clone();

    let nobody = channel(&ours, &authority, None);
    assert_eq!(ask_everything(nobody).await, [Code::Unauthenticated; 3]);
    let stranger = channel(&ours, &authority, Some((their_chain, their_key)));
    for code in ask_everything(stranger).await {
        assert!(matches!(code, Code::Unavailable | Code::Unknown), "{code}");
    }
    let member = channel(&ours, &authority, Some((our_chain, our_key)));
    let codes = ask_everything(member).await;
    assert_eq!(codes, [Code::Ok, Code::Ok, Code::PermissionDenied]);
    ours.stop().await;
    theirs.stop().await;
}
