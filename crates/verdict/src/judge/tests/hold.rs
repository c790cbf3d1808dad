//! Targets that turn agents away, and agents that leave them alone.

use super::*;

/// Those in `who` are turned away at 60 s and then leave the target alone for so long; the others
/// meet `others` as long.
fn held(who: &'static [usize], pause: Ms, others: Path) -> impl Fn(usize, Ms) -> Path {
    move |at, now| {
        let began = 60 * SECOND;
        if !(began..began + INTERVAL + pause).contains(&now) {
            Path::Fine
        } else if !who.contains(&at) {
            others
        } else if now < began + INTERVAL {
            Path::Limited
        } else {
            Path::Held
        }
    }
}

#[test]
fn a_pause_is_no_silence() {
    let limited = (Verdict::RateLimited, Some("protocol"));
    let minute = 60 * SECOND;
    let table: Vec<(&str, &'static [usize], Path, Ms, Vec<_>)> = vec![
        ("short", ALL, Path::Fine, minute, vec![UP, limited, UP]),
        ("long", ALL, Path::Fine, 30 * minute, vec![UP, limited, UP]),
        // Two are turned away and the others reach it: it is about those two.
        ("two", &[0, 3], Path::Fine, 10 * minute, vec![UP]),
        // The others were told, and could not look: what they said stands.
        ("told", &[0, 3], Path::Told, 5 * minute, vec![UP]),
        // Nobody was told: those who say nothing any more say nothing.
        (
            "dead",
            &[0, 1, 2, 3],
            Path::Dead,
            5 * minute,
            vec![UP, limited, UP],
        ),
        ("all told", &[], Path::Told, 30 * minute, vec![UP]),
    ];
    for (what, who, others, pause, expected) in table {
        let mut world = World::new(8, held(who, pause, others));
        world.run(2 * minute + pause);
        assert_eq!(world.verdicts(), expected, "{what}");
        assert_eq!(world.pages(), 0, "{what}");
    }
}

/// What was said before an hour of silence says nothing of now, whoever told them to be silent.
#[test]
fn what_was_said_stands_for_an_hour_at_most() {
    let hour = 3600 * SECOND;
    let mut world = World::new(8, held(&[], 2 * hour, Path::Told));
    world.run(60 * SECOND + hour - 10 * SECOND);
    assert_eq!(world.verdicts(), [UP]);
    world.run(60 * SECOND + hour + 70 * SECOND);
    assert_eq!(world.verdicts(), [UP, (Verdict::Unknown, None)]);
    assert_eq!(world.log[1].reason.as_deref(), Some("witnesses_silent"));
}

/// An outage that agents must leave alone goes on.
#[test]
fn a_pause_ends_no_outage() {
    // They were told to, or another monitor of the same origin was turned away.
    for pause in [Path::Told, Path::Held] {
        let mut world = World::new(8, move |_, now| match now / SECOND {
            60..120 => Path::Refused,
            120..400 => pause,
            _ => Path::Fine,
        });
        world.run(500 * SECOND);
        let out = (Verdict::Outage, Some("protocol"));
        assert_eq!(world.verdicts(), [UP, out, UP], "{pause:?}");
    }
}

/// What is well stays so while another monitor of the same origin is turned away.
#[test]
fn a_siblings_pause_limits_nobody() {
    let mut world = World::new(8, |_, now| match now / SECOND {
        60..400 => Path::Held,
        _ => Path::Fine,
    });
    world.run(500 * SECOND);
    assert_eq!(world.verdicts(), [UP]);
}

#[test]
fn the_others_are_told_when_two_are_turned_away() {
    let minute = 60 * SECOND;
    type Case = (&'static [usize], Option<Ms>, Vec<Ms>);
    let table: [Case; 5] = [
        // Without a word of how long, an interval; with one, that, within five minutes.
        (ALL, None, vec![INTERVAL]),
        (ALL, Some(30 * SECOND), vec![30 * SECOND]),
        (ALL, Some(3_600_000), vec![LONGEST_PAUSE]),
        (ALL, Some(0), vec![1000]),
        // One alone: nobody else is told.
        (&[2], None, vec![]),
    ];
    for (who, asked, expected) in table {
        let mut world = World::new(8, held(who, minute, Path::Told));
        world.retry_after = asked;
        world.run(60 * SECOND + INTERVAL);
        let told: Vec<Ms> = world.holds.iter().map(|(_, pause)| *pause).collect();
        assert_eq!(told.first(), expected.first(), "{who:?} {asked:?}");
        assert!(told.len() <= 1 || asked == Some(0), "{told:?}");
    }
}

/// Two agents that a firewall turns away for good do not keep the others from looking: they are told
/// once at most, before one of them has looked.
#[test]
fn who_is_turned_away_for_good_silences_nobody() {
    let mut world = World::new(8, |at, now| {
        if at < 2 && now >= 60 * SECOND {
            Path::Limited
        } else {
            Path::Fine
        }
    });
    world.retry_after = Some(60 * SECOND);
    world.run(1200 * SECOND);
    assert!(world.holds.len() <= 1, "{:?}", world.holds);
    assert_eq!(world.verdicts(), [UP]);
}

/// However thin the schedule, a quorum is asked: its budget has a floor.
#[test]
fn a_thinned_schedule_finds_an_outage_by_confirmations() {
    let slow = 1200 * SECOND;
    let mut world = World::every(slow, 8, move |_, now| {
        let is_broken = (2 * slow..3 * slow).contains(&now);
        if is_broken { Path::Refused } else { Path::Fine }
    });
    world.run(4 * slow);
    let out = (Verdict::Outage, Some("protocol"));
    assert_eq!(world.verdicts(), [UP, out, UP]);
    // The first slot that fails is that of agent 0, at the begin.
    let after = world.log[1].at - 2 * slow;
    assert!(after <= 15 * SECOND, "{after}");
}

#[test]
fn another_interval_forgets_no_vote() {
    let mut world = World::new(8, |_, _| Path::Fine);
    world.run(60 * SECOND);
    let before = world.judge.view(&world.mesh, world.now).evidence;
    world.judge.handle_interval(40 * SECOND, world.now);
    assert_eq!(world.judge.policy.ttl(), 55 * SECOND);
    let after = world.judge.view(&world.mesh, world.now).evidence;
    assert_eq!((before.ok.len(), after.ok.len()), (8, 8));
    assert_eq!(after.ttl_ms, 55 * SECOND);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However long a target asks for a pause, it is rate-limited until it is reached again, and
    /// never unknown.
    #[test]
    fn rate_limited_lasts_as_long_as_the_pause(
        agents in 6_usize..=8, pause in 0_u64..3600, silent in 0_usize..3,
    ) {
        let pause = pause * SECOND;
        let mut world = World::new(agents, move |at, now| {
            if at < silent && now >= 60 * SECOND {
                return Path::Dead;
            }
            held(ALL, pause, Path::Fine)(at, now)
        });
        world.run(60 * SECOND + pause + 60 * SECOND);
        let limited = (Verdict::RateLimited, Some("protocol"));
        prop_assert_eq!(world.verdicts(), [UP, limited, UP]);
    }
}
