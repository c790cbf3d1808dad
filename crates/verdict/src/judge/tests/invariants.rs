//! What holds whatever happens: invariants I1 to I12 of the model. I1, I6 and I7 stand beside the
//! world's own tests; I9 needs agents' clocks, which nothing here reads: recorded worlds show it.

use super::*;

/// What is told, without who tells it.
fn told(world: &World) -> Vec<(Ms, Verdict, Option<String>)> {
    let changes = world.log.iter();
    changes
        .map(|c| (c.at, c.verdict, c.reason.clone()))
        .collect()
}

fn any_set() -> impl Strategy<Value = Set> {
    0..256_u64
}

/// A set that most are in, so that outages are among what is made.
fn most() -> impl Strategy<Value = Set> {
    (any_set(), any_set()).prop_map(|(a, b)| a | b)
}

/// Votes as sets, of which each says something else.
fn any_level() -> impl Strategy<Value = Level> {
    let fails = (most(), most(), most(), any_set());
    let others = (any_set(), any_set(), any_set(), any_set());
    let rest = (any_set(), any_set(), any::<bool>(), 0..20_u64);
    (fails, others, rest).prop_map(|(fails, others, rest)| {
        let (fail, twice, thrice, vouched) = fails;
        let (ok, since, again, steady) = others;
        let (walled, mixed, saw_ok, span) = rest;
        let (ok, twice) = (ok & !fail, twice & fail);
        let since = ok & since;
        let walled = walled & !fail & !ok;
        Level {
            fail,
            twice,
            thrice: thrice & twice,
            vouched: vouched & fail,
            walled,
            limited: 0xff & !fail & !ok & !walled,
            ok,
            ok_since: since,
            ok_again: again & since,
            ok_steady: steady & since,
            saw_ok,
            mixed,
            span: (span + 2) * SECOND,
            ..Level::default()
        }
    })
}

/// A few of all, or none.
fn few() -> impl Strategy<Value = Set> {
    (any_set(), any_set(), any_set()).prop_map(|(a, b, c)| a & b & c)
}

/// A world whose agents meet one edge or another, and a few one that is not known.
fn with_edges(first: Set, unknown: Set) -> World {
    let mut world = World::new(8, |_, _| Path::Fine);
    for at in (0..8_usize).filter(|at| unknown >> at & 1 == 0) {
        let edge = 2 - (first >> at & 1);
        let seen = Seen {
            edge: Some(format!("edge-{edge}")),
            ..Seen::default()
        };
        world.judge.edges.take(at, &seen, 0);
    }
    world
}

fn is_out(world: &World, level: &Level) -> bool {
    world.judge.is_out(level.fail, level)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// I5: one more that fails never ends an outage; one more that reaches it never begins one. (Of
    /// ten agents or more one may show that it was no edge that failed.)
    #[test]
    fn evidence_works_in_one_direction(
        level in any_level(),
        elsewhere in few(),
        unknown in few(),
        is_steady: bool,
        at in 0..8_usize,
    ) {
        let world = with_edges(level.fail ^ elsewhere, unknown);
        let bit = 1 << at;
        let reaches = |level: &Level| Level {
            fail: level.fail & !bit,
            twice: level.twice & !bit,
            thrice: level.thrice & !bit,
            vouched: level.vouched & !bit,
            walled: level.walled & !bit,
            limited: level.limited & !bit,
            ok: level.ok | bit,
            ok_since: level.ok_since | bit,
            ok_again: level.ok_again | bit,
            ok_steady: if is_steady { level.ok_steady | bit } else { level.ok_steady },
            ..*level
        };
        prop_assert!(is_out(&world, &level) || !is_out(&world, &reaches(&level)), "{level:?}");

        let mut out = World::new(8, |_, _| Path::Fine);
        out.judge.standing.verdict = Verdict::Outage;
        let fails = Level {
            fail: level.fail | bit,
            ok: level.ok & !bit,
            ok_since: level.ok_since & !bit,
            ok_again: level.ok_again & !bit,
            ok_steady: level.ok_steady & !bit,
            limited: level.limited & !bit,
            walled: level.walled & !bit,
            ..level
        };
        let tally = |level: Level| Tally { eligible: 0xff, levels: vec![level], slow: 0 };
        let goes_on = |level: Level| out.judge.still_out(&tally(level), SECOND).is_some();
        prop_assert!(!goes_on(level.clone()) || goes_on(fails), "{level:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// I2: silence makes no outage. Two independent witnesses that fail are no quorum of three,
    /// whoever else dies.
    #[test]
    fn silence_is_never_a_failure(dead in any_set(), from in 40..200_u64) {
        let plan = move |at: usize, now: Ms| match now / SECOND {
            60.. if matches!(at, 0 | 3) => Path::Refused,
            now if now >= from && dead >> at & 1 == 1 => Path::Dead,
            _ => Path::Fine,
        };
        let mut world = World::new(8, plan);
        world.run(400 * SECOND);
        let verdicts = world.verdicts();
        prop_assert!(verdicts.iter().all(|(v, _)| *v != Verdict::Outage), "{:#?}", world.log);
    }

    /// I3: who is unhealthy neither fails nor reaches. I4: with fewer than two witnesses for longer
    /// than votes live nothing is known, whatever was said before.
    #[test]
    fn the_unhealthy_have_no_say_and_nobody_means_unknown(weather in any_weather()) {
        let mut world = World::new(8, by(weather, |_| true));
        world.run(200 * SECOND);
        for change in &world.log {
            let evidence = &change.evidence;
            let voters = evidence.failing.iter().map(|said| &said.agent).chain(&evidence.ok);
            let silent: Vec<&String> = evidence.abstaining.iter().map(|a| &a.agent).collect();
            for agent in voters {
                prop_assert!(!silent.contains(&agent) || change.verdict == Verdict::Outage, "{change:#?}");
            }
        }
        world.plan = Box::new(|_, _| Path::Dead);
        world.run(200 * SECOND + 2 * policy().ttl() + 60 * SECOND);
        prop_assert_eq!(world.judge.standing().verdict, Verdict::Unknown);
    }

    /// I8: what comes later than votes live changes nothing.
    #[test]
    fn late_events_are_history(weather in any_weather(), at in 0..8_usize) {
        let mut world = World::new(8, by(weather, |_| true));
        world.run(150 * SECOND);
        let before = format!("{:?}", world.judge);
        let late = Seen {
            began: world.now - policy().ttl() - 1,
            seq: 1_000_000,
            took: 20,
            outcome: Outcome::of_failure(Failure {
                step: Step::Initialize,
                phase: Phase::Connect,
                reason: Reason::TcpRefused,
            }),
            ..Seen::default()
        };
        world.judge.handle_outcome(&names()[at], &late, &world.mesh, world.now);
        prop_assert_eq!(before, format!("{:?}", world.judge));
    }

    /// I10: names decide nothing.
    #[test]
    fn names_decide_nothing(weather in any_weather()) {
        let run = |renamed: bool| {
            let mut world = World::new(8, by(weather.clone(), |_| true));
            if renamed {
                // What came first by name comes last.
                let rename = |name: &str| name.bytes().map(|b| char::from(b'a' + b'z' - b.clamp(b'a', b'z'))).collect();
                let witness = |(n, w): (usize, &Witness)| Witness {
                    agent: format!("z{}", 99 - n),
                    region: rename(&w.region),
                    provider: rename(&w.provider),
                    ..Witness::default()
                };
                let panel = world.judge.panel().witnesses().iter().enumerate().map(witness);
                let panel = panel.collect();
                world.judge.assign(panel, 0);
            }
            world.run(400 * SECOND);
            told(&world)
        };
        prop_assert_eq!(run(false), run(true));
    }

    /// I11: references alone change no verdict.
    #[test]
    fn references_alone_change_nothing(up in 0..6_usize) {
        let mut world = World::new(8, |_, _| Path::Fine);
        world.run(60 * SECOND);
        world.references = up;
        world.run(300 * SECOND);
        prop_assert_eq!(world.verdicts(), [UP]);
    }

    /// I12: confirmations cost no more than the schedule does again, over any five minutes.
    #[test]
    fn confirmations_are_bounded(weather in any_weather()) {
        let mut world = World::new(8, by(weather, |_| true));
        world.run(560 * SECOND);
        let most = 8 * 300 * SECOND / INTERVAL + 8 * 8;
        for from in &world.asked {
            let within = world.asked.iter().filter(|at| (*from..from + 300 * SECOND).contains(*at));
            prop_assert!(within.count() as u64 <= most);
        }
    }
}
