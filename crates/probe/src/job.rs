//! What the caller adds to a plan.

use std::sync::Arc;

use auth::Authorizer;
use dial::{Alpn, Origin, Proxy};
use http::HeaderMap;
use mcp::Plan;
use model::expect::HealthSpec;

use crate::network::Network;

use crate::contact::Contact;

/// A probe to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to do.
    pub plan: Plan,
    /// Headers of the user, credentials among them, for every request of the probe.
    pub headers: HeaderMap,
    /// Who named the target.
    pub origin: Origin,
    /// The proxy to go through; it is measured too. Never for targets of remote origin.
    pub proxy: Option<Proxy>,
    /// How the target is reached, beside what its URL says.
    pub network: Network,
    /// What to ask beside the sequence, at the same time.
    pub health: Option<HealthSpec>,
    /// Which HTTP versions to offer.
    pub alpn: Alpn,
    /// Gets the token that the probe is run with; its time is no part of the probe's.
    pub authorizer: Option<Arc<Authorizer>>,
    /// Whether somebody renews the credential in the headers: then its end is no finding.
    pub is_renewed: bool,
    /// Whether a wall is looked at more closely: the metadata that its 401 leads to. That costs the
    /// target and its authorization server some requests beside the probe.
    pub examines_walls: bool,
    /// The agent's wall clock, for display and for the age of certificates and credentials.
    pub wall: jiff::Timestamp,
    /// Whom the target's owner can write to, in the `User-Agent`; a header of the user's goes before.
    pub contact: Contact,
}
