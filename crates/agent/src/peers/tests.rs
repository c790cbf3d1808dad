//! Two agents on loopback.

use super::*;
use dial::Allow;
use peer::key_of;
use rustls::pki_types::PrivateKeyDer;

fn credentials() -> (Credentials, KeyHash) {
    let made = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    let key = key_of(made.cert.der()).unwrap();
    let credentials = Credentials {
        chain: vec![made.cert.der().clone()],
        key: PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
    };
    (credentials, key)
}

fn policy(allow: &[&str]) -> AddressPolicy {
    let allow = allow.iter().map(|text| text.parse::<Allow>().unwrap());
    AddressPolicy::new(allow.collect())
}

fn agent(peering: Peering) -> (Peers, KeyHash) {
    let (shown, key) = credentials();
    let peers = Peers::begin(peering, policy(&["127.0.0.1"]), shown).unwrap();
    (peers, key)
}

fn listening() -> (Peers, KeyHash) {
    agent(Peering::Listen("127.0.0.1:0".parse().unwrap()))
}

fn named(port: u16, key: KeyHash) -> v1::PeerList {
    v1::PeerList {
        revision: 7,
        peers: vec![v1::Peer {
            agent_id: "other".into(),
            address: format!("127.0.0.1:{port}"),
            public_key_sha256: key.to_vec(),
            bit: 5,
        }],
        watcher_keys_sha256: Vec::new(),
    }
}

fn watched_by(key: KeyHash) -> v1::PeerList {
    v1::PeerList {
        watcher_keys_sha256: vec![key.to_vec()],
        ..Default::default()
    }
}

async fn until(what: impl Fn() -> bool) {
    let waited = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), waited).await;
    in_time.unwrap();
}

const BIT: u64 = 1 << 5;

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[tokio::test]
async fn a_peer_is_reached_and_is_missed_when_it_is_gone() {
    let (mut server, server_key) = listening();
    let (mut client, client_key) = agent(Peering::Watch);
    server.set(&watched_by(client_key));
    let begin = now();
    client.set(&named(server.port(), server_key));
    assert_eq!(client.lately(now()), Masks::default(), "no evidence yet");
    until(|| client.reached(begin, now()).answered == BIT).await;
    let seen = &client.seen()[0];
    assert_eq!((seen.bit, seen.revision, seen.lost), (5, 7, 0));
    assert!(seen.connected && seen.judged >= 1 && seen.rtt_us > 0 && seen.handshake_us > 0);

    // What was reached before says nothing of now; asked, it is known soon.
    let later = now();
    assert_eq!(client.reached(later, later).asked, 0);
    client.ask();
    until(|| client.reached(later, now()).answered == BIT).await;

    drop(server);
    until(|| !client.seen()[0].connected).await;
    let gone = client.lately(now());
    assert_eq!((gone.asked, gone.answered), (BIT, 0));

    client.set(&v1::PeerList::default());
    assert_eq!(client.lately(now()), Masks::default());
}

/// The coordinator named the address, and this host does not open it; nor does it go to any peer
/// where that is switched off.
#[tokio::test]
async fn addresses_that_this_host_does_not_allow_are_not_contacted() {
    let (server, key) = listening();
    let (shown, _) = credentials();
    let closed = Peers::begin(Peering::Watch, policy(&[]), shown.clone());
    let off = Peers::begin(Peering::Off, policy(&["127.0.0.1"]), shown);
    for peers in [closed, off] {
        let mut peers = peers.unwrap();
        peers.set(&named(server.port(), key));
        assert_eq!(peers.seen(), []);
    }
}

#[tokio::test]
async fn nonsense_in_a_list_is_passed_over() {
    let (server, key) = listening();
    let (mut client, _) = agent(Peering::Watch);
    let mut list = named(server.port(), key);
    let good = list.peers[0].clone();
    list.peers.push(v1::Peer {
        address: "\u{1b}[31mnowhere".into(),
        bit: 6,
        ..good.clone()
    });
    list.peers.push(v1::Peer {
        public_key_sha256: vec![1],
        bit: 7,
        ..good.clone()
    });
    list.peers.push(v1::Peer { bit: 64, ..good });
    list.watcher_keys_sha256 = vec![vec![0; 31]];
    client.set(&list);
    let bits: Vec<u32> = client.seen().iter().map(|path| path.bit).collect();
    assert_eq!(bits, [5]);
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_with_the_setting() {
    let (server, _) = listening();
    let (shown, _) = credentials();
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let taken = Peers::begin(Peering::Listen(address), policy(&[]), shown);
    let problem = taken.map(|_| ()).unwrap_err();
    assert!(
        problem.starts_with(&format!("peer-listen: {address}: ")),
        "{problem}"
    );
}
