//! Answers by table, and packets that are none.

use hickory_proto::rr::Name;

use super::super::layout::AGENTS;
use super::*;

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 7;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn sent(reply: Reply) -> Message {
    match reply {
        Reply::Send(bytes) => {
            assert!(bytes.len() <= 512, "{} bytes", bytes.len());
            let message = Message::from_vec(&bytes).unwrap();
            assert_eq!(message.metadata.message_type, MessageType::Response);
            assert_eq!(message.metadata.id, 7);
            message
        }
        other @ (Reply::Nothing | Reply::Ask(_)) => panic!("{other:?}"),
    }
}

fn addresses(message: &Message) -> Vec<IpAddr> {
    let answers = message.answers.iter();
    answers.filter_map(|record| record.data.ip_addr()).collect()
}

#[test]
fn every_agent_is_sent_to_its_own_addresses() {
    let table = [
        (1, "docs.parallax.test.", "127.0.1.11"),
        (2, "docs.parallax.test.", "127.0.2.11"),
        (2, "DOCS.Parallax.Test.", "127.0.2.11"),
        (3, "tickets.parallax.test.", "127.0.3.12"),
        (4, "search.parallax.test.", "127.0.4.13"),
        (8, "canary-1.parallax.test.", "127.0.8.21"),
        (8, "canary-5.parallax.test.", "127.0.8.25"),
    ];
    for (number, name, expected) in table {
        let message = sent(reply(&AGENTS[number - 1], &question(name, RecordType::A)));
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
        let expected: IpAddr = expected.parse().unwrap();
        assert_eq!(addresses(&message), [expected], "{number} {name}");
        assert_eq!(message.answers[0].ttl, 5);
        assert_eq!(message.answers[0].name.to_ascii(), name, "as it was asked");
    }
}

#[test]
fn names_and_types_that_are_not_there() {
    let table = [
        (
            "docs.parallax.test.",
            RecordType::AAAA,
            ResponseCode::NoError,
        ),
        (
            "docs.parallax.test.",
            RecordType::TXT,
            ResponseCode::NoError,
        ),
        ("parallax.test.", RecordType::A, ResponseCode::NoError),
        (
            "nobody.parallax.test.",
            RecordType::A,
            ResponseCode::NXDomain,
        ),
        (
            "nobody.parallax.test.",
            RecordType::AAAA,
            ResponseCode::NXDomain,
        ),
        (
            "canary-6.parallax.test.",
            RecordType::A,
            ResponseCode::NXDomain,
        ),
        ("example.com.", RecordType::MX, ResponseCode::NotImp),
    ];
    for (name, kind, expected) in table {
        let message = sent(reply(&AGENTS[0], &question(name, kind)));
        assert_eq!(message.metadata.response_code, expected, "{name} {kind}");
        assert_eq!(addresses(&message), [] as [IpAddr; 0], "{name} {kind}");
    }
}

#[test]
fn other_names_are_the_systems() {
    // Not of the zone, though they end like it.
    for name in ["mcp.example.com.", "notparallax.test."] {
        let Reply::Ask(asked) = reply(&AGENTS[0], &question(name, RecordType::A)) else {
            panic!("{name}");
        };
        assert_eq!(format!("{}.", asked.name), name);
    }
    let found: [IpAddr; 3] = [
        "192.0.2.1".parse().unwrap(),
        "192.0.2.1".parse().unwrap(),
        "2001:db8::1".parse().unwrap(),
    ];
    for (kind, index) in [(RecordType::A, 0), (RecordType::AAAA, 2)] {
        let Reply::Ask(asked) = reply(&AGENTS[0], &question("mcp.example.com.", kind)) else {
            panic!("{kind}");
        };
        let message = sent(asked.answer(Some(&found)));
        assert_eq!(addresses(&message), [found[index]], "{kind}");
        assert_eq!(message.answers[0].ttl, 60);
        let code = |reply| sent(reply).metadata.response_code;
        assert_eq!(code(asked.answer(None)), ResponseCode::NXDomain);
        assert_eq!(code(asked.busy()), ResponseCode::ServFail);
        let many: Vec<IpAddr> = (0..200).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        assert!(addresses(&sent(asked.answer(Some(&many)))).len() <= MAX_ADDRESSES);
    }
}

#[test]
fn hostile_packets_are_refused_or_left() {
    let good = question("docs.parallax.test.", RecordType::A);
    let mut two = good.clone();
    two[5] = 2;
    let mut many = good.clone();
    (many[4], many[5]) = (0xff, 0xff);
    let mut none = good.clone();
    none[5] = 0;
    let mut cut = good.clone();
    cut.truncate(20);
    // A name that points at itself.
    let mut circle = good[..HEADER].to_vec();
    circle.extend([0xc0, 12, 0, 1, 0, 1]);
    // Records are announced that never come.
    let mut hollow = good.clone();
    (hollow[6], hollow[7]) = (0xff, 0xff);
    for packet in [&two, &many, &none, &cut, &circle, &hollow] {
        let message = sent(reply(&AGENTS[0], packet));
        assert_eq!(message.metadata.response_code, ResponseCode::FormErr);
        assert_eq!(addresses(&message), [] as [IpAddr; 0]);
    }
    let mut answer = good.clone();
    answer[2] |= 0x80;
    let mut status = good.clone();
    status[2] = 2 << 3;
    assert!(matches!(reply(&AGENTS[0], &answer), Reply::Nothing));
    let refused = sent(reply(&AGENTS[0], &status)).metadata.response_code;
    assert_eq!(refused, ResponseCode::NotImp);
    for length in 0..HEADER {
        assert!(matches!(reply(&AGENTS[0], &good[..length]), Reply::Nothing));
    }
    // Every byte of a good packet wrong in turn, and every length: an answer or none, no panic.
    for index in 0..good.len() {
        for bits in [0x01, 0x80, 0xff] {
            let mut packet = good.clone();
            packet[index] ^= bits;
            let _ = reply(&AGENTS[0], &packet);
        }
        let _ = reply(&AGENTS[0], &good[..index]);
    }
}
