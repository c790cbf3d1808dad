use super::*;

const NAMES: [&str; 5] = ["a:443", "b:443", "c:443", "d:443", "e:443"];

fn test(answered: u64) -> SelfTest {
    SelfTest {
        asked: 0b11111,
        answered,
        ..SelfTest::default()
    }
}

fn mesh(agents: &[&str]) -> Mesh {
    let mut mesh = Mesh::default();
    for agent in agents {
        mesh.handle_hello(agent, NAMES.map(str::to_owned).to_vec(), 0);
    }
    mesh
}

#[test]
fn what_a_self_test_says() {
    let bad = |fault| Attested::Bad(fault);
    let table = [
        ("all answer", test(0b11111), Attested::Full),
        ("most answer", test(0b00111), Attested::Full),
        ("most do not", test(0b00011), bad(Fault::SelfTest)),
        (
            "half of four",
            SelfTest {
                asked: 0b1111,
                answered: 0b0011,
                ..SelfTest::default()
            },
            Attested::Full,
        ),
        ("nothing to ask", SelfTest::default(), Attested::Weak),
        (
            "other targets count",
            SelfTest {
                asked: 0b1,
                answered: 0b1,
                others: 2,
                others_ok: 2,
                ..SelfTest::default()
            },
            Attested::Full,
        ),
        (
            "more others than were asked count for nothing",
            SelfTest {
                others: 1,
                others_ok: 9,
                ..SelfTest::default()
            },
            Attested::Weak,
        ),
        (
            "late slots",
            SelfTest {
                lag: 1000,
                ..test(0b11111)
            },
            bad(Fault::Lag),
        ),
    ];
    for (name, given, expected) in table {
        assert_eq!(mesh(&["x"]).attest("x", &given, 1), expected, "{name}");
    }
}

#[test]
fn one_bad_test_suffices_and_two_good_ones_mend() {
    let mut mesh = mesh(&["x"]);
    assert_eq!(mesh.fault("x"), None);
    assert_eq!(mesh.fault("never heard"), Some(Fault::Silent));
    mesh.handle_heartbeat("x", 1, test(0), 10);
    assert_eq!(mesh.fault("x"), Some(Fault::SelfTest));
    mesh.handle_heartbeat("x", 2, test(0b11111), 20);
    mesh.handle_heartbeat("x", 2, test(0b11111), 30); // the same test, told again
    assert_eq!(mesh.fault("x"), Some(Fault::SelfTest));
    mesh.handle_heartbeat("x", 3, test(0b11111), 40);
    assert_eq!(mesh.fault("x"), None);
    let changes: Vec<_> = std::iter::from_fn(|| mesh.poll_change()).collect();
    let seen: Vec<_> = changes.iter().map(|c| (c.fault, c.at)).collect();
    assert_eq!(seen, [(Some(Fault::SelfTest), 10), (None, 40)]);
}

#[test]
fn lag_without_references_passes_too() {
    let mut mesh = Mesh::default();
    mesh.handle_hello("x", Vec::new(), 0);
    let late = SelfTest {
        lag: 5000,
        ..SelfTest::default()
    };
    mesh.handle_heartbeat("x", 0, late, 1);
    assert_eq!(mesh.fault("x"), Some(Fault::Lag));
    mesh.handle_heartbeat("x", 0, SelfTest::default(), 2);
    mesh.handle_heartbeat("x", 0, SelfTest::default(), 3);
    assert_eq!(mesh.fault("x"), None);
}

#[test]
fn silence_is_a_fault_and_hides_none() {
    let mut mesh = mesh(&["x", "y"]);
    mesh.handle_heartbeat("x", 1, test(0), 10);
    mesh.handle_timeout(SILENT + 5);
    assert_eq!(mesh.fault("y"), Some(Fault::Silent));
    assert_eq!(mesh.fault("x"), Some(Fault::SelfTest));
    assert_eq!(mesh.poll_timeout(), Some(10 + SILENT + 1));
    mesh.handle_timeout(SILENT + 11);
    assert_eq!(mesh.fault("x"), Some(Fault::Silent));
    assert_eq!(mesh.poll_timeout(), None);
    mesh.handle_heard("x", SILENT + 20);
    mesh.handle_heard("y", SILENT + 20);
    assert_eq!(mesh.fault("x"), Some(Fault::SelfTest), "as it was before");
    assert_eq!(mesh.fault("y"), None);
    assert_eq!(mesh.since("y"), Some(SILENT + 20));
}

/// I11: a reference that is down says nothing of those who ask it; all of them down say it of the
/// agents.
#[test]
fn a_reference_that_most_do_not_reach_is_itself_at_fault() {
    let agents = ["p", "q", "r"];
    let mut fleet = mesh(&agents);
    for (n, agent) in agents.iter().enumerate() {
        fleet.handle_heartbeat(agent, 1 + n as u64, test(0b11000), 5);
        // They share three dead references: judged one by one, the first would be at fault.
        fleet.handle_heartbeat(agent, 10 + n as u64, test(0b11000), 6);
        fleet.handle_heartbeat(agent, 20 + n as u64, test(0b11000), 7);
    }
    for agent in agents {
        fleet.handle_heartbeat(agent, 100, test(0b11000), 8);
        fleet.handle_heartbeat(agent, 101, test(0b11000), 9);
        assert_eq!(fleet.fault(agent), None);
    }
    assert_eq!(fleet.attest("p", &test(0b11000), 10), Attested::Weak);
    let mut cut = mesh(&agents);
    for (n, agent) in agents.iter().enumerate() {
        cut.handle_heartbeat(agent, 1, test(0), 5 + n as u64);
    }
    for agent in agents {
        assert_eq!(
            cut.attest(agent, &test(0), 9),
            Attested::Bad(Fault::SelfTest)
        );
    }
}

/// What many targets share may break them all at once: an agent that reaches its references is
/// not at fault for it. Without references its other targets are all there is.
#[test]
fn other_targets_do_not_outvote_the_references() {
    let shared = SelfTest {
        others: 6,
        ..test(0b11111)
    };
    assert_eq!(mesh(&["x"]).attest("x", &shared, 1), Attested::Full);
    let alone = SelfTest {
        others: 6,
        ..SelfTest::default()
    };
    let attested = mesh(&["x"]).attest("x", &alone, 1);
    assert_eq!(attested, Attested::Bad(Fault::SelfTest));
    let rescued = SelfTest {
        others: 9,
        others_ok: 9,
        ..test(0)
    };
    assert_eq!(mesh(&["x"]).attest("x", &rescued, 1), Attested::Full);
}

/// A liar that names each reference many times counts once.
#[test]
fn nobody_alone_makes_a_reference_dead() {
    let mut fleet = mesh(&["p", "q"]);
    for agent in ["p", "q"] {
        fleet.handle_heartbeat(agent, 1, test(0b11111), 1);
    }
    let mut lies: Vec<String> = NAMES
        .iter()
        .flat_map(|name| [*name; 3])
        .map(str::to_owned)
        .collect();
    lies.push("mine:443".to_owned());
    fleet.handle_hello("liar", lies, 2);
    let lie = SelfTest {
        asked: u64::MAX,
        answered: 1 << 15,
        ..SelfTest::default()
    };
    fleet.handle_heartbeat("liar", 1, lie, 3);
    assert_eq!(fleet.attest("p", &test(0b11111), 4), Attested::Full);
}
