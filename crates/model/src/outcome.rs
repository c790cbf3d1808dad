//! What one probe found, in one value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CheckId, Class, Phase, Reason, Step};

/// The result of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was asked for works.
    Ok,
    /// The sequence ran to its end, but checks of severity `degrade` were violated.
    Degraded {
        /// The violated checks, in the order of the check table.
        checks: Vec<CheckId>,
    },
    /// The target failed.
    Failed(Failure),
    /// The probe can say nothing about the target, for a reason of its own.
    Inconclusive {
        /// Always of class `ours`.
        reason: Reason,
    },
}

impl Outcome {
    /// The word of this outcome in metrics and tables.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded { .. } => "degraded",
            Self::Failed(_) => "failed",
            Self::Inconclusive { .. } => "inconclusive",
        }
    }

    /// Why it did not go well.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Ok | Self::Degraded { .. } => None,
            Self::Failed(failure) => Some(failure.reason),
            Self::Inconclusive { reason } => Some(*reason),
        }
    }

    /// The outcome of a failure: inconclusive where the reason is ours.
    #[must_use]
    pub fn of_failure(failure: Failure) -> Self {
        match failure.class() {
            Class::Ours => Self::Inconclusive {
                reason: failure.reason,
            },
            Class::Network
            | Class::Http
            | Class::Protocol
            | Class::Tool
            | Class::Contract
            | Class::Refused => Self::Failed(failure),
        }
    }
}

/// Where and why a probe failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The step that failed.
    pub step: Step,
    /// The phase in which it failed.
    pub phase: Phase,
    /// Why.
    pub reason: Reason,
}

impl Failure {
    /// The class of this failure. A protocol error in answer to a configured call says that the
    /// tool is broken, not the protocol: the steps before it went well.
    #[must_use]
    pub const fn class(&self) -> Class {
        match (self.step, self.reason.class()) {
            (Step::ToolsCall, Class::Protocol) => Class::Tool,
            (_, class) => class,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(step: Step, reason: Reason) -> Failure {
        Failure {
            step,
            phase: Phase::Receive,
            reason,
        }
    }

    #[test]
    fn a_protocol_error_of_a_configured_call_is_the_tools() {
        let class = |step, reason| failure(step, reason).class();
        assert_eq!(class(Step::ToolsCall, Reason::McpRpcError), Class::Tool);
        assert_eq!(class(Step::ToolsList, Reason::McpRpcError), Class::Protocol);
        assert_eq!(class(Step::ToolsCall, Reason::TcpReset), Class::Network);
        assert_eq!(class(Step::ToolsCall, Reason::RateLimited), Class::Refused);
    }

    #[test]
    fn our_own_failure_is_inconclusive() {
        let outcome = Outcome::of_failure(failure(Step::ToolsList, Reason::ProberInternal));
        assert_eq!(outcome.as_str(), "inconclusive");
        let outcome = Outcome::of_failure(failure(Step::ToolsList, Reason::NotFound));
        assert_eq!(outcome.as_str(), "failed");
    }

    #[test]
    fn json_shape_is_stable() {
        let outcome = Outcome::of_failure(failure(Step::Initialize, Reason::TlsCertExpired));
        assert_eq!(
            serde_json::to_value(&outcome).unwrap(),
            serde_json::json!({
                "kind": "failed", "step": "initialize", "phase": "receive",
                "reason": "tls_cert_expired",
            })
        );
    }
}
