//! A line of a Nagios plugin, with performance data.
//!
//! Source: "Monitoring Plugins Development Guidelines": `TEXT | 'label'=value[UOM];warn;crit;min;max`,
//! exit status 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

use std::fmt::Write as _;

use model::Outcome;

use super::Run;
use crate::exit;

const STATES: [&str; 4] = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
pub(super) const UNKNOWN: u8 = 3;
/// The longest text: old versions read 1 KiB of a line.
const MAX_TEXT: usize = 300;

/// The exit status for Nagios.
pub(super) fn code(run: &Run) -> u8 {
    match &run.document.report.outcome {
        _ if run.code == exit::INTERRUPTED => UNKNOWN,
        Outcome::Inconclusive { .. } => UNKNOWN,
        Outcome::Failed(_) => 2,
        Outcome::Degraded { .. } if run.code == exit::HEALTHY || run.code == exit::DEGRADED => 1,
        Outcome::Ok if run.code == exit::HEALTHY => 0,
        Outcome::Degraded { .. } | Outcome::Ok => 2,
    }
}

/// The line.
pub(super) fn render(run: &Run) -> String {
    let report = &run.document.report;
    let more = run.more().into_iter().map(|more| format!("; {more}"));
    let said = format!("{}{}", report.summary, more.collect::<String>());
    let mut out = line(code(run), &said);
    // Line feed and further text are not for performance data.
    out.pop();
    let _ = write!(out, " | 'total'={}s;;;0;", seconds(report.total_us));
    let mut seen: Vec<&str> = Vec::new();
    for step in &report.steps {
        // Names of tools are the server's or long: a called tool is its step here, once.
        let name = step.step.as_str();
        if !seen.contains(&name) {
            seen.push(name);
            let _ = write!(out, " '{name}'={}s;;;0;", seconds(step.total_us));
        }
    }
    if let Some(load) = &run.document.load {
        let _ = write!(
            out,
            " 'p95'={}s;;;0; 'error_rate'={:.3}%;;;0;100",
            seconds(load.latency_us.p95),
            load.error_rate * 100.0
        );
    }
    out.push('\n');
    out
}

/// What a problem of ours is to Nagios: its line and its status.
pub(crate) fn unknown(problem: &str) -> (String, u8) {
    (line(UNKNOWN, problem), UNKNOWN)
}

pub(super) fn line(code: u8, text: &str) -> String {
    // A pipe would begin performance data that the server wrote.
    let text = model::text::line(text, MAX_TEXT).replace('|', "/");
    format!("MCP {} - {text}\n", STATES[usize::from(code.min(UNKNOWN))])
}

pub(super) fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}
