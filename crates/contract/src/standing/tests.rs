use super::*;
use crate::limits::{MAX_HELD_BYTES, MAX_KNOWN};
use crate::lock::Seen;
use proptest::prelude::*;

fn facts(fingerprint: &str) -> Known {
    Known {
        fingerprint: fingerprint.to_owned(),
        tools: 2,
        first_seen_ms: 1,
        seen: Seen::default(),
        is_sendable: true,
        held_bytes: 0,
        class: None,
    }
}

fn sighting(region: &str, fingerprint: &str, at_ms: u64) -> Sighting {
    Sighting {
        fingerprint: Some(fingerprint.to_owned()),
        unfit: None,
        region: region.to_owned(),
        credential: String::new(),
        generation: 1,
        at_ms,
        since_ms: 0,
        judged: None,
        is_live: true,
    }
}

fn see(standing: &mut Standing, agent: &str, fingerprint: &str, at: u64) -> bool {
    let seen = sighting(&agent[..2], fingerprint, at);
    standing.handle_sighting(agent, seen, Some(facts(fingerprint)), at)
}

fn hold(standing: &mut Standing, fingerprint: &str, bytes: usize) {
    standing.handle_held(facts(fingerprint), bytes);
}

/// Fingerprint, whether pinned, agents.
fn groups(standing: &Standing) -> Vec<(String, bool, Vec<String>)> {
    let groups = standing.groups().into_iter();
    groups
        .map(|group| {
            let agents = group.agents.iter().map(|(agent, _)| (*agent).to_owned());
            let fingerprint = group.fingerprint.unwrap_or("-").to_owned();
            (fingerprint, group.is_pinned, agents.collect())
        })
        .collect()
}

fn pin(standing: &Standing) -> (&str, PinnedBy) {
    let pin = standing.pin().unwrap();
    (&pin.fingerprint, pin.by)
}

#[test]
fn the_first_is_pinned_what_differs_drifts_and_is_approved() {
    let mut standing = Standing::default();
    assert!(see(&mut standing, "eu-1", "a", 10));
    assert!(see(&mut standing, "us-1", "a", 11));
    assert_eq!(pin(&standing), ("a", PinnedBy::FirstSeen));
    assert!(!standing.is_drifting() && standing.drift_since_ms().is_none());
    // Said again: nothing to keep.
    assert!(!see(&mut standing, "eu-1", "a", 20));
    assert_eq!(standing.sightings()["eu-1"].at_ms, 20);
    assert_eq!(standing.sightings()["eu-1"].since_ms, 10);

    assert!(see(&mut standing, "eu-1", "b", 30));
    assert_eq!(standing.drift_since_ms(), Some(30));
    let mixed = [
        ("a".to_owned(), true, vec!["us-1".to_owned()]),
        ("b".to_owned(), false, vec!["eu-1".to_owned()]),
    ];
    assert_eq!(groups(&standing), mixed);
    assert!(see(&mut standing, "us-1", "b", 40));
    assert_eq!(standing.drift_since_ms(), Some(30), "it goes on");
    assert_eq!(standing.changes(), 1, "for both agents it is one change");

    let unknown = standing.approve("c", "ann", None, 50);
    assert_eq!(unknown, Err(NotPinned::NotSeen));
    let comment = "reviewed\u{1b}[2J";
    assert_eq!(standing.approve("b", "ann", Some(comment), 60), Ok(()));
    assert!(!standing.is_drifting() && standing.drift_since_ms().is_none());
    let approved = standing.pin().unwrap();
    assert_eq!((approved.by, approved.at_ms), (PinnedBy::Approval, 60));
    assert_eq!(approved.actor.as_deref(), Some("ann"));
    assert!(!approved.comment.as_ref().unwrap().contains('\u{1b}'));
    assert_eq!(standing.history().len(), 2);
    // Back to what was approved before is a change, too.
    assert!(see(&mut standing, "eu-1", "a", 70));
    assert_eq!(standing.drift_since_ms(), Some(70));
    assert_eq!(standing.approve("a", "ben", None, 80), Ok(()));
    assert!(standing.is_drifting(), "the other agent sees what was left");
}

#[test]
fn what_the_monitor_declares_is_pinned_until_it_says_otherwise() {
    let mut standing = Standing::default();
    assert!(standing.declare(Some("a"), 1));
    assert!(!standing.declare(Some("a"), 2), "said again");
    assert!(!standing.is_drifting(), "nobody has seen anything");
    see(&mut standing, "eu-1", "b", 3);
    assert_eq!(pin(&standing), ("a", PinnedBy::Monitor));
    assert_eq!(standing.drift_since_ms(), Some(3));
    let refused = standing.approve("b", "ann", None, 4);
    assert_eq!(refused, Err(NotPinned::Declared));
    assert!(standing.declare(None, 5));
    assert_eq!(pin(&standing), ("a", PinnedBy::Monitor), "it stays");
    assert_eq!(standing.approve("b", "ann", None, 6), Ok(()));
    assert!(!standing.is_drifting());
}

#[test]
fn surfaces_are_wanted_held_and_judged_against_the_pin() {
    let mut standing = Standing::default();
    see(&mut standing, "eu-1", "a", 1);
    see(&mut standing, "us-1", "a", 1);
    assert_eq!(standing.wanted(), [("a", vec!["eu-1", "us-1"])]);
    hold(&mut standing, "a", 10);
    assert_eq!(standing.wanted(), []);
    see(&mut standing, "us-1", "b", 2);
    assert_eq!(standing.wanted(), [("b", vec!["us-1"])]);
    assert_eq!(standing.poll_unjudged(), None, "it is not held");
    hold(&mut standing, "b", 10);
    let both = ("a".to_owned(), "b".to_owned());
    assert_eq!(standing.poll_unjudged(), Some(both));
    assert_eq!(standing.worst(), None);
    let grave = BTreeSet::from([ChangeClass::Breaking, ChangeClass::SecurityRelevant]);
    standing.judge("a", "b", Some(ChangeClass::SecurityRelevant));
    assert_eq!(standing.poll_unjudged(), None);
    assert_eq!(standing.worst(), Some(ChangeClass::SecurityRelevant));
    assert!(standing.is_changed("us-1", &grave) && !standing.is_changed("eu-1", &grave));
    assert!(!standing.is_changed("us-1", &BTreeSet::from([ChangeClass::Additive])));

    standing.approve("b", "ann", None, 3).unwrap();
    standing.judge("a", "b", Some(ChangeClass::Breaking));
    let back = ("b".to_owned(), "a".to_owned());
    assert_eq!(standing.poll_unjudged(), Some(back), "of the new pin");
    assert_eq!(standing.worst(), None);
    standing.handle_lost("a");
    assert_eq!(standing.wanted(), [("a", vec!["eu-1"])]);
}

#[test]
fn what_cannot_be_sent_is_said_and_not_asked_for() {
    let mut standing = Standing::default();
    see(&mut standing, "eu-1", "a", 1);
    let large = Known {
        is_sendable: false,
        ..facts("b")
    };
    standing.handle_sighting("eu-1", sighting("eu", "b", 2), Some(large), 2);
    assert!(standing.wanted().is_empty() && standing.is_drifting());
    let unfit = Sighting {
        fingerprint: None,
        unfit: Some("too_large".to_owned()),
        ..sighting("eu", "", 3)
    };
    assert!(standing.handle_sighting("eu-1", unfit, None, 3));
    assert!(standing.is_drifting() && standing.worst().is_none());
    assert_eq!(groups(&standing)[0].0, "-");
}

#[test]
fn history_says_nothing_of_now() {
    let mut standing = Standing::default();
    let old = |fingerprint: &str, at| Sighting {
        is_live: false,
        ..sighting("eu", fingerprint, at)
    };
    assert!(!standing.handle_sighting("eu-1", old("a", 9), Some(facts("a")), 9));
    assert!(standing.pin().is_none() && standing.known().is_empty());
    assert!(standing.sightings().is_empty());
    assert!(see(&mut standing, "eu-1", "a", 9));
    assert!(!standing.handle_sighting("eu-1", old("b", 10), Some(facts("b")), 10));
    assert!(see(&mut standing, "eu-1", "c", 11));
    assert!(!see(&mut standing, "eu-1", "a", 10), "it comes late");
    assert_eq!(
        standing.sightings()["eu-1"].fingerprint.as_deref(),
        Some("c")
    );
}

#[test]
fn another_credential_is_to_be_kept() {
    let mut standing = Standing::default();
    see(&mut standing, "eu-1", "a", 1);
    let other = Sighting {
        credential: "authorization".to_owned(),
        generation: 2,
        ..sighting("eu", "a", 2)
    };
    assert!(standing.handle_sighting("eu-1", other, Some(facts("a")), 2));
    assert_eq!(standing.sightings()["eu-1"].credential, "authorization");
}

#[test]
fn agents_that_watch_no_more_are_not_heard() {
    let mut standing = Standing::default();
    see(&mut standing, "eu-1", "a", 1);
    see(&mut standing, "us-1", "b", 2);
    assert!(standing.is_drifting());
    standing.assign(BTreeSet::new(), 3);
    assert!(standing.is_drifting(), "nobody is no news");
    let agents = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    standing.assign(agents(&["eu-1", "ap-1"]), 4);
    assert!(!standing.is_drifting() && standing.drift_since_ms().is_none());
    assert_eq!(standing.groups().len(), 1);
    standing.assign(agents(&["eu-1", "us-1"]), 5);
    assert_eq!(standing.drift_since_ms(), Some(5), "it is back");
    // Who watches has room, whoever watched before.
    for n in 0..2 * MAX_SIGHTINGS {
        let agent = format!("ap-{n}");
        standing.assign(agents(&["eu-1", "us-1", &agent]), 6);
        assert!(see(&mut standing, &agent, "a", 6));
    }
    assert_eq!(standing.sightings().len(), MAX_SIGHTINGS);
    assert_eq!(standing.groups().len(), 2);
}

#[test]
fn agents_that_do_not_watch_neither_pin_nor_teach() {
    let mut standing = Standing::default();
    standing.assign(BTreeSet::from(["eu-1".to_owned()]), 1);
    assert!(!see(&mut standing, "us-1", "b", 2));
    assert_eq!(standing, {
        let mut untouched = Standing::default();
        untouched.assign(BTreeSet::from(["eu-1".to_owned()]), 1);
        untouched
    });
    assert!(see(&mut standing, "eu-1", "a", 3));
    assert_eq!(pin(&standing), ("a", PinnedBy::FirstSeen));
}

/// A target that writes something new into its list for every probe, faster than anybody compares.
#[test]
fn a_list_that_is_new_every_time_is_as_bad_as_it_was_found_to_be() {
    let grave = BTreeSet::from([ChangeClass::Breaking]);
    let mut standing = Standing::default();
    see(&mut standing, "eu-1", "a", 1);
    hold(&mut standing, "a", 10);
    see(&mut standing, "eu-1", "b", 2);
    assert!(!standing.is_changed("eu-1", &grave), "not compared");
    hold(&mut standing, "b", 10);
    standing.judge("a", "b", Some(ChangeClass::Breaking));
    for n in 0..3 * MAX_KNOWN as u64 {
        see(&mut standing, "eu-1", &format!("nonce {n}"), 3 + n);
        assert!(standing.is_changed("eu-1", &grave), "{n}");
        assert_eq!(standing.worst(), Some(ChangeClass::Breaking));
    }
    assert!(standing.entry("b").is_none(), "it made room");
    let unfit = Sighting {
        fingerprint: None,
        unfit: Some("too_large".to_owned()),
        ..sighting("eu", "", 50)
    };
    standing.handle_sighting("eu-1", unfit, None, 50);
    assert!(
        standing.is_changed("eu-1", &grave),
        "nor does it get away so"
    );

    see(&mut standing, "eu-1", "c", 60);
    hold(&mut standing, "c", 10);
    standing.judge("a", "c", Some(ChangeClass::Additive));
    assert_eq!(standing.worst(), Some(ChangeClass::Additive), "compared");
    see(&mut standing, "eu-1", "a", 70);
    assert_eq!(standing.worst(), None, "it is the pin");
    see(&mut standing, "eu-1", "d", 80);
    assert_eq!(standing.worst(), None, "nothing is known of it");

    see(&mut standing, "eu-1", "c", 90);
    see(&mut standing, "eu-1", "e", 91);
    assert_eq!(standing.worst(), Some(ChangeClass::Additive));
    standing.approve("c", "ann", None, 92).unwrap();
    assert_eq!(standing.worst(), None, "found of another pin");
}

#[test]
fn what_nothing_bad_is_known_of_is_wanted_first() {
    let mut standing = Standing::default();
    for agent in ["ap-1", "eu-1"] {
        see(&mut standing, agent, "a", 1);
    }
    hold(&mut standing, "a", 10);
    see(&mut standing, "ap-1", "b", 2);
    hold(&mut standing, "b", 10);
    standing.judge("a", "b", Some(ChangeClass::Breaking));
    see(&mut standing, "ap-1", "c", 3);
    see(&mut standing, "eu-1", "d", 3);
    let wanted = [("d", vec!["eu-1"]), ("c", vec!["ap-1"])];
    assert_eq!(standing.wanted(), wanted);
}

#[test]
fn sightings_alone_are_no_other_revision() {
    let mut standing = Standing::default();
    let mut last = standing.revision();
    let mut is_other = |standing: &Standing| {
        let before = std::mem::replace(&mut last, standing.revision());
        before != last
    };
    see(&mut standing, "eu-1", "a", 1);
    assert!(is_other(&standing), "it is pinned");
    for n in 0..3 * MAX_KNOWN as u64 {
        see(&mut standing, "eu-1", &format!("nonce {n}"), 2 + n);
        assert!(!is_other(&standing), "{n}");
    }
    see(&mut standing, "eu-1", "b", 50);
    hold(&mut standing, "b", 10);
    assert!(is_other(&standing), "it is held");
    standing.judge("a", "b", Some(ChangeClass::Breaking));
    assert!(is_other(&standing), "it is judged");
    standing.approve("b", "ann", None, 51).unwrap();
    assert!(is_other(&standing), "it is approved");
    standing.declare(Some("a"), 52);
    assert!(is_other(&standing), "it is declared");
}

#[test]
fn a_clock_that_was_set_back_makes_nobody_unheard() {
    let mut standing = Standing::default();
    see(&mut standing, "eu-1", "a", 1000);
    assert!(!see(&mut standing, "eu-1", "b", 500));
    standing.handle_restored(400);
    assert!(see(&mut standing, "eu-1", "b", 500));
}

#[test]
fn it_is_read_as_it_was_written() {
    let mut standing = Standing::default();
    see(&mut standing, "eu-1", "a", 1);
    hold(&mut standing, "a", 10);
    see(&mut standing, "eu-1", "b", 2);
    standing.judge("a", "b", Some(ChangeClass::Breaking));
    let text = serde_json::to_string(&standing).unwrap();
    let read: Standing = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    assert_eq!(read.drift_since_ms(), Some(2));
    assert_eq!(pin(&read), ("a", PinnedBy::FirstSeen));
}

proptest! {
    /// Whatever is seen, approved and held: the bounds hold, and the pin is never dropped.
    #[test]
    fn bounds_hold_and_the_pin_stays(
        steps in prop::collection::vec((0_u8..4, 0_u8..5, 0_u32..30, 1..MAX_HELD_BYTES), 1..200),
    ) {
        let mut standing = Standing::default();
        for (at, (what, agent, n, bytes)) in (1_u64..).zip(steps) {
            let (agent, fingerprint) = (format!("ag-{agent}"), n.to_string());
            let was_held = |standing: &Standing| -> Vec<String> {
                let held = standing.known().iter().filter(|known| known.held_bytes > 0);
                held.map(|known| known.fingerprint.clone()).collect()
            };
            let before = was_held(&standing);
            match what {
                0 | 1 => { see(&mut standing, &agent, &fingerprint, at); }
                2 => { let _ = standing.approve(&fingerprint, "ann", None, at); }
                _ => {
                    if standing.entry(&fingerprint).is_some() {
                        hold(&mut standing, &fingerprint, bytes);
                    }
                }
            }
            let held: usize = standing.known().iter().map(|known| known.held_bytes).sum();
            prop_assert!(standing.known().len() <= MAX_KNOWN);
            prop_assert!(held <= MAX_HELD_BYTES);
            let after = was_held(&standing);
            let mut gone: Vec<String> =
                before.into_iter().filter(|held| !after.contains(held)).collect();
            let pinned = standing.pin().map(|pin| pin.fingerprint.clone());
            prop_assert!(pinned.is_none_or(|pin| !gone.contains(&pin)));
            let mut dropped = Vec::new();
            while let Some(fingerprint) = standing.poll_dropped() {
                dropped.push(fingerprint);
            }
            dropped.sort();
            gone.sort();
            // What was held a moment ago, or would be held now, is said to be dropped.
            prop_assert!(gone.iter().all(|one| dropped.contains(one)));
            prop_assert!(dropped.iter().all(|one| gone.contains(one) || *one == fingerprint));
            prop_assert_eq!(standing.is_drifting(), standing.drift_since_ms().is_some());
        }
    }
}
