//! A world over real sockets: names, handshakes, and what is broken for one agent only.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path as FilePath;
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

use super::*;
use crate::mesh::wait_for;
use crate::mesh::world::World;
use crate::proxy::Fault;
use crate::server::script::Script;

const PATIENCE: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    let any = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    any.local_addr().unwrap().port()
}

fn options(folder: &FilePath) -> Options {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Options {
        folder: folder.to_owned(),
        control: local(free_port()),
        coordinator: local(free_port()),
        agents: AGENTS.len(),
        ports: Ports {
            targets: free_port(),
            dns: free_port(),
        },
    }
}

async fn address_of(resolver: SocketAddr, name: &str, over_tcp: bool) -> IpAddr {
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    let question = question.to_vec().unwrap();
    let mut buffer = vec![0; 512];
    let length = if over_tcp {
        let mut stream = TcpStream::connect(resolver).await.unwrap();
        let length = u16::try_from(question.len()).unwrap();
        stream.write_u16(length).await.unwrap();
        stream.write_all(&question).await.unwrap();
        let length = usize::from(stream.read_u16().await.unwrap());
        stream.read_exact(&mut buffer[..length]).await.unwrap();
        length
    } else {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.send_to(&question, resolver).await.unwrap();
        let received = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer));
        received.await.unwrap().unwrap()
    };
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    answer.answers[0].data.ip_addr().unwrap()
}

/// A TLS handshake with `name` on an agent's path, under the world's authority.
async fn greets(folder: &FilePath, address: SocketAddr, name: &str) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    let pem = CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap();
    roots.add(pem).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let Ok(stream) = TcpStream::connect(address).await else {
        return false;
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let greeted = tokio::time::timeout(PATIENCE, connector.connect(name, stream));
    greeted.await.unwrap().is_ok()
}

#[tokio::test]
async fn what_is_broken_for_one_agent_is_broken_for_no_other() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path();
    let options = options(folder);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(options.clone(), shutdown.clone()));
    let world = World::new(options.control);
    let open = wait_for(PATIENCE, async || Ok(world.is_open().await.then_some(())));
    assert!(open.await.unwrap().is_some());
    assert_eq!(world.paths().await.unwrap().len(), 8 * 9);

    let mut doors = Vec::new();
    for (agent, over_tcp) in [(&AGENTS[0], false), (&AGENTS[1], true)] {
        let resolver = agent.resolver(options.ports.dns);
        let mut found = Vec::new();
        for name in ["docs.parallax.test.", "canary-1.parallax.test."] {
            let address = address_of(resolver, name, over_tcp).await;
            let door = SocketAddr::from((address, options.ports.targets));
            assert!(greets(folder, door, name.trim_end_matches('.')).await);
            assert!(!greets(folder, door, "search.parallax.test").await);
            found.push(door);
        }
        doors.push(found);
    }
    let docs = async |agent: usize| greets(folder, doors[agent][0], "docs.parallax.test").await;

    world
        .break_path("eu-beta/docs", Fault::Refuse)
        .await
        .unwrap();
    let refused = wait_for(PATIENCE, async || Ok((!docs(1).await).then_some(())));
    assert!(refused.await.unwrap().is_some());
    assert!(docs(0).await);
    assert!(greets(folder, doors[1][1], "canary-1.parallax.test").await);

    world.mend().await.unwrap();
    let mended = wait_for(PATIENCE, async || Ok(docs(1).await.then_some(())));
    assert!(mended.await.unwrap().is_some());

    world.run("docs", false).await.unwrap();
    assert!(!docs(0).await && !docs(1).await, "it is down for everyone");
    assert!(greets(folder, doors[0][1], "canary-1.parallax.test").await);
    world.run("docs", true).await.unwrap();
    assert!(docs(0).await && docs(1).await);

    let script = Script::default();
    world.script("tickets", &script).await.unwrap();
    let error = world.script("search", &script).await.unwrap_err();
    assert!(error.to_string().contains("takes no script"), "{error}");
    let error = world.break_path("eu-beta/nobody", Fault::None).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("GET /paths names them"), "{error}");

    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let outer = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let good = options(outer.path());
    let mut wide = good.clone();
    wide.control = "0.0.0.0:7090".parse().unwrap();
    let mut many = good.clone();
    many.agents = 9;
    let mut busy = good.clone();
    busy.control = taken.local_addr().unwrap();
    let table = [
        (wide, "control: 0.0.0.0:7090 is not on loopback"),
        (many, "agents: 9 is not within 1 to 8"),
        (
            busy,
            "is in use; stop what listens there, or name another port with --control",
        ),
    ];
    for (options, expected) in table {
        let error = run(options, CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
