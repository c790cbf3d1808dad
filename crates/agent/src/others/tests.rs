use super::*;
use model::report::Connection;
use model::{Failure, Phase, Reason, Step};

/// A report with nothing else in it.
pub(crate) fn report(outcome: Outcome, address: Option<&str>) -> Report {
    let connection = address.map(|address| Connection {
        address: address.to_owned(),
        ..Connection::default()
    });
    Report {
        schema_version: model::report::SCHEMA_VERSION,
        url: "https://a/mcp".parse().unwrap(),
        started_at: String::new(),
        outcome,
        summary: String::new(),
        era: None,
        protocol_version: None,
        transport: None,
        server: None,
        connection,
        more_connections: Vec::new(),
        edge: None,
        instance: None,
        more_servers: Vec::new(),
        more_instances: Vec::new(),
        alt_svc: Vec::new(),
        http3: None,
        addresses: Vec::new(),
        differences: Vec::new(),
        auth: None,
        credential: None,
        tools: None,
        lists: BTreeMap::new(),
        largest_response_bytes: 0,
        contract: None,
        health: None,
        received_bytes: 0,
        retry_after_seconds: None,
        steps: Vec::new(),
        checks: Vec::new(),
        total_us: 0,
        own_us: 0,
    }
}

pub(crate) fn failed(reason: Reason) -> Outcome {
    let (step, phase) = (Step::Discover, Phase::Wait);
    Outcome::of_failure(Failure {
        step,
        phase,
        reason,
    })
}

fn at(seconds: u64) -> Instant {
    thread_local! {
        static START: Instant = tokio::time::Instant::now().into_std();
    }
    START.with(|start| *start) + Duration::from_secs(seconds)
}

const TIMEOUT: Reason = Reason::HttpTimeoutHeaders;

/// What failed at second 10 on `own.com` at 192.0.2.7, and what this says of it.
fn counted(others: &[(&str, &str, Option<&str>, u64, Outcome)]) -> (u32, u32) {
    let mut all = Others::default();
    let own = report(failed(TIMEOUT), Some("192.0.2.7:443"));
    all.handle_probe("own", "own.com", &own, at(10));
    for (monitor, hosting, address, began, outcome) in others {
        all.handle_probe(
            monitor,
            hosting,
            &report(outcome.clone(), *address),
            at(*began),
        );
    }
    all.count("own", at(10))
}

#[test]
fn other_hostings_count_that_were_probed_after_the_failure() {
    let ok = || Outcome::Ok;
    let inconclusive = Outcome::Inconclusive {
        reason: Reason::Cancelled,
    };
    let far = Some("198.51.100.1:443");
    let table = [
        ("nobody else", vec![], (0, 0)),
        ("another", vec![("b", "b.com", far, 11, ok())], (1, 1)),
        ("began before", vec![("b", "b.com", far, 9, ok())], (0, 0)),
        ("as early", vec![("b", "b.com", far, 10, ok())], (0, 0)),
        (
            "fails too",
            vec![("b", "b.com", far, 11, failed(TIMEOUT))],
            (1, 0),
        ),
        (
            "refuses: reached",
            vec![("b", "b.com", far, 11, failed(Reason::Forbidden))],
            (1, 1),
        ),
        (
            "says nothing",
            vec![("b", "b.com", far, 11, inconclusive)],
            (0, 0),
        ),
        (
            "the newest counts",
            vec![
                ("b", "b.com", far, 11, ok()),
                ("b", "b.com", None, 12, failed(TIMEOUT)),
            ],
            (1, 0),
        ),
        (
            "what ends late but began early does not",
            vec![
                ("b", "b.com", far, 12, ok()),
                ("b", "b.com", far, 11, failed(TIMEOUT)),
            ],
            (1, 1),
        ),
    ];
    for (name, others, expected) in table {
        assert_eq!(counted(&others), expected, "{name}");
    }
}

#[test]
fn who_shares_a_hosting_counts_once_or_not_at_all() {
    let (ok, bad) = (|| Outcome::Ok, || failed(TIMEOUT));
    let far = Some("198.51.100.1:443");
    let table = [
        (
            "its own hosting",
            vec![("b", "own.com", far, 11, ok())],
            (0, 0),
        ),
        (
            "its own network",
            vec![("b", "b.com", Some("192.0.2.200:80"), 11, ok())],
            (0, 0),
        ),
        (
            "its own network, connected to before",
            vec![
                ("b", "b.com", Some("192.0.2.200:80"), 2, ok()),
                ("b", "b.com", None, 11, failed(Reason::DnsTimeout)),
            ],
            (0, 0),
        ),
        (
            "a hosting is counted once, and reached by any of its monitors",
            vec![
                ("b", "b.com", far, 11, bad()),
                ("c", "b.com", None, 12, ok()),
                ("d", "b.com", None, 13, bad()),
                ("e", "e.com", Some("[2001:db8:1::1]:443"), 11, bad()),
                ("f", "f.com", Some("[2001:db8:1:9::1]:443"), 11, bad()),
                ("g", "g.com", Some("[2001:db8:2::1]:443"), 11, bad()),
            ],
            (3, 1),
        ),
        (
            "two that a third shows to be one",
            vec![
                ("b", "b.com", Some("198.51.100.1:1"), 11, ok()),
                ("c", "c.com", Some("203.0.113.1:1"), 12, ok()),
                ("d", "b.com", Some("203.0.113.9:1"), 13, ok()),
            ],
            (1, 1),
        ),
        (
            "the failed one's hosting by way of another",
            vec![
                ("b", "b.com", Some("192.0.2.9:1"), 11, ok()),
                ("c", "b.com", Some("203.0.113.1:1"), 12, ok()),
                ("d", "d.com", Some("203.0.113.2:1"), 13, ok()),
            ],
            (0, 0),
        ),
    ];
    for (name, others, expected) in table {
        assert_eq!(counted(&others), expected, "{name}");
    }
}

#[test]
fn monitors_that_are_gone_say_nothing() {
    let mut all = Others::default();
    for monitor in ["own", "b"] {
        all.handle_probe(monitor, monitor, &report(Outcome::Ok, None), at(1));
    }
    assert_eq!(all.count("own", at(0)), (1, 1));
    all.remove("b");
    assert_eq!(all.count("own", at(0)), (0, 0));
    all.remove("own");
    assert_eq!(all.count("own", at(0)), (0, 0));
    assert!(all.order.is_empty());
}

#[test]
fn hostings_are_labels_domains_or_networks() {
    let table = [
        ("label", "https://mcp.example.com/", "label"),
        ("", "https://mcp.example.com/mcp", "example.com"),
        ("", "https://a.b.example.co.uk./", "co.uk"),
        ("", "https://localhost/", "localhost"),
        ("", "https://192.0.2.7/", "192.0.2.0"),
        ("", "https://[2001:db8:1:2::3]:8443/", "2001:db8:1::"),
        ("", "https://[::ffff:192.0.2.7]/", "192.0.2.0"),
    ];
    for (label, url, expected) in table {
        assert_eq!(hosting(label, &url.parse().unwrap()), expected, "{url}");
    }
}
