use super::*;

const NAMES: [&str; 4] = ["a:1", "b:1", "c:1", "d:1"];

fn at(ms: u64) -> Instant {
    thread_local! {
        static START: Instant = tokio::time::Instant::now().into_std();
    }
    START.with(|start| *start) + Duration::from_millis(ms)
}

fn fresh(ages: &[(&str, Duration)]) -> SelfTest {
    let names = NAMES.map(str::to_owned);
    let ages = ages.iter().map(|(name, age)| ((*name).to_owned(), *age));
    SelfTest::new(&names, &ages.collect(), at(0), at(0))
}

/// All canaries answered an hour ago.
fn known() -> SelfTest {
    fresh(&NAMES.map(|name| (name, Duration::from_secs(3600))))
}

fn failure(seq: u64, began: u64) -> Failure {
    Failure {
        monitor: "docs".to_owned(),
        lane: 3,
        seq,
        began: at(began),
    }
}

/// Ends a round at a time: those whose bit is set answer.
fn answer(test: &mut SelfTest, round: RoundId, answers: u64, ms: u64) {
    for bit in 0..NAMES.len() {
        test.handle_answer(round, bit, answers >> bit & 1 == 1, at(ms));
    }
}

/// A round that takes so long.
fn round(test: &mut SelfTest, begins: u64, ends: u64, answers: u64) {
    let id = test.poll_round(at(begins)).expect("a round is due");
    answer(test, id, answers, ends);
}

fn tested(test: &mut SelfTest) -> Vec<(u64, Masks)> {
    std::iter::from_fn(|| test.poll_tested())
        .map(|(failure, masks)| (failure.seq, masks))
        .collect()
}

const fn masks(asked: u64, answered: u64) -> Masks {
    Masks { asked, answered }
}

const ALL: Masks = masks(0b1111, 0b1111);

#[test]
fn a_failure_is_vouched_for_by_a_round_that_began_after_its_probe() {
    // A round from 1000 to 1300; the probe begins and fails then.
    let table = [
        ("began before the round", 900, 1400, Some(1300)),
        ("began after it did", 1001, 1400, None),
        ("at once with it", 1000, 1400, None),
        ("fails long after it ended", 900, 6300, Some(1300)),
        ("too long", 900, 6301, None),
    ];
    for (name, began, failed, vouched) in table {
        let mut test = known();
        round(&mut test, 1000, 1300, 0b1111);
        test.handle_failure(failure(7, began), at(failed));
        let expected: &[_] = if vouched.is_some() { &[(7, ALL)] } else { &[] };
        assert_eq!(tested(&mut test), expected, "{name}");
        // Else a round begins for it, which sees what is now.
        let wanted = test.poll_round(at(1500.max(failed)));
        assert_eq!(wanted.is_some(), vouched.is_none(), "{name}");
        if let Some(id) = wanted {
            answer(&mut test, id, 0b0001, failed + 200);
            assert_eq!(tested(&mut test), [(7, masks(0b1111, 1))], "{name}");
        }
    }
}

/// A round that takes long is not what younger failures wait for.
#[test]
fn whoever_waits_waits_for_the_first_round_that_fits() {
    let mut test = known();
    let slow = test.poll_round(at(1000)).unwrap();
    test.handle_failure(failure(1, 900), at(1100));
    assert_eq!(test.poll_round(at(1499)), None, "the running one fits");
    test.handle_failure(failure(2, 1200), at(1210));
    assert_eq!(test.poll_timeout(), Some(at(1500)));
    assert_eq!(test.poll_round(at(1499)), None, "half a second between two");
    let fast = test.poll_round(at(1500)).unwrap();
    assert_eq!(test.poll_round(at(1500)), None);
    test.handle_failure(failure(3, 1450), at(1510));
    test.handle_failure(failure(4, 1501), at(1511));
    assert!(tested(&mut test).is_empty() && test.is_waiting());
    answer(&mut test, fast, 0b1111, 1600);
    // The first too: what is younger says as much.
    let vouched: Vec<u64> = tested(&mut test).into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(vouched, [1, 2, 3]);
    let last = test.poll_round(at(2000)).unwrap();
    answer(&mut test, slow, 0, 3000);
    assert!(tested(&mut test).is_empty(), "it began before the fourth");
    assert_eq!(
        test.last(),
        Some((at(1500), ALL)),
        "the younger is the newest"
    );
    answer(&mut test, last, 0b1111, 3100);
    assert_eq!(tested(&mut test), [(4, ALL)]);
    assert!(!test.is_waiting());
}

#[test]
fn without_canaries_a_failure_is_told_at_once() {
    let mut test = SelfTest::new(&[], &BTreeMap::new(), at(0), at(0));
    assert_eq!(
        (test.poll_timeout(), test.poll_round(at(9999))),
        (None, None)
    );
    test.handle_failure(failure(7, 100), at(200));
    assert_eq!(tested(&mut test), [(7, Masks::default())]);
    assert!(!test.has_canaries() && test.last().is_none());
}

#[test]
fn canaries_count_for_a_day_after_they_answered() {
    let hour = Duration::from_secs(3600);
    let mut test = fresh(&[("a:1", hour), ("b:1", 25 * hour), ("nobody:1", hour)]);
    round(&mut test, 0, 100, 0b1000);
    assert_eq!(
        test.last().unwrap().1,
        masks(0b1001, 0b1000),
        "d: right now"
    );
    // c never answered, b not of late: nobody waits for them any more.
    let id = test.poll_round(at(20_000)).unwrap();
    test.handle_answer(id, 0, true, at(20_010));
    test.handle_answer(id, 3, true, at(20_020));
    assert_eq!(test.last(), Some((at(20_000), masks(0b1001, 0b1001))));
    test.handle_answer(id, 1, true, at(20_900));
    assert_eq!(
        test.last().unwrap().1,
        masks(0b1011, 0b1011),
        "late, and welcome"
    );
    let day = 24 * 3_600_000;
    round(&mut test, 19_000 + day, 19_500 + day, 0);
    assert_eq!(test.last().unwrap().1, masks(0b1011, 0));
    round(&mut test, 40_000 + day, 42_000 + day, 0);
    assert_eq!(test.last().unwrap().1, masks(0, 0), "silent for a day");
    assert!(!test.last().unwrap().1.is_bad());
}

/// A closed network, where nobody ever answers: failures do not wait once that is known.
#[test]
fn a_network_without_a_way_out_mutes_nobody() {
    let mut test = fresh(&[]);
    test.handle_failure(failure(1, 10), at(20));
    let first = test.poll_round(at(20)).expect("the failure hastens it");
    answer(&mut test, first, 0, 2020);
    assert_eq!(tested(&mut test), [(1, Masks::default())]);
    test.handle_failure(failure(2, 2100), at(2110));
    assert!(test.poll_round(at(2110)).is_some());
    assert_eq!(tested(&mut test), [(2, Masks::default())]);
    assert!(test.poll_change().is_none());
}

#[test]
fn rounds_come_by_the_clock_more_often_in_doubt() {
    let mut test = known();
    let mut due = |ms, ends, answers, next| {
        assert_eq!(test.poll_timeout(), Some(at(ms)));
        round(&mut test, ms, ends, answers);
        assert_eq!(test.poll_timeout(), Some(at(next)));
        test.poll_change().map(Masks::is_bad)
    };
    assert_eq!(due(0, 100, 0b1111, 15_000), None);
    assert_eq!(due(15_000, 15_100, 0b0011, 75_000), None, "half suffices");
    assert_eq!(due(75_000, 77_000, 0b0001, 90_000), Some(true));
    assert_eq!(due(90_000, 92_000, 0, 105_000), None, "still bad");
    assert_eq!(due(105_000, 105_100, 0b1110, 120_000), Some(false));
    assert_eq!(due(120_000, 120_100, 0b1111, 180_000), None);
}

#[test]
fn a_round_ends_without_a_canary_that_is_lost() {
    let mut test = known();
    let id = test.poll_round(at(0)).unwrap();
    for bit in [0, 1, 2] {
        test.handle_answer(id, bit, true, at(100));
    }
    test.handle_failure(failure(7, 0), at(50));
    assert_eq!(test.poll_timeout(), Some(at(500)), "it wants its own");
    let own = test.poll_round(at(500)).unwrap();
    assert_eq!(test.poll_timeout(), Some(at(2200)));
    test.handle_timeout(at(2200));
    assert_eq!(test.last(), Some((at(0), masks(0b1111, 0b0111))));
    answer(&mut test, own, 0b1111, 2300);
    test.handle_answer(id, 3, true, at(2400));
    test.handle_timeout(at(2400));
    assert_eq!(tested(&mut test), [(7, ALL)]);
    assert_eq!((test.last(), test.rounds.len()), (Some((at(500), ALL)), 1));
}

#[test]
fn that_a_canary_answers_is_kept_now_and_then() {
    let mut test = known();
    let kept = |test: &mut SelfTest| std::iter::from_fn(|| test.poll_kept()).count();
    round(&mut test, 0, 100, 0b0011);
    assert_eq!(kept(&mut test), 2);
    round(&mut test, 300_000, 300_100, 0b0111);
    assert_eq!(kept(&mut test), 1);
    round(&mut test, 600_100, 600_100, 0b1111);
    assert_eq!(kept(&mut test), 3);
}

#[test]
fn failures_of_a_spool_that_is_left_go_with_it() {
    let mut test = known();
    for seq in [4, 5, 6] {
        test.handle_failure(failure(seq, 10), at(20));
    }
    test.handle_renumbered(&BTreeMap::from([(3, 5)]));
    round(&mut test, 30, 40, 0b1111);
    assert_eq!(tested(&mut test), [(0, ALL), (1, ALL)]);
}
