use super::*;
use crate::sample;
use model::{Failure, Outcome, Phase, Step};

const SECOND: Duration = Duration::from_secs(1);

fn failed(reason: Reason, status: Option<u16>) -> Report {
    let mut report = sample::healthy();
    let failure = Failure {
        step: Step::Discover,
        phase: Phase::Wait,
        reason,
    };
    report.outcome = Outcome::of_failure(failure);
    report.steps[0].reason = Some(reason);
    report.steps[0].http_status = status;
    report
}

fn tally(limit: u64, consecutive: u32) -> Tally {
    Tally::new(Duration::from_secs(limit), 2 * SECOND, consecutive)
}

#[test]
fn so_many_healthy_results_in_a_row_end_it() {
    let mut tally = tally(60, 2);
    let (good, bad) = (sample::healthy(), failed(Reason::Upstream5xx, Some(502)));
    let pause = Next::Pause(2 * SECOND);
    assert_eq!(tally.take(&bad, false, SECOND), pause);
    assert_eq!(tally.take(&good, true, 4 * SECOND), pause);
    assert_eq!(tally.take(&bad, false, 7 * SECOND), pause);
    assert_eq!(tally.take(&good, true, 10 * SECOND), pause);
    let end = tally.take(&good, true, 13 * SECOND);
    assert_eq!(end, Next::Stop(End::Healthy));
    let waited = tally.waited;
    assert_eq!((waited.attempts, waited.streak), (5, 2));
    let changes: Vec<_> = waited
        .changes
        .iter()
        .map(|c| (c.attempt, c.result.as_str()))
        .collect();
    let bad = "upstream_5xx at discover";
    assert_eq!(changes, [(1, bad), (2, "ok"), (3, bad), (4, "ok")]);
    assert_eq!(
        waited.sentence(),
        "healthy 2 times in a row, after 5 probes in 13.0 s"
    );
}

#[test]
fn no_probe_begins_after_the_time_is_up() {
    let mut tally = tally(10, 1);
    let bad = failed(Reason::TcpRefused, None);
    assert_eq!(tally.take(&bad, false, 8 * SECOND), Next::Pause(2 * SECOND));
    let after = 8 * SECOND + Duration::from_millis(1);
    assert_eq!(tally.take(&bad, false, after), Next::Stop(End::TimeUp));
}

#[test]
fn a_server_is_not_asked_before_it_wants_to_be() {
    let mut slow = failed(Reason::RateLimited, Some(429));
    slow.retry_after_seconds = Some(7);
    assert_eq!(
        tally(60, 1).take(&slow, false, SECOND),
        Next::Pause(7 * SECOND)
    );
    slow.retry_after_seconds = Some(u64::MAX);
    assert_eq!(
        tally(60, 1).take(&slow, false, SECOND),
        Next::Stop(End::TimeUp)
    );
}

/// The list of docs/pipelines.md.
#[test]
fn what_waiting_cannot_cure_ends_it_at_once() {
    let incurable = [
        "auth_required",
        "auth_malformed",
        "auth_token_rejected",
        "auth_scope",
        "auth_credential_refused",
        "forbidden",
        "waf_challenge",
        "dns_blocked_addr",
        "prober_internal",
    ];
    for reason in Reason::ALL {
        let next = tally(60, 1).take(&failed(*reason, Some(302)), false, SECOND);
        let expected = match reason.as_str() {
            "cancelled" => Next::Stop(End::Interrupted),
            word if incurable.contains(&word) => Next::Stop(End::Incurable),
            _ => Next::Pause(2 * SECOND),
        };
        assert_eq!(next, expected, "{reason}");
    }
    for status in [301, 308] {
        let moved = failed(Reason::HttpRedirect, Some(status));
        let next = tally(60, 1).take(&moved, false, SECOND);
        assert_eq!(next, Next::Stop(End::Incurable));
    }
    let manual = include_str!("../../../../../docs/pipelines.md");
    for word in incurable.iter().filter(|word| **word != "prober_internal") {
        assert!(
            manual.contains(&format!("`{word}`")),
            "{word} is not explained"
        );
    }
}

#[test]
fn results_that_change_all_the_time_are_bounded() {
    let mut tally = tally(100_000, 1000);
    for n in 0..500u64 {
        let report = if n % 2 == 0 {
            sample::healthy()
        } else {
            failed(Reason::TcpReset, None)
        };
        tally.take(&report, n % 2 == 0, Duration::from_secs(n));
    }
    assert_eq!(tally.waited.changes.len(), MAX_CHANGES);
}
