//! The corpus of hostile targets as one table: what each does, and the exact reason that a probe
//! gives. The reasons are those of the closed list in `model::reason`, decided from the
//! specifications that the targets break, not from what the prober says.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod rows_http;
mod rows_http3;
mod rows_mcp;
mod rows_network;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dial::{AddressPolicy, Alpn, Origin};
use mcp::limits::{CLOSE_TIMEOUT, MAX_PROBE_BYTES, MAX_SESSIONS};
use model::{CheckId, Outcome, Reason, Report, Step};
use rows_http::HTTP;
use rows_http3::HTTP3;
use rows_mcp::MCP;
use rows_network::NETWORK;
use support::Probe;
use testbed::hostile::{self, Behaviour, Hostile};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How a probe is to end.
#[derive(Debug, Clone, Copy)]
enum Ends {
    /// Healthy, with these checks violated as notes.
    Well(&'static [CheckId]),
    /// At a step, for a reason, with this check violated.
    Failed(Step, Reason, Option<CheckId>),
    /// For a reason that is ours.
    Ours(Reason),
}

/// What a probe may read, KiB: nothing worth mentioning, heads, a body of 4 MiB with what is already
/// on its way when it is cut, and the budget of the whole probe with its last read.
const SMALL: u64 = 64;
const HEAD: u64 = 256;
const BODY: u64 = 10 << 10;
const WHOLE: u64 = (MAX_PROBE_BYTES >> 10) + 512;

type Row = (&'static str, Ends, u64);

/// Probes at once.
const AT_ONCE: usize = 8;

/// Time for the steps of a probe, and for all of it. Where the outcome is that time is up, little is
/// given; elsewhere so much that no outcome depends on how quick anything is.
#[derive(Debug, Clone, Copy)]
struct Patience {
    step: Duration,
    total: Duration,
}

impl Patience {
    const LITTLE: Self = Self {
        step: Duration::from_secs(3),
        total: Duration::from_secs(9),
    };
    const MUCH: Self = Self {
        step: Duration::from_secs(60),
        total: Duration::from_secs(90),
    };

    fn of(name: &str, ends: Ends) -> Self {
        match ends {
            Ends::Failed(_, reason, _) if reason.is_timeout() => Self::LITTLE,
            // Waits for an endpoint, and then says why it looked for one.
            Ends::Failed(..) if name == "endpoint-never" => Self::LITTLE,
            Ends::Well(_) | Ends::Failed(..) | Ends::Ours(_) => Self::MUCH,
        }
    }
}

const fn well(name: &'static str, most: u64, notes: &'static [CheckId]) -> Row {
    (name, Ends::Well(notes), most)
}

/// Fails at the first question.
const fn first(name: &'static str, most: u64, reason: Reason) -> Row {
    (name, Ends::Failed(Step::Discover, reason, None), most)
}

const fn failed(name: &'static str, most: u64, step: Step, reason: Reason, check: CheckId) -> Row {
    (name, Ends::Failed(step, reason, Some(check)), most)
}

const fn ours(name: &'static str, reason: Reason) -> Row {
    (name, Ends::Ours(reason), 0)
}

use CheckId as C;
use Reason as R;

fn table() -> BTreeMap<&'static str, (Ends, u64)> {
    let rows = NETWORK.iter().chain(&HTTP3).chain(&HTTP).chain(&MCP);
    let mut table = BTreeMap::new();
    for (name, ends, most) in rows {
        assert!(
            table.insert(*name, (*ends, *most)).is_none(),
            "{name} stands twice"
        );
    }
    table
}

#[test]
fn the_table_has_every_behaviour_once() {
    let table = table();
    let known: Vec<&str> = hostile::all().map(|behaviour| behaviour.name).collect();
    let missing: Vec<_> = known
        .iter()
        .filter(|name| !table.contains_key(**name))
        .collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    assert_eq!(
        known.len(),
        table.len(),
        "a name stands twice, or a row is nobody's"
    );
}

/// What came of one probe.
struct Ran {
    report: Report,
    hostile: Hostile,
}

/// Probes one, in the era that the table is about, or as a monitor with a call would.
async fn run(behaviour: &'static Behaviour, patience: Patience, as_monitor: bool) -> Ran {
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let hostile = Hostile::start(behaviour, bind).await.unwrap();
    let mut probe = Probe::of(hostile.url()).patience(patience.step);
    probe.plan.total_timeout = patience.total;
    if as_monitor {
        probe = probe.calling("echo", &serde_json::json!({ "text": "x" }));
    } else {
        probe.plan.era = behaviour.era;
    }
    if behaviour.is_h3() {
        probe.alpn = Alpn::Http3;
    }
    if let Some(server) = hostile.name_server() {
        probe.name_servers = vec![server];
    }
    if behaviour.is_remote {
        probe.origin = Origin::Remote;
        let only = format!("127.0.0.1#{}", hostile.address().port());
        probe.policy = AddressPolicy::new(vec![only.parse().unwrap()]);
    }
    let mut ca_file = tempfile::NamedTempFile::new().unwrap();
    if let Some(pem) = hostile.authority() {
        ca_file.write_all(pem.as_bytes()).unwrap();
        probe.ca_file.push(ca_file.path().to_owned());
    }
    let report = probe.report().await;
    Ran { report, hostile }
}

/// Probes all, some at once, and collects what is wrong with any.
async fn probe_all(
    as_monitor: bool,
    patience: impl Fn(&Behaviour) -> Patience,
    problems: impl Fn(&Behaviour, &Ran) -> Vec<String>,
) -> Vec<String> {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for behaviour in hostile::all() {
        let (slots, patience) = (Arc::clone(&slots), patience(behaviour));
        running.spawn(async move {
            let _slot = slots.acquire_owned().await.unwrap();
            (behaviour, run(behaviour, patience, as_monitor).await)
        });
    }
    let mut wrong = Vec::new();
    while let Some(ran) = running.join_next().await {
        // A probe that panics is found here.
        let (behaviour, ran) = ran.unwrap();
        let found = problems(behaviour, &ran).into_iter();
        wrong.extend(found.map(|problem| format!("{}: {problem}", behaviour.name)));
    }
    wrong.sort();
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_behaviour_has_its_reason_and_keeps_to_its_budget() {
    let table = table();
    let patience = |behaviour: &Behaviour| Patience::of(behaviour.name, table[behaviour.name].0);
    let problems = |behaviour: &Behaviour, ran: &Ran| {
        let (ends, most) = table[behaviour.name];
        let mut wrong = broken_bounds(behaviour, ran, patience(behaviour), most);
        wrong.extend(ends_otherwise(&ran.report, ends));
        wrong
    };
    let wrong = probe_all(false, patience, problems).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the era is not known, everything is tried twice and more: the bounds are those of one
/// probe all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_of_unknown_era_keeps_to_its_bounds() {
    let problems =
        |behaviour: &Behaviour, ran: &Ran| broken_bounds(behaviour, ran, Patience::LITTLE, WHOLE);
    let wrong = probe_all(true, |_| Patience::LITTLE, problems).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Which bounds were not kept.
fn broken_bounds(behaviour: &Behaviour, ran: &Ran, patience: Patience, most: u64) -> Vec<String> {
    let report = &ran.report;
    let log = ran.hostile.log();
    let mut wrong = Vec::new();
    let read = report.received_bytes;
    if read > most << 10 {
        wrong.push(format!("{read} bytes were read"));
    }
    // The probe's own numbers: its time, and that of each session that it gives back. As much again for
    // a machine that is busy: this finds probes that do not end.
    let took = Duration::from_micros(report.total_us + report.own_us);
    let sessions = u32::try_from(MAX_SESSIONS).unwrap();
    if took > (patience.total + CLOSE_TIMEOUT * sessions) * 2 {
        wrong.push(format!("it took {took:?}"));
    }
    // Longer than any header may be: it could not be sent back.
    let cannot = behaviour.name == "session-giant";
    if log.sessions_open() > 0 && !cannot {
        wrong.push("a session is left open".to_owned());
    }
    if log.responses() > mcp::limits::MAX_SERVER_REQUESTS as u64 {
        wrong.push(format!(
            "{} requests of the server were answered",
            log.responses()
        ));
    }
    if report.retry_after_seconds > Some(mcp::limits::MAX_RETRY_AFTER) {
        wrong.push(format!("retry after {:?}", report.retry_after_seconds));
    }
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let address = report
        .connection
        .as_ref()
        .map(|connection| &connection.address);
    let elsewhere = address.filter(|address| {
        address
            .parse()
            .is_ok_and(|address: SocketAddr| address.ip() != loopback)
    });
    if let Some(address) = elsewhere {
        wrong.push(format!("it connected to {address}"));
    }
    if behaviour.name == "dns-rebinding" && log.lookups() > 2 {
        wrong.push(format!("the name was asked for {} times", log.lookups()));
    }
    let json = serde_json::to_value(report).unwrap();
    wrong.extend(deceptive(&json).map(|text| format!("it shows {text:?}")));
    wrong
}

fn ends_otherwise(report: &Report, ends: Ends) -> Option<String> {
    let violated = |check: &CheckId| report.violations().iter().any(|found| found.id == *check);
    let is_so = match (ends, &report.outcome) {
        (Ends::Well(notes), Outcome::Ok) => {
            report.violations().len() == notes.len() && notes.iter().all(violated)
        }
        (Ends::Failed(step, reason, check), Outcome::Failed(failure)) => {
            let as_said = failure.step == step && failure.reason == reason;
            as_said && check.as_ref().is_none_or(violated)
        }
        (Ends::Ours(reason), Outcome::Inconclusive { reason: found }) => reason == *found,
        (Ends::Well(_) | Ends::Failed(..) | Ends::Ours(_), _) => false,
    };
    (!is_so).then(|| {
        let violations = report.violations();
        let checks: Vec<&str> = violations.iter().map(|check| check.id.as_str()).collect();
        format!("expected {ends:?}, but: {} {checks:?}", report.summary)
    })
}

/// The first text that a terminal would obey or a reader misread.
fn deceptive(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => {
            let bad = |c: char| {
                c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
            };
            text.contains(bad).then(|| text.clone())
        }
        serde_json::Value::Array(items) => items.iter().find_map(deceptive),
        serde_json::Value::Object(members) => members.values().find_map(deceptive),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => None,
    }
}
