//! Findings of the state machine and facts of the connection, in one report.

use std::time::Duration;

use auth::Refusal;
use mcp::{EraRecord, Sequence};
use model::report::{Connection, SCHEMA_VERSION};
use model::{CheckId, Outcome, Report, Step};

use crate::access::{self, Access};
use crate::clock::now;
use crate::driver;
use crate::job::Job;

/// Below this a certificate's remaining life is reported as `net.cert_expiry`.
const CERTIFICATE_MARGIN: Duration = Duration::from_secs(14 * 24 * 3600);

/// Why the sequence was not begun.
pub(crate) enum Ended {
    /// There is no token.
    Refused(Refusal, Box<Access>),
    /// The user wants no more.
    Cancelled,
}

/// The report of a probe that did not begin.
pub(crate) fn without_token(job: Job, ended: Ended) -> (Report, Option<EraRecord>) {
    let began = now();
    let mut sequence = Sequence::new(job.plan.clone(), began);
    let access = match ended {
        Ended::Refused(refusal, mut access) => {
            access::refuse(&refusal, &mut access, sequence.findings_mut());
            *access
        }
        Ended::Cancelled => {
            sequence.handle_cancel(began);
            Access::default()
        }
    };
    assemble(job, sequence, None, access, Duration::ZERO)
}

pub(crate) fn assemble(
    job: Job,
    mut sequence: Sequence,
    connection: Option<Connection>,
    mut access: Access,
    elapsed: Duration,
) -> (Report, Option<EraRecord>) {
    let wall = job.wall;
    if let Some(connection) = &connection {
        examine_certificates(connection, wall, &mut sequence);
    }
    access::check(&job, &mut access, sequence.findings_mut());
    let mut secrets = driver::secrets(&job.headers);
    secrets.extend(job.authorizer.iter().flat_map(|known| known.secrets()));
    let Job { plan, .. } = job;
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
    let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        url: plan.url,
        started_at: wall.to_string(),
        outcome,
        summary: String::new(),
        era: findings.era,
        protocol_version: findings.revision,
        transport: findings.transport,
        server: findings.server,
        connection,
        auth: access.auth,
        credential: access.credential,
        tools: findings.tools,
        retry_after_seconds: findings.retry_after,
        steps: findings.steps,
        checks: checks.into_iter().map(|(check, _)| check).collect(),
        total_us,
        own_us: elapsed_us.saturating_sub(total_us),
    };
    redact(&mut report, &secrets);
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
    let auth = report.auth.iter_mut().flat_map(|auth| {
        let exchanges = auth.exchanges.iter_mut();
        let exchanges = exchanges.filter_map(|exchange| exchange.detail.as_mut());
        auth.detail.iter_mut().chain(exchanges)
    });
    for text in details.chain(checks).chain(server).chain(auth) {
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
            let refused = report.auth.as_ref();
            let refused = refused.filter(|_| failure.step == Step::Authorize);
            let detail = detail.or_else(|| refused?.detail.as_deref());
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
