//! JUnit XML, as Jenkins' and GitLab's readers take it: one test case per step and per check.
//!
//! Source: the schema that Jenkins' xUnit plugin keeps (`junit-10.xsd`). A case fails exactly where the
//! run does, so that the counts of a pipeline say what the exit status says.

use model::report::{CheckReport, StepReport};
use model::{Outcome, Severity};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::Run;
use super::xml::chars;
use crate::exit;

/// How a case ended.
enum End {
    Passed,
    /// What was asked of the server is not so.
    Failure {
        kind: String,
        message: String,
    },
    /// The probe could say nothing.
    Error {
        kind: String,
        message: String,
    },
}

struct Case {
    class: &'static str,
    name: String,
    time_us: u64,
    end: End,
    /// What a reader may want to see although nothing failed.
    note: Option<String>,
}

/// The document.
pub(super) fn render(run: &Run) -> String {
    let cases = cases(run);
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing into memory does not fail.
    let _ = write(&mut writer, run, &cases);
    let mut text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    text.push('\n');
    text
}

fn cases(run: &Run) -> Vec<Case> {
    let report = &run.document.report;
    let mut cases: Vec<Case> = vec![verdict(run)];
    let failed = report.failed_step();
    for step in &report.steps {
        let is_cause = failed.is_some_and(|failed| std::ptr::eq(failed, step));
        cases.push(of_step(step, is_cause && run.code != exit::HEALTHY));
    }
    let checks = report.checks.iter();
    cases.extend(checks.map(|check| of_check(run, check)));
    let load = run.document.load.as_ref();
    for threshold in load.into_iter().flat_map(|load| &load.thresholds) {
        let (kind, message) = (threshold.name.id().to_owned(), threshold.sentence());
        cases.push(Case {
            class: "parallax.load",
            name: threshold.name.as_str().to_owned(),
            time_us: 0,
            end: if threshold.held {
                End::Passed
            } else {
                End::Failure { kind, message }
            },
            note: None,
        });
    }
    cases
}

/// The run as a whole: what failed may be none of the parts.
fn verdict(run: &Run) -> Case {
    let report = &run.document.report;
    let (kind, message) = (run.word().to_owned(), run.line());
    let end = match &report.outcome {
        _ if run.code == exit::HEALTHY => End::Passed,
        _ if run.code == exit::INTERRUPTED => End::Error { kind, message },
        Outcome::Inconclusive { .. } => End::Error { kind, message },
        Outcome::Ok | Outcome::Degraded { .. } | Outcome::Failed(_) => {
            End::Failure { kind, message }
        }
    };
    let wait = run.document.wait.as_ref();
    Case {
        class: "parallax.probe",
        name: "verdict".to_owned(),
        time_us: wait.map_or(report.total_us, |wait| wait.elapsed_us),
        end,
        note: (run.code == exit::HEALTHY).then(|| run.line()),
    }
}

fn of_step(step: &StepReport, is_cause: bool) -> Case {
    let name = match &step.tool {
        Some(tool) => format!("{} {tool}", step.step),
        None => step.step.to_string(),
    };
    let reason = step.reason.map_or("", |reason| reason.as_str());
    let detail = step.detail.as_deref().unwrap_or_default();
    Case {
        class: "parallax.step",
        name,
        time_us: step.total_us,
        end: if is_cause {
            End::Failure {
                kind: reason.to_owned(),
                message: format!("{reason}: {detail}"),
            }
        } else {
            End::Passed
        },
        note: (!is_cause && !detail.is_empty()).then(|| detail.to_owned()),
    }
}

fn of_check(run: &Run, check: &CheckReport) -> Case {
    let detail = check.detail.as_deref().unwrap_or_default();
    let message = format!("{detail} [{}]", check.source);
    let counts = match check.severity {
        Severity::Fail => run.code != exit::HEALTHY,
        Severity::Degrade => run.fail_on_degraded,
        Severity::Note => false,
    };
    let (end, note) = if check.passed {
        (End::Passed, None)
    } else if counts {
        let kind = check.severity.to_string();
        (End::Failure { kind, message }, None)
    } else {
        (End::Passed, Some(format!("{}: {message}", check.severity)))
    };
    Case {
        class: "parallax.check",
        name: check.id.to_string(),
        time_us: 0,
        end,
        note,
    }
}

type Written = Result<(), std::io::Error>;

fn write(writer: &mut Writer<Vec<u8>>, run: &Run, cases: &[Case]) -> Written {
    let report = &run.document.report;
    let count = |is: fn(&End) -> bool| cases.iter().filter(|case| is(&case.end)).count();
    let counts = [
        ("tests", cases.len().to_string()),
        (
            "failures",
            count(|end| matches!(end, End::Failure { .. })).to_string(),
        ),
        (
            "errors",
            count(|end| matches!(end, End::Error { .. })).to_string(),
        ),
        ("time", seconds(report.total_us)),
    ];
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut suites = BytesStart::new("testsuites");
    suites.push_attribute(("name", "parallax"));
    for (name, value) in &counts {
        suites.push_attribute((*name, value.as_str()));
    }
    writer.write_event(Event::Start(suites))?;
    let mut suite = BytesStart::new("testsuite");
    suite.push_attribute(("name", chars(report.url.as_url().as_str()).as_str()));
    for (name, value) in &counts {
        suite.push_attribute((*name, value.as_str()));
    }
    suite.push_attribute(("skipped", "0"));
    suite.push_attribute(("timestamp", timestamp(&report.started_at)));
    writer.write_event(Event::Start(suite))?;
    properties(writer, run)?;
    for case in cases {
        of_case(writer, case)?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
    writer.write_event(Event::End(BytesEnd::new("testsuites")))
}

fn properties(writer: &mut Writer<Vec<u8>>, run: &Run) -> Written {
    let report = &run.document.report;
    let server = report.server.as_ref();
    let known = [
        ("era", report.era.map(|era| era.to_string())),
        (
            "protocol_version",
            report.protocol_version.map(|revision| revision.to_string()),
        ),
        (
            "server",
            server.map(|server| format!("{} {}", server.name, server.version)),
        ),
        ("exit_status", Some(run.code.to_string())),
    ];
    writer.write_event(Event::Start(BytesStart::new("properties")))?;
    for (name, value) in known {
        let Some(value) = value else { continue };
        let mut property = BytesStart::new("property");
        property.push_attribute(("name", name));
        property.push_attribute(("value", chars(&value).as_str()));
        writer.write_event(Event::Empty(property))?;
    }
    writer.write_event(Event::End(BytesEnd::new("properties")))
}

fn of_case(writer: &mut Writer<Vec<u8>>, case: &Case) -> Written {
    let mut start = BytesStart::new("testcase");
    start.push_attribute(("classname", case.class));
    start.push_attribute(("name", chars(&case.name).as_str()));
    start.push_attribute(("time", seconds(case.time_us).as_str()));
    writer.write_event(Event::Start(start))?;
    match &case.end {
        End::Passed => {}
        End::Failure { kind, message } => element(writer, "failure", kind, message)?,
        End::Error { kind, message } => element(writer, "error", kind, message)?,
    }
    if let Some(note) = &case.note {
        writer.write_event(Event::Start(BytesStart::new("system-out")))?;
        writer.write_event(Event::Text(BytesText::new(&chars(note))))?;
        writer.write_event(Event::End(BytesEnd::new("system-out")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testcase")))
}

fn element(writer: &mut Writer<Vec<u8>>, name: &str, kind: &str, message: &str) -> Written {
    let message = chars(message);
    let mut start = BytesStart::new(name);
    start.push_attribute(("type", kind));
    start.push_attribute(("message", message.as_str()));
    writer.write_event(Event::Start(start))?;
    writer.write_event(Event::Text(BytesText::new(&message)))?;
    writer.write_event(Event::End(BytesEnd::new(name)))
}

/// ISO 8601 without fraction and zone, as the schema wants it.
fn timestamp(started_at: &str) -> &str {
    let end = started_at.find(['.', 'Z']).unwrap_or(started_at.len());
    &started_at[..end]
}

/// Seconds, to the millisecond: the schema takes no more digits.
fn seconds(us: u64) -> String {
    let millis = us.saturating_add(500) / 1000;
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
