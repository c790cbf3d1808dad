use std::num::NonZeroU32;

use model::regional::{Absence, NoReport, RegionalProbe, RegionalResult};
use model::{Failure, Outcome, Phase, Reason, Report, Step};
use serde_json::Value;

use super::*;
use crate::exit;
use crate::sample;

/// What an agent, or its target, may write in the hope that a reader obeys.
const HOSTILE: &str = "<b>&\"'|`x`](http://evil.example) {0} ##[add-mask]y ::error::z% 100,:";

fn failed(reason: Reason) -> Report {
    let mut report = sample::healthy();
    let failure = Failure {
        step: Step::ToolsList,
        phase: Phase::Wait,
        reason,
    };
    report.outcome = Outcome::of_failure(failure);
    report.summary = format!("tools_list failed in wait: {reason}: {HOSTILE}");
    report.steps[1].reason = Some(reason);
    report.steps[1].detail = Some(HOSTILE.to_owned());
    report
}

fn seen(region: &str, agent: &str, report: Report) -> RegionalResult {
    RegionalResult {
        region: region.to_owned(),
        agent: Some(agent.to_owned()),
        provider: Some("p".to_owned()),
        report: Some(report),
        no_report: None,
    }
}

fn absent(region: &str, reason: Absence) -> RegionalResult {
    let mut no_report = NoReport::new(reason, HOSTILE);
    no_report.retry_after_seconds = (reason == Absence::Held).then_some(30);
    RegionalResult {
        region: region.to_owned(),
        agent: None,
        provider: None,
        report: None,
        no_report: Some(no_report),
    }
}

fn run(results: Vec<RegionalResult>, min_regions_ok: u32) -> RegionalRun {
    let judge = Judge {
        fail_on_degraded: false,
        min_regions_ok: NonZeroU32::new(min_regions_ok),
    };
    let (code, document) = judge.judge(RegionalProbe {
        id: "r1".to_owned(),
        url: sample::healthy().url,
        started_at: "2026-11-20T12:00:00.5Z".to_owned(),
        elapsed_us: 1_500_000,
        results,
    });
    RegionalRun {
        document,
        code,
        judge,
        place: None,
    }
}

fn ok(region: &str) -> RegionalResult {
    seen(region, "a", sample::healthy())
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_worst_region_decides_unless_enough_others_are_healthy() {
    let bad = |reason| seen("us", "u", failed(reason));
    let table = [
        (vec![ok("eu"), ok("us")], 0, 0, "healthy"),
        (vec![ok("eu"), bad(Reason::McpRpcError)], 0, 1, "unhealthy"),
        (vec![ok("eu"), bad(Reason::McpRpcError)], 1, 0, "healthy"),
        (vec![ok("eu"), bad(Reason::TcpRefused)], 0, 5, "unhealthy"),
        (vec![ok("eu"), bad(Reason::RateLimited)], 0, 4, "unhealthy"),
        // What says that the server is broken goes before what says that a way to it is.
        (
            vec![
                bad(Reason::TcpRefused),
                seen("ap", "b", failed(Reason::ToolError)),
            ],
            0,
            1,
            "unhealthy",
        ),
        (
            vec![ok("eu"), absent("us", Absence::NoAgent)],
            0,
            5,
            "inconclusive",
        ),
        (
            vec![ok("eu"), absent("us", Absence::AgentLost)],
            1,
            0,
            "healthy",
        ),
        (
            vec![ok("eu"), absent("us", Absence::Timeout)],
            0,
            6,
            "inconclusive",
        ),
        (
            vec![ok("eu"), absent("us", Absence::Held)],
            0,
            4,
            "inconclusive",
        ),
        (
            vec![ok("eu"), absent("us", Absence::NotSupported)],
            0,
            7,
            "inconclusive",
        ),
        (
            vec![ok("eu"), absent("us", Absence::Rejected)],
            0,
            2,
            "inconclusive",
        ),
        (
            vec![ok("eu"), absent("us", Absence::BadReport)],
            0,
            70,
            "inconclusive",
        ),
        // A region is healthy where all of its agents say so.
        (
            vec![ok("eu"), seen("eu", "b", failed(Reason::ToolError))],
            1,
            1,
            "unhealthy",
        ),
        (vec![ok("eu")], 2, 1, "inconclusive"),
        (vec![], 0, 70, "inconclusive"),
    ];
    for (results, least, code, word) in table {
        let run = run(results, least);
        assert_eq!((run.code, run.word()), (code, word), "{}", run.line());
    }
}

#[test]
fn a_wait_goes_on_while_enough_regions_may_become_healthy() {
    let wall = || seen("us", "u", failed(Reason::AuthRequired));
    let cut = || seen("us", "u", failed(Reason::TcpRefused));
    let table = [
        (vec![ok("eu"), cut()], 0, true),
        (vec![ok("eu"), wall()], 0, false),
        (
            vec![seen("eu", "a", failed(Reason::TcpRefused)), wall()],
            1,
            true,
        ),
        (vec![ok("eu"), absent("us", Absence::NoAgent)], 0, true),
        (
            vec![ok("eu"), absent("us", Absence::NotSupported)],
            0,
            false,
        ),
    ];
    for (results, least, is_curable) in table {
        let run = run(results, least);
        let seen = run.judge.seen(&run.document, run.code);
        assert_eq!(seen.is_curable, is_curable, "{}", run.line());
    }
    let held = run(vec![ok("eu"), absent("us", Absence::Held)], 0);
    let seen = held.judge.seen(&held.document, held.code);
    assert_eq!(seen.wanted, Some(std::time::Duration::from_secs(30)));
    assert_eq!(seen.result, "eu/a ok, us held");
}

/// Healthy and broken regions, and one that says nothing.
fn mixed(least: u32) -> RegionalRun {
    let broken = seen("us", "u", failed(Reason::McpRpcError));
    run(
        vec![ok("eu"), broken, absent("ap", Absence::Timeout)],
        least,
    )
}

#[test]
fn every_format_says_region_and_agent_and_obeys_nobody() {
    let canvas = Canvas {
        color: false,
        unicode: true,
        width: 80,
    };
    for format in [
        Format::Human,
        Format::Json,
        Format::Ndjson,
        Format::Junit,
        Format::Github,
        Format::Gitlab,
        Format::Sarif,
        Format::Prom,
        Format::Nagios,
    ] {
        let text = render(&mixed(0), format, canvas);
        for name in ["eu", "us", "u"] {
            let is_told =
                format != Format::Github && format != Format::Gitlab && format != Format::Sarif;
            assert!(
                text.contains(name) || (name == "eu" && !is_told),
                "{format:?}: {text}"
            );
        }
    }
    let human = render(&mixed(0), Format::Human, canvas);
    let rows: Vec<&str> = human.lines().collect();
    assert_eq!(
        rows[2],
        " REGION  AGENT  PROVIDER  RESULT                       TIME"
    );
    assert_eq!(
        rows[3],
        " eu      a      p         ok                           100 ms"
    );
    assert_eq!(
        rows[4],
        " us      u      p         mcp_rpc_error at tools_list  100 ms"
    );
    assert!(
        human.contains("\n from us/u\n") && !human.contains("from eu/a"),
        "{human}"
    );
    assert!(
        human.ends_with("\u{2718} healthy from 1 of 3 regions\n"),
        "{human}"
    );

    let github = render(&mixed(0), Format::Github, canvas);
    assert!(
        github.lines().all(|line| line.starts_with("::")),
        "{github}"
    );
    assert!(
        github.contains("::from us/u: tools_list failed"),
        "{github}"
    );

    let nagios = render(&mixed(0), Format::Nagios, canvas);
    assert_eq!(
        (nagios.lines().count(), nagios.matches('|').count()),
        (1, 1),
        "{nagios}"
    );
    assert_eq!(exit_code(&mixed(0), Format::Nagios), 2);
    assert_eq!(exit_code(&mixed(1), Format::Nagios), 0);
    let silent = run(vec![ok("eu"), absent("us", Absence::Timeout)], 0);
    assert_eq!(exit_code(&silent, Format::Nagios), 3);
}

#[test]
fn junit_has_a_suite_for_each_and_fails_where_the_run_does() {
    for (run, suites, bad) in [(mixed(0), 4, true), (mixed(1), 4, false)] {
        let xml = machine::junit(&run);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let root = document.root_element();
        let count = |name: &str| root.descendants().filter(|n| n.has_tag_name(name)).count();
        assert_eq!(count("testsuite"), suites);
        for (attribute, name) in [
            ("tests", "testcase"),
            ("failures", "failure"),
            ("errors", "error"),
        ] {
            assert_eq!(
                root.attribute(attribute),
                Some(count(name).to_string().as_str()),
                "{xml}"
            );
        }
        assert_eq!(count("failure") + count("error") > 0, bad, "{xml}");
        let url = sample::healthy().url;
        let name = root.children().find_map(|suite| suite.attribute("name"));
        assert_eq!(name, Some(format!("{url} from eu/a").as_str()));
    }
}

#[test]
fn sarif_and_gitlab_tell_regions_apart() {
    let both = vec![
        seen("eu", "e", failed(Reason::McpRpcError)),
        seen("us", "u", failed(Reason::McpRpcError)),
    ];
    let run = run(both, 0);
    let log: Value = serde_json::from_str(&sarif::render(&run)).unwrap();
    let sarif = &log["runs"][0];
    let rules = sarif["tool"]["driver"]["rules"].as_array().unwrap();
    let mut ids: Vec<_> = rules.iter().map(|rule| rule["id"].to_string()).collect();
    ids.dedup();
    assert_eq!(ids.len(), rules.len(), "rules are unique (§3.19.23)");
    let results = sarif["results"].as_array().unwrap();
    let issues: Value = serde_json::from_str(&gitlab::render(&run)).unwrap();
    let issues = issues.as_array().unwrap();
    assert_eq!((results.len(), issues.len()), (2, 2));
    assert_ne!(issues[0]["fingerprint"], issues[1]["fingerprint"]);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[index]["id"]);
    }
}

#[test]
fn families_of_metrics_stand_together_with_region_and_agent() {
    let page = machine::prom(&mixed(0));
    let mut named: Vec<&str> = Vec::new();
    for line in page.lines().filter(|line| !line.starts_with("# TYPE")) {
        let name = line
            .trim_start_matches("# HELP ")
            .split(['{', ' '])
            .next()
            .unwrap();
        if named.last() != Some(&name) {
            assert!(!named.contains(&name), "{name} stands twice:\n{page}");
            named.push(name);
        }
    }
    let labels =
        "target=\"https://mcp.example.com/mcp?a=b,c\",region=\"us\",agent=\"u\",provider=\"p\"";
    assert!(
        page.contains(&format!("parallax_probe_success{{{labels}}} 0\n")),
        "{page}"
    );
    assert!(
        page.contains("region=\"ap\",agent=\"\",provider=\"\",reason=\"timeout\"} 1\n"),
        "{page}"
    );
    assert!(!page.contains("evil.example"), "{page}");
}

#[test]
fn json_has_every_report_whole() {
    let json: Value = serde_json::from_str(&line(&mixed(0).document)).unwrap();
    assert_eq!(
        (&json["schema_version"], &json["verdict"]),
        (&1.into(), &"unhealthy".into())
    );
    let report: Report = serde_json::from_value(json["results"][0]["report"].clone()).unwrap();
    assert_eq!(report, sample::healthy());
    assert_eq!(json["results"][2]["no_report"]["reason"], "timeout");
    assert_eq!(
        json["regions"],
        serde_json::json!({ "ap": false, "eu": true, "us": false })
    );
    assert_eq!(exit_code(&mixed(0), Format::Json), exit::UNHEALTHY);
}
