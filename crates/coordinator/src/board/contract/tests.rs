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
    Stage { board, now }
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
            is_live: true,
            is_recalled: false,
        };
        self.board.surface_seen(&sighting, record)
    }

    fn standing(&self) -> Standing {
        self.board.contract("docs").unwrap()
    }

    /// Hands a surface in, in so many bytes a part; whether it is whole.
    fn hands_in(&self, surface: &Surface, bytes: usize) -> Option<Come> {
        for part in parts(surface, bytes).into_iter().rev() {
            self.board.surface_part(part).unwrap();
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

    let ask = |stage: &Stage| stage.board.ask_surface("docs", stage.now);
    let of = |agent: &str| Some((kind.fingerprint().to_owned(), agent.to_owned()));
    assert_eq!(ask(&stage), of("eu-1"));
    assert_eq!(ask(&stage), None, "asked a moment ago");
    stage.now += Duration::from_secs(60);
    assert_eq!(ask(&stage), of("eu-2"), "the first did not answer");

    let come = stage.hands_in(&kind, 10).unwrap();
    assert_eq!((&come.monitor[..], come.packed), ("docs", kind.pack()));
    stage.hold(&kind);
    stage.now += Duration::from_secs(60);
    assert_eq!(ask(&stage), None);
    assert!(stage.hands_in(&kind, 10).is_none(), "it is there");
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
    let witness = Witness {
        agent: "eu-1".to_owned(),
        region: "eu".to_owned(),
        provider: "p".to_owned(),
        ..Witness::default()
    };
    stage.board.assign("docs", vec![witness], stage.now);
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
        assert_eq!(stage.board.surface_part(part).unwrap_err().field, field);
    }
    assert!(stage.board.poll_surface().is_none());
}

#[test]
fn few_surfaces_come_at_the_same_time() {
    let mut stage = stage();
    for n in 0..2 * MAX_COMING {
        let surface = surface(&n.to_string());
        stage.sees("eu-1", &record(&surface)).unwrap();
        let first = parts(&surface, 10).remove(0);
        stage.board.surface_part(first).unwrap();
    }
    assert_eq!(stage.board.lock().contracts.coming.len(), MAX_COMING);
    stage.board.remove("docs");
    let state = stage.board.lock();
    assert!(state.contracts.coming.is_empty() && state.contracts.changed.is_empty());
}
