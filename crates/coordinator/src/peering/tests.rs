//! Who is told whom.

use super::*;

fn identity(agent: &str, is_private: bool) -> Identity {
    let (region, provider) = agent.split_once('-').unwrap();
    Identity {
        agent: agent.to_owned(),
        region: region.to_owned(),
        provider: provider.to_owned(),
        is_private,
    }
}

fn key(agent: &str) -> KeyHash {
    let mut key = [0; 32];
    key[..agent.len()].copy_from_slice(agent.as_bytes());
    key
}

fn from() -> Option<SocketAddr> {
    Some("203.0.113.9:50000".parse().unwrap())
}

/// These agents are here, and were found where they say that they answer.
fn fleet(agents: &[&str], now: Instant) -> Peering {
    let peering = Peering::default();
    for agent in agents {
        peering.joined(&identity(agent, false), key(agent), (from(), 7444), now);
    }
    for trial in peering.trials(100, now) {
        peering.tried(&trial, true, now);
    }
    peering
}

fn names(list: &v1::PeerList) -> Vec<(&str, u32)> {
    let named = list.peers.iter();
    named.map(|peer| (&peer.agent_id[..], peer.bit)).collect()
}

fn list_of(lists: &[(String, v1::PeerList)], agent: &str) -> v1::PeerList {
    let found = lists.iter().find(|(name, _)| name == agent);
    found.unwrap().1.clone()
}

#[test]
fn who_was_reached_is_watched_and_knows_by_whom() {
    let now = tokio::time::Instant::now().into_std();
    let peering = fleet(&["eu-a", "us-b"], now);
    // One more that nobody reaches, one that does not want to be, and a private one.
    peering.joined(&identity("ap-c", false), key("ap-c"), (from(), 7444), now);
    peering.joined(&identity("sa-d", false), key("sa-d"), (from(), 0), now);
    peering.joined(&identity("in-e", true), key("in-e"), (from(), 7444), now);
    let trials = peering.trials(100, now);
    assert_eq!(trials.len(), 1, "{trials:?}");
    peering.tried(&trials[0], false, now);
    let lists = peering.lists();
    let mut of_c: Vec<&str> = Vec::new();
    let list = list_of(&lists, "ap-c");
    of_c.extend(names(&list).iter().map(|(name, _)| *name));
    of_c.sort_unstable();
    assert_eq!(of_c, ["eu-a", "us-b"]);
    assert_eq!(list.watcher_keys_sha256, [[0; 0]; 0]);
    let list = list_of(&lists, "eu-a");
    assert_eq!(names(&list), [("us-b", 0)]);
    let peer = &list.peers[0];
    assert_eq!(peer.address, "203.0.113.9:7444");
    assert_eq!(peer.public_key_sha256, key("us-b"));
    assert_eq!(list.watcher_keys_sha256.len(), 4, "everybody watches it");
    assert_eq!(peering.lists(), [], "nothing new");
}

#[test]
fn a_new_stream_is_told_and_a_list_that_got_lost_is_told_again() {
    let now = tokio::time::Instant::now().into_std();
    let peering = fleet(&["eu-a", "us-b"], now);
    let first = peering.lists();
    peering.joined(&identity("eu-a", false), key("eu-a"), (from(), 7444), now);
    let again = peering.lists();
    assert_eq!(again.len(), 1);
    assert_eq!(list_of(&again, "eu-a"), list_of(&first, "eu-a"));
    peering.untold("us-b");
    assert_eq!(peering.lists().len(), 1);
}

#[test]
fn a_peer_keeps_its_bit_and_a_bit_is_used_again() {
    let now = tokio::time::Instant::now().into_std();
    let peering = fleet(&["eu-a", "us-b", "ap-c"], now);
    let before = list_of(&peering.lists(), "eu-a");
    assert_eq!(names(&before), [("ap-c", 0), ("us-b", 1)]);
    let members = ["eu-a", "us-b", "sa-d"].map(|name| (name.to_owned(), hex(&key(name))));
    peering.keep(&members.into(), now);
    peering.joined(&identity("sa-d", false), key("sa-d"), (from(), 7444), now);
    for trial in peering.trials(100, now) {
        peering.tried(&trial, true, now);
    }
    let after = list_of(&peering.lists(), "eu-a");
    assert_eq!(names(&after), [("sa-d", 0), ("us-b", 1)]);
    assert_eq!(after.revision, before.revision + 1);
}

/// Who is turned out is nobody's peer any more; whose link is down stays for a while.
#[test]
fn members_stay_while_their_link_is_down() {
    let now = tokio::time::Instant::now().into_std();
    let peering = fleet(&["eu-a", "us-b"], now);
    peering.lists();
    let members: BTreeMap<String, String> = ["eu-a", "us-b"]
        .map(|name| (name.to_owned(), hex(&key(name))))
        .into();
    peering.left("us-b", now);
    peering.keep(&members, now + KEPT / 2);
    assert_eq!(peering.lists(), []);
    peering.keep(&members, now + KEPT);
    assert_eq!(names(&list_of(&peering.lists(), "eu-a")), []);
    let other: BTreeMap<String, String> = [("eu-a".to_owned(), hex(&key("x")))].into();
    peering.keep(&other, now);
    assert!(peering.standings().is_empty(), "its key is another now");
}

#[test]
fn what_is_seen_is_shown_for_a_minute_and_only_of_the_list_that_holds() {
    let now = tokio::time::Instant::now().into_std();
    let peering = fleet(&["eu-a", "us-b"], now);
    let revision = list_of(&peering.lists(), "eu-a").revision;
    let path = |bit, revision| v1::PeerPath {
        bit,
        revision,
        connected: true,
        judged: 10,
        lost: 1,
        ..Default::default()
    };
    let many = vec![path(0, revision + 1); 1000];
    peering.seen("eu-a", &many, now);
    assert!(peering.paths(now).is_empty());
    peering.seen("eu-a", &[path(0, revision)], now);
    // One path is one row, however often it is told.
    peering.seen("eu-a", &[path(0, revision), path(0, revision)], now);
    peering.seen("us-b", &[path(9, revision)], now);
    let shown = peering.paths(now);
    assert_eq!(shown.len(), 1);
    assert_eq!(
        (&shown[0].agent.agent[..], &shown[0].peer.agent[..]),
        ("eu-a", "us-b")
    );
    assert!(peering.paths(now + OLD).is_empty());
}

/// An agent whose address changes is tried anew before anybody is sent there.
#[test]
fn another_address_is_tried_first() {
    let now = tokio::time::Instant::now().into_std();
    let peering = fleet(&["eu-a", "us-b"], now);
    peering.lists();
    let moved = Some("203.0.113.77:50000".parse().unwrap());
    peering.joined(&identity("us-b", false), key("us-b"), (moved, 7444), now);
    assert_eq!(names(&list_of(&peering.lists(), "eu-a")), []);
    let trials = peering.trials(100, now);
    assert_eq!(trials[0].address.to_string(), "203.0.113.77:7444");
    peering.tried(&trials[0], true, now);
    let list = list_of(&peering.lists(), "eu-a");
    assert_eq!(list.peers[0].address, "203.0.113.77:7444");
}
