//! A Code Quality report of GitLab: a list of issues, each with description, `check_name`,
//! fingerprint, severity and location. Source: GitLab documentation, "Code Quality report format".

use serde_json::{Value, json};

use super::finding::{self, Level, Tell};

/// What an issue points at unless `--annotate` says it: issues without a path of the repository
/// are not shown, and a pipeline of GitLab has this file.
const DEFAULT_PATH: &str = ".gitlab-ci.yml";

/// The report; an empty list where nothing is wrong.
pub(super) fn render(run: &impl Tell) -> String {
    let told = run.told();
    let (path, line) = match told.place {
        Some(place) => (place.path.as_str(), place.line),
        None => (DEFAULT_PATH, 1),
    };
    let issue = |finding: &finding::Finding| -> Value {
        let severity = match finding.level {
            Level::Error => "critical",
            Level::Warning => "minor",
            Level::Note => "info",
        };
        let url = told.url;
        let from = finding.seen();
        json!({
            "description": format!("{url}: {}: {from}{}", finding.title, finding.message),
            "check_name": finding.id,
            "fingerprint": finding::fingerprint(url, finding),
            "severity": severity,
            "location": { "path": path, "lines": { "begin": line } },
        })
    };
    let issues: Vec<Value> = told.findings.iter().map(issue).collect();
    super::pretty(&issues)
}
