//! GitHub Actions: workflow commands as annotations, a table in the step summary, and outputs.
//!
//! Source: "Workflow commands for GitHub Actions", and how the runner parses them
//! (`actions/runner`, `ActionCommand`): it trims a line, wants `::` at its begin, and also takes the
//! older `##[command]` anywhere in a line.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::finding::{Level, Tell, Told};
use super::{Run, markdown};
use crate::style;

/// Annotations of one kind that GitHub shows of a step; more would be dropped without a word.
const MAX_PER_LEVEL: usize = 10;
/// The longest message: annotations are cut at 4 KiB.
const MAX_MESSAGE: usize = 2000;

/// Whether this runs in a step of GitHub Actions.
pub(super) fn is_runner() -> bool {
    std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true")
}

/// The annotations of a run.
pub(super) fn annotations(run: &impl Tell) -> String {
    let told = run.told();
    let findings = &told.findings;
    let mut out = String::new();
    for (level, command) in [
        (Level::Error, "error"),
        (Level::Warning, "warning"),
        (Level::Note, "notice"),
    ] {
        let of_level = findings.iter().filter(|finding| finding.level == level);
        for finding in of_level.take(MAX_PER_LEVEL) {
            let title = format!("{}: {}", finding.id, finding.title);
            let mut message = format!("{}{}", finding.seen(), finding.message);
            if !finding.source.is_empty() {
                message.push_str(&format!(" [{}]", finding.source));
            }
            out.push_str(&annotation(&told, command, &title, &message));
        }
    }
    if findings.is_empty() {
        out.push_str(&annotation(&told, "notice", "MCP server", &told.line));
    }
    out
}

fn annotation(told: &Told<'_>, command: &str, title: &str, message: &str) -> String {
    let mut properties = String::new();
    if let Some(place) = told.place {
        let (file, line) = (property(&place.path), place.line);
        properties.push_str(&format!("file={file},line={line},"));
    }
    let (title, message) = (
        property(title),
        data(&model::text::line(message, MAX_MESSAGE)),
    );
    format!("::{command} {properties}title={title}::{message}\n")
}

/// The escapes of a command's message.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The escapes of a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text in which the runner finds no command: a server must not speak to it.
pub(super) fn defused_text(text: &str) -> String {
    let line = |line: &str| {
        let start = line.len() - line.trim_start().len();
        let (indent, rest) = line.split_at(start);
        match rest.strip_prefix("::") {
            Some(rest) => format!("{indent}: :{rest}"),
            None => line.to_owned(),
        }
    };
    let lines: String = text.split_inclusive('\n').map(line).collect();
    lines.replace("##[", "## [")
}

/// JSON of the same meaning in which the runner finds no command: each line of it begins with a
/// bracket, a brace or a quote, and `##[` stands only within strings.
pub(super) fn defused_json(json: &str) -> String {
    json.replace("##[", "#\\u0023[")
}

/// Adds to the step's summary and outputs. What cannot be written is said on stderr.
pub(super) fn tell(run: &Run) {
    let reason = run.document.report.outcome.reason();
    let reason = reason.map_or("", |reason| reason.as_str());
    let outputs = outputs(&run.line(), run.word(), reason, run.code);
    tell_texts(&markdown::summary(run), &outputs);
}

/// The same of any run.
pub(super) fn tell_texts(summary: &str, outputs: &str) {
    append("GITHUB_STEP_SUMMARY", summary);
    append("GITHUB_OUTPUT", outputs);
}

/// `name=value` lines; no value has a line feed in it.
pub(super) fn outputs(line: &str, word: &str, reason: &str, code: u8) -> String {
    let line = model::text::line(line, MAX_MESSAGE);
    format!("verdict={line}\noutcome={word}\nreason={reason}\nexit-code={code}\n")
}

fn append(variable: &str, text: &str) {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else {
        return;
    };
    let file = File::options()
        .append(true)
        .create(true)
        .open(Path::new(&path));
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        style::eprint(&format!("parallax: ${variable}: {error}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_would_obey_is_escaped() {
        assert_eq!(data("100%\r\n::error::x"), "100%25%0D%0A::error::x");
        assert_eq!(property("a:b,c%"), "a%3Ab%2Cc%25");
    }

    /// The begin of a line and `##[` are all that the runner looks for.
    #[test]
    fn a_server_cannot_speak_to_the_runner() {
        let hostile = " fine\n  ::add-mask::x\n::error::y\nsaid ##[add-mask]z\n";
        assert_eq!(
            defused_text(hostile),
            " fine\n  : :add-mask::x\n: :error::y\nsaid ## [add-mask]z\n"
        );
        let text = "##[add-mask]x";
        let json = serde_json::to_string(&[text]).unwrap();
        let defused = defused_json(&json);
        assert!(!defused.contains("##["), "{defused}");
        assert_eq!(
            serde_json::from_str::<Vec<String>>(&defused).unwrap(),
            [text]
        );
    }
}
