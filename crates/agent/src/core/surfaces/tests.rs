use super::cut;
use crate::core::tests::{closed, config, core, schedule, spooled};
use crate::item;
use crate::link::LinkEvent;
use crate::surfaces::Examiner;
use mcp::Listing;
use model::Report;
use rpc::v1;
use rpc::v1::record::Kind;
use serde_json::json;
use std::time::Duration;

fn report() -> Report {
    let name = "é".repeat(100);
    serde_json::from_value(json!({
        "schema_version": 1, "url": "https://x/mcp", "started_at": "2026-01-01T00:00:00Z",
        "outcome": { "kind": "ok" }, "summary": "", "total_us": 1, "own_us": 0, "steps": [],
        "checks": [], "server": { "name": name, "version": "3" },
    }))
    .unwrap()
}

/// What a probe saw is spooled in the monitor's lane, and handed in when the link asks; of a monitor
/// that was changed meanwhile nothing is said.
#[tokio::test]
async fn a_surface_goes_the_way_of_all_records() {
    let (mut core, _inbox) = core(config());
    schedule(&mut core, &closed().await, &["docs"]);
    let mut item = core.items["docs"].clone();
    let examine = async |examiner: Examiner| {
        let tools = vec![json!({ "name": "a" })];
        let listing = Listing::Whole {
            tools,
            instructions: None,
        };
        examiner.examine(Some(listing)).await
    };
    let examined = examine(core.surfaces.examiner("docs")).await;
    core.say_surface(&item, Duration::from_millis(5), &report(), examined);
    let said = spooled(&core);
    let [Kind::SurfaceSeen(seen)] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!((seen.generation, seen.seen_at_us), (3, 5000));
    assert_eq!(seen.server_name, "é".repeat(64));
    core.handle_link(LinkEvent::Surface(v1::SurfaceRequest {
        monitor_id: "docs".into(),
        fingerprint: seen.fingerprint.clone(),
    }));
    assert!(matches!(spooled(&core)[..], [_, Kind::SurfacePart(_)]));
    item.generation += 1;
    let examined = examine(core.surfaces.examiner("other")).await;
    core.say_surface(&item, Duration::ZERO, &report(), examined);
    assert_eq!(spooled(&core).len(), 2);
}

#[test]
fn a_credential_is_named_by_its_headers_and_never_told() {
    let header = |name: &str| v1::Header {
        name: name.into(),
        value: b"s3cret".to_vec(),
        secret: true,
    };
    let sent = v1::ScheduleItem {
        monitor_id: "docs".into(),
        interval_ms: 60_000,
        probe: Some(v1::ProbeSpec {
            url: "https://a/mcp".into(),
            era: "auto".into(),
            step_timeout_ms: 1000,
            call_timeout_ms: 1000,
            total_timeout_ms: 1000,
            headers: vec![header("x-key"), header("Authorization")],
            watch_contract: true,
            ..Default::default()
        }),
        ..Default::default()
    };
    let item = item::read(&sent).unwrap();
    assert_eq!(item.credential, "authorization,x-key");
    assert!(item.plan.keep_listing);
    assert!(!item.confirmation(true, Duration::ZERO).keep_listing);
    assert_eq!(cut("a".repeat(200)).len(), 128);
}
