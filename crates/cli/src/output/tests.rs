//! Every format against what its reader wants, with a server that writes what it likes.

use model::{CheckId, Failure, Outcome, Phase, Reason, Report, Severity, Step};
use serde_json::Value;

use super::*;
use crate::exit;
use crate::probe::wait::{Change, End, Waited};
use crate::sample;

/// What a server may say of itself in the hope that a reader obeys; the probe escapes control
/// characters and line feeds, the rest is for the formats.
const HOSTILE: &str =
    "<b>&\"'\u{fffe}|`x`](http://evil.example) {0} ##[add-mask]y ::error::z% 100,:";

fn run(report: Report, fail_on_degraded: bool) -> Run {
    let code = exit::of(&report.outcome, fail_on_degraded);
    Run {
        document: Document::of(report),
        code,
        fail_on_degraded,
        place: None,
    }
}

fn failed() -> Report {
    let mut report = sample::healthy();
    report.outcome = Outcome::Failed(Failure {
        step: Step::ToolsList,
        phase: Phase::Receive,
        reason: Reason::McpRpcError,
    });
    report.summary = format!("tools_list failed in receive: mcp_rpc_error: {HOSTILE}");
    let step = &mut report.steps[1];
    step.reason = Some(Reason::McpRpcError);
    step.detail = Some(HOSTILE.to_owned());
    step.tool = Some(HOSTILE.to_owned());
    let check = sample::check;
    report
        .checks
        .push(check(CheckId::RpcNoError, Severity::Fail, Some(HOSTILE)));
    report.checks.push(check(
        CheckId::NetCertExpiry,
        Severity::Degrade,
        Some("ends in 3 d"),
    ));
    report
        .checks
        .push(check(CheckId::PingOk, Severity::Note, Some(HOSTILE)));
    if let Some(server) = &mut report.server {
        server.name = HOSTILE.to_owned();
    }
    report
}

fn degraded() -> Report {
    let mut report = sample::healthy();
    let checks = vec![CheckId::NetCertExpiry];
    report.outcome = Outcome::Degraded { checks };
    report.summary = "degraded in 100 ms: net.cert_expiry (2 of 3 checks)".to_owned();
    let check = sample::check(
        CheckId::NetCertExpiry,
        Severity::Degrade,
        Some("ends in 3 d"),
    );
    report.checks.push(check);
    report
}

fn inconclusive() -> Report {
    let mut report = sample::healthy();
    report.outcome = Outcome::Inconclusive {
        reason: Reason::ProxyFailed,
    };
    report.summary = "inconclusive: proxy_failed".to_owned();
    report
}

/// Each kind of run, and whether its exit status is 0.
fn all() -> Vec<(Run, bool)> {
    let mut unsteady = run(sample::healthy(), false);
    unsteady.code = exit::TIMEOUT;
    unsteady.document.wait = Some(Waited {
        end: End::TimeUp,
        attempts: 4,
        elapsed_us: 10_000_000,
        streak: 1,
        consecutive: 3,
        changes: vec![Change {
            attempt: 1,
            at_us: 1,
            result: "ok".to_owned(),
        }],
    });
    let mut interrupted = run(sample::healthy(), false);
    interrupted.code = exit::INTERRUPTED;
    vec![
        (run(sample::healthy(), false), true),
        (run(degraded(), false), true),
        (run(degraded(), true), false),
        (run(failed(), false), false),
        (run(inconclusive(), false), false),
        (unsteady, false),
        (interrupted, false),
    ]
}

#[test]
fn an_error_is_found_exactly_where_the_exit_status_is_not_0() {
    for (run, is_good) in all() {
        let levels: Vec<_> = finding::of(&run)
            .iter()
            .map(|finding| finding.level)
            .collect();
        let has_error = levels.contains(&finding::Level::Error);
        assert_eq!(has_error, !is_good, "{}: {levels:?}", run.line());
        assert!(levels.is_sorted());
    }
}

#[test]
fn junit_counts_what_fails_and_holds_any_text() {
    for (run, is_good) in all() {
        let xml = junit::render(&run);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let suite = document.root_element().first_element_child().unwrap();
        let count = |name: &str| {
            let found = suite.descendants().filter(|node| node.has_tag_name(name));
            found.count().to_string()
        };
        assert_eq!(suite.attribute("tests"), Some(count("testcase").as_str()));
        assert_eq!(suite.attribute("failures"), Some(count("failure").as_str()));
        assert_eq!(suite.attribute("errors"), Some(count("error").as_str()));
        let bad = count("failure") != "0" || count("error") != "0";
        assert_eq!(bad, !is_good, "{xml}");
        assert_eq!(suite.attribute("timestamp"), Some("2026-11-20T12:00:00"));
        // `SUREFIRE_TIME` of the schema: three digits of a fraction at most.
        assert_eq!(suite.attribute("time"), Some("0.100"));
        for case in suite
            .descendants()
            .filter(|node| node.has_tag_name("testcase"))
        {
            assert!(case.attribute("classname").is_some() && case.attribute("name").is_some());
        }
    }
    let xml = junit::render(&run(failed(), false));
    let document = roxmltree::Document::parse(&xml).unwrap();
    let failure = document
        .descendants()
        .find(|node| node.attribute("type") == Some("mcp_rpc_error"));
    let shown = HOSTILE.replace('\u{fffe}', "\u{fffd}");
    let message = failure.and_then(|failure| failure.attribute("message"));
    assert_eq!(message, Some(format!("mcp_rpc_error: {shown}").as_str()));
}

#[test]
fn github_gets_one_line_per_finding_and_no_other() {
    let mut run = run(failed(), false);
    run.place = Some("deploy/a,b.yaml:7".parse().unwrap());
    let said = github::annotations(&run);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    let starts = ["error", "warning", "notice"]
        .map(|c| format!("::{c} file=deploy/a%2Cb.yaml,line=7,title="));
    for (line, start) in lines.iter().zip(&starts) {
        let rest = line
            .strip_prefix(start.as_str())
            .unwrap_or_else(|| panic!("{line}"));
        // Up to the next `::` it is properties: those of the server would be obeyed.
        let (title, message) = rest.split_once("::").unwrap();
        assert!(!title.contains([',', ':']), "{title}");
        assert!(!message.is_empty());
    }
    assert!(lines[0].contains("z%25 100,:"), "{}", lines[0]);
    let healthy = github::annotations(&self::run(sample::healthy(), false));
    assert!(
        healthy.starts_with("::notice title=MCP server::healthy: "),
        "{healthy}"
    );
}

#[test]
fn a_summary_is_a_table_whatever_a_server_writes() {
    let said = markdown::summary(&run(failed(), false));
    for line in said.lines().filter(|line| line.starts_with('|')) {
        assert!(matches!(line.matches('|').count(), 4 | 5), "{line}");
    }
    for character in ['<', '`', '@', '{'] {
        assert!(!said.contains(character), "{character}: {said}");
    }
    assert!(!said.contains("]("));
}

#[test]
fn gitlab_gets_unique_fingerprints_and_known_severities() {
    let issues: Value = serde_json::from_str(&gitlab::render(&run(failed(), false))).unwrap();
    let issues = issues.as_array().unwrap();
    let severities: Vec<_> = issues
        .iter()
        .map(|issue| issue["severity"].as_str().unwrap())
        .collect();
    assert_eq!(severities, ["critical", "minor", "info"]);
    let mut prints: Vec<_> = issues
        .iter()
        .map(|issue| issue["fingerprint"].as_str().unwrap())
        .collect();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), 3);
    for issue in issues {
        assert!(issue["description"].is_string() && issue["check_name"].is_string());
        assert_eq!(issue["location"]["path"], ".gitlab-ci.yml");
        assert_eq!(issue["location"]["lines"]["begin"], 1);
    }
    // The same thing has the same fingerprint in the next run, whatever its times are.
    let mut later = failed();
    later.total_us += 1;
    later.summary = "another time".to_owned();
    let later: Value = serde_json::from_str(&gitlab::render(&run(later, false))).unwrap();
    assert_eq!(later[0]["fingerprint"], issues[0]["fingerprint"]);
    assert_eq!(gitlab::render(&run(sample::healthy(), false)), "[]\n");
}

#[test]
fn nagios_has_one_line_one_pipe_and_its_own_statuses() {
    let expected = [0, 1, 1, 2, 3, 2, 3];
    for ((run, _), expected) in all().iter().zip(expected) {
        let line = nagios::render(run);
        assert_eq!(nagios::code(run), expected, "{line}");
        assert_eq!(
            (line.lines().count(), line.matches('|').count()),
            (1, 1),
            "{line}"
        );
        let word = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][usize::from(expected)];
        assert!(line.starts_with(&format!("MCP {word} - ")), "{line}");
    }
    let (_, data) = nagios::render(&run(sample::healthy(), false))
        .split_once(" | ")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert_eq!(
        data,
        "'total'=0.100000s;;;0; 'discover'=0.052000s;;;0; 'tools_list'=0.048000s;;;0;\n"
    );
    assert_eq!(
        nagios_unknown("a|b\nc"),
        ("MCP UNKNOWN - a/b c\n".to_owned(), 3)
    );
}

#[test]
fn nothing_of_the_server_is_a_label() {
    let page = prom::render(&run(failed(), false));
    assert!(
        !page.contains("evil.example") && !page.contains("add-mask"),
        "{page}"
    );
    assert!(
        page.contains("parallax_probe_success{target=\"https://mcp.example.com/mcp?a=b,c\"} 0\n")
    );
    let failure = "step=\"tools_list\",reason=\"mcp_rpc_error\"} 1";
    assert!(page.contains(failure), "{page}");
    // A gauge has no quantiles (`promtool check metrics`).
    assert!(!page.contains("quantile="), "{page}");
}

/// What SARIF 2.1.0 requires of log, run, rules and results: §3.13, §3.14, §3.19, §3.27.
#[test]
fn sarif_results_refer_to_their_rules() {
    for (run, _) in all() {
        let log: Value = serde_json::from_str(&sarif::render(&run)).unwrap();
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let mut ids: Vec<_> = rules
            .iter()
            .map(|rule| rule["id"].as_str().unwrap())
            .collect();
        for result in run["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(result["ruleId"], rules[index]["id"]);
            assert!(!result["message"]["text"].as_str().unwrap().contains("]("));
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), rules.len(), "rules are unique (§3.19.23)");
    }
}

/// What was asked for stands in every format's text, on the server's behalf nothing does.
#[test]
fn json_is_the_report_and_more() {
    let (unsteady, _) = all().swap_remove(5);
    let json: Value = serde_json::from_str(&line(&unsteady.document)).unwrap();
    let report: Report = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(report, sample::healthy());
    assert_eq!(json["wait"]["end"], "time_up");
    assert!(json.get("load").is_none());
    assert_eq!(
        unsteady.line(),
        "unhealthy: https://mcp.example.com/mcp?a=b,c: healthy in 100 ms: 2 of 2 checks; \
         the time was up when it was healthy 1 of 3 times in a row, after 4 probes in 10.0 s"
    );
}
