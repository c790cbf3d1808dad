use model::{Failure, MonitorSpec, Outcome, Phase, Reason, RegionState, Step};
use prost::Message as _;
use rpc::v1::record::Kind;
use rpc::{convert, v1};
use store::{Batch, MemoryStore, Provenance};
use verdict::Witness;

use super::*;
use crate::axis::Axis;

const AGENTS: [&str; 2] = ["a", "b"];
const MINUTE_US: u64 = 60_000_000;
/// When the agents began, on their own clocks, and how long ago that was.
const MINUTES: u64 = 10;

/// What an agent handed in: minutes after it began, and the record.
type Records = Vec<(u64, Kind)>;

fn outcome(outcome: &Outcome) -> Records {
    let mut record = v1::ProbeOutcome {
        monitor_id: "docs".into(),
        generation: 1,
        started_at_us: 1,
        total_us: 20_000,
        ..Default::default()
    };
    convert::outcome_into(outcome, &mut record);
    let attestation = v1::Attestation {
        monitor_id: "docs".into(),
        of_seq: 0,
        ..Default::default()
    };
    vec![
        (0, Kind::Outcome(record)),
        (0, Kind::Attestation(attestation)),
    ]
}

/// A slot a minute that was held.
fn held(is_limited: bool) -> Records {
    let missed = |minute| v1::Missed {
        monitor_id: "docs".into(),
        slot: minute,
        reason: v1::MissedReason::Held.into(),
        missed_at_us: minute * MINUTE_US,
        limited: is_limited,
    };
    let minutes = 1..MINUTES;
    minutes.map(|n| (n, Kind::Missed(missed(n)))).collect()
}

/// Keeps records as they came while another coordinator ran.
async fn keep(store: &MemoryStore, agent: &str, records: &Records) {
    let id: model::MonitorId = "docs".parse().unwrap();
    let fence = store.take_shard(id.lane()).await.unwrap();
    let now = millis(telemetry::clock::wall());
    for (seq, (minute, kind)) in (0..).zip(records) {
        let record = v1::Record {
            kind: Some(kind.clone()),
            ..Default::default()
        };
        let batch = Batch {
            provenance: Provenance {
                agent: agent.to_owned(),
                region: "eu".to_owned(),
                provider: "p".to_owned(),
                spool_epoch: 1,
                boot_id: "boot".to_owned(),
                sent_at_us: minute * MINUTE_US + 1,
                received_at_ms: now - (MINUTES - minute) * 60_000,
            },
            lane: id.lane(),
            applied: delivery::Applied::default(),
            records: vec![(seq, record.encode_to_vec())],
        };
        store.append(fence, batch).await.unwrap();
    }
}

/// A coordinator that begins with what is kept.
async fn restarted(store: &MemoryStore) -> (RegionState, Option<&'static str>) {
    let began = Instant::now().into_std();
    let board = Board::new(Axis::begin(began, telemetry::clock::wall()));
    for monitor in store.monitors().await.unwrap() {
        board.set(&monitor, began);
    }
    let witness = |agent: &str| Witness {
        agent: agent.to_owned(),
        region: "eu".to_owned(),
        provider: "p".to_owned(),
        ..Witness::default()
    };
    board.assign("docs", AGENTS.map(witness).to_vec(), began);
    recall(store, &board).await.unwrap();
    for agent in AGENTS {
        board.hello(agent, &[], began);
    }
    let watch = board.view("docs", Instant::now().into_std()).unwrap();
    let region = watch.regions.into_iter().next().unwrap();
    (region.state, region.reason)
}

/// A pause is longer than votes live: what a restart knows of it, it knows by the slots that were held.
#[tokio::test]
async fn held_slots_are_read_back_after_a_restart() {
    let limited = Outcome::of_failure(Failure {
        step: Step::Discover,
        phase: Phase::Wait,
        reason: Reason::RateLimited,
    });
    let blocked = (RegionState::Blocked, Some("rate_limited"));
    let stale = |found: (RegionState, _)| found.0 == RegionState::Unknown;
    let table = [
        (outcome(&limited), held(true), Some(blocked)),
        (outcome(&limited), Vec::new(), None),
        // Who was only told to wait stands by what it saw.
        (
            outcome(&Outcome::Ok),
            held(false),
            Some((RegionState::Ok, None)),
        ),
        (outcome(&Outcome::Ok), Vec::new(), None),
        // What was seen before is forgotten.
        (Vec::new(), held(true), Some(blocked)),
        (Vec::new(), held(false), None),
    ];
    for (n, (before, since, expected)) in table.into_iter().enumerate() {
        let store = MemoryStore::new(0);
        let spec = MonitorSpec::new("https://a/mcp".parse().unwrap());
        let put = store.put_monitor(&"docs".parse().unwrap(), spec).await;
        assert_eq!(put.unwrap().monitor.generation, 1);
        let records = [before, since].concat();
        for agent in AGENTS {
            keep(&store, agent, &records).await;
        }
        let found = restarted(&store).await;
        match expected {
            Some(expected) => assert_eq!(found, expected, "case {n}"),
            None => assert!(stale(found), "case {n}: {found:?}"),
        }
    }
}
