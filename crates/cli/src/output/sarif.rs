//! SARIF 2.1.0 (OASIS): one run, one rule per kind of finding, one result per finding.

use serde_json::{Value, json};

use super::finding::{self, Finding, Level, Tell, Told};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The log.
pub(super) fn render(run: &impl Tell) -> String {
    let told = run.told();
    // What several regions found is one rule (§3.19.23).
    let mut rules: Vec<&Finding> = Vec::new();
    let mut results: Vec<Value> = Vec::new();
    for finding in &told.findings {
        let known = rules.iter().position(|rule| rule.id == finding.id);
        let index = known.unwrap_or(rules.len());
        if known.is_none() {
            rules.push(finding);
        }
        results.push(result(&told, index, finding));
    }
    super::pretty(&json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "parallax",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_iter().map(rule).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": told.is_conclusive,
                "exitCode": told.code,
                "startTimeUtc": told.started_at,
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

fn result(told: &Told<'_>, index: usize, finding: &Finding) -> Value {
    let url = told.url;
    let (uri, line) = match told.place {
        Some(place) => (path_uri(&place.path), place.line),
        None => (url.to_owned(), 1),
    };
    json!({
        "ruleId": finding.id,
        "ruleIndex": index,
        "level": level(finding),
        "message": { "text": text(&format!("{url}: {}{}", finding.seen(), finding.message)) },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri },
                "region": { "startLine": line },
            },
            "logicalLocations": [{ "fullyQualifiedName": url, "kind": "resource" }],
        }],
        "partialFingerprints": { "parallax/v1": finding::fingerprint(url, finding) },
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
