//! Prometheus text format 0.0.4, for the textfile collector or a push gateway.
//!
//! Labels are what the user typed and words of closed lists; nothing that the server wrote.

use std::fmt::Write as _;

use model::report::Certificate;
use model::{Outcome, Report};

use super::Run;

/// The metrics of a run.
pub(super) fn render(run: &Run) -> String {
    let target = label(run.document.report.url.as_url().as_str());
    let mut out = Page::default();
    add(&mut out, run, &format!("target=\"{target}\""));
    out.text()
}

/// Adds the metrics of a run, with these labels.
pub(super) fn add(out: &mut Page, run: &Run, of_target: &str) {
    let report = &run.document.report;
    out.family("parallax_probe_success", "Whether the exit status is 0.");
    out.sample(of_target, u8::from(run.code == 0));
    out.family(
        "parallax_probe_exit_status",
        "The exit status of the command.",
    );
    out.sample(of_target, run.code);
    let help = "The outcome of the probe: 1 for the one that it is.";
    out.family("parallax_probe_outcome", help);
    let outcome = report.outcome.as_str();
    for known in ["ok", "degraded", "failed", "inconclusive"] {
        let labels = format!("{of_target},outcome=\"{known}\"");
        out.sample(&labels, u8::from(known == outcome));
    }
    if let Some(reason) = report.outcome.reason() {
        let help = "Always 1; why the probe did not go well.";
        out.family("parallax_probe_failure_info", help);
        let step = match &report.outcome {
            Outcome::Failed(failure) => failure.step.as_str(),
            Outcome::Ok | Outcome::Degraded { .. } | Outcome::Inconclusive { .. } => "",
        };
        let labels = format!("{of_target},step=\"{step}\",reason=\"{reason}\"");
        out.sample(&labels, 1);
    }
    durations(out, report, of_target);
    about(out, report, of_target);
    series(out, run, of_target);
}

fn durations(out: &mut Page, report: &Report, of_target: &str) {
    let help = "What target and network took, in all steps of the last probe.";
    out.family("parallax_probe_last_duration_seconds", help);
    out.sample(of_target, seconds(report.total_us));
    let help = "What a phase of a step took in the last probe.";
    out.family("parallax_probe_last_phase_duration_seconds", help);
    let mut sums: std::collections::BTreeMap<_, u64> = std::collections::BTreeMap::new();
    for step in &report.steps {
        for (phase, us) in &step.phases_us {
            // Calls of several tools are one step here: their names are no labels.
            *sums.entry((step.step, *phase)).or_default() += us;
        }
    }
    for ((step, phase), us) in sums {
        let labels = format!("{of_target},step=\"{step}\",phase=\"{phase}\"");
        out.sample(&labels, seconds(us));
    }
}

/// What the target is.
fn about(out: &mut Page, report: &Report, of_target: &str) {
    let checks = report.checks.iter();
    let passed = checks.clone().filter(|check| check.passed).count();
    let help = "Checks that were examined, by whether they passed.";
    out.family("parallax_probe_checks", help);
    for (word, count) in [
        ("passed", passed),
        ("violated", report.checks.len() - passed),
    ] {
        out.sample(&format!("{of_target},result=\"{word}\""), count);
    }
    if let Some(tools) = report.tools {
        out.family("parallax_tools", "How many tools the server listed.");
        out.sample(of_target, tools);
    }
    let tls = report.connection.as_ref().and_then(|c| c.tls.as_ref());
    if let Some(end) = tls.and_then(|tls| tls.earliest_not_after.or_else(|| earliest(&tls.chain))) {
        let help = "The earliest end of validity in the presented chain.";
        out.family("parallax_probe_tls_cert_expiry_timestamp_seconds", help);
        out.sample(of_target, end);
    }
    if let (Some(era), Some(revision)) = (report.era, report.protocol_version) {
        let help = "Always 1; what the server speaks.";
        out.family("parallax_probe_info", help);
        let transport = report.transport.map_or("", |transport| transport.as_str());
        let labels = format!(
            "{of_target},era=\"{era}\",protocol_version=\"{revision}\",transport=\"{transport}\""
        );
        out.sample(&labels, 1);
    }
}

/// What came of more than one probe.
fn series(out: &mut Page, run: &Run, of_target: &str) {
    if let Some(wait) = &run.document.wait {
        out.family("parallax_probe_wait_attempts", "Probes of --wait.");
        out.sample(of_target, wait.attempts);
        out.family("parallax_probe_wait_seconds", "How long --wait took.");
        out.sample(of_target, seconds(wait.elapsed_us));
    }
    if let Some(load) = &run.document.load {
        let help = "Probes of --for that failed or could not begin in time, of those scheduled.";
        out.family("parallax_load_error_ratio", help);
        out.sample(of_target, load.error_rate);
        let help = "Latencies of --for, from when each probe was due.";
        out.family("parallax_load_latency_seconds", help);
        let latency = &load.latency_us;
        // No summary, which counts since a process began: `quantile` is a summary's label.
        for (statistic, us) in [
            ("p50", latency.p50),
            ("p95", latency.p95),
            ("p99", latency.p99),
            ("max", latency.max),
        ] {
            let labels = format!("{of_target},statistic=\"{statistic}\"");
            out.sample(&labels, seconds(us));
        }
    }
}

fn earliest(chain: &[Certificate]) -> Option<i64> {
    chain.iter().map(|certificate| certificate.not_after).min()
}

/// A page of families, all of them gauges: one run has no history to count. What several regions
/// say of one family stands together, as the format wants it.
#[derive(Default)]
pub(super) struct Page {
    families: Vec<(&'static str, String)>,
    current: usize,
}

impl Page {
    pub(super) fn family(&mut self, name: &'static str, help: &str) {
        let known = self.families.iter().position(|(known, _)| *known == name);
        self.current = known.unwrap_or(self.families.len());
        if known.is_none() {
            let head = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
            self.families.push((name, head));
        }
    }

    pub(super) fn sample(&mut self, labels: &str, value: impl std::fmt::Display) {
        if let Some((name, text)) = self.families.get_mut(self.current) {
            let _ = writeln!(text, "{name}{{{labels}}} {value}");
        }
    }

    pub(super) fn text(self) -> String {
        self.families.into_iter().map(|(_, text)| text).collect()
    }
}

/// The escapes of a label's value.
pub(super) fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_of_labels_are_escaped() {
        assert_eq!(super::label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
        assert_eq!(super::seconds(1_000_042), "1.000042");
    }
}
