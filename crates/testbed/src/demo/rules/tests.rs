//! Logs by table: good ones, and each way to be bad.

use serde_json::{Value, json};

use super::*;

/// Entries from `verdict scope`, `!` for a page; the seq begins at 5.
fn log(entries: &[Entry], before_mending: usize) -> Value {
    let mut previous = "up";
    let mut list = Vec::new();
    for (n, (verdict, scope, page)) in entries.iter().enumerate() {
        list.push(json!({
            "seq": 5 + n, "at": "2026-07-28T00:00:00Z", "verdict": verdict,
            "previous": previous, "scope": scope, "reason": null, "why": "", "page": page,
        }));
        previous = verdict;
    }
    json!({ "entries": list, "mended_after": 4 + before_mending })
}

fn read(log: &Value) -> Log {
    Log {
        entries: serde_json::from_value(log["entries"].clone()).unwrap(),
        mended_after: log["mended_after"].as_u64().unwrap(),
    }
}

const REGIONAL: Verdict = Verdict {
    monitor: "docs",
    verdict: "regional",
    scope: "region:eu",
    pages: false,
    reason: None,
};
const OUTAGE: Verdict = Verdict {
    verdict: "outage",
    scope: "protocol",
    pages: true,
    ..REGIONAL
};
const EU: Entry = ("regional", Some("region:eu"), false);
const OPEN: Entry = ("regional", Some("region:eu or provider:alpha"), false);
const DOWN: Entry = ("outage", Some("protocol"), true);
const GREEN: Entry = ("up", None, false);

type Entry = (&'static str, Option<&'static str>, bool);

fn problems(expected: &Verdict, entries: &[Entry], before_mending: usize) -> Vec<String> {
    let log = read(&log(entries, before_mending));
    judge(&BTreeMap::from([("docs".to_owned(), log)]), Some(expected))
}

const US: Entry = ("regional", Some("region:us"), false);
const PARTIAL: Entry = ("partial", None, false);

#[test]
fn good_logs_of_the_monitor_that_is_broken() {
    let table: &[(&Verdict, &[Entry], usize)] = &[
        (&REGIONAL, &[EU, GREEN], 1),
        (&REGIONAL, &[OPEN, EU, GREEN], 2),
        (&REGIONAL, &[OPEN, EU, OPEN, GREEN], 2),
        (&REGIONAL, &[EU, PARTIAL, GREEN], 1),
        (&OUTAGE, &[DOWN, GREEN], 1),
        (&OUTAGE, &[OPEN, DOWN, GREEN], 2),
    ];
    for (expected, entries, before) in table {
        let found = problems(expected, entries, *before);
        assert_eq!(found, [] as [String; 0], "{entries:?}");
    }
}

#[test]
fn bad_logs_of_the_monitor_that_is_broken() {
    let unpaged = ("outage", Some("protocol"), false);
    let paged_eu = ("regional", Some("region:eu"), true);
    let unscoped = ("regional", None, false);
    let silent = ("unknown", None, false);
    let table: &[(&Verdict, &[Entry], usize, &str)] = &[
        (&REGIONAL, &[], 0, "nothing was said"),
        (&REGIONAL, &[EU], 1, "stayed at regional (region:eu)"),
        (&REGIONAL, &[EU, GREEN, EU], 1, "stayed at regional"),
        (&REGIONAL, &[OPEN, GREEN], 1, "ended at regional (region:eu"),
        (&REGIONAL, &[GREEN], 0, "nothing was said"),
        (&REGIONAL, &[US, EU, GREEN], 2, "by regional (region:us)"),
        (&REGIONAL, &[unscoped, EU, GREEN], 2, "went by regional"),
        (&REGIONAL, &[PARTIAL, EU, GREEN], 2, "went by partial"),
        (&REGIONAL, &[EU, GREEN, EU, GREEN], 3, "went by up"),
        (&REGIONAL, &[EU, silent, GREEN], 1, "went back by unknown"),
        (&REGIONAL, &[EU, DOWN, GREEN], 1, "went back by outage"),
        (&REGIONAL, &[EU, DOWN, GREEN], 1, "paged for outage"),
        (&REGIONAL, &[paged_eu, GREEN], 1, "1 pages instead of none"),
        (&OUTAGE, &[unpaged, GREEN], 1, "0 pages instead of one"),
        (&OUTAGE, &[EU, DOWN, GREEN], 2, "by regional (region:eu)"),
        (&OUTAGE, &[DOWN, GREEN, DOWN, GREEN], 3, "2 pages instead"),
        (
            &OUTAGE,
            &[paged_eu, unpaged, GREEN],
            2,
            "paged for regional",
        ),
    ];
    for (expected, entries, before, complaint) in table {
        let found = problems(expected, entries, *before);
        let is_said = found.iter().any(|problem| problem.contains(complaint));
        assert!(is_said, "{entries:?}: {complaint} is not in {found:?}");
    }
}

#[test]
fn others_stay_as_they_are() {
    let docs = read(&log(&[EU, GREEN], 1));
    let good = BTreeMap::from([
        ("docs".to_owned(), docs),
        ("search".to_owned(), read(&log(&[], 0))),
    ]);
    assert_eq!(judge(&good, Some(&REGIONAL)), [] as [String; 0]);
    for entries in [&[GREEN][..], &[OPEN, GREEN], &[DOWN, GREEN]] {
        let mut bad = good.clone();
        bad.insert("search".to_owned(), read(&log(entries, 0)));
        let problems = judge(&bad, Some(&REGIONAL));
        assert_eq!(problems.len(), entries.len(), "{problems:?}");
        assert!(
            problems[0].starts_with("search: changed to "),
            "{problems:?}"
        );
    }
    // Where nothing is expected, docs is one of the others.
    assert_eq!(judge(&good, None).len(), 2);
    assert_eq!(
        judge(&BTreeMap::new(), Some(&REGIONAL)),
        ["docs: has no log"]
    );
}

#[test]
fn a_log_with_holes_is_no_proof() {
    let mut holed = log(&[OPEN, EU, GREEN], 2);
    holed["entries"].as_array_mut().unwrap().remove(1);
    let mut late = log(&[EU, GREEN], 1);
    late["entries"][0]["previous"] = json!("outage");
    let mut twice = log(&[EU, GREEN], 1);
    twice["entries"][1]["seq"] = json!(5);
    for log in [holed, late, twice] {
        let logs = BTreeMap::from([("docs".to_owned(), read(&log))]);
        let problems = judge(&logs, Some(&REGIONAL));
        assert!(!problems.is_empty(), "{log}");
    }
}
