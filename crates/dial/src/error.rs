//! Why no connection came about.

use model::Reason;
use model::report::Tls;

/// A connection that could not be made: a finding about the target, not a fault of ours, unless
/// the reason's class says so.
#[derive(Debug)]
pub struct DialError {
    /// Why.
    pub reason: Reason,
    /// What happened, in a few words; text of the peer in it is escaped.
    pub detail: String,
    /// What the server presented in TLS before it was refused.
    pub tls: Option<Box<Tls>>,
}

impl DialError {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            tls: None,
        }
    }
}
