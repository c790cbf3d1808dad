//! The table of GitHub's step summary.

use std::fmt::Write as _;

use super::Run;
use super::finding::{self, Finding, Level};

/// Rows of findings; a summary is cut at 1 MiB, and nobody reads so many.
const MAX_FINDINGS: usize = 50;

/// A heading, a table of steps, and one of findings.
pub(super) fn summary(run: &Run) -> String {
    let report = &run.document.report;
    let mark = if run.code == 0 { "✅" } else { "❌" };
    let mut out = format!("### {mark} {}\n\n", text(&run.line()));
    out.push_str("| step | time | result |\n|---|---:|---|\n");
    for step in &report.steps {
        let mut name = step.step.to_string();
        if let Some(tool) = &step.tool {
            name.push(' ');
            name.push_str(tool);
        }
        let reason = step.reason.map_or("ok", |reason| reason.as_str());
        let detail = step.detail.as_deref().unwrap_or_default();
        let result = format!("{reason} {detail}");
        let (name, time, result) = (text(&name), millis(step.total_us), text(result.trim()));
        let _ = writeln!(out, "| {name} | {time} | {result} |");
    }
    let _ = writeln!(out, "| **total** | {} | |\n", millis(report.total_us));
    out.push_str(&table(&finding::of(run)));
    out
}

/// The table of findings; nothing where there is none.
pub(super) fn table(findings: &[Finding]) -> String {
    let mut out = String::new();
    if !findings.is_empty() {
        out.push_str("| level | what | found | rule |\n|---|---|---|---|\n");
        for finding in findings.iter().take(MAX_FINDINGS) {
            let level = match finding.level {
                Level::Error => "error",
                Level::Warning => "warning",
                Level::Note => "note",
            };
            let message = format!("{}{}", finding.seen(), finding.message);
            let [message, source] = [&message, &finding.source].map(|t| text(t));
            let _ = writeln!(
                out,
                "| {level} | {} | {message} | {source} |",
                text(finding.id)
            );
        }
        out.push('\n');
    }
    out
}

/// Text as text: whatever Markdown or HTML would make something of stands as a numeric character
/// reference, which is never structure (CommonMark §2.5).
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && !matches!(c, ',' | ';' | '?' | '%' | '/' | '\'') {
            let _ = write!(out, "&#{};", u32::from(c));
        } else if c.is_control() {
            out.push(' ');
        } else {
            out.push(c);
        }
    }
    out
}

pub(super) fn millis(us: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let millis = us as f64 / 1000.0;
    format!("{millis:.1} ms")
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_is_structure() {
        assert_eq!(
            super::text("a|b `c` <img src=x> [d](e) @team\n#1"),
            "a&#124;b &#96;c&#96; &#60;img src&#61;x&#62; &#91;d&#93;&#40;e&#41; &#64;team &#35;1"
        );
    }
}
