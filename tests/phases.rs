//! What counts as which phase. How long they are is measured by `benches/timing_truth.rs`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::time::Duration;

use model::{EraPolicy, Outcome, Phase, Step};
use support::Probe;
use tokio::net::TcpListener;

/// More than the largest send buffer of Linux (`tcp_wmem`) and what an unread receive buffer takes.
const LARGE: usize = 16 << 20;

/// A server that reads nothing of a request has not made anybody wait for an answer yet.
#[tokio::test]
async fn a_request_that_nobody_reads_is_being_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    });
    for (header, phase) in [
        ("x".repeat(LARGE), Phase::Send),
        ("x".to_owned(), Phase::Wait),
    ] {
        let probe = Probe::of(&url).header("x-filler", &header);
        let mut probe = probe.patience(Duration::from_millis(300));
        probe.plan.era = EraPolicy::Modern;
        let report = probe.report().await;
        let Outcome::Failed(failure) = report.outcome else {
            panic!("{:?}", report.outcome);
        };
        assert_eq!((failure.step, failure.phase), (Step::Discover, phase));
        assert!(failure.reason.is_timeout(), "{failure:?}");
    }
    server.abort();
}
