//! What several regions found, in the formats of one run.

mod document;
mod human;
mod machine;

pub(crate) use document::{Judge, Regional, RegionalRun};

use super::{Format, defused, finding, github, gitlab, kubernetes, line, pretty, sarif};
use crate::style::Canvas;

/// The whole text of a run in a format.
pub(crate) fn render(run: &RegionalRun, format: Format, canvas: Canvas) -> String {
    let text = match format {
        Format::Human => human::render(run, canvas),
        Format::Json => pretty(&run.document),
        Format::Ndjson => line(&run.document),
        Format::Junit => machine::junit(run),
        Format::Github => github::annotations(run),
        Format::Gitlab => gitlab::render(run),
        Format::Prom => machine::prom(run),
        Format::Nagios => machine::nagios(run),
        Format::Sarif => sarif::render(run),
    };
    defused(text, format)
}

/// The exit status that goes with a format.
pub(crate) fn exit_code(run: &RegionalRun, format: Format) -> u8 {
    match format {
        Format::Nagios => machine::nagios_code(run),
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
pub(crate) fn tell_surroundings(run: &RegionalRun, format: Format) {
    kubernetes::tell(&run.line());
    if format == Format::Github && github::is_runner() {
        let outputs = github::outputs(&run.line(), run.word(), &run.reason(), run.code);
        let summary = machine::summary(run);
        github::tell_texts(&summary, &outputs);
    }
}

#[cfg(test)]
mod tests;
