//! Exit statuses. Scripts and pipelines build on them: they are documented and never change.

use model::{Class, Outcome, Reason};

/// Everything that was asked for works.
pub(crate) const HEALTHY: u8 = 0;
/// The target answers, but wrongly.
pub(crate) const UNHEALTHY: u8 = 1;
/// The command line is wrong (clap uses the same).
pub(crate) const USAGE: u8 = 2;
/// Degraded, with `--fail-on degraded`.
pub(crate) const DEGRADED: u8 = 3;
/// The server turned the probe away: authorization, rate limit, firewall.
pub(crate) const REFUSED: u8 = 4;
/// Unreachable: DNS, TCP, TLS, or the proxy that was asked for.
pub(crate) const UNREACHABLE: u8 = 5;
/// Something took too long.
pub(crate) const TIMEOUT: u8 = 6;
/// A configuration or credential file cannot be used.
pub(crate) const CONFIG: u8 = 7;
/// A bug of ours.
pub(crate) const INTERNAL: u8 = 70;
/// Ended by SIGINT or SIGTERM.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit status of an outcome.
pub(crate) const fn of(outcome: &Outcome, fail_on_degraded: bool) -> u8 {
    match outcome {
        Outcome::Ok => HEALTHY,
        Outcome::Degraded { .. } if fail_on_degraded => DEGRADED,
        Outcome::Degraded { .. } => HEALTHY,
        Outcome::Inconclusive {
            reason: Reason::Cancelled,
        } => INTERRUPTED,
        Outcome::Inconclusive {
            reason: Reason::DnsBlockedAddr | Reason::ProxyFailed,
        } => UNREACHABLE,
        Outcome::Inconclusive { .. } => INTERNAL,
        Outcome::Failed(failure) => {
            if failure.reason.is_timeout() {
                return TIMEOUT;
            }
            match failure.class() {
                Class::Network => UNREACHABLE,
                Class::Refused => REFUSED,
                Class::Ours => INTERNAL,
                Class::Http | Class::Protocol | Class::Tool | Class::Contract => UNHEALTHY,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Failure, Phase, Step};

    #[test]
    fn statuses_are_frozen() {
        let failed = |reason| {
            let failure = Failure {
                step: Step::Discover,
                phase: Phase::Wait,
                reason,
            };
            of(&Outcome::of_failure(failure), false)
        };
        let table = [
            (Reason::McpRpcError, 1),
            (Reason::NotFound, 1),
            (Reason::ToolError, 1),
            (Reason::ContractDrift, 1),
            (Reason::AuthRequired, 4),
            (Reason::RateLimited, 4),
            (Reason::WafChallenge, 4),
            (Reason::DnsNxdomain, 5),
            (Reason::TcpRefused, 5),
            (Reason::TlsCertExpired, 5),
            (Reason::DnsBlockedAddr, 5),
            (Reason::ProxyFailed, 5),
            (Reason::TcpTimeout, 6),
            (Reason::DnsTimeout, 6),
            (Reason::HttpTimeoutHeaders, 6),
            (Reason::McpSseStalled, 6),
            (Reason::ProberInternal, 70),
            (Reason::Cancelled, 130),
        ];
        for (reason, code) in table {
            assert_eq!(failed(reason), code, "{reason}");
        }
        let degraded = Outcome::Degraded { checks: Vec::new() };
        assert_eq!((of(&degraded, false), of(&degraded, true)), (0, 3));
        assert_eq!(of(&Outcome::Ok, true), 0);
    }
}
