use std::collections::BTreeSet;
use std::time::Duration;

use super::coming::MAX_COMING;
use super::*;
use crate::axis::Axis;
use crate::fleet::Identity;
use contract::Surface;
use model::contract::{ChangeClass, PinnedBy};
use model::{Monitor, MonitorSpec};
use serde_json::json;
use verdict::Witness;

struct Stage {
    board: Board,
    now: Instant,
    is_live: bool,
}

fn monitor(generation: u64, contract: ContractSpec) -> Monitor {
    let mut spec = MonitorSpec::new("https://a/mcp".parse().unwrap());
    spec.contract = contract;
    Monitor {
        id: "docs".parse().unwrap(),
        generation,
        spec,
    }
}

fn stage() -> Stage {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the origin"
    )]
    let now = Instant::now();
    let board = Board::new(Axis::begin(now, "2026-01-01T00:00:00Z".parse().unwrap()));
    board.set(&monitor(1, ContractSpec::default()), now);
    let stage = Stage {
        board,
        now,
        is_live: true,
    };
    stage.assign("docs", &["eu-1", "eu-2"]);
    stage
}

fn surface(description: &str) -> Surface {
    let tool = json!({ "name": "a", "description": description, "inputSchema": {} });
    Surface::new(&[tool], None).unwrap()
}

fn digest(surface: &Surface) -> Vec<u8> {
    contract::digest_of(surface.fingerprint()).unwrap()
}

fn record(surface: &Surface) -> v1::SurfaceSeen {
    v1::SurfaceSeen {
        monitor_id: "docs".into(),
        generation: 1,
        fingerprint: digest(surface),
        tools: 1,
        is_sendable: true,
        credential: "authorization".into(),
        server_name: "docs\u{1b}[31m".into(),
        ..Default::default()
    }
}

impl Stage {
    fn sees(&mut self, agent: &str, record: &v1::SurfaceSeen) -> Result<(), ConvertError> {
        self.now += Duration::from_secs(5);
        let identity = Identity {
            agent: agent.into(),
            region: "eu".into(),
            provider: "p".into(),
            is_private: false,
        };
        let sighting = Sighting {
            identity: &identity,
            boot: "boot",
            seq: 1,
            received: self.now,
            observed: self.now,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            is_live: self.is_live,
            is_recalled: false,
        };
        self.board.surface_seen(&sighting, record)
    }

    fn assign(&self, monitor: &str, agents: &[&str]) {
        let witness = |agent: &&str| Witness {
            agent: (*agent).to_owned(),
            region: "eu".to_owned(),
            provider: "p".to_owned(),
            ..Witness::default()
        };
        let witnesses = agents.iter().map(witness).collect();
        self.board.assign(monitor, witnesses, self.now);
    }

    /// Somebody is asked for a surface.
    fn asks(&self) -> Option<(String, String)> {
        self.board.ask_surface("docs", self.now)
    }

    fn standing(&self) -> Standing {
        self.board.contract("docs").unwrap()
    }

    /// Hands a surface in, in so many bytes a part; whether it is whole.
    fn hands_in(&self, agent: &str, surface: &Surface, bytes: usize) -> Option<Come> {
        for part in parts(surface, bytes).into_iter().rev() {
            self.board.surface_part(agent, part).unwrap();
        }
        self.board.poll_surface()
    }

    fn hold(&self, surface: &Surface) {
        let fingerprint = surface.fingerprint();
        self.board.change_contract("docs", |standing| {
            let known = standing.entry(fingerprint).unwrap().clone();
            standing.handle_held(known, 9);
        });
    }
}

fn parts(surface: &Surface, bytes: usize) -> Vec<v1::SurfacePart> {
    let packed = surface.pack();
    let pieces: Vec<&[u8]> = packed.chunks(bytes).collect();
    let part = |(n, data): (usize, &&[u8])| v1::SurfacePart {
        monitor_id: "docs".into(),
        fingerprint: digest(surface),
        part: u32::try_from(n).unwrap(),
        parts: u32::try_from(pieces.len()).unwrap(),
        data: data.to_vec(),
    };
    pieces.iter().enumerate().map(part).collect()
}

#[test]
fn what_is_seen_is_pinned_asked_for_in_turn_and_put_together() {
    let mut stage = stage();
    let kind = surface("kind");
    stage.sees("eu-1", &record(&kind)).unwrap();
    stage.sees("eu-2", &record(&kind)).unwrap();
    let standing = stage.standing();
    let pin = standing.pin().unwrap();
    assert_eq!(
        (&pin.fingerprint[..], pin.by),
        (kind.fingerprint(), PinnedBy::FirstSeen)
    );
    let server = standing.known()[0].seen.server.clone().unwrap();
    assert!(!server.name.contains('\u{1b}'), "{server:?}");
    assert_eq!(stage.board.poll_contract().as_deref(), Some("docs"));

    let ask = Stage::asks;
    let of = |agent: &str| Some((kind.fingerprint().to_owned(), agent.to_owned()));
    assert_eq!(ask(&stage), of("eu-1"));
    assert_eq!(ask(&stage), None, "asked a moment ago");
    stage.now += Duration::from_secs(60);
    assert_eq!(ask(&stage), of("eu-2"), "the first did not answer");

    let late = stage.hands_in("eu-1", &kind, 10);
    assert!(late.is_none(), "another was asked meanwhile");
    let come = stage.hands_in("eu-2", &kind, 10).unwrap();
    let from = (&come.from.monitor[..], &come.from.agent[..]);
    assert_eq!((from, come.packed), (("docs", "eu-2"), kind.pack()));
    let again = stage.hands_in("eu-2", &kind, 10);
    assert!(again.is_none(), "it was asked for once");
    stage.hold(&kind);
    stage.now += Duration::from_secs(60);
    assert_eq!(ask(&stage), None);
    assert!(stage.hands_in("eu-2", &kind, 10).is_none(), "it is there");
}

#[test]
fn parts_are_taken_of_whom_was_asked_and_of_what_was_asked_for() {
    let mut stage = stage();
    let (kind, mean) = (surface("kind"), surface("mean"));
    stage.sees("eu-1", &record(&kind)).unwrap();
    stage.sees("eu-2", &record(&mean)).unwrap();
    let coming = |stage: &Stage| stage.board.lock().contracts.coming.len();
    assert!(stage.hands_in("eu-1", &kind, 10).is_none(), "not asked for");
    assert_eq!(
        stage.asks(),
        Some((kind.fingerprint().to_owned(), "eu-1".to_owned()))
    );
    for (agent, surface) in [("eu-2", &kind), ("eu-1", &mean), ("us-9", &kind)] {
        assert!(stage.hands_in(agent, surface, 10).is_none(), "{agent}");
        assert_eq!(coming(&stage), 0, "{agent}");
    }
    // Whoever says another number of parts every time has one place.
    for bytes in 10..20 {
        let first = parts(&kind, bytes).remove(0);
        stage.board.surface_part("eu-1", first).unwrap();
        assert_eq!(coming(&stage), 1);
    }
    assert!(stage.hands_in("eu-1", &kind, 10).is_some());
}

#[test]
fn agents_that_are_not_assigned_or_of_another_life_are_not_heard() {
    let mut stage = stage();
    stage.sees("us-9", &record(&surface("mean"))).unwrap();
    stage.is_live = false;
    stage.sees("eu-1", &record(&surface("mean"))).unwrap();
    stage.is_live = true;
    assert_eq!(stage.standing().pin(), None);
    assert!(stage.standing().known().is_empty());
    let kind = surface("kind");
    stage.sees("eu-1", &record(&kind)).unwrap();
    let standing = stage.standing();
    assert_eq!(standing.pin().unwrap().fingerprint, kind.fingerprint());
    // A monitor that nobody watches yet learns of nobody.
    let mut other = monitor(1, ContractSpec::default());
    other.id = "other".parse().unwrap();
    stage.board.set(&other, stage.now);
    let mut seen = record(&kind);
    seen.monitor_id = "other".into();
    stage.sees("eu-1", &seen).unwrap();
    assert!(stage.board.contract("other").unwrap().pin().is_none());
}

#[test]
fn monitors_have_their_turns_however_often_one_changes() {
    let stage = stage();
    while stage.board.poll_contract().is_some() {}
    let marks = |monitor| stage.board.mark_contract(monitor);
    ["a", "b", "c"].into_iter().for_each(marks);
    let mut polled = Vec::new();
    for _ in 0..5 {
        polled.extend(stage.board.poll_contract());
        marks("a");
    }
    assert_eq!(polled, ["a", "b", "c", "a", "a"]);
}

#[test]
fn what_is_only_seen_is_kept_every_few_seconds() {
    let mut stage = stage();
    let sees = |stage: &mut Stage, n: u32| {
        stage
            .sees("eu-1", &record(&surface(&n.to_string())))
            .unwrap();
        let is_time = stage.board.is_to_keep("docs", stage.now);
        if is_time {
            let revision = stage.standing().revision();
            stage.board.handle_kept("docs", revision, stage.now);
        }
        is_time
    };
    // Every 5 s.
    let kept = [0, 1, 2, 3, 4].map(|n| sees(&mut stage, n));
    assert_eq!(kept, [true, false, true, false, true]);
    assert!(!sees(&mut stage, 5));
    while stage.board.poll_contract().is_some() {}
    stage.board.mark_wanted();
    assert_eq!(stage.board.poll_contract().as_deref(), Some("docs"));
    let now = stage.now;
    stage.board.change_contract("docs", |standing| {
        let fingerprint = surface("5").fingerprint().to_owned();
        standing.approve(&fingerprint, "ann", None, 1).unwrap();
    });
    assert!(stage.board.is_to_keep("docs", now), "more than a sighting");
    assert!(stage.board.is_to_keep("docs", now), "not until it is kept");
}

#[test]
fn surfaces_are_not_asked_for_without_end() {
    let mut stage = stage();
    let mut asked = 0;
    for n in 0..60 {
        stage
            .sees("eu-1", &record(&surface(&n.to_string())))
            .unwrap();
        stage.now += Duration::from_secs(55);
        asked += usize::from(stage.board.ask_surface("docs", stage.now).is_some());
    }
    assert_eq!(asked, MOST_ASKED);
}

#[test]
fn a_grave_change_degrades_what_its_agents_say() {
    let mut stage = stage();
    let (kind, mean) = (surface("kind"), surface("mean"));
    stage.sees("eu-1", &record(&kind)).unwrap();
    stage.sees("eu-2", &record(&kind)).unwrap();
    stage.sees("eu-2", &record(&mean)).unwrap();
    stage.hold(&kind);
    stage.hold(&mean);
    let say = |stage: &Stage, agent: &str, outcome: &Outcome| {
        stage
            .board
            .lock()
            .held_to_contract("docs", agent, outcome.clone())
    };
    assert_eq!(
        say(&stage, "eu-2", &Outcome::Ok),
        Outcome::Ok,
        "not compared yet"
    );
    stage.board.change_contract("docs", |standing| {
        let class = Some(ChangeClass::SecurityRelevant);
        standing.judge(kind.fingerprint(), mean.fingerprint(), class);
    });
    let checks = vec![CheckId::ContractBaseline];
    assert_eq!(say(&stage, "eu-1", &Outcome::Ok), Outcome::Ok);
    assert_eq!(
        say(&stage, "eu-2", &Outcome::Ok),
        Outcome::Degraded { checks }
    );
    let ours = Outcome::Inconclusive {
        reason: model::Reason::Cancelled,
    };
    assert_eq!(say(&stage, "eu-2", &ours), ours);
    let never = ContractSpec {
        degrade_on: BTreeSet::new(),
        ..ContractSpec::default()
    };
    stage.board.set(&monitor(1, never), stage.now);
    assert_eq!(say(&stage, "eu-2", &Outcome::Ok), Outcome::Ok);
    let said = stage.board.tools_said();
    assert_eq!(said[0].drift, Some(Some(ChangeClass::SecurityRelevant)));
    assert_eq!((said[0].tools["eu"], said[0].changes), (1, 1));
}

#[test]
fn nothing_is_known_where_it_is_not_wanted_or_of_another_generation() {
    let mut stage = stage();
    let kind = surface("kind");
    let mut old = record(&kind);
    old.generation = 0;
    stage.sees("eu-1", &old).unwrap();
    assert!(stage.standing().pin().is_none());
    stage.sees("eu-1", &record(&kind)).unwrap();
    assert!(stage.standing().pin().is_some());
    let off = ContractSpec {
        watch: false,
        ..ContractSpec::default()
    };
    stage.board.set(&monitor(2, off), stage.now);
    assert!(stage.board.contract("docs").is_none());
    let mut new = record(&kind);
    new.generation = 2;
    stage.sees("eu-1", &new).unwrap();
    assert!(stage.board.tools_said().is_empty());
    stage
        .board
        .set(&monitor(3, ContractSpec::default()), stage.now);
    assert!(stage.standing().sightings().is_empty());
}

#[test]
fn agents_that_are_replaced_are_not_heard_any_more() {
    let mut stage = stage();
    stage.sees("eu-1", &record(&surface("kind"))).unwrap();
    stage.sees("eu-2", &record(&surface("mean"))).unwrap();
    assert!(stage.standing().is_drifting());
    stage.assign("docs", &["eu-1"]);
    assert!(!stage.standing().is_drifting());
}

#[test]
fn records_that_break_the_contract_are_errors() {
    type Break<T> = fn(&mut T);
    let seen: [(Break<v1::SurfaceSeen>, &str); 3] = [
        (|r| r.monitor_id.clear(), "monitor_id"),
        (|r| r.fingerprint.truncate(31), "fingerprint"),
        (|r| r.unfit = "ugly".into(), "unfit"),
    ];
    let mut stage = stage();
    let kind = surface("kind");
    for (break_it, field) in seen {
        let mut record = record(&kind);
        break_it(&mut record);
        assert_eq!(stage.sees("eu-1", &record).unwrap_err().field, field);
    }
    let part: [(Break<v1::SurfacePart>, &str); 7] = [
        (|p| p.monitor_id = "a b".into(), "monitor_id"),
        (|p| p.fingerprint.clear(), "fingerprint"),
        (|p| p.parts = 0, "parts"),
        (|p| p.parts = 100_000, "parts"),
        (|p| p.part = p.parts, "parts"),
        (|p| p.data.clear(), "data"),
        (|p| p.data = vec![0; 10_000], "data"),
    ];
    stage.sees("eu-1", &record(&kind)).unwrap();
    for (break_it, field) in part {
        let mut part = parts(&kind, 10).remove(0);
        break_it(&mut part);
        assert_eq!(
            stage.board.surface_part("eu-1", part).unwrap_err().field,
            field
        );
    }
    assert!(stage.board.poll_surface().is_none());
}

#[test]
fn few_surfaces_come_at_the_same_time() {
    let mut stage = stage();
    let surface = surface("kind");
    let names: Vec<String> = (0..2 * MAX_COMING).map(|n| format!("docs-{n}")).collect();
    for name in &names {
        let mut one = monitor(1, ContractSpec::default());
        one.id = name.parse().unwrap();
        stage.board.set(&one, stage.now);
        stage.assign(name, &["eu-1"]);
        let mut seen = record(&surface);
        seen.monitor_id.clone_from(name);
        stage.sees("eu-1", &seen).unwrap();
        assert!(stage.board.ask_surface(name, stage.now).is_some());
        let mut first = parts(&surface, 10).remove(0);
        first.monitor_id.clone_from(name);
        stage.board.surface_part("eu-1", first).unwrap();
    }
    assert_eq!(stage.board.lock().contracts.coming.len(), MAX_COMING);
    for name in &names {
        stage.board.remove(name);
    }
    let state = stage.board.lock();
    assert!(state.contracts.coming.is_empty() && state.contracts.changed.is_empty());
}
