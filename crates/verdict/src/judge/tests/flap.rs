//! Failures that come again and again: what is remembered of them, and what matters more.

use super::*;

fn at(seconds: u64) -> Ms {
    seconds * SECOND
}

/// Down for so many seconds every two minutes, from one minute on to `until`.
fn flapping(down: u64, until: u64) -> impl Fn(Ms) -> bool {
    move |now| (at(60)..at(until)).contains(&now) && now % at(120) < at(down)
}

/// A probe hangs, and began before the failure that is over meanwhile.
#[test]
fn a_probe_that_hung_turns_no_order_around() {
    let mut world = World::new(8, |_, _| Path::Fine);
    let judge = &mut world.judge;
    let of = |fail| Tally {
        eligible: 0xff,
        levels: vec![Level {
            fail,
            ..Level::default()
        }],
        slow: 0,
    };
    for (wave, from, to) in [(100, 100, 130), (95, 140, 150), (145, 160, 170)] {
        judge.incident = Some(Incident {
            began: at(wave),
            wave: at(wave),
            rounds: 0,
            last_round: 0,
        });
        judge.follow_flaps(&of(0xff), at(from));
        judge.follow_flaps(&of(0), at(to));
    }
    let known: Vec<(Ms, Ms)> = judge.flaps().map(|flap| (flap.from, flap.to)).collect();
    let apart = [(100, 130), (130, 150), (150, 170)].map(|(from, to)| (at(from), at(to)));
    assert_eq!(known, apart);
    assert_eq!(judge.flaps.rhythm(at(171)), Some(at(30)));
}

/// While it is known to flap, what lasts now is told.
#[test]
fn what_lasts_is_more_than_what_comes_and_goes() {
    let table = [
        (2, Path::Refused, (Verdict::Regional, Some("region:eu"))),
        (8, Path::Limited, (Verdict::RateLimited, Some("protocol"))),
    ];
    for (hit, path, expected) in table {
        let is_down = flapping(6, 490);
        let mut world = World::new(8, move |agent, now| match now {
            _ if is_down(now) => Path::Refused,
            now if now >= at(520) && agent < hit => path,
            _ => Path::Fine,
        });
        world.run(at(510));
        let said = world.judge.standing().reason.as_deref();
        assert_eq!(said, Some("flapping"), "{path:?}");
        world.run(at(600));
        let standing = world.judge.standing();
        assert_eq!((standing.verdict, standing.scope.as_deref()), expected);
    }
}

/// What was an outage is not said to have been none.
#[test]
fn the_sentence_knows_whether_it_was_an_outage() {
    for (down, words) in [
        (6, "and is back each time before it is an outage"),
        (30, "and now and then it is an outage"),
    ] {
        let is_down = flapping(down, 490);
        let mut world = World::new(8, move |_, now| {
            if is_down(now) {
                Path::Refused
            } else {
                Path::Fine
            }
        });
        world.run(at(600));
        let last = world.log.last().expect("is told");
        assert_eq!(last.reason.as_deref(), Some("flapping"));
        assert!(last.why.ends_with(words), "{}", last.why);
    }
}

/// A restart reads the evidence again, while no agent was heard yet.
#[test]
fn a_restart_forgets_no_flapping() {
    let mut live = World::new(8, broken(ALL, Path::Refused));
    live.run(at(100));
    let mut outage = live.log.last().expect("is told").clone();
    assert_eq!(outage.verdict, Verdict::Outage);
    outage.at = at(303);

    let mut judge = live.judge;
    let silent = Mesh::default();
    let witnesses = judge.panel().witnesses().to_vec();
    judge = Judge::new(policy(), 0);
    judge.assign(witnesses, 0);
    judge.begin_reading();
    let mut seq = 0;
    for (second, is_down) in [(60, true), (66, false), (180, true), (186, false)]
        .into_iter()
        .chain([(300, true), (306, false)])
    {
        for agent in names() {
            seq += 1;
            let refused = Outcome::of_failure(Failure {
                step: Step::Initialize,
                phase: Phase::Connect,
                reason: Reason::TcpRefused,
            });
            let seen = Seen {
                began: at(second),
                seq,
                took: 20,
                outcome: if is_down { refused } else { Outcome::Ok },
                ..Seen::default()
            };
            judge.handle_outcome(&agent, &seen, &silent, at(second));
            if is_down {
                judge.handle_attestation(&agent, seq, Attested::Full, &silent, at(second));
            }
        }
    }
    judge.end_reading(&[outage], at(310));
    let known: Vec<(Ms, bool)> = judge.flaps().map(|f| (f.from, f.was_outage)).collect();
    assert_eq!(known, [(at(60), false), (at(180), false), (at(300), true)]);
    assert_eq!(judge.flaps.rhythm(at(311)), Some(at(120)));
}

/// What was learned of the old meaning says nothing of the new one.
#[test]
fn another_meaning_begins_anew() {
    let is_down = flapping(6, 490);
    let mut world = World::new(8, move |_, now| match now {
        _ if is_down(now) => Path::Refused,
        now if now >= at(480) => Path::Limited,
        _ => Path::Fine,
    });
    world.edge = |at| Some(format!("edge-{}", at % 2));
    world.retry_after = Some(at(200));
    world.run(at(500));
    let judge = &mut world.judge;
    judge.ebbs_since = Some(0);
    assert!(judge.flaps().count() >= 3 && judge.paused_until > world.now);
    assert!(judge.edges.failing(0b1, 0b10).is_some());
    judge.handle_policy(policy(), world.now);
    assert_eq!(judge.flaps().count(), 0);
    assert_eq!((judge.paused_until, judge.ebbs_since), (0, None));
    assert_eq!(judge.edges.failing(0b1, 0b10), None);
}
