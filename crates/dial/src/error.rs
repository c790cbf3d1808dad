//! Why no connection came about.

use std::net::SocketAddr;

use model::Reason;
use model::report::Tls;

use crate::resolve::Resolution;

/// A connection that could not be made: a finding about the target, not a fault of ours, unless
/// the reason's class says so.
#[derive(Debug)]
pub struct DialError {
    /// Why.
    pub reason: Reason,
    /// What happened, in a few words; text of the peer in it is escaped.
    pub detail: String,
    /// The address that was connected to, if it came so far.
    pub address: Option<SocketAddr>,
    /// What the resolver gave, if one was asked.
    pub resolution: Option<Box<Resolution>>,
    /// What the server presented in TLS before it was refused.
    pub tls: Option<Box<Tls>>,
}

impl DialError {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            address: None,
            resolution: None,
            tls: None,
        }
    }
}
