use super::*;
use model::{MonitorSpec, Reason, Step};

struct Stage {
    board: Board,
    now: Instant,
    slot: u64,
}

fn stage() -> Stage {
    let board = Board::default();
    let spec = MonitorSpec::new("https://a/mcp".parse().unwrap());
    board.set(&Monitor {
        id: "docs".parse().unwrap(),
        generation: 3,
        spec,
    });
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the origin"
    )]
    let now = Instant::now();
    Stage {
        board,
        now,
        slot: 0,
    }
}

fn failed(reason: Reason) -> Outcome {
    Outcome::of_failure(model::Failure {
        step: Step::Discover,
        phase: model::Phase::Connect,
        reason,
    })
}

impl Stage {
    fn says(&mut self, agent: &str, outcome: &Outcome) {
        self.slot += 1;
        let identity = Identity {
            agent: agent.into(),
            region: "eu".into(),
            provider: "p".into(),
            is_private: false,
        };
        let mut record = v1::ProbeOutcome {
            monitor_id: "docs".into(),
            generation: 3,
            slot: self.slot,
            total_us: 20_000,
            ..Default::default()
        };
        convert::outcome_into(outcome, &mut record);
        let sighting = Sighting {
            identity: &identity,
            observed: self.now,
            started_at: jiff::Timestamp::from_second(1_000 + self.slot.cast_signed()).unwrap(),
            is_live: true,
            is_recalled: false,
        };
        self.board.outcome(&sighting, &record).unwrap();
    }

    fn region(&self) -> RegionView {
        self.board.view("docs", self.now).unwrap().remove(0)
    }

    fn state(&self) -> (RegionState, Option<&'static str>) {
        let region = self.region();
        (region.state, region.reason)
    }
}

/// Failing is every agent, twice in a row; one of them alone is degraded.
#[test]
fn a_region_fails_when_all_its_agents_fail_twice() {
    let mut stage = stage();
    stage.says("a", &Outcome::Ok);
    stage.says("b", &Outcome::Ok);
    assert_eq!(stage.state(), (RegionState::Ok, None));
    let refused = failed(Reason::TcpRefused);
    stage.says("a", &refused);
    stage.says("a", &refused);
    assert_eq!(stage.state(), (RegionState::Degraded, Some("tcp_refused")));
    stage.says("b", &refused);
    assert_eq!(stage.state(), (RegionState::Degraded, Some("tcp_refused")));
    stage.says("b", &refused);
    assert_eq!(stage.state(), (RegionState::Failing, Some("tcp_refused")));
    let since = stage.region().since.unwrap();
    stage.says("b", &refused);
    assert_eq!(
        stage.region().since,
        Some(since),
        "since the change, not since the last probe"
    );
    stage.says("a", &Outcome::Ok);
    assert_eq!(stage.state().0, RegionState::Degraded);
}

#[test]
fn being_turned_away_is_no_failure_and_our_own_trouble_is_no_say() {
    let mut stage = stage();
    stage.says("a", &failed(Reason::AuthRequired));
    assert_eq!(stage.state(), (RegionState::Blocked, Some("auth_required")));
    stage.says(
        "b",
        &Outcome::Inconclusive {
            reason: Reason::ProberInternal,
        },
    );
    assert_eq!(stage.state().0, RegionState::Blocked, "b has no say");
    let mut alone = self::stage();
    alone.says(
        "b",
        &Outcome::Inconclusive {
            reason: Reason::ProberInternal,
        },
    );
    assert_eq!(alone.state(), (RegionState::Unknown, Some("agent_fault")));
}

#[test]
fn silence_is_unknown_and_never_failing() {
    let mut stage = stage();
    stage.says("a", &failed(Reason::TcpRefused));
    stage.says("a", &failed(Reason::TcpRefused));
    assert_eq!(stage.state().0, RegionState::Failing);
    stage.now += Duration::from_secs(60 + 30 + 10);
    assert_eq!(stage.state().0, RegionState::Failing);
    stage.now += Duration::from_secs(1);
    assert_eq!(stage.state(), (RegionState::Unknown, Some("stale")));
}

#[test]
fn late_and_old_evidence_is_counted_and_says_nothing_about_now() {
    let mut stage = stage();
    stage.says("a", &Outcome::Ok);
    let identity = Identity {
        agent: "a".into(),
        region: "eu".into(),
        provider: "p".into(),
        is_private: false,
    };
    let mut record = v1::ProbeOutcome {
        monitor_id: "docs".into(),
        generation: 2,
        slot: 99,
        ..Default::default()
    };
    convert::outcome_into(&failed(Reason::TcpRefused), &mut record);
    let late = jiff::Timestamp::from_second(2_000).unwrap();
    let sighting = Sighting {
        identity: &identity,
        observed: stage.now,
        started_at: late,
        is_live: true,
        is_recalled: false,
    };
    stage.board.outcome(&sighting, &record).unwrap();
    record.generation = 3;
    record.slot = 1;
    let early = jiff::Timestamp::from_second(1).unwrap();
    let sighting = Sighting {
        started_at: early,
        ..sighting
    };
    stage.board.outcome(&sighting, &record).unwrap();
    assert_eq!(stage.state(), (RegionState::Ok, None));
    let mut counted = 0;
    stage.board.each(stage.now, |_, _, _, region| {
        counted += region.results().values().sum::<u64>()
    });
    assert_eq!(counted, 3);
}

#[test]
fn percentiles_say_of_when_and_of_how_many() {
    let mut stage = stage();
    for _ in 0..10 {
        stage.says("a", &Outcome::Ok);
        stage.now += Duration::from_secs(60);
    }
    let percentiles = stage.region().percentiles.unwrap();
    assert_eq!(
        (percentiles.samples, percentiles.window),
        (10, Duration::from_secs(600))
    );
    assert!(percentiles.p50_us.abs_diff(20_000) < 20);
    stage.now += Duration::from_secs(7200);
    assert_eq!(stage.region().percentiles, None);
}

#[test]
fn records_that_break_the_contract_change_nothing() {
    let stage = stage();
    let bad = v1::LatencyWindow {
        monitor_id: "docs".into(),
        step: 99,
        ..Default::default()
    };
    assert!(stage.board.window("eu", bad).is_err());
    let bad = v1::LatencyWindow {
        monitor_id: "docs".into(),
        step: v1::Step::Probe.into(),
        sparse_us: vec![0],
        ..Default::default()
    };
    assert!(stage.board.window("eu", bad).is_err());
    assert_eq!(stage.board.view("docs", stage.now).unwrap().len(), 0);
    assert!(stage.board.missed("eu", &v1::Missed::default()).is_err());
}

#[test]
fn an_agent_that_stops_or_cannot_tell_breaks_no_row() {
    let mut stage = stage();
    let refused = failed(Reason::TcpRefused);
    stage.says("a", &refused);
    stage.says(
        "a",
        &Outcome::Inconclusive {
            reason: Reason::ProberInternal,
        },
    );
    stage.says("a", &refused);
    assert_eq!(stage.state(), (RegionState::Failing, Some("tcp_refused")));
    stage.says(
        "a",
        &Outcome::Inconclusive {
            reason: Reason::Cancelled,
        },
    );
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
    let silent = stage.region();
    assert_eq!(
        (silent.state, silent.reason),
        (RegionState::Unknown, Some("stale"))
    );
    assert!(silent.since > first);
    stage.says("a", &Outcome::Ok);
    assert!(stage.region().since > first, "{:?}", stage.region());
}

#[test]
fn another_meaning_of_the_monitor_begins_with_no_word() {
    let mut stage = stage();
    stage.says("a", &Outcome::Ok);
    let mut spec = MonitorSpec::new("https://b/mcp".parse().unwrap());
    spec.regions = vec!["eu".to_owned()];
    stage.board.set(&Monitor {
        id: "docs".parse().unwrap(),
        generation: 4,
        spec,
    });
    assert_eq!(stage.state(), (RegionState::Unknown, Some("no_agent")));
    // and a region that is not wanted does not come back
    let identity = Identity {
        agent: "u".into(),
        region: "us".into(),
        provider: "p".into(),
        is_private: false,
    };
    let record = v1::Missed {
        monitor_id: "docs".into(),
        slot: 1,
        reason: 1,
    };
    stage.board.missed(&identity.region, &record).unwrap();
    assert_eq!(stage.board.view("docs", stage.now).unwrap().len(), 1);
}
