//! `--wait`: probes until the server is healthy so often in a row, until the time is up, or until a
//! result says that waiting cannot help.

use std::time::Duration;

use clap::Args;
use model::report::StepReport;
use model::{Period, Reason, Report};
use schemars::JsonSchema;
use serde::Serialize;

/// Changes that are kept: a wait whose results change more often than that is flapping.
const MAX_CHANGES: usize = 100;
/// Between the end of a probe and the begin of the next.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// Waiting for a deploy.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub(crate) struct WaitArgs {
    /// Probe until the server is healthy, for at most this long. Ends early on what waiting cannot
    /// cure: a refused credential, a permanent redirect, an address that may not be probed
    #[arg(long, value_name = "TIME")]
    pub(crate) wait: Option<Period>,
    /// The pause after each probe [default: 2s with --wait, none with --repeat]
    #[arg(long, value_name = "TIME")]
    pub(crate) interval: Option<Period>,
    /// How many healthy results in a row it takes
    #[arg(long, value_name = "N", default_value = "1", requires = "wait",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) consecutive: u32,
}

model::closed_words! {
    /// How a wait ended.
    pub enum End ("end") {
        /// Healthy so often in a row as was asked for.
        Healthy = "healthy",
        /// The last result is nothing that waiting cures.
        Incurable = "incurable",
        /// The time was up.
        TimeUp = "time_up",
        /// Ended by a signal.
        Interrupted = "interrupted",
    }
}

/// What came of a wait.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Waited {
    /// Why it ended.
    pub(crate) end: End,
    /// Probes that were run.
    pub(crate) attempts: u32,
    /// How long it took, pauses too.
    pub(crate) elapsed_us: u64,
    /// Healthy results in a row at the end.
    pub(crate) streak: u32,
    /// How many were asked for.
    pub(crate) consecutive: u32,
    /// When the result changed, oldest first, at most 100.
    pub(crate) changes: Vec<Change>,
}

/// A result that differs from the one before.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Change {
    /// Which probe, from 1.
    pub(crate) attempt: u32,
    /// When it ended, since the begin.
    pub(crate) at_us: u64,
    /// What it said: an outcome, or where and why it failed.
    pub(crate) result: String,
}

impl Waited {
    /// It in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let probes = if self.attempts == 1 {
            "probe"
        } else {
            "probes"
        };
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let seconds = self.elapsed_us as f64 / 1e6;
        let (n, of) = (self.streak, self.consecutive);
        let end = match self.end {
            End::Healthy if of == 1 => "healthy".to_owned(),
            End::Healthy => format!("healthy {n} times in a row"),
            End::Incurable => "waiting longer would not cure this".to_owned(),
            End::TimeUp if n > 0 => {
                format!("the time was up when it was healthy {n} of {of} times in a row")
            }
            End::TimeUp => "the time was up".to_owned(),
            End::Interrupted => "interrupted".to_owned(),
        };
        format!("{end}, after {} {probes} in {seconds:.1} s", self.attempts)
    }
}

/// What a wait looks at in a result, of this host or of several regions.
#[derive(Debug)]
pub(crate) struct Seen {
    /// An outcome, or where and why it failed.
    pub(crate) result: String,
    pub(crate) is_healthy: bool,
    /// Whether a signal ended it.
    pub(crate) is_interrupted: bool,
    /// Whether a deploy that goes on may cure it.
    pub(crate) is_curable: bool,
    /// When the target, or the mesh, wants to be asked again.
    pub(crate) wanted: Option<Duration>,
}

impl Seen {
    pub(crate) fn of(report: &Report, is_healthy: bool) -> Self {
        Self {
            result: super::result(report),
            is_healthy,
            is_interrupted: report.outcome.reason() == Some(Reason::Cancelled),
            is_curable: is_curable(report),
            wanted: report.retry_after_seconds.map(Duration::from_secs),
        }
    }
}

/// What to do after a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stop(End),
    Pause(Duration),
}

/// The results of a wait so far. Knows no clock: time is an argument.
#[derive(Debug)]
pub(super) struct Tally {
    limit: Duration,
    interval: Duration,
    pub(super) waited: Waited,
}

impl Tally {
    pub(super) const fn new(limit: Duration, interval: Duration, consecutive: u32) -> Self {
        Self {
            limit,
            interval,
            waited: Waited {
                end: End::TimeUp,
                attempts: 0,
                elapsed_us: 0,
                streak: 0,
                consecutive,
                changes: Vec::new(),
            },
        }
    }

    /// Takes the result of a probe that ended `elapsed` after the begin.
    pub(super) fn take(&mut self, report: &Report, is_healthy: bool, elapsed: Duration) -> Next {
        self.see(Seen::of(report, is_healthy), elapsed)
    }

    /// The same of any result.
    pub(super) fn see(&mut self, seen: Seen, elapsed: Duration) -> Next {
        let waited = &mut self.waited;
        waited.attempts += 1;
        waited.elapsed_us = micros(elapsed);
        waited.streak = if seen.is_healthy {
            waited.streak + 1
        } else {
            0
        };
        let next = self.next(&seen, elapsed);
        let waited = &mut self.waited;
        let result = seen.result;
        let is_new = waited
            .changes
            .last()
            .is_none_or(|last| last.result != result);
        if is_new && waited.changes.len() < MAX_CHANGES {
            waited.changes.push(Change {
                attempt: waited.attempts,
                at_us: waited.elapsed_us,
                result,
            });
        }
        if let Next::Stop(end) = next {
            self.waited.end = end;
        }
        next
    }

    fn next(&self, seen: &Seen, elapsed: Duration) -> Next {
        if seen.is_interrupted {
            return Next::Stop(End::Interrupted);
        }
        if self.waited.streak >= self.waited.consecutive {
            return Next::Stop(End::Healthy);
        }
        if !seen.is_curable {
            return Next::Stop(End::Incurable);
        }
        // A server that says when it wants to be asked again is not asked before.
        let pause = seen.wanted.unwrap_or_default().max(self.interval);
        if elapsed.saturating_add(pause) > self.limit {
            return Next::Stop(End::TimeUp);
        }
        Next::Pause(pause)
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Whether a deploy that goes on may cure what a probe found. The incurable is a closed list; what is
/// doubtful is waited for, since that costs the time that the user gave.
fn is_curable(report: &Report) -> bool {
    let Some(reason) = report.outcome.reason() else {
        return true;
    };
    let status = report
        .failed_step()
        .and_then(|step: &StepReport| step.http_status);
    match reason {
        // The probe has the credential that it has: asking again sends the same, or none.
        Reason::AuthRequired
        | Reason::AuthMalformed
        | Reason::AuthTokenRejected
        | Reason::AuthScope
        | Reason::AuthCredentialRefused
        | Reason::Forbidden
        // A challenge wants a browser, and a block list does not see that a deploy has ended.
        | Reason::WafChallenge
        // The address policy of this host decides, not the server.
        | Reason::DnsBlockedAddr
        // Ended by a signal, or by a bug of ours.
        | Reason::Cancelled
        | Reason::ProberInternal => false,
        // 301 and 308 say "permanently" (RFC 9110 §15.4): http for https, or another path. Others
        // may be a page that is shown while the deploy lasts.
        Reason::HttpRedirect => !matches!(status, Some(301 | 308)),
        // Records are published late, resolvers remember that there was none.
        Reason::DnsNxdomain | Reason::DnsNoData | Reason::DnsTimeout | Reason::DnsServfail
        // Nothing listens yet, or the old one has just gone.
        | Reason::TcpRefused | Reason::TcpTimeout | Reason::TcpReset | Reason::TcpUnreachable
        // An ingress shows its own certificate until the right one is issued.
        | Reason::TlsHandshake | Reason::TlsTimeout | Reason::TlsCertExpired
        | Reason::TlsCertNotYetValid | Reason::TlsCertName | Reason::TlsCertUntrusted
        | Reason::TlsAlpn
        // Starting, draining, or the page of something in front.
        | Reason::HttpTimeoutHeaders | Reason::HttpTimeoutBody | Reason::HttpConnClosed
        | Reason::HttpProtocol | Reason::HttpBodyTooLarge | Reason::NotFound | Reason::NotMcp
        | Reason::Upstream5xx | Reason::Server5xx | Reason::Client4xx
        | Reason::RateLimited
        // The old build still answers: the new one may speak otherwise.
        | Reason::McpWrongContentType | Reason::McpSseMalformed | Reason::McpSseNoResponse
        | Reason::McpSseStalled | Reason::McpJsonInvalid | Reason::McpRpcInvalid
        | Reason::McpIdMismatch | Reason::McpVersionUnsupported | Reason::McpHeaderMismatch
        | Reason::McpCapabilityRequired | Reason::McpSessionLost | Reason::McpSessionRequired
        | Reason::McpInitRejected | Reason::McpNotifRejected | Reason::McpRpcError
        | Reason::McpSchemaViolation | Reason::McpPaginationLoop | Reason::McpInputRequired
        | Reason::ToolError | Reason::ToolMissing | Reason::ToolOutputInvalid
        | Reason::ContractDrift | Reason::CheckViolated
        // An authorization server may be part of the same deploy.
        | Reason::AuthServerDown
        // A proxy answers 502 for a target that is not there yet.
        | Reason::ProxyFailed | Reason::BudgetExceeded => true,
    }
}

#[cfg(test)]
mod tests;
