//! The metrics of a probe that only MCP has. Labels are words of closed lists: nothing that a server
//! wrote is one.

use std::collections::BTreeMap;

use model::{ListKind, Outcome, Report};

use super::Ran;
use super::page::{Kind, Page, seconds};

/// Writes them.
pub(super) fn write(page: &mut Page, ran: &Ran) {
    let report = &ran.report;
    outcome(page, &report.outcome);
    durations(page, report);
    spoken(page, report);
    checks(page, report);
    network(page, report);
}

/// Writes how a probe ended.
pub(super) fn outcome(page: &mut Page, outcome: &Outcome) {
    let help = "1 for the outcome that it is; inconclusive says nothing of the target";
    page.family(Kind::Gauge, "probe_mcp_outcome", help);
    for word in ["ok", "degraded", "failed", "inconclusive"] {
        let value = u8::from(word == outcome.as_str());
        page.sample(&[("outcome", word)], value);
    }
    if let Some(reason) = outcome.reason() {
        let (step, phase, class) = match outcome {
            Outcome::Failed(failure) => (
                failure.step.as_str(),
                failure.phase.as_str(),
                failure.class(),
            ),
            Outcome::Ok | Outcome::Degraded { .. } | Outcome::Inconclusive { .. } => {
                ("", "", reason.class())
            }
        };
        let help = "1; why the probe did not go well, and where";
        page.family(Kind::Info, "probe_mcp_failure", help);
        let labels = [
            ("reason", reason.as_str()),
            ("class", class.as_str()),
            ("step", step),
            ("phase", phase),
        ];
        page.sample(&labels, 1);
    }
}

fn durations(page: &mut Page, report: &Report) {
    let help = "What target and network took, in all steps; the prober's own time aside";
    page.gauge("probe_mcp_duration_seconds", help, seconds(report.total_us));
    let help = "What the prober itself took between the phases; of no step";
    page.gauge("probe_mcp_own_seconds", help, seconds(report.own_us));
    // Calls of several tools, and a step that is tried again, are one here.
    let mut sums: BTreeMap<_, u64> = BTreeMap::new();
    let mut exchanges: BTreeMap<_, u32> = BTreeMap::new();
    for step in &report.steps {
        *exchanges.entry(step.step).or_default() += step.exchanges;
        for (phase, us) in &step.phases_us {
            *sums.entry((step.step, *phase)).or_default() += us;
        }
    }
    let help = "What a phase of a step took; phases are disjoint, and sum to the duration";
    page.family(Kind::Gauge, "probe_mcp_step_duration_seconds", help);
    for ((step, phase), us) in sums {
        let labels = [("step", step.as_str()), ("phase", phase.as_str())];
        page.sample(&labels, seconds(us));
    }
    let help = "HTTP exchanges of a step: pages of a list, retried versions";
    page.family(Kind::Gauge, "probe_mcp_step_exchanges", help);
    for (step, count) in exchanges {
        page.sample(&[("step", step.as_str())], count);
    }
}

/// What the server speaks and has.
fn spoken(page: &mut Page, report: &Report) {
    if let Some(era) = report.era {
        let revision = report.protocol_version.map_or("", |r| r.as_str());
        let transport = report.transport.map_or("", |t| t.as_str());
        let help = "1; which era, revision and transport of MCP the server speaks";
        page.family(Kind::Info, "probe_mcp_era", help);
        let labels = [
            ("era", era.as_str()),
            ("protocol_version", revision),
            ("transport", transport),
        ];
        page.sample(&labels, 1);
    }
    if let Some(tools) = report.tools {
        page.gauge("probe_mcp_tools", "How many tools the server listed", tools);
    }
    if !report.lists.is_empty() {
        let help = "How many items the other lists had that the probe walked";
        page.family(Kind::Gauge, "probe_mcp_list_items", help);
        for (list, count) in &report.lists {
            page.sample(&[("list", ListKind::as_str(*list))], count);
        }
    }
    let help = "The size of the largest answer";
    let largest = report.largest_response_bytes;
    page.gauge("probe_mcp_largest_response_bytes", help, largest);
    if let Some(after) = report.retry_after_seconds {
        let help = "When the server wants to be asked again (Retry-After)";
        page.gauge("probe_mcp_retry_after_seconds", help, after);
    }
}

fn checks(page: &mut Page, report: &Report) {
    let violations = report.violations();
    let passed = report.checks.len() - violations.len();
    let help = "Checks that were examined, by whether they passed";
    page.family(Kind::Gauge, "probe_mcp_checks", help);
    page.sample(&[("result", "passed")], passed);
    page.sample(&[("result", "violated")], violations.len());
    let help = "1 for each check that is violated; no series for the others";
    page.family(Kind::Gauge, "probe_mcp_check_violated", help);
    for check in violations {
        let labels = [
            ("check", check.id.as_str()),
            ("severity", check.severity.as_str()),
        ];
        page.sample(&labels, 1);
    }
}

fn network(page: &mut Page, report: &Report) {
    let Some(connection) = &report.connection else {
        return;
    };
    if let Some(rtt) = connection.kernel_rtt_us {
        let help = "Round-trip time of the first connection, as the kernel smoothed it";
        page.gauge("probe_mcp_tcp_rtt_seconds", help, seconds(rtt));
    }
    if let Some(count) = connection.retransmits {
        let help = "Segments that were sent again on the first connection";
        page.gauge("probe_mcp_tcp_retransmits", help, count);
    }
    let Some(tls) = &connection.tls else {
        return;
    };
    if let Some(is_safe) = tls.post_quantum {
        let help = "1 where the key exchange resists quantum computers";
        page.gauge("probe_mcp_tls_post_quantum", help, u8::from(is_safe));
    }
    if !tls.faults.is_empty() {
        let help = "1 for everything that is wrong with the presented chain";
        page.family(Kind::Gauge, "probe_mcp_tls_certificate_fault", help);
        for fault in &tls.faults {
            page.sample(&[("fault", fault.as_str())], 1);
        }
    }
}
