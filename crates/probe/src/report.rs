//! Findings of the state machine and facts of the connection, in one report.

use std::time::Duration;

use mcp::{EraRecord, Plan, Sequence};
use model::report::{Connection, SCHEMA_VERSION};
use model::{CheckId, Outcome, Report, Step, TargetUrl};

/// Below this a certificate's remaining life is reported as `net.cert_expiry`.
const CERTIFICATE_MARGIN: Duration = Duration::from_secs(14 * 24 * 3600);

/// What the shell alone can see.
pub(crate) struct Seen {
    pub(crate) connection: Option<Connection>,
    pub(crate) received_bytes: u64,
    pub(crate) elapsed: Duration,
}

pub(crate) fn assemble(
    url: TargetUrl,
    plan: &Plan,
    mut sequence: Sequence,
    seen: Seen,
    secrets: &[String],
    wall: jiff::Timestamp,
) -> (Report, Option<EraRecord>) {
    if let Some(connection) = &seen.connection {
        examine_certificates(connection, wall, &mut sequence);
    }
    let (findings, outcome) = sequence.finish();
    let checks = findings.examined(|id| plan.severity(id));
    let record = match (findings.revision, findings.transport) {
        (Some(revision), Some(transport)) => Some(EraRecord {
            revision,
            transport,
        }),
        _ => None,
    };
    let total_us: u64 = findings.steps.iter().map(|step| step.total_us).sum();
    let elapsed_us = u64::try_from(seen.elapsed.as_micros()).unwrap_or(u64::MAX);
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        url,
        started_at: wall.to_string(),
        outcome,
        summary: String::new(),
        era: findings.era,
        protocol_version: findings.revision,
        transport: findings.transport,
        server: findings.server,
        connection: seen.connection,
        received_bytes: seen.received_bytes,
        tools: findings.tools,
        retry_after_seconds: findings.retry_after,
        steps: findings.steps,
        checks: checks.into_iter().map(|(check, _)| check).collect(),
        total_us,
        own_us: elapsed_us.saturating_sub(total_us),
    };
    redact(&mut report, secrets);
    report.summary = summary(&report);
    (report, record)
}

/// Servers echo what they were sent. A credential must not travel on in a report.
fn redact(report: &mut Report, secrets: &[String]) {
    let details = report
        .steps
        .iter_mut()
        .filter_map(|step| step.detail.as_mut());
    let checks = report
        .checks
        .iter_mut()
        .filter_map(|check| check.detail.as_mut());
    let server = report
        .server
        .iter_mut()
        .flat_map(|s| [&mut s.name, &mut s.version]);
    for text in details.chain(checks).chain(server) {
        for secret in secrets {
            if text.contains(secret) {
                *text = text.replace(secret, "[redacted]");
            }
        }
    }
}

fn examine_certificates(connection: &Connection, wall: jiff::Timestamp, sequence: &mut Sequence) {
    let Some(end) = connection
        .tls
        .as_ref()
        .and_then(|tls| tls.earliest_not_after)
    else {
        return;
    };
    let left = end.saturating_sub(wall.as_second());
    let margin = i64::try_from(CERTIFICATE_MARGIN.as_secs()).unwrap_or(i64::MAX);
    let detail = format!(
        "a certificate of the chain ends in {} d",
        left.div_euclid(86_400)
    );
    let findings = sequence.findings_mut();
    findings.demand(left >= margin, CheckId::NetCertExpiry, Step::Close, detail);
}

fn summary(report: &Report) -> String {
    let passed = report.checks.iter().filter(|check| check.passed).count();
    let checks = format!("{passed} of {} checks", report.checks.len());
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let millis = report.total_us as f64 / 1000.0;
    match &report.outcome {
        Outcome::Ok => format!("healthy in {millis:.0} ms: {checks}"),
        Outcome::Degraded { checks: violated } => {
            let ids: Vec<&str> = violated.iter().map(|id| id.as_str()).collect();
            format!("degraded in {millis:.0} ms: {} ({checks})", ids.join(", "))
        }
        Outcome::Failed(failure) => {
            let detail = report.failed_step().and_then(|step| step.detail.as_deref());
            let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
            format!(
                "{} failed in {}: {}{detail}",
                failure.step, failure.phase, failure.reason
            )
        }
        Outcome::Inconclusive { reason } => {
            let detail = report
                .steps
                .iter()
                .find(|step| step.reason == Some(*reason));
            let detail = detail.and_then(|step| step.detail.as_deref());
            let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
            format!("inconclusive: {reason}{detail}")
        }
    }
}
