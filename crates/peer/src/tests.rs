//! Two sides on loopback.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use rustls::pki_types::PrivateKeyDer;
use tokio::time::Instant;

use super::*;

fn credentials() -> (Credentials, KeyHash) {
    let made = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    let certificate = made.cert.der().clone();
    let key = key_of(&certificate).unwrap();
    let credentials = Credentials {
        chain: vec![certificate],
        key: PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
    };
    (credentials, key)
}

const LOOPBACK: &str = "127.0.0.1:0";

/// Who may no more is not answered any more, also over the path that is open.
#[tokio::test]
async fn a_list_without_the_key_ends_the_path() {
    let (shown, ours) = credentials();
    let allowed = Allowed::default();
    allowed.set([ours].into());
    let (theirs, key) = credentials();
    let server = Server::bind(LOOPBACK.parse().unwrap(), theirs, allowed.clone()).unwrap();
    let client = Client::new(Some(shown)).unwrap();
    let link = client.open(server.address().unwrap(), key).await.unwrap();
    link.ping(1).unwrap();
    assert_eq!(link.answered().await.unwrap(), 1);
    allowed.set(BTreeSet::new());
    link.ping(2).unwrap();
    let ended = link.answered().await.unwrap_err();
    assert!(matches!(ended, PathError::Refused(_)), "{ended}");
}

/// A server that lets in these keys: its address and its key.
fn server(keys: &[KeyHash]) -> (Server, SocketAddr, KeyHash) {
    let (shown, key) = credentials();
    let allowed = Allowed::default();
    allowed.set(keys.iter().copied().collect::<BTreeSet<_>>());
    let server = Server::bind(LOOPBACK.parse().unwrap(), shown, allowed).unwrap();
    let address = server.address().unwrap();
    (server, address, key)
}

#[tokio::test]
async fn a_peer_that_may_is_answered() {
    let (shown, ours) = credentials();
    let (_server, address, key) = server(&[ours]);
    let link = Client::new(Some(shown)).unwrap();
    let link = link.open(address, key).await.unwrap();
    let mut path = Path::default();
    for _ in 0..3 {
        let number = path.handle_send(Instant::now().into_std());
        link.ping(number).unwrap();
        assert_eq!(link.answered().await.unwrap(), number);
        path.handle_answer(number, Instant::now().into_std());
    }
    let seen = path.seen();
    assert_eq!((seen.judged, seen.lost), (3, 0));
    assert!(seen.rtt.is_some() && !link.handshake.is_zero());
}

/// Who holds another key than the one that is looked for is not the peer.
#[tokio::test]
async fn another_key_is_refused() {
    let (shown, ours) = credentials();
    let (_server, address, _) = server(&[ours]);
    let client = Client::new(Some(shown)).unwrap();
    let (_, other) = credentials();
    let refused = client.open(address, other).await.unwrap_err();
    assert!(matches!(refused, PathError::Refused(_)), "{refused}");
}

/// A stranger learns that the server is there, as the coordinator must, and gets no answer.
#[tokio::test]
async fn strangers_are_turned_away() {
    let (_, other) = credentials();
    let (_server, address, key) = server(&[other]);
    for shown in [None, Some(credentials().0)] {
        let client = Client::new(shown).unwrap();
        let link = client.open(address, key).await.unwrap();
        let _ = link.ping(1);
        let ended = link.answered().await.unwrap_err();
        assert!(matches!(ended, PathError::Refused(_)), "{ended}");
    }
}

#[tokio::test]
async fn nobody_at_an_address_is_silence_or_a_refusal() {
    let nobody = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let address = nobody.local_addr().unwrap();
    let client = Client::new(None).unwrap();
    let (_, key) = credentials();
    let ended = client.open(address, key).await.unwrap_err();
    assert!(
        matches!(ended, PathError::Silent | PathError::Refused(_)),
        "{ended}"
    );
}
