//! What is wrong, one thing each: the common ground of annotations, code quality and SARIF.

use model::{CheckId, Outcome, Report, Severity};

use super::{Place, Run};
use crate::exit;
use crate::probe::repeat::Repeated;

/// How bad it is. There is an `Error` exactly where the exit status is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// The run fails for it.
    Error,
    /// Users may feel it.
    Warning,
    /// A deviation that changes nothing.
    Note,
}

/// One thing that is wrong. What the server wrote in it went through [`model::text::line`], and is
/// still to be escaped for its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A reason, the id of a check, or the name of a threshold: never changed once published.
    pub(crate) id: &'static str,
    pub(crate) level: Level,
    /// What ought to be, or what kind of thing this is.
    pub(crate) title: String,
    /// What was found.
    pub(crate) message: String,
    /// Where the rule comes from; empty where it is nobody's rule.
    pub(crate) source: String,
    /// Who found it, `region/agent`; empty where that is this host.
    pub(crate) from: String,
}

impl Finding {
    /// Who found it, before the message.
    pub(crate) fn seen(&self) -> String {
        if self.from.is_empty() {
            String::new()
        } else {
            format!("from {}: ", self.from)
        }
    }
}

/// What the formats of findings are made of.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(crate) url: &'a str,
    pub(crate) place: Option<&'a Place>,
    pub(crate) code: u8,
    pub(crate) started_at: &'a str,
    /// Whether anything could be said of the target.
    pub(crate) is_conclusive: bool,
    /// The verdict in one line.
    pub(crate) line: String,
    pub(crate) findings: Vec<Finding>,
}

/// What has findings: a run of this host, or of the mesh.
pub(crate) trait Tell {
    fn told(&self) -> Told<'_>;
}

impl Tell for Run {
    fn told(&self) -> Told<'_> {
        let report = &self.document.report;
        Told {
            url: report.url.as_url().as_str(),
            place: self.place.as_ref(),
            code: self.code,
            started_at: &report.started_at,
            is_conclusive: !matches!(report.outcome, Outcome::Inconclusive { .. }),
            line: self.line(),
            findings: of(self),
        }
    }
}

/// Everything that is wrong, worst first.
pub(crate) fn of(run: &Run) -> Vec<Finding> {
    let report = &run.document.report;
    let mut all: Vec<Finding> = Vec::new();
    all.extend(failure(report));
    for check in report.violations() {
        let cause = report.failed_step().and_then(|step| step.detail.as_ref());
        if check.severity == Severity::Fail && check.detail.as_ref() == cause {
            continue; // the failure itself, said again
        }
        let level = match check.severity {
            Severity::Fail => Level::Error,
            Severity::Degrade if run.fail_on_degraded => Level::Error,
            Severity::Degrade => Level::Warning,
            Severity::Note => Level::Note,
        };
        all.push(Finding {
            id: check.id.as_str(),
            level,
            title: check.id.rule().demand.to_owned(),
            message: check.detail.clone().unwrap_or_default(),
            source: check.source.clone(),
            from: String::new(),
        });
    }
    all.extend(beyond(run));
    // What failed before a later success, in a wait or a load, is no error of the run.
    if run.code == exit::HEALTHY {
        for finding in &mut all {
            finding.level = finding.level.max(Level::Warning);
        }
    } else if !all.iter().any(|finding| finding.level == Level::Error) {
        all.push(Finding {
            id: "run",
            level: Level::Error,
            title: "the run ends well".to_owned(),
            message: run.line(),
            source: String::new(),
            from: String::new(),
        });
    }
    all.sort_by_key(|finding| finding.level);
    all
}

fn failure(report: &Report) -> Option<Finding> {
    let reason = report.outcome.reason()?;
    let rule = report.failed_step().and_then(|step| {
        let is_cause = |check: &&model::report::CheckReport| check.detail == step.detail;
        report.violations().into_iter().find(is_cause)
    });
    let title = match (&report.outcome, rule) {
        (_, Some(check)) => check.id.rule().demand.to_owned(),
        (Outcome::Inconclusive { .. }, None) => "the probe could say nothing".to_owned(),
        (_, None) => "the MCP server can be used".to_owned(),
    };
    Some(Finding {
        id: reason.as_str(),
        level: Level::Error,
        title,
        message: report.summary.clone(),
        source: rule.map(|check| check.source.clone()).unwrap_or_default(),
        from: String::new(),
    })
}

/// What only a series of probes can violate.
fn beyond(run: &Run) -> Vec<Finding> {
    let mut all = Vec::new();
    let wait = run.document.wait.as_ref();
    if let Some(wait) = wait.filter(|_| run.is_unsteady()) {
        all.push(Finding {
            id: "wait.consecutive",
            level: Level::Error,
            title: "the server stays healthy".to_owned(),
            message: wait.sentence(),
            source: String::new(),
            from: String::new(),
        });
    }
    let repeat = run.document.repeat.as_ref();
    let is_said = |id: CheckId| {
        let mut violated = run.document.report.violations().into_iter();
        violated.any(|check| check.id == id)
    };
    let id = CheckId::ServerUniform;
    if let Some(message) = repeat.and_then(Repeated::mixture).filter(|_| !is_said(id)) {
        all.push(Finding {
            id: id.as_str(),
            level: Level::Note,
            title: id.rule().demand.to_owned(),
            message,
            source: id.rule().source.to_owned(),
            from: String::new(),
        });
    }
    let load = run.document.load.as_ref();
    for threshold in load.into_iter().flat_map(|load| &load.thresholds) {
        if !threshold.held {
            all.push(Finding {
                id: threshold.name.id(),
                level: Level::Error,
                title: "the threshold holds under load".to_owned(),
                message: threshold.sentence(),
                source: String::new(),
                from: String::new(),
            });
        }
    }
    all
}

/// A fingerprint of a finding that stays the same from run to run: of the target, the id, and who
/// found it where that is not this host.
pub(crate) fn fingerprint(url: &str, finding: &Finding) -> String {
    let mut text = format!("{url}\n{}", finding.id);
    if !finding.from.is_empty() {
        text.push('\n');
        text.push_str(&finding.from);
    }
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}
