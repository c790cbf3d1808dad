//! Findings of the state machine and facts of the connection, in one report.

use std::time::Duration;

use auth::Refusal;
use mcp::{EraRecord, Findings, Listing, Plan, Sequence};
use model::report::{Connection, HealthReport, Http3Report, SCHEMA_VERSION};
use model::{CheckId, Outcome, Reason, Report, Step, instance};

use crate::access::{self, Access};
use crate::addresses::Compared;
use crate::alternative;
use crate::clock::now;
use crate::driver;
use crate::job::Job;
use crate::redact;
use crate::seen::Facts;

/// Below this a certificate's remaining life is reported as `net.cert_expiry`, unless the monitor
/// says otherwise.
const CERTIFICATE_MARGIN: Duration = Duration::from_secs(14 * 24 * 3600);

/// Everything that one probe brought home.
#[derive(Debug)]
pub struct Survey {
    /// What it saw.
    pub report: Report,
    /// What was negotiated, for a cache of eras.
    pub era: Option<EraRecord>,
    /// The complete list of tools, where [`Plan::keep_listing`] asked for it; credentials that the
    /// server repeats in it are taken out.
    pub listing: Option<Listing>,
}

/// A sequence that came to its end, and what was seen beside it.
pub(crate) struct Probed {
    pub(crate) plan: Plan,
    pub(crate) sequence: Sequence,
    pub(crate) facts: Facts,
    pub(crate) received_bytes: u64,
    pub(crate) health: Option<HealthReport>,
    /// What came of HTTP/3, where it is advertised.
    pub(crate) http3: Option<Http3Report>,
    /// What was learned of authorization.
    pub(crate) access: Access,
    /// `WWW-Authenticate` of the first 401.
    pub(crate) challenges: Option<Vec<String>>,
    /// What must not travel on in a report.
    pub(crate) secrets: Vec<String>,
    pub(crate) wall: jiff::Timestamp,
    pub(crate) elapsed: Duration,
}

/// Why the sequence was not begun.
pub(crate) enum Ended {
    /// There is no token.
    Refused(Refusal, Box<Access>),
    /// The user wants no more.
    Cancelled,
}

/// The report of a probe that did not begin.
pub(crate) fn without_token(job: Job, ended: Ended) -> Survey {
    let began = now();
    let mut sequence = Sequence::new(job.plan.clone(), began);
    let mut access = match ended {
        Ended::Refused(refusal, mut access) => {
            access::refuse(&refusal, &mut access, sequence.findings_mut());
            *access
        }
        Ended::Cancelled => {
            sequence.handle_cancel(began);
            Access::default()
        }
    };
    access::check(&job, &mut access, sequence.findings_mut());
    let probed = Probed {
        secrets: driver::secrets(&job),
        plan: job.plan,
        sequence,
        facts: Facts::default(),
        received_bytes: 0,
        health: None,
        http3: None,
        access,
        challenges: None,
        wall: job.wall,
        elapsed: Duration::ZERO,
    };
    assemble(probed, None)
}

pub(crate) fn assemble(mut probed: Probed, compared: Option<Compared>) -> Survey {
    let compared = compared.unwrap_or_default();
    examine(&mut probed, &compared);
    let Probed {
        plan,
        sequence,
        facts,
        received_bytes,
        health,
        http3,
        access,
        challenges: _,
        secrets,
        wall,
        elapsed,
    } = probed;
    let (mut findings, outcome) = sequence.finish();
    let mut listing = findings.listing.take();
    if let Some(listing) = &mut listing {
        redact::listing(listing, &secrets);
    }
    let checks = findings.examined(|id| plan.severity(id));
    let era = era_of(&findings);
    let total_us: u64 = findings.steps.iter().map(|step| step.total_us).sum();
    let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let of_page = health.as_ref().and_then(|seen| pause_of(seen, &plan));
    let mut instances = instances(facts.instances, findings.instances, health.as_ref()).into_iter();
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
        more_servers: findings.more_servers,
        connection: facts.connection,
        more_connections: facts.more_connections,
        auth: access.auth,
        credential: access.credential,
        edge: facts.edge,
        instance: instances.next(),
        more_instances: instances.collect(),
        alt_svc: facts.alt_svc,
        http3,
        addresses: compared.addresses,
        differences: compared.differences,
        received_bytes,
        tools: findings.tools,
        lists: findings.lists,
        largest_response_bytes: findings.largest_response,
        contract: None,
        health,
        retry_after_seconds: findings.retry_after.or(of_page),
        steps: findings.steps,
        checks: checks.into_iter().map(|(check, _)| check).collect(),
        total_us,
        own_us: elapsed_us.saturating_sub(total_us),
    };
    redact(&mut report, &secrets);
    report.summary = summary(&report);
    Survey {
        report,
        era,
        listing,
    }
}

/// The checks of what was seen beside the sequence.
fn examine(probed: &mut Probed, compared: &Compared) {
    let sequence = &mut probed.sequence;
    if let Some(connection) = &probed.facts.connection {
        let days = probed.plan.expect.certificate_days.map(u64::from);
        examine_certificates(connection, days, probed.wall, sequence);
    }
    examine_health(probed.health.as_ref(), sequence);
    compared.examine(sequence.findings_mut());
    if let Some(seen) = &probed.http3 {
        alternative::examine(seen, sequence.findings_mut());
    }
}

/// The pause that the health page asks for, where it is of the target's own origin and so speaks for it.
fn pause_of(seen: &HealthReport, plan: &Plan) -> Option<u64> {
    let is_own = seen.url.origin() == plan.url.origin();
    seen.retry_after_seconds.filter(|_| is_own)
}

/// The instances that answered, as they are named by headers, results and the health page.
fn instances(
    mut named: Vec<String>,
    of_results: Vec<String>,
    health: Option<&HealthReport>,
) -> Vec<String> {
    let of_page = health.and_then(|seen| seen.instance.clone());
    for name in of_results.into_iter().chain(of_page) {
        instance::add(&mut named, name);
    }
    named
}

fn examine_health(health: Option<&HealthReport>, sequence: &mut Sequence) {
    let Some(seen) = health else { return };
    let (id, step) = (CheckId::HealthExpected, Step::Close);
    let detail = seen.detail.as_deref().unwrap_or_default();
    let findings = sequence.findings_mut();
    findings.demand(seen.passed, id, step, detail);
}

fn era_of(findings: &Findings) -> Option<EraRecord> {
    Some(EraRecord {
        revision: findings.revision?,
        transport: findings.transport?,
    })
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
        .chain(&mut report.more_servers)
        .flat_map(|s| [&mut s.name, &mut s.version]);
    let instances = report.instance.iter_mut().chain(&mut report.more_instances);
    let edge = report
        .edge
        .iter_mut()
        .flat_map(|edge| edge.pop.iter_mut().chain(&mut edge.id));
    let alternatives = report
        .alt_svc
        .iter_mut()
        .flat_map(|one| [&mut one.protocol, &mut one.authority]);
    let auth = report.auth.iter_mut().flat_map(|auth| {
        let exchanges = auth.exchanges.iter_mut();
        let exchanges = exchanges.filter_map(|exchange| exchange.detail.as_mut());
        auth.detail.iter_mut().chain(exchanges)
    });
    let texts = details.chain(checks).chain(server).chain(auth);
    for text in texts.chain(instances).chain(edge).chain(alternatives) {
        redact::text(text, secrets);
    }
}

fn examine_certificates(
    connection: &Connection,
    days: Option<u64>,
    wall: jiff::Timestamp,
    sequence: &mut Sequence,
) {
    let Some(end) = connection
        .tls
        .as_ref()
        .and_then(model::report::Tls::not_after)
    else {
        return;
    };
    let left = end.saturating_sub(wall.as_second());
    let margin = days.map_or(CERTIFICATE_MARGIN, |days| {
        Duration::from_secs(days * 86_400)
    });
    let margin = i64::try_from(margin.as_secs()).unwrap_or(i64::MAX);
    let detail = format!(
        "a certificate of the chain ends in {} d",
        left.div_euclid(86_400)
    );
    let findings = sequence.findings_mut();
    findings.demand(left >= margin, CheckId::NetCertExpiry, Step::Close, detail);
}

/// The result of a report in a sentence, from its outcome, steps and checks.
#[must_use]
pub fn summary(report: &Report) -> String {
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
            // The worst comes first.
            let violated = report.violations().first().copied();
            let violated = violated.filter(|_| failure.reason == Reason::CheckViolated);
            let violated = violated.map(|check| {
                let detail = check.detail.as_deref().unwrap_or_default();
                format!("{}: {detail}", check.id)
            });
            let detail = detail.or_else(|| refused?.detail.as_deref());
            let detail = detail.or(violated.as_deref());
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
