//! SARIF 2.1.0 (OASIS): one run, one rule per kind of finding, one result per finding.

use serde_json::{Value, json};

use super::Run;
use super::finding::{self, Finding, Level};
use model::Outcome;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The log.
pub(super) fn render(run: &Run) -> String {
    let findings = finding::of(run);
    let report = &run.document.report;
    let is_conclusive = !matches!(report.outcome, Outcome::Inconclusive { .. });
    let results: Vec<Value> = findings
        .iter()
        .enumerate()
        .map(|(index, finding)| result(run, index, finding))
        .collect();
    super::pretty(&json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "parallax",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": findings.iter().map(rule).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": is_conclusive,
                "exitCode": run.code,
                "startTimeUtc": report.started_at,
            }],
            "results": results,
        }],
    }))
}

fn rule(finding: &Finding) -> Value {
    let mut rule = json!({
        "id": finding.id,
        "shortDescription": { "text": text(&finding.title) },
        "defaultConfiguration": { "level": level(finding) },
    });
    if !finding.source.is_empty() {
        rule["help"] = json!({ "text": text(&finding.source) });
    }
    rule
}

fn result(run: &Run, index: usize, finding: &Finding) -> Value {
    let url = run.document.report.url.as_url().as_str();
    let (uri, line) = match &run.place {
        Some(place) => (path_uri(&place.path), place.line),
        None => (url.to_owned(), 1),
    };
    json!({
        "ruleId": finding.id,
        "ruleIndex": index,
        "level": level(finding),
        "message": { "text": text(&format!("{url}: {}", finding.message)) },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri },
                "region": { "startLine": line },
            },
            "logicalLocations": [{ "fullyQualifiedName": url, "kind": "resource" }],
        }],
        "partialFingerprints": { "parallax/v1": finding::fingerprint(run, finding) },
    })
}

const fn level(finding: &Finding) -> &'static str {
    match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}

/// Text in which nothing is a placeholder (§3.11.5: braces are doubled) nor a link (§3.11.6:
/// `[text](uri)`).
fn text(text: &str) -> String {
    text.replace('{', "{{")
        .replace('}', "}}")
        .replace("](", "] (")
}

/// A relative path as a URI reference (RFC 3986 §4.2).
fn path_uri(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        let bytes = part.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        });
        bytes.collect::<String>()
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_is_neither_placeholder_nor_link() {
        assert_eq!(
            super::text("{0} [click](https://evil.example)"),
            "{{0}} [click] (https://evil.example)"
        );
        assert_eq!(super::path_uri("a b/ü.yaml"), "a%20b/%C3%BC.yaml");
    }
}
