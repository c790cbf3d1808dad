//! What once bit, each by its name: sixteen worlds in which this model or its reference was wrong.

use super::*;

fn at(seconds: u64) -> Ms {
    seconds * SECOND
}

fn between(now: Ms, from: u64, to: u64) -> bool {
    (at(from)..at(to)).contains(&now)
}

fn outages(world: &World) -> usize {
    let is_new = |c: &&Transition| c.verdict == Verdict::Outage && c.previous != Verdict::Outage;
    world.log.iter().filter(is_new).count()
}

/// A lost probe on a limited target: confirmations are all sent away, and none of them is a vote.
#[test]
fn a_burst_of_429_is_no_outage() {
    let mut world = World::new(8, |agent, now| match agent {
        0 if between(now, 60, 70) => Path::Refused,
        1.. if between(now, 60, 120) => Path::Limited,
        _ => Path::Fine,
    });
    world.run(at(400));
    assert_eq!(outages(&world), 0, "{:#?}", world.log);
}

/// One bad replica of three: eight fail and one does not, as it happens.
#[test]
fn an_outage_needs_everybody_to_be_sure_while_somebody_reaches_it() {
    let mut world = World::new(8, |agent, now| {
        let turn = now / at(5) * 7 + agent as u64 * 3;
        if now >= at(60) && turn.is_multiple_of(3) {
            Path::Refused
        } else {
            Path::Fine
        }
    });
    world.run(at(600));
    assert_eq!(outages(&world), 0, "{:#?}", world.log);
    assert_eq!(world.judge.standing().verdict, Verdict::Degraded);
}

/// The target goes out while a region was cut off long before.
#[test]
fn a_wave_in_an_old_incident_is_seen_as_soon_as_one_alone() {
    let mut world = World::new(8, |agent, now| match now / SECOND {
        60..900 if agent < 2 => Path::Hangs,
        700..800 => Path::Refused,
        _ => Path::Fine,
    });
    world.run(at(1000));
    let out = world
        .log
        .iter()
        .find(|c| c.verdict == Verdict::Outage)
        .expect("is seen");
    assert!(out.at <= at(718), "{}", out.at);
}

/// Five of six fail, and the sixth is wrong: that is something, and not up.
#[test]
fn what_no_rule_names_is_partial() {
    let mut world = World::new(6, |agent, now| match agent {
        1.. if now >= at(60) && agent != 4 => Path::Refused,
        _ => Path::Fine,
    });
    world.run(at(200));
    assert_eq!(world.judge.standing().verdict, Verdict::Partial);
}

/// An agent alone in failing everything it watches is told, and keeps its vote.
#[test]
fn an_agent_that_is_alone_everywhere_is_told() {
    let mut mesh = Mesh::default();
    mesh.handle_heard("liar", 0);
    for (target, hosting) in [("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")] {
        mesh.handle_stance("liar", target, hosting, Stance::AloneFailing, at(1));
    }
    assert_eq!(mesh.told("liar"), Some(model::verdict::Fault::Minority));
    assert_eq!(mesh.fault("liar"), None);
    mesh.handle_stance("liar", "a", "x", Stance::Agrees, at(2));
    mesh.handle_stance("liar", "b", "y", Stance::Agrees, at(2));
    assert_eq!(mesh.told("liar"), None);
}

/// A heavy tail is learned, and is no degradation.
#[test]
fn a_heavy_tail_is_not_slow() {
    let mut latency = latency::Latency::default();
    for n in 0..400_u64 {
        latency.take([300, 420, 350, 1900, 380, 310, 2600, 460][usize::try_from(n % 8).unwrap()]);
        assert!(n < 40 || !latency.is_slow, "{n}");
    }
}

/// A deploy of fifteen seconds pages with the usual span, and not with a longer one.
#[test]
fn the_span_is_policy() {
    for (span, pages) in [(9, 1), (15, 0)] {
        let mut world = World::new(8, |_, now| {
            if between(now, 60, 74) {
                Path::Refused
            } else {
                Path::Fine
            }
        });
        world.judge.policy.span = at(span);
        world.run(at(300));
        assert_eq!(world.pages(), pages, "{span}");
    }
}

/// Fourteen agents of two providers are two witnesses.
#[test]
fn agents_are_no_witnesses() {
    let witness = |n: usize| Witness {
        agent: format!("agent-{n}"),
        region: format!("region-{n}"),
        provider: format!("provider-{}", n % 2),
        ..Witness::default()
    };
    let panel = Panel::new((0..14).map(witness).collect());
    assert_eq!(panel.independent(panel.all()), 2);
}

/// What is explained is left to the schedule.
#[test]
fn an_explained_incident_costs_little() {
    let mut world = World::new(8, |agent, now| {
        if now >= at(60) && agent < 2 {
            Path::Refused
        } else {
            Path::Fine
        }
    });
    world.run(at(150));
    let so_far = world.confirmations;
    world.run(at(900));
    assert!(
        world.confirmations - so_far <= 8,
        "{}",
        world.confirmations - so_far
    );
}

/// The clocks of agents may say anything: evidence has an age, and nothing else of a time is read.
#[test]
fn the_time_of_a_self_test_is_only_an_order() {
    let mut mesh = Mesh::default();
    let good = SelfTest {
        asked: 31,
        answered: 31,
        ..SelfTest::default()
    };
    mesh.handle_heartbeat("agent", u64::MAX - 1, good, 0);
    mesh.handle_hello("agent", Vec::new(), at(1)); // its clock went back, and it says hello
    let bad = SelfTest {
        answered: 0,
        ..good
    };
    mesh.handle_heartbeat("agent", 5, bad, at(2));
    assert!(mesh.fault("agent").is_some());
}

/// A target that needs four seconds is confirmed with the time that it needs.
#[test]
fn a_confirmation_is_never_shorter_than_its_path_needs() {
    let mut world = World::new(8, |_, _| Path::Fine);
    world.judge.policy.timeout = at(30);
    world.run(at(50));
    for ballot in &mut world.judge.ballots {
        ballot.took = Some(at(4));
    }
    world.plan = Box::new(|agent, _| {
        if agent == 0 {
            Path::Refused
        } else {
            Path::Fine
        }
    });
    let mut timeouts = Vec::new();
    while timeouts.is_empty() {
        world.run(world.now + 50);
        timeouts.extend(
            world
                .coming
                .iter()
                .filter_map(|(_, _, coming)| match coming {
                    Coming::Start(Some(ask)) => Some(ask.timeout),
                    Coming::Start(None)
                    | Coming::Outcome(_)
                    | Coming::Test(..)
                    | Coming::Held(..) => None,
                }),
        );
    }
    assert!(
        timeouts.iter().all(|timeout| *timeout >= at(16)),
        "{timeouts:?}"
    );
}

/// A long outage of one target takes nothing from another's confirmations.
#[test]
fn budgets_are_of_one_target() {
    let mut first = World::new(8, |_, now| {
        if now >= at(60) {
            Path::Limited
        } else {
            Path::Fine
        }
    });
    first.run(at(400));
    let mut second = World::new(8, broken(ALL, Path::Refused));
    second.mesh = std::mem::take(&mut first.mesh);
    second.run(at(100));
    assert_eq!(outages(&second), 1);
}

/// Eight sick peers do not make two healthy agents sick.
#[test]
fn sick_peers_make_nobody_sick() {
    let mesh = Mesh::default();
    let healthy = SelfTest {
        asked: 31,
        answered: 31,
        peers: 9,
        peers_ok: 1,
        ..SelfTest::default()
    };
    assert_eq!(mesh.examine("agent", &healthy), Attested::Full);
    let sick = SelfTest {
        answered: 0b111,
        ..healthy
    };
    assert!(matches!(mesh.examine("agent", &sick), Attested::Bad(_)));
}

/// All references are down for most: then it is the agents, and none is dropped.
#[test]
fn not_all_references_are_dropped() {
    let mut mesh = Mesh::default();
    let names: Vec<String> = (0..5).map(|n| format!("reference-{n}")).collect();
    for n in 0..10 {
        let agent = format!("agent-{n}");
        mesh.handle_hello(&agent, names.clone(), 0);
        let answered = if n < 8 { 0 } else { 31 };
        let test = SelfTest {
            asked: 31,
            answered,
            ..SelfTest::default()
        };
        mesh.handle_heartbeat(&agent, 1, test, at(1));
    }
    assert!(mesh.fault("agent-0").is_some());
    assert!(mesh.fault("agent-9").is_none());
}

/// One agent is lucky once while nine in ten probes fail: the outage goes on.
#[test]
fn one_lucky_ok_clears_nothing() {
    let mut world = World::new(8, |agent, now| {
        let is_lucky = agent == 5 && between(now, 90, 97);
        if now >= at(60) && !is_lucky {
            Path::Refused
        } else {
            Path::Fine
        }
    });
    world.run(at(200));
    assert_eq!(outages(&world), 1);
    assert_eq!(world.judge.standing().verdict, Verdict::Outage);
}

/// All who have a say fail, and they are fewer than the quorum: that is not known to be anything,
/// and is not up.
#[test]
fn fewer_than_the_quorum_that_all_fail_are_unknown() {
    let mut world = World::new(8, |agent, now| match agent {
        0 | 3 if now >= at(100) => Path::Refused,
        0 | 3 => Path::Fine,
        _ if now >= at(40) => Path::Dead,
        _ => Path::Fine,
    });
    world.run(at(200));
    let standing = world.judge.standing();
    assert_eq!(standing.verdict, Verdict::Unknown);
    assert_eq!(standing.reason.as_deref(), Some("too_few_to_tell"));
}

/// A provider of many hostings goes: every agent that fails has failed elsewhere just before, and
/// is vouched for. Others look as soon as it is, and not a minute later.
#[test]
fn many_hostings_that_fail_at_once_are_seen_as_soon_as_one() {
    let seen_after = |fails_elsewhere: bool| {
        let plan = |_: usize, now: Ms| {
            if now >= at(200) {
                Path::Refused
            } else {
                Path::Fine
            }
        };
        let mut world = World::every(at(60), 8, plan);
        world.fails_elsewhere = fails_elsewhere;
        world.run(at(300));
        let out = world.log.iter().find(|c| c.verdict == Verdict::Outage);
        out.expect("is seen").at - at(200)
    };
    let (alone, many) = (seen_after(false), seen_after(true));
    assert!(many <= alone + SECOND, "{alone} {many}");
}
