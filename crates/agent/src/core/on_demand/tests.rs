use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::core::tests::{closed, config, core};
use crate::link::LinkEvent;

fn request(run: &str, url: &str) -> v1::OnDemandRequest {
    v1::OnDemandRequest {
        run_id: run.to_owned(),
        timeout_ms: 20_000,
        probe: Some(v1::ProbeSpec {
            url: url.to_owned(),
            era: "auto".into(),
            step_timeout_ms: 5000,
            call_timeout_ms: 5000,
            total_timeout_ms: 10_000,
            ..Default::default()
        }),
    }
}

/// A core whose answers can be read.
fn answering() -> (Core, mpsc::Receiver<Message>) {
    let (mut core, _) = core(config());
    let (says, said) = mpsc::channel(64);
    core.says = says;
    (core, said)
}

async fn all_end(core: &mut Core) {
    while let Some(ended) = core.on_demand.join_next().await {
        core.handle_on_demand(ended);
    }
}

fn next(answered: &mut mpsc::Receiver<Message>) -> Option<(String, Found)> {
    match answered.try_recv() {
        Ok(Message::OnDemand(result)) => Some((result.run_id, result.result.unwrap())),
        Ok(Message::Hello(_) | Message::Result(_) | Message::WallLook(_)) | Err(_) => None,
    }
}

fn refused(answered: &mut mpsc::Receiver<Message>) -> OnDemandRefusal {
    match next(answered) {
        Some((_, Found::Refusal(refusal))) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_report_is_answered_and_nothing_is_recorded() {
    let (mut core, mut answered) = answering();
    let url = closed().await;
    core.handle_link(LinkEvent::OnDemand(Box::new(request("r1", &url))));
    all_end(&mut core).await;
    let Some((run, Found::ReportJson(json))) = next(&mut answered) else {
        panic!("no report");
    };
    let report: Report = serde_json::from_slice(&json).unwrap();
    assert_eq!((run.as_str(), report.url.to_string()), ("r1", url));
    assert_eq!(report.outcome.reason(), Some(Reason::TcpRefused));
    assert_eq!(core.spool.len(), 0);
    assert!(core.on_demand.running.is_empty());
}

#[tokio::test]
async fn what_is_not_run_says_why() {
    let (mut core, mut answered) = answering();
    let url = closed().await;
    let mut unread = request("r", &url);
    unread.probe.as_mut().unwrap().era = "future".into();
    core.handle_link(LinkEvent::OnDemand(Box::new(unread)));
    let told = refused(&mut answered);
    assert_eq!(told.reason(), Why::Rejected);
    assert!(
        told.detail.starts_with("era: `future` is not"),
        "{}",
        told.detail
    );
    let mut hasty = request("r", &url);
    hasty.timeout_ms = 0;
    core.handle_link(LinkEvent::OnDemand(Box::new(hasty)));
    assert_eq!(refused(&mut answered).detail, "timeout_ms: leaves no time");

    let origin = url.trim_end_matches("/mcp");
    let minute = Duration::from_secs(60);
    core.origins.limited(origin, minute, now());
    core.handle_link(LinkEvent::OnDemand(Box::new(request("r", &url))));
    let held = refused(&mut answered);
    assert_eq!(held.reason(), Why::Held);
    assert!((1..=60_000).contains(&held.retry_after_ms), "{held:?}");

    core.is_draining = true;
    core.handle_link(LinkEvent::OnDemand(Box::new(request("r", &url))));
    assert_eq!(refused(&mut answered).reason(), Why::Draining);
    // An answer could not name these.
    core.handle_link(LinkEvent::OnDemand(Box::new(request("", &url))));
    core.handle_link(LinkEvent::OnDemand(Box::new(request("a b", &url))));
    assert_eq!(next(&mut answered), None);
    assert!(core.on_demand.is_idle());
}

#[tokio::test]
async fn places_are_bounded_and_freed_when_nobody_waits() {
    let (mut core, mut answered) = answering();
    // Accepts in the kernel, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    for n in 0..=PLACES {
        core.handle_link(LinkEvent::OnDemand(Box::new(request(
            &format!("r{n}"),
            &url,
        ))));
    }
    let busy = refused(&mut answered);
    assert_eq!(busy.reason(), Why::Busy);
    assert_eq!(core.on_demand.running.len(), PLACES);
    core.handle_link(LinkEvent::OnDemandCancel("r3".into()));
    let ended = core.on_demand.join_next().await.unwrap();
    core.handle_on_demand(ended);
    assert_eq!(core.on_demand.running.len(), PLACES - 1);
    // Without a link nobody waits for any of them.
    core.handle_link(LinkEvent::Down);
    all_end(&mut core).await;
    assert_eq!(next(&mut answered), None, "nobody is told");
}

#[test]
fn sequence_and_closing_fit_into_the_time() {
    for (timeout_ms, total) in [(19_000, 10_000), (9000, 7200), (1000, 800)] {
        let mut request = request("r", "https://mcp.example.com/mcp");
        request.timeout_ms = timeout_ms;
        let plan = read(&request).unwrap().plan;
        let given = Duration::from_millis(timeout_ms.into());
        assert!(plan.total_timeout + plan.close_timeout <= given);
        assert_eq!(
            plan.total_timeout,
            Duration::from_millis(total),
            "{:?}",
            plan.close_timeout
        );
    }
}
