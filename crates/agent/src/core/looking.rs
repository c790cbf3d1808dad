//! Looks at walls: what somebody without a credential meets at a target that is probed with one.
//! They are no evidence of the target's health, and in no slot, window or vote.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dial::{Alpn, Origin};
use model::credential::WallState;
use model::report::AuthState;
use model::{Outcome, Reason, Report};
use rpc::v1;
use tokio::task::{JoinError, JoinSet};

use super::{Core, now};
use crate::item::Item;

/// How long a target is left alone after a look, whatever came of it.
const EVERY: Duration = Duration::from_secs(3600);
/// Looks that may run at once; others wait for the next slot of their monitor.
const MAX_RUNNING: usize = 4;
/// How long a look may take.
const TIME: Duration = Duration::from_secs(20);
/// Findings of one look, and characters of each.
const MAX_FINDINGS: usize = 8;
const MAX_DETAIL: usize = 200;

/// Looks that run, and when each monitor was last looked at.
#[derive(Default)]
pub(super) struct Looks {
    pub(super) running: JoinSet<(Item, Report)>,
    begun: BTreeMap<String, Instant>,
}

impl Looks {
    pub(super) fn forget(&mut self, monitor: &str) {
        self.begun.remove(monitor);
    }
}

impl Core {
    /// Looks at the wall of a monitor whose slot has just ended, if it is this agent's to look, and
    /// an hour has passed.
    pub(super) fn look(&mut self, monitor: &str) {
        let (at, item) = (now(), self.items.get(monitor));
        let Some(item) = item.filter(|item| item.looks_at_wall && !self.is_draining) else {
            return;
        };
        let last = self.looks.begun.get(monitor);
        let is_early = last.is_some_and(|last| at.saturating_duration_since(*last) < EVERY);
        let is_held = self.origins.held(&item.origin, at).is_some();
        if is_early || is_held || self.looks.running.len() >= MAX_RUNNING {
            return;
        }
        let item = item.clone();
        let mut plan = item.confirmation(false, TIME);
        plan.lists.clear();
        plan.has_credential = false;
        plan.known = self.eras.lookup(plan.url.as_url().as_str(), at);
        let job = probe::Job {
            plan,
            headers: item.bare_headers(),
            origin: Origin::Remote,
            proxy: None,
            network: item.way.network.clone(),
            health: None,
            alpn: Alpn::Any,
            authorizer: None,
            is_renewed: false,
            examines_walls: true,
            wall: telemetry::clock::wall(),
            contact: self.config.contact.clone(),
        };
        let (dialer, cancel) = (item.way.dialer(&self.dialer), self.cancel.clone());
        self.looks.begun.insert(item.monitor.clone(), at);
        self.looks.running.spawn(async move {
            let (report, _) = probe::run(&dialer, job, &cancel).await;
            (item, report)
        });
    }

    pub(super) fn handle_look(&mut self, done: Result<(Item, Report), JoinError>) {
        let (item, report) = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "a look failed");
                return;
            }
        };
        self.heed(&item, &report);
        let Some(state) = state(&report) else {
            tracing::debug!(monitor = %item.monitor, summary = %report.summary, "no wall seen");
            return;
        };
        let look = v1::WallLook {
            monitor_id: item.monitor,
            generation: item.generation,
            state: state.to_string(),
            findings: findings(&report),
        };
        // A link that is down takes none; the next one is in an hour.
        let _ = self
            .says
            .try_send(v1::watch_request::Message::WallLook(look));
    }
}

/// What was met; nothing where the target did not get so far.
fn state(report: &Report) -> Option<WallState> {
    match report.auth.as_ref().map(|auth| auth.state) {
        Some(AuthState::WalledHealthy) => return Some(WallState::Healthy),
        Some(AuthState::WalledMalformed) => return Some(WallState::Malformed),
        Some(AuthState::Authorized | AuthState::Refused) | None => {}
    }
    match &report.outcome {
        Outcome::Ok | Outcome::Degraded { .. } => Some(WallState::Open),
        // A wall that answers 403 tells nobody that there is a way in.
        Outcome::Failed(failure) if failure.reason == Reason::Forbidden => {
            Some(WallState::Malformed)
        }
        Outcome::Failed(_) | Outcome::Inconclusive { .. } => None,
    }
}

fn findings(report: &Report) -> Vec<v1::WallFinding> {
    let violated = report.violations().into_iter();
    let about = violated.filter(|check| check.id.as_str().starts_with("auth."));
    let findings = about.take(MAX_FINDINGS).map(|check| v1::WallFinding {
        check: check.id.to_string(),
        detail: model::text::line(check.detail.as_deref().unwrap_or_default(), MAX_DETAIL),
    });
    findings.collect()
}

#[cfg(test)]
mod tests;
