use super::*;
use proptest::prelude::*;

fn record(slot: u64) -> v1::Record {
    let missed = v1::Missed {
        slot,
        ..Default::default()
    };
    v1::Record {
        kind: Some(v1::record::Kind::Missed(missed)),
        ..Default::default()
    }
}

fn slots(records: &[v1::Record]) -> Vec<u64> {
    let slot = |record: &v1::Record| match &record.kind {
        Some(v1::record::Kind::Missed(missed)) => missed.slot,
        _ => panic!("only missed slots are spooled here"),
    };
    records.iter().map(slot).collect()
}

fn span(first: u64, end: u64) -> Span {
    Span { first, end }
}

fn here(spool: &Spool, lane: u16, span: Span) -> (u64, Vec<u64>) {
    match spool.read(lane, span) {
        Found::Here(first, records) => (first, slots(&records)),
        Found::OnDisk(span) => panic!("{span:?} is on disk"),
    }
}

#[test]
fn sequences_are_given_once_and_survive_release() {
    let mut spool = Spool::in_memory("b", u64::MAX);
    for slot in 0..10 {
        assert_eq!(spool.push(3, record(slot), false), slot);
    }
    spool.release(3, 4);
    assert_eq!((spool.oldest(3), spool.end(3), spool.len()), (4, 10, 6));
    assert_eq!(here(&spool, 3, span(0, 7)), (4, vec![4, 5, 6]));
    spool.release(3, 100);
    assert_eq!((spool.end(3), spool.len(), spool.bytes()), (10, 0, 0));
    assert_eq!(spool.push(3, record(10), false), 10);
}

/// What is not yet on disk is not sent: a restart could give its sequence to another record.
#[test]
fn a_record_may_be_sent_once_it_is_durable() {
    let mut spool = Spool::on_disk("b", u64::MAX, BTreeMap::new());
    spool.push(3, record(0), true);
    spool.push(4, record(7), false);
    assert!(spool.end(3) == 0 && spool.is_waiting());
    assert_eq!(here(&spool, 3, span(0, 1)), (0, vec![]));
    let tickets: Vec<Ticket> = std::iter::from_fn(|| spool.poll_change())
        .map(|(ticket, change, _)| {
            let Change::Put { record, .. } = change else {
                panic!("{change:?}");
            };
            let stored = v1::Record::decode(&record[..]).unwrap();
            assert_eq!(stored.other_boot_id, "b", "another life knows whose it is");
            ticket
        })
        .collect();
    let durable = spool.handle_durable(tickets[0]);
    let urgent = Durable {
        lane: 3,
        urgent: true,
    };
    assert_eq!((durable, spool.end(3), spool.end(4)), (vec![urgent], 1, 0));
    assert_eq!(here(&spool, 3, span(0, 1)), (0, vec![0]));
    assert_eq!(spool.handle_durable(tickets[1]).len(), 1);
    assert!(!spool.is_waiting());
}

#[test]
fn the_largest_lane_makes_room_and_says_what_is_gone() {
    let one = Spool::in_memory("b", 0).stored(&record(5)).len() as u64;
    let mut spool = Spool::in_memory("b", 1000 * one);
    for slot in 0..1200 {
        spool.push(1, record(slot % 8 + 5), false);
    }
    spool.push(2, record(5), false);
    let dropped = spool.make_room().unwrap();
    assert_eq!((dropped.lane, dropped.span), (1, span(0, 256)));
    assert_eq!(
        (spool.len(), spool.dropped(), spool.end(1)),
        (945, 256, 1200)
    );
    assert_eq!(spool.make_room(), None);
    // What is dropped next names everything since the last acknowledgement.
    for slot in 0..200 {
        spool.push(1, record(slot % 8 + 5), false);
    }
    assert_eq!(spool.make_room().unwrap().span, span(0, 512));
    spool.release(1, 600);
    for slot in 0..400 {
        spool.push(1, record(slot % 8 + 5), false);
    }
    assert_eq!(spool.make_room().unwrap().span, span(600, 768));
}

/// A long outage does not fill the memory: the older records are read from disk in their turn.
#[test]
fn only_the_newest_records_are_in_memory() {
    let mut spool = Spool::on_disk("b", u64::MAX, BTreeMap::new());
    for slot in 0..10_000 {
        spool.push(u16::from(slot % 2 == 0), record(slot), false);
    }
    assert_eq!(spool.in_memory, 10_000, "what is not on disk is kept");
    while let Some((ticket, _, _)) = spool.poll_change() {
        spool.handle_durable(ticket);
    }
    assert!(spool.in_memory <= IN_MEMORY, "{}", spool.in_memory);
    assert_eq!(spool.len(), 10_000);
    assert_eq!(spool.read(0, span(10, 20)), Found::OnDisk(span(10, 20)));
    assert_eq!(here(&spool, 0, span(4998, 5000)).1, [9997, 9999]);
}

#[test]
fn without_the_disk_what_it_never_got_goes_on_as_a_new_spool() {
    let mut found = Lane::found(2, 3);
    found.find(10);
    let mut spool = Spool::on_disk("b", u64::MAX, BTreeMap::from([(1, found)]));
    assert_eq!((spool.oldest(1), spool.end(1), spool.len()), (3, 4, 1));
    for slot in 0..5 {
        spool.push(1, record(slot), false);
    }
    // The disk has the first, was given the second and third, and never saw the others.
    for _ in 0..3 {
        spool.poll_change().unwrap();
    }
    spool.handle_durable(1);
    let left = Left {
        unsure: 2,
        firsts: BTreeMap::from([(1, 7)]),
    };
    assert_eq!(spool.leave_disk(), left);
    assert!(!spool.has_disk() && spool.poll_change().is_none());
    assert_eq!((spool.oldest(1), spool.end(1), spool.dropped()), (0, 2, 2));
    assert_eq!(here(&spool, 1, span(0, 9)), (0, vec![3, 4]));
    // What the disk says later changes nothing.
    for slot in 0..9000 {
        spool.push(1, record(slot), false);
    }
    assert!(spool.handle_durable(5).is_empty());
    assert_eq!(here(&spool, 1, span(0, 2)).1, [3, 4], "still in memory");
}

#[test]
fn the_disk_is_given_so_much_at_once() {
    let mut spool = Spool::on_disk("b", u64::MAX, BTreeMap::new());
    for slot in 0..3000 {
        spool.push(1, record(slot), false);
    }
    let given = std::iter::from_fn(|| spool.poll_change()).count() as u64;
    assert_eq!(given, WITH_DISK);
    spool.handle_durable(10);
    assert_eq!(std::iter::from_fn(|| spool.poll_change()).count(), 10);
}

/// Dropped before the disk had it: another life would number other records so, and they must not
/// be taken for told.
#[test]
fn a_lane_is_said_to_begin_where_the_disk_knows_it() {
    let mut spool = Spool::on_disk("b", 2000, BTreeMap::new());
    for slot in 0..300 {
        spool.push(1, record(slot), false);
    }
    for _ in 0..100 {
        spool.poll_change().unwrap();
    }
    spool.handle_durable(100);
    assert_eq!(spool.make_room().unwrap().span, span(0, 256));
    assert_eq!((spool.oldest(1), spool.begin(1)), (256, 100));
}

proptest! {
    /// Whatever happens, the sums are those of the records, and what was pushed is either held,
    /// released or dropped.
    #[test]
    fn nothing_is_lost_uncounted(
        script in proptest::collection::vec((0u8..4, 0u16..3, 1u64..400), 1..120),
        most in 2_000u64..20_000,
    ) {
        let mut spool = Spool::on_disk("b", most, BTreeMap::new());
        let (mut pushed, mut released) = (0u64, 0u64);
        for (act, lane, n) in script {
            match act {
                0 | 1 => for slot in 0..n {
                    spool.push(lane, record(slot), false);
                    pushed += 1;
                    while let Some(dropped) = spool.make_room() {
                        prop_assert!(!dropped.span.is_empty());
                    }
                },
                2 => {
                    let before = spool.len();
                    let end = spool.oldest(lane) + n;
                    spool.release(lane, end.min(spool.end(lane)));
                    released += before - spool.len();
                }
                _ => {
                    let given = std::iter::from_fn(|| spool.poll_change());
                    if let Some((ticket, _, _)) = given.last() {
                        spool.handle_durable(ticket);
                    }
                }
            }
            let in_memory: usize = spool.lanes.values().map(Lane::in_memory).sum();
            prop_assert_eq!(spool.in_memory, in_memory);
            prop_assert_eq!(pushed, spool.len() + released + spool.dropped());
            prop_assert!(spool.bytes() <= most);
            for lane in spool.lanes.values() {
                prop_assert!(lane.released <= lane.first && lane.first <= lane.durable);
                prop_assert!(lane.durable <= lane.next() && lane.tail_first() >= lane.first);
            }
        }
    }
}
