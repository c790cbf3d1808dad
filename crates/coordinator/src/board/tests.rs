use std::time::Duration;

use super::*;
use model::{MonitorSpec, Reason, Step};
use verdict::Witness;

struct Stage {
    board: Board,
    now: Instant,
    started_us: u64,
}

fn stage() -> Stage {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the origin"
    )]
    let now = Instant::now();
    let board = Board::new(Axis::begin(now, "2026-01-01T00:00:00Z".parse().unwrap()));
    let spec = MonitorSpec::new("https://a/mcp".parse().unwrap());
    let monitor = Monitor {
        id: "docs".parse().unwrap(),
        generation: 3,
        spec,
    };
    board.set(&monitor, now);
    let witness = |agent: &str| Witness {
        agent: agent.to_owned(),
        region: "eu".to_owned(),
        provider: "p".to_owned(),
        ..Witness::default()
    };
    board.assign("docs", vec![witness("a"), witness("b")], now);
    for agent in ["a", "b"] {
        board.hello(agent, &[], now);
    }
    Stage {
        board,
        now,
        started_us: 0,
    }
}

fn refused() -> Outcome {
    Outcome::of_failure(model::Failure {
        step: Step::Discover,
        phase: model::Phase::Connect,
        reason: Reason::TcpRefused,
    })
}

fn identity(agent: &str) -> Identity {
    Identity {
        agent: agent.into(),
        region: "eu".into(),
        provider: "p".into(),
        is_private: false,
    }
}

impl Stage {
    fn sighting<'a>(&self, identity: &'a Identity, is_live: bool) -> Sighting<'a> {
        Sighting {
            identity,
            boot: "boot",
            seq: self.started_us,
            received: self.now,
            observed: self.now,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            is_live,
            is_recalled: false,
        }
    }

    fn record(&self, outcome: &Outcome) -> v1::ProbeOutcome {
        let mut record = v1::ProbeOutcome {
            monitor_id: "docs".into(),
            generation: 3,
            started_at_us: self.started_us,
            total_us: 20_000,
            ..Default::default()
        };
        convert::outcome_into(outcome, &mut record);
        record
    }

    fn says(&mut self, agent: &str, outcome: &Outcome) {
        self.started_us += 1;
        self.now += Duration::from_secs(5);
        let identity = identity(agent);
        let sighting = self.sighting(&identity, true);
        self.board
            .outcome(&sighting, &self.record(outcome))
            .unwrap();
        if matches!(outcome, Outcome::Failed(_)) {
            let attestation = v1::Attestation {
                monitor_id: "docs".into(),
                of_seq: self.started_us,
                ..Default::default()
            };
            self.board.attestation(&sighting, &attestation).unwrap();
        }
    }

    fn region(&self) -> RegionView {
        let watch = self.board.view("docs", self.now).unwrap();
        watch.regions.into_iter().next().unwrap()
    }

    fn state(&self) -> (RegionState, Option<&'static str>) {
        let region = self.region();
        (region.state, region.reason)
    }

    fn counted(&self) -> (u64, u64) {
        let mut counts = (0, 0);
        self.board.each(self.now, |row| {
            counts.0 += row.counted.results().values().sum::<u64>();
            counts.1 += row.counted.confirmations().values().sum::<u64>();
        });
        counts
    }
}

/// Records of what goes well name nobody where that is as before; what waited comes late.
#[test]
fn who_answered_stands_until_something_younger_says_otherwise() {
    let mut stage = stage();
    let named = |stage: &Stage, at: u64, version: &str| {
        let mut record = stage.record(&Outcome::Ok);
        record.started_at_us = at;
        record.answerer = Some(v1::Answerer {
            server_name: "docs".into(),
            server_version: version.into(),
            ..Default::default()
        });
        let identity = identity("a");
        let sighting = stage.sighting(&identity, true);
        stage.board.outcome(&sighting, &record).unwrap();
        let (_, voice) = stage.region().voices.remove(0);
        voice.answerer.unwrap().server.unwrap().version
    };
    stage.started_us = 10;
    assert_eq!(named(&stage, 10, "1.4"), "1.4");
    stage.started_us = 20;
    stage.says("a", &Outcome::Ok);
    let (_, voice) = stage.region().voices.remove(0);
    assert_eq!(voice.answerer.unwrap().server.unwrap().version, "1.4");
    assert_eq!(named(&stage, 15, "1.5"), "1.5", "later than the first");
    assert_eq!(named(&stage, 12, "1.3"), "1.5", "sooner than the last");
}

/// Failing is every agent, twice in a row; one of them alone is degraded.
#[test]
fn a_region_fails_when_all_its_agents_fail_twice() {
    let mut stage = stage();
    stage.says("a", &Outcome::Ok);
    stage.says("b", &Outcome::Ok);
    assert_eq!(stage.state(), (RegionState::Ok, None));
    stage.says("a", &refused());
    stage.says("a", &refused());
    assert_eq!(stage.state(), (RegionState::Degraded, Some("tcp_refused")));
    stage.says("b", &refused());
    assert_eq!(stage.state(), (RegionState::Degraded, Some("tcp_refused")));
    stage.says("b", &refused());
    assert_eq!(stage.state(), (RegionState::Failing, Some("tcp_refused")));
    let since = stage.region().since.unwrap();
    stage.says("b", &refused());
    let now = stage.region().since;
    assert_eq!(
        now,
        Some(since),
        "since the change, not since the last probe"
    );
    stage.says("a", &Outcome::Ok);
    assert_eq!(stage.state().0, RegionState::Degraded);
}

#[test]
fn our_own_trouble_is_no_say_and_silence_is_unknown() {
    let mut stage = stage();
    assert_eq!(
        stage.board.view("docs", stage.now).unwrap().regions[0].reason,
        Some("no_agent")
    );
    let trouble = Outcome::Inconclusive {
        reason: Reason::ProberInternal,
    };
    stage.says("b", &trouble);
    assert_eq!(stage.state(), (RegionState::Unknown, Some("agent_fault")));
    stage.says("a", &Outcome::Ok);
    assert_eq!(stage.state().0, RegionState::Ok, "b has no say");
    stage.now += Duration::from_secs(60 + 30 + 11);
    assert_eq!(stage.state().0, RegionState::Unknown);
}

/// Late, old and repeated evidence is counted and says nothing of now.
#[test]
fn history_is_counted_and_says_nothing_about_now() {
    let mut stage = stage();
    stage.says("a", &Outcome::Ok);
    let identity = identity("a");
    let mut old = stage.record(&refused());
    old.generation = 2;
    old.started_at_us = 99;
    stage
        .board
        .outcome(&stage.sighting(&identity, true), &old)
        .unwrap();
    assert_eq!(stage.state().0, RegionState::Ok, "another meaning");
    old.generation = 3;
    stage
        .board
        .outcome(&stage.sighting(&identity, false), &old)
        .unwrap();
    assert_eq!(stage.state().0, RegionState::Ok, "another life");
    old.started_at_us = 1;
    stage
        .board
        .outcome(&stage.sighting(&identity, true), &old)
        .unwrap();
    assert_eq!(stage.state().0, RegionState::Ok, "before the last word");
    assert_eq!(stage.counted(), (4, 0));
}

/// What was run because of a failure is counted apart: it would make failures look frequent.
#[test]
fn confirmations_speak_and_are_counted_apart() {
    let mut stage = stage();
    stage.says("a", &Outcome::Ok);
    stage.says("a", &refused());
    let identity = identity("a");
    stage.started_us += 1;
    let mut confirmed = stage.record(&Outcome::Ok);
    confirmed.confirmation_id = "c1".into();
    stage
        .board
        .outcome(&stage.sighting(&identity, true), &confirmed)
        .unwrap();
    assert_eq!(stage.state().0, RegionState::Ok);
    assert_eq!(stage.counted(), (2, 1));
    assert_eq!(stage.region().percentiles.unwrap().samples, 1);
}

#[test]
fn a_changed_monitor_forgets_what_was_said_and_a_removed_one_everything() {
    let mut stage = stage();
    stage.says("a", &Outcome::Ok);
    let mut spec = MonitorSpec::new("https://b/mcp".parse().unwrap());
    spec.regions = vec!["us".into()];
    let monitor = Monitor {
        id: "docs".parse().unwrap(),
        generation: 4,
        spec,
    };
    stage.board.set(&monitor, stage.now);
    stage.board.assign("docs", Vec::new(), stage.now);
    let watch = stage.board.view("docs", stage.now).unwrap();
    let regions: Vec<_> = watch
        .regions
        .iter()
        .map(|r| (r.name.as_str(), r.state))
        .collect();
    assert_eq!(regions, [("us", RegionState::Unknown)]);
    stage.board.remove("docs");
    assert!(stage.board.view("docs", stage.now).is_none());
    assert_eq!(stage.board.len(), 0);
}

#[test]
fn broken_records_are_refused_by_name() {
    let stage = stage();
    let identity = identity("a");
    let sighting = stage.sighting(&identity, true);
    let mut record = stage.record(&Outcome::Ok);
    record.monitor_id = "../x".into();
    let error = stage.board.outcome(&sighting, &record).unwrap_err();
    assert_eq!(error.field, "monitor_id");
    let mut record = stage.record(&Outcome::Ok);
    record.confirmation_id = "x".repeat(65);
    let error = stage.board.outcome(&sighting, &record).unwrap_err();
    assert_eq!(error.field, "confirmation_id");
    let window = v1::LatencyWindow {
        monitor_id: "docs".into(),
        step: v1::Step::Probe.into(),
        count: 3,
        sparse_us: vec![5],
        ..Default::default()
    };
    let error = stage.board.window("eu", window).unwrap_err();
    assert_eq!(error.field, "count");
}

#[test]
fn percentiles_say_of_when_and_of_how_many() {
    let mut stage = stage();
    for _ in 0..10 {
        stage.says("a", &Outcome::Ok);
        stage.now += Duration::from_secs(55);
    }
    let percentiles = stage.region().percentiles.unwrap();
    assert_eq!(
        (percentiles.samples, percentiles.window),
        (10, Duration::from_secs(595))
    );
    assert!(percentiles.p50_us.abs_diff(20_000) < 20);
    stage.now += Duration::from_secs(7200);
    assert_eq!(stage.region().percentiles, None);
}

#[test]
fn an_agent_that_stops_or_cannot_tell_breaks_no_row() {
    let mut stage = stage();
    let because = |reason| Outcome::Inconclusive { reason };
    stage.says("a", &refused());
    stage.says("a", &because(Reason::ProberInternal));
    stage.says("a", &refused());
    assert_eq!(stage.state(), (RegionState::Failing, Some("tcp_refused")));
    stage.says("a", &because(Reason::Cancelled));
    assert_eq!(
        stage.state().0,
        RegionState::Failing,
        "its last word stands"
    );
}

#[test]
fn after_a_silence_since_begins_anew() {
    let mut stage = stage();
    stage.says("a", &Outcome::Ok);
    let first = stage.region().since;
    stage.now += Duration::from_secs(3600);
    stage.board.handle_timeout(stage.now);
    let silent = stage.region();
    assert_eq!(silent.state, RegionState::Unknown);
    assert!(silent.since > first);
    let identity = identity("a");
    stage.board.heard(&identity.agent, stage.now);
    stage.says("a", &Outcome::Ok);
    assert!(stage.region().since > silent.since, "{:?}", stage.region());
}

#[test]
fn a_region_that_is_not_wanted_does_not_come_back() {
    let stage = stage();
    let mut spec = MonitorSpec::new("https://b/mcp".parse().unwrap());
    spec.regions = vec!["eu".into()];
    let monitor = Monitor {
        id: "docs".parse().unwrap(),
        generation: 4,
        spec,
    };
    stage.board.set(&monitor, stage.now);
    let record = v1::Missed {
        monitor_id: "docs".into(),
        slot: 1,
        reason: 1,
        ..Default::default()
    };
    let elsewhere = Identity {
        region: "us".into(),
        ..identity("c")
    };
    let sighting = stage.sighting(&elsewhere, true);
    stage.board.missed(&sighting, &record).unwrap();
    assert_eq!(
        stage.board.view("docs", stage.now).unwrap().regions.len(),
        1
    );
    let empty = v1::Missed::default();
    assert!(stage.board.missed(&sighting, &empty).is_err());
}

/// A held slot of an agent that was turned away says that the region is blocked, where nothing else is
/// known of it; one of an agent that was told to wait says nothing, and neither does what another life
/// of it left, nor where it was another monitor of the origin that was turned away.
#[test]
fn a_held_slot_says_what_holds_it() {
    let blocked = (RegionState::Blocked, Some("rate_limited"));
    let ok = (RegionState::Ok, None);
    let unknown = (RegionState::Unknown, Some("no_agent"));
    let table = [
        (None, true, true, 7, blocked),
        (None, false, true, 7, unknown),
        (None, true, false, 7, unknown),
        // An agent that does not say when.
        (None, true, true, 0, unknown),
        (Some(Outcome::Ok), true, true, 7, ok),
    ];
    for (before, limited, is_live, missed_at_us, expected) in table {
        let mut stage = stage();
        for agent in ["a", "b"] {
            if let Some(before) = &before {
                stage.says(agent, before);
            }
        }
        for agent in ["a", "b"] {
            let record = v1::Missed {
                monitor_id: "docs".into(),
                slot: 1,
                reason: v1::MissedReason::Held.into(),
                missed_at_us,
                limited,
            };
            let identity = identity(agent);
            let sighting = stage.sighting(&identity, is_live);
            stage.board.missed(&sighting, &record).unwrap();
        }
        assert_eq!(
            stage.state(),
            expected,
            "{limited} {is_live} {missed_at_us}"
        );
    }
}

/// Another interval is another time to live, and no vote is forgotten; another spec keeps it.
#[test]
fn a_monitor_is_judged_by_the_interval_that_it_has() {
    let mut stage = stage();
    stage.says("a", &Outcome::Ok);
    let ttl = |stage: &Stage| {
        let watch = stage.board.view("docs", stage.now).unwrap();
        watch.standing.evidence.ttl_ms
    };
    assert_eq!(ttl(&stage), 100_000);
    stage
        .board
        .pace("docs", Duration::from_secs(120), stage.now);
    assert_eq!(ttl(&stage), 160_000);
    assert_eq!(stage.state().0, RegionState::Ok);
    let spec = MonitorSpec::new("https://b/mcp".parse().unwrap());
    let monitor = Monitor {
        id: "docs".parse().unwrap(),
        generation: 4,
        spec,
    };
    stage.board.set(&monitor, stage.now);
    assert_eq!(ttl(&stage), 160_000);
}
