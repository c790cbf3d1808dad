//! What the caller adds to a plan.

use dial::{Alpn, Origin};
use http::HeaderMap;
use mcp::Plan;

/// A probe to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to do.
    pub plan: Plan,
    /// Headers of the user, credentials among them, for every request of the probe.
    pub headers: HeaderMap,
    /// Who named the target.
    pub origin: Origin,
    /// Which HTTP versions to offer.
    pub alpn: Alpn,
    /// The agent's wall clock, for display and for the age of certificates.
    pub wall: jiff::Timestamp,
}
