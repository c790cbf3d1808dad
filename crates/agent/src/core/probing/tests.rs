use super::*;
use crate::config::Config;
use crate::core::tests::{closed, config, core, schedule, spooled};
use crate::link::LinkEvent;
use rpc::v1::record::Kind;

fn small(max_probes: usize) -> Core {
    let (core, _) = core(Config {
        max_probes,
        ..config()
    });
    core
}

fn request(monitor: &str) -> v1::ConfirmationRequest {
    v1::ConfirmationRequest {
        confirmation_id: "c-1".into(),
        monitor_id: monitor.to_owned(),
        generation: 3,
        to_step: String::new(),
        timeout_ms: 3000,
        with_calls: true,
    }
}

async fn finish(core: &mut Core) {
    while let Some(done) = core.probes.join_next_with_id().await {
        core.handle_done(done);
    }
    core.handle_time();
}

#[tokio::test]
async fn a_confirmation_is_probed_at_once_told_and_vouched_for() {
    let mut core = small(1);
    schedule(&mut core, &closed().await, &["docs"]);
    core.handle_link(LinkEvent::Confirm(request("docs")));
    core.handle_link(LinkEvent::Confirm(request("docs")));
    assert_eq!(core.probes.len(), 1, "once at a time");
    finish(&mut core).await;
    let records = spooled(&core);
    let [Kind::Outcome(outcome), Kind::Attestation(attestation)] = &records[..] else {
        panic!("{records:?}");
    };
    assert_eq!(outcome.confirmation_id, "c-1");
    assert_eq!((outcome.slot, outcome.confirmed_calls), (0, true));
    assert_eq!(outcome.reason(), v1::Reason::TcpRefused);
    assert_eq!(outcome.depth(), v1::Step::Discover);
    assert_eq!(
        (attestation.of_seq, &attestation.monitor_id[..]),
        (0, "docs")
    );
    assert_eq!(
        (attestation.canaries_asked, attestation.others_asked),
        (0, 0)
    );
    assert!(core.windows.poll_timeout().is_none() && core.running.is_empty());
}

/// A slot that is due while a confirmation runs is run, and belongs to no other.
#[tokio::test]
async fn a_confirmation_moves_no_slot() {
    let mut core = small(1);
    let url = closed().await;
    schedule(&mut core, &url, &["docs", "shop"]);
    core.handle_link(LinkEvent::Confirm(request("docs")));
    let item = core.items["docs"].clone();
    core.timetable.upsert("docs", item.interval, 9, now());
    core.handle_time();
    assert_eq!(
        core.probes.len(),
        2,
        "both, though one permit is all there is"
    );
    assert_eq!(core.timetable.next_slot("docs"), Some(10));
    core.handle_link(LinkEvent::Confirm(request("shop")));
    assert_eq!(core.probes.len(), 3);
    finish(&mut core).await;
    let outcomes = spooled(&core).into_iter().filter_map(|kind| match kind {
        Kind::Outcome(outcome) => Some((outcome.slot, outcome.confirmation_id)),
        Kind::Attestation(_) => None,
        Kind::Window(_)
        | Kind::Gap(_)
        | Kind::Missed(_)
        | Kind::SurfaceSeen(_)
        | Kind::SurfacePart(_) => panic!("{kind:?}"),
    });
    let mut outcomes: Vec<_> = outcomes.collect();
    outcomes.sort();
    let confirmed = (0, "c-1".to_owned());
    assert_eq!(outcomes, [confirmed.clone(), confirmed, (9, String::new())]);
}

#[tokio::test]
async fn what_cannot_be_confirmed_is_left() {
    let mut core = small(1);
    schedule(&mut core, &closed().await, &["docs"]);
    type Break = fn(&mut v1::ConfirmationRequest);
    let table: [(Break, &str); 4] = [
        (|r| r.monitor_id = "shop".into(), "no such monitor"),
        (|r| r.generation = 2, "no such monitor"),
        (|r| r.confirmation_id = "x".repeat(65), "too long"),
        (|r| r.confirmation_id.clear(), "empty"),
    ];
    for (break_it, why) in table {
        let mut request = request("docs");
        break_it(&mut request);
        let said = core.may_confirm(&request).map(|_| ()).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    core.is_draining = true;
    assert!(core.may_confirm(&request("docs")).is_err());
    core.is_draining = false;
    let item = core.items["docs"].clone();
    core.probe(item.clone(), item.plan.clone(), Cause::Slot(1));
    let said = core.may_confirm(&request("docs")).map(|_| ()).unwrap_err();
    assert!(said.contains("is running"), "{said}");
    finish(&mut core).await;
    assert!(core.may_confirm(&request("docs")).is_ok());
}

#[tokio::test]
async fn confirmations_are_bounded() {
    let mut core = small(2);
    let names: Vec<String> = (0..30).map(|n| format!("m{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    schedule(&mut core, &closed().await, &names);
    for name in &names {
        core.handle_link(LinkEvent::Confirm(request(name)));
    }
    assert_eq!(core.probes.len(), 2 + SPARE);
    finish(&mut core).await;
    assert!(core.may_confirm(&request("m29")).is_ok());
}
