//! A Code Quality report of GitLab: a list of issues, each with description, `check_name`,
//! fingerprint, severity and location. Source: GitLab documentation, "Code Quality report format".

use serde_json::{Value, json};

use super::Run;
use super::finding::{self, Level};

/// What an issue points at unless `--annotate` says it: issues without a path of the repository
/// are not shown, and a pipeline of GitLab has this file.
const DEFAULT_PATH: &str = ".gitlab-ci.yml";

/// The report; an empty list where nothing is wrong.
pub(super) fn render(run: &Run) -> String {
    let (path, line) = match &run.place {
        Some(place) => (place.path.as_str(), place.line),
        None => (DEFAULT_PATH, 1),
    };
    let issue = |finding: &finding::Finding| -> Value {
        let severity = match finding.level {
            Level::Error => "critical",
            Level::Warning => "minor",
            Level::Note => "info",
        };
        let url = &run.document.report.url;
        json!({
            "description": format!("{url}: {}: {}", finding.title, finding.message),
            "check_name": finding.id,
            "fingerprint": finding::fingerprint(run, finding),
            "severity": severity,
            "location": { "path": path, "lines": { "begin": line } },
        })
    };
    let issues: Vec<Value> = finding::of(run).iter().map(issue).collect();
    super::pretty(&issues)
}
