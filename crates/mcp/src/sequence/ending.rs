//! What the end of a probe means.

use model::{CheckId, Failure, Outcome, Phase, Reason, Severity, Step};

use crate::findings::Findings;
use crate::reply::Fault;

/// The outcome that follows from a failure or from the violated checks.
pub(super) fn outcome(findings: &Findings, severity: impl Fn(CheckId) -> Severity) -> Outcome {
    if let Some(failure) = findings.failure {
        return Outcome::of_failure(failure);
    }
    let mut degraded = Vec::new();
    for (check, step) in findings.examined(severity) {
        match (check.passed, check.severity) {
            (false, Severity::Fail) => {
                return Outcome::of_failure(Failure {
                    step: step.unwrap_or(Step::ToolsList),
                    phase: Phase::Receive,
                    reason: Reason::CheckViolated,
                });
            }
            (false, Severity::Degrade) => degraded.push(check.id),
            (false, Severity::Note) | (true, _) => {}
        }
    }
    if degraded.is_empty() {
        Outcome::Ok
    } else {
        Outcome::Degraded { checks: degraded }
    }
}

pub(super) fn stream_ended() -> Fault {
    Fault::new(
        Reason::McpSseNoResponse,
        CheckId::SseParse,
        "the server closed the event stream",
    )
}

/// The check that a failure below HTTP violates.
pub(super) const fn net_check(reason: Reason) -> Option<CheckId> {
    let is_dns = matches!(
        reason,
        Reason::DnsNxdomain
            | Reason::DnsNoData
            | Reason::DnsTimeout
            | Reason::DnsServfail
            | Reason::DnsBlockedAddr
    );
    let is_tcp = matches!(
        reason,
        Reason::TcpRefused | Reason::TcpTimeout | Reason::TcpReset | Reason::TcpUnreachable
    );
    let is_tls = matches!(
        reason,
        Reason::TlsHandshake
            | Reason::TlsTimeout
            | Reason::TlsCertExpired
            | Reason::TlsCertNotYetValid
            | Reason::TlsCertName
            | Reason::TlsCertUntrusted
            | Reason::TlsAlpn
    );
    match (is_dns, is_tcp, is_tls) {
        (true, ..) => Some(CheckId::NetDns),
        (_, true, _) => Some(CheckId::NetTcp),
        (.., true) => Some(CheckId::NetTls),
        (false, false, false) => None,
    }
}
