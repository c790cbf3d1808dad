//! What a run says, in the format that its reader wants: one file per format, over one document.

mod args;
mod document;
mod finding;
mod github;
mod gitlab;
mod human;
mod junit;
mod kubernetes;
mod markdown;
mod nagios;
mod prom;
pub(crate) mod regional;
mod sarif;
mod save;
mod xml;

use clap::ValueEnum;

pub(crate) use args::{OutputArgs, Place};
pub(crate) use document::{Document, Run};
pub(crate) use kubernetes::tell as tell_pod;
pub(crate) use nagios::unknown as nagios_unknown;
pub(crate) use save::{Evidence, SaveError};

use crate::style::Canvas;

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A waterfall and a sentence.
    Human,
    /// Everything, for programs; `parallax schema` prints its JSON Schema.
    Json,
    /// One report per line, as each probe ends.
    Ndjson,
    /// XML that Jenkins, GitLab and others read as test results.
    Junit,
    /// Annotations of GitHub Actions; also its step summary and outputs.
    Github,
    /// A Code Quality report of GitLab.
    Gitlab,
    /// Prometheus text, for the textfile collector or a push gateway.
    Prom,
    /// A line of a Nagios plugin. The exit status is then Nagios' own: 0, 1, 2 or 3.
    Nagios,
    /// SARIF 2.1.0.
    Sarif,
}

/// The whole text of a run in a format.
pub(crate) fn render(run: &Run, format: Format, canvas: Canvas) -> String {
    let text = match format {
        Format::Human => human::render(run, canvas),
        Format::Json => pretty(&run.document),
        Format::Ndjson => line(&run.document),
        Format::Junit => junit::render(run),
        Format::Github => github::annotations(run),
        Format::Gitlab => gitlab::render(run),
        Format::Prom => prom::render(run),
        Format::Nagios => nagios::render(run),
        Format::Sarif => sarif::render(run),
    };
    defused(text, format)
}

/// The text as it may be printed where this is.
fn defused(text: String, format: Format) -> String {
    match format {
        // GitHub's runner reads commands out of everything that a step prints.
        Format::Human if github::is_runner() => github::defused_text(&text),
        Format::Json | Format::Ndjson | Format::Gitlab | Format::Sarif if github::is_runner() => {
            github::defused_json(&text)
        }
        Format::Human
        | Format::Json
        | Format::Ndjson
        | Format::Junit
        | Format::Github
        | Format::Gitlab
        | Format::Prom
        | Format::Nagios
        | Format::Sarif => text,
    }
}

/// The exit status that goes with a format.
pub(crate) fn exit_code(run: &Run, format: Format) -> u8 {
    match format {
        Format::Nagios => nagios::code(run),
        Format::Human
        | Format::Json
        | Format::Ndjson
        | Format::Junit
        | Format::Github
        | Format::Gitlab
        | Format::Prom
        | Format::Sarif => run.code,
    }
}

/// Tells those who do not read stdout: GitHub's step, Kubernetes' pod. Never fails the run.
pub(crate) fn tell_surroundings(run: &Run, format: Format) {
    kubernetes::tell(&run.line());
    if format == Format::Github && github::is_runner() {
        github::tell(run);
    }
}

/// A document on one line.
pub(crate) fn line(document: &impl serde::Serialize) -> String {
    let json = serde_json::to_string(document).unwrap_or_default();
    format!("{json}\n")
}

fn pretty(document: &impl serde::Serialize) -> String {
    let json = serde_json::to_string_pretty(document).unwrap_or_default();
    format!("{json}\n")
}

#[cfg(test)]
mod tests;
