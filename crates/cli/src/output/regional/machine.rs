//! Several regions for programs that know one probe: a suite, a label or a row for each.

use std::fmt::Write as _;

use model::Outcome;
use model::regional::RegionalResult;

use super::super::markdown::{millis, table, text};
use super::super::{junit, nagios, prom};
use super::RegionalRun;
use super::document::{elapsed_us, from, said};
use super::finding::Tell as _;
use crate::exit;

/// A suite for each, and one for all. Where enough regions are healthy, the others are only told.
pub(super) fn junit(run: &RegionalRun) -> String {
    let probe = &run.document.probe;
    let is_bad = run.code != exit::HEALTHY;
    let of = |result: &RegionalResult| {
        let from = from(result);
        let own = run.run_of(result);
        if let Some(own) = own.filter(|own| is_bad || own.code == exit::HEALTHY) {
            return junit::Suite::of(&own, &from);
        }
        let kind = result.no_report.as_ref();
        let kind = kind.map_or("unhealthy", |no_report| no_report.reason.as_str());
        let names = (probe.url.as_url().as_str(), from.as_str());
        junit::Suite::short(names, &probe.started_at, (kind, said(result)), is_bad)
    };
    let mut suites: Vec<junit::Suite> = probe.results.iter().map(of).collect();
    let names = (probe.url.as_url().as_str(), run.word(), run.line());
    suites.push(junit::Suite::verdict(
        (names.0, names.1, &names.2),
        &probe.started_at,
        elapsed_us(run),
        run.code,
    ));
    junit::document(&suites)
}

/// The metrics of each, with its region, agent and provider as labels, and those of all.
pub(super) fn prom(run: &RegionalRun) -> String {
    let document = &run.document;
    let target = prom::label(document.probe.url.as_url().as_str());
    let of_target = format!("target=\"{target}\"");
    let mut out = prom::Page::default();
    out.family(
        "parallax_mesh_probe_success",
        "Whether the exit status is 0.",
    );
    out.sample(&of_target, u8::from(run.code == exit::HEALTHY));
    let help = "The exit status of the command.";
    out.family("parallax_mesh_probe_exit_status", help);
    out.sample(&of_target, run.code);
    let help = "1 for regions whose agents all say that the target is healthy.";
    out.family("parallax_mesh_probe_region_healthy", help);
    for (region, is_ok) in &document.regions {
        let labels = format!("{of_target},region=\"{}\"", prom::label(region));
        out.sample(&labels, u8::from(*is_ok));
    }
    for result in &document.probe.results {
        let name = |text: Option<&String>| prom::label(text.map_or("", String::as_str));
        let labels = format!(
            "{of_target},region=\"{}\",agent=\"{}\",provider=\"{}\"",
            prom::label(&result.region),
            name(result.agent.as_ref()),
            name(result.provider.as_ref()),
        );
        if let Some(run) = run.run_of(result) {
            prom::add(&mut out, &run, &labels);
        } else if let Some(no_report) = &result.no_report {
            let help = "Always 1; why an agent that was asked for gave no report.";
            out.family("parallax_mesh_probe_absence_info", help);
            out.sample(&format!("{labels},reason=\"{}\"", no_report.reason), 1);
        }
    }
    out.text()
}

/// The exit status for Nagios: what a region without a report saw is unknown.
pub(super) fn nagios_code(run: &RegionalRun) -> u8 {
    let results = &run.document.probe.results;
    if run.code == exit::HEALTHY {
        let is_degraded = run.document.verdict == "degraded";
        return u8::from(is_degraded);
    }
    if run.code == exit::INTERRUPTED {
        return nagios::UNKNOWN;
    }
    let mut outcomes = results
        .iter()
        .filter_map(|result| Some(&result.report.as_ref()?.outcome));
    if outcomes
        .clone()
        .any(|outcome| matches!(outcome, Outcome::Failed(_)))
    {
        return 2;
    }
    if outcomes.any(|outcome| matches!(outcome, Outcome::Degraded { .. })) {
        return 1;
    }
    // Healthy wherever it was looked at, and not so often or from so many as was asked for.
    let is_whole = results.iter().all(|result| result.report.is_some());
    if is_whole && run.code != exit::INTERNAL {
        2
    } else {
        nagios::UNKNOWN
    }
}

/// The line, with the time of each probe.
pub(super) fn nagios(run: &RegionalRun) -> String {
    let mut out = nagios::line(nagios_code(run), &run.line());
    out.pop();
    out.push_str(" |");
    for result in &run.document.probe.results {
        if let Some(report) = &result.report {
            // Region and agent are names of the mesh: letters, digits, `-`, `_`, `.`.
            let name = from(result).replace(['\'', '=', '|'], "_");
            let _ = write!(out, " '{name}'={}s;;;0;", nagios::seconds(report.total_us));
        }
    }
    out.push('\n');
    out
}

/// GitHub's step summary: a row for each, and the findings.
pub(super) fn summary(run: &RegionalRun) -> String {
    let mark = if run.code == exit::HEALTHY {
        "✅"
    } else {
        "❌"
    };
    let mut out = format!("### {mark} {}\n\n", text(&run.line()));
    out.push_str("| from | time | result |\n|---|---:|---|\n");
    for result in &run.document.probe.results {
        let time = result.report.as_ref().map_or(0, |report| report.total_us);
        let (from, said) = (text(&from(result)), text(&said(result)));
        let _ = writeln!(out, "| {from} | {} | {said} |", millis(time));
    }
    out.push('\n');
    out.push_str(&table(&run.told().findings));
    out
}
