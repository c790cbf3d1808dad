//! Rules that need more than agents that fail: edges, maintenance, flapping, early suspicion.

use super::*;

#[test]
fn those_who_meet_one_edge_are_a_part_of_the_target() {
    let mut world = World::new(8, broken(&[0, 4], Path::Walled));
    world.edge = |at| {
        Some(
            if matches!(at, 0 | 4) {
                "edge-1"
            } else {
                "edge-2"
            }
            .to_owned(),
        )
    };
    world.plan = Box::new(|at, now| {
        let is_broken = now >= 60 * SECOND && matches!(at, 0 | 4);
        if is_broken {
            Path::ToolFails
        } else {
            Path::Fine
        }
    });
    world.run(120 * SECOND);
    let scope = Some("edge:edge-1");
    assert_eq!(world.verdicts().last(), Some(&(Verdict::Partial, scope)));
}

#[test]
fn maintenance_wakes_nobody_and_ends() {
    let mut world = World::new(8, broken(ALL, Path::Refused));
    world.run(50 * SECOND);
    world.judge.handle_maintenance(true, world.now);
    world.run(200 * SECOND);
    world.judge.handle_maintenance(false, world.now);
    world.run(300 * SECOND);
    let verdicts = world.verdicts();
    assert_eq!(verdicts, [UP, (Verdict::Maintenance, None), UP]);
    assert_eq!(world.pages(), 0);
}

/// Six seconds every two minutes: nobody is woken, and it is told with its rhythm.
#[test]
fn short_failures_that_come_again_are_flapping() {
    let mut world = World::new(8, |_, now| {
        let is_down = now >= 60 * SECOND && now % (120 * SECOND) < 6 * SECOND;
        if is_down { Path::Refused } else { Path::Fine }
    });
    world.run(500 * SECOND);
    assert_eq!(world.pages(), 0);
    assert!(world.judge.flaps().count() >= 3);
    let last = world.log.last().unwrap();
    assert_eq!(
        (last.verdict, last.reason.as_deref()),
        (Verdict::Degraded, Some("flapping"))
    );
    assert_eq!(last.flags, [Flag::Flapping]);
    let rhythm = last.evidence.rhythm_ms.unwrap();
    assert!(rhythm.abs_diff(120 * SECOND) <= 10 * SECOND, "{rhythm}");
    world.plan = Box::new(|_, _| Path::Fine);
    world.run(2000 * SECOND);
    assert_eq!(world.judge.standing().verdict, Verdict::Up);
}

/// A probe that hangs makes others look before its time is up, and is no vote.
#[test]
fn what_is_slow_is_suspected_and_not_judged() {
    let mut world = World::new(8, |_, _| Path::Fine);
    world.run(60 * SECOND);
    let now = world.now;
    world
        .judge
        .handle_slow("agent-0", now - 3 * SECOND, &world.mesh, now);
    let suspicion = world.judge.suspicion().expect("is suspected");
    assert_eq!((suspicion.since, suspicion.failing), (now - 3 * SECOND, 1));
    assert!(world.judge.poll_ask().is_some());
    world.run(now + 30 * SECOND);
    assert_eq!(world.judge.suspicion(), None);
    assert_eq!(world.verdicts(), [UP]);
}

/// Who fails on another hosting too, and was not vouched for yet, makes nobody look.
#[test]
fn one_that_waits_for_its_self_test_elsewhere_opens_no_suspicion() {
    let mut world = World::new(8, |_, _| Path::Fine);
    world.run(60 * SECOND);
    let now = world.now;
    world.mesh.handle_failure("agent-0", "elsewhere", now);
    world
        .judge
        .handle_slow("agent-0", now - 3 * SECOND, &world.mesh, now);
    assert_eq!(world.judge.suspicion(), None);
    let good = SelfTest {
        asked: 31,
        answered: 31,
        ..SelfTest::default()
    };
    world.mesh.attest("agent-0", &good, now + 500);
    world
        .judge
        .handle_slow("agent-0", now - 3 * SECOND, &world.mesh, now + 600);
    assert!(world.judge.suspicion().is_some());
}

/// A credential that worked and is refused is a change; one that never worked is not.
#[test]
fn a_credential_that_worked_and_is_refused_is_a_change() {
    for (holds, is_told) in [(true, true), (false, false)] {
        let mut world = World::new(8, broken(ALL, Path::Walled));
        world.judge.policy.holds_credential = holds;
        world.run(100 * SECOND);
        let last = world.log.last().unwrap();
        assert_eq!(last.verdict, Verdict::AuthWalled);
        assert_eq!(last.flags.contains(&Flag::CredentialRefused), is_told);
        let words = "the credential that worked until now is refused to 4 independent witnesses";
        assert_eq!(last.why.contains(words), is_told, "{}", last.why);
    }
}
