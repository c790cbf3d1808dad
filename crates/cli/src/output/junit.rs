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
pub(super) enum End {
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

pub(super) struct Case {
    class: &'static str,
    name: String,
    time_us: u64,
    end: End,
    /// What a reader may want to see although nothing failed.
    note: Option<String>,
}

/// The document.
pub(super) fn render(run: &Run) -> String {
    document(&[Suite::of(run, "")])
}

/// The cases of one probe.
pub(super) struct Suite {
    name: String,
    time_us: u64,
    started_at: String,
    properties: Vec<(&'static str, String)>,
    cases: Vec<Case>,
}

impl Suite {
    /// Of a run, from somewhere else where that is named.
    pub(super) fn of(run: &Run, from: &str) -> Self {
        let report = &run.document.report;
        Self {
            name: named(report.url.as_url().as_str(), from),
            time_us: report.total_us,
            started_at: report.started_at.clone(),
            properties: properties(run, from),
            cases: cases(run),
        }
    }

    /// Of somebody who has no report, or one that changes nothing: a case with a message.
    pub(super) fn short(
        (url, from): (&str, &str),
        started_at: &str,
        (kind, message): (&str, String),
        is_bad: bool,
    ) -> Self {
        let case = Case {
            class: "parallax.probe",
            name: "verdict".to_owned(),
            time_us: 0,
            note: (!is_bad).then(|| message.clone()),
            end: if is_bad {
                let kind = kind.to_owned();
                End::Error { kind, message }
            } else {
                End::Passed
            },
        };
        Self {
            name: named(url, from),
            time_us: 0,
            started_at: started_at.to_owned(),
            properties: vec![("from", from.to_owned())],
            cases: vec![case],
        }
    }

    /// Of all together: that enough regions are healthy, or not.
    pub(super) fn verdict(
        (url, word, line): (&str, &str, &str),
        started_at: &str,
        time_us: u64,
        code: u8,
    ) -> Self {
        let (kind, message) = (word.to_owned(), line.to_owned());
        let end = match code {
            exit::HEALTHY => End::Passed,
            exit::INTERRUPTED => End::Error { kind, message },
            _ if word == "inconclusive" => End::Error { kind, message },
            _ => End::Failure { kind, message },
        };
        let case = Case {
            class: "parallax.probe",
            name: "regions".to_owned(),
            time_us,
            end,
            note: (code == exit::HEALTHY).then(|| line.to_owned()),
        };
        Self {
            name: named(url, "all regions"),
            time_us,
            started_at: started_at.to_owned(),
            properties: vec![("exit_status", code.to_string())],
            cases: vec![case],
        }
    }

    fn counts(&self) -> [u64; 4] {
        let count = |is: fn(&End) -> bool| {
            let cases = self.cases.iter().filter(|case| is(&case.end));
            cases.count() as u64
        };
        [
            self.cases.len() as u64,
            count(|end| matches!(end, End::Failure { .. })),
            count(|end| matches!(end, End::Error { .. })),
            self.time_us,
        ]
    }
}

fn named(url: &str, from: &str) -> String {
    if from.is_empty() {
        url.to_owned()
    } else {
        format!("{url} from {from}")
    }
}

/// The document of these suites.
pub(super) fn document(suites: &[Suite]) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing into memory does not fail.
    let _ = write(&mut writer, suites);
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

fn write(writer: &mut Writer<Vec<u8>>, suites: &[Suite]) -> Written {
    let mut sums = [0; 4];
    for suite in suites {
        for (sum, count) in sums.iter_mut().zip(suite.counts()) {
            *sum += count;
        }
    }
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut start = BytesStart::new("testsuites");
    start.push_attribute(("name", "parallax"));
    counted(&mut start, sums);
    writer.write_event(Event::Start(start))?;
    for suite in suites {
        of_suite(writer, suite)?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuites")))
}

fn counted(start: &mut BytesStart<'_>, [tests, failures, errors, time_us]: [u64; 4]) {
    for (name, count) in [("tests", tests), ("failures", failures), ("errors", errors)] {
        start.push_attribute((name, count.to_string().as_str()));
    }
    start.push_attribute(("time", seconds(time_us).as_str()));
}

fn of_suite(writer: &mut Writer<Vec<u8>>, suite: &Suite) -> Written {
    let mut start = BytesStart::new("testsuite");
    start.push_attribute(("name", chars(&suite.name).as_str()));
    counted(&mut start, suite.counts());
    start.push_attribute(("skipped", "0"));
    start.push_attribute(("timestamp", timestamp(&suite.started_at)));
    writer.write_event(Event::Start(start))?;
    writer.write_event(Event::Start(BytesStart::new("properties")))?;
    for (name, value) in &suite.properties {
        let mut property = BytesStart::new("property");
        property.push_attribute(("name", *name));
        property.push_attribute(("value", chars(value).as_str()));
        writer.write_event(Event::Empty(property))?;
    }
    writer.write_event(Event::End(BytesEnd::new("properties")))?;
    for case in &suite.cases {
        of_case(writer, case)?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuite")))
}

fn properties(run: &Run, from: &str) -> Vec<(&'static str, String)> {
    let report = &run.document.report;
    let server = report.server.as_ref();
    let known = [
        ("from", (!from.is_empty()).then(|| from.to_owned())),
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
    let known = known.into_iter();
    known
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
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
