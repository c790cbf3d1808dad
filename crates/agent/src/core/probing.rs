//! Probes: of slots, and confirmations that move none.

use std::time::{Duration, Instant};

use dial::Origin;
use mcp::{EraRecord, Plan};
use model::{EraPolicy, Outcome, Report};
use rpc::v1;
use tokio::task::{Id, JoinError};

use super::{Core, now};
use crate::item::Item;
use crate::record::{self, Cause};
use crate::self_test::Failure;
use crate::surfaces::Examined;
use crate::telling::Why;

/// Probes that may run beside those of slots, for confirmations alone: an outage that fills all
/// other places must not keep itself from being confirmed.
const SPARE: usize = 16;
/// The longest id of a confirmation, bytes.
const MAX_CONFIRMATION_ID: usize = 64;

/// A probe that is over.
pub(super) struct Done {
    item: Item,
    cause: Cause,
    started: Instant,
    report: Report,
    era: Option<EraRecord>,
    /// What its list of tools is, where that is wanted.
    examined: Option<Examined>,
}

/// A probe that is not.
pub(super) struct Running {
    monitor: String,
    is_confirmation: bool,
}

impl Running {
    const fn why(&self) -> Why {
        if self.is_confirmation {
            Why::Confirmation
        } else {
            Why::Slot
        }
    }
}

impl Core {
    /// Starts the probe of a slot, if there is a permit for it.
    pub(super) fn start(&mut self, monitor: &str, slot: u64) {
        let Some(item) = self.items.get(monitor).cloned() else {
            self.timetable.finished(monitor);
            return;
        };
        if self.is_held(&item, slot) {
            self.timetable.finished(monitor);
            return;
        }
        // Confirmations have places of their own.
        let confirming = self.running.values().filter(|run| run.is_confirmation);
        let spared = confirming.take(SPARE).count();
        if self.probes.len() - spared >= self.config.max_probes {
            self.timetable.finished(monitor);
            self.miss(monitor, slot, v1::MissedReason::Busy);
            return;
        }
        let plan = item.plan.clone();
        self.probe(item, plan, Cause::Slot(slot));
    }

    /// Probes at once, because somebody saw the target fail. Who asks in vain asks another.
    pub(super) fn confirm(&mut self, request: v1::ConfirmationRequest) {
        let item = match self.may_confirm(&request) {
            Ok(item) => item.clone(),
            Err(why) => {
                let monitor = model::text::line(&request.monitor_id, 64);
                tracing::debug!(%monitor, why, "not confirmed");
                return;
            }
        };
        let time = Duration::from_millis(request.timeout_ms.into());
        let plan = item.confirmation(request.with_calls, time);
        let cause = Cause::Confirmation {
            id: request.confirmation_id,
            with_calls: request.with_calls,
        };
        self.probe(item, plan, cause);
    }

    /// The item to confirm, or why there is nothing to do.
    fn may_confirm(&self, request: &v1::ConfirmationRequest) -> Result<&Item, &'static str> {
        let item = self.items.get(&request.monitor_id);
        let item = item.filter(|item| item.generation == request.generation);
        let item = item.ok_or("this agent has no such monitor")?;
        if self.is_draining {
            return Err("this agent is about to stop");
        }
        // Without an id it would be taken for the probe of a slot.
        if !(1..=MAX_CONFIRMATION_ID).contains(&request.confirmation_id.len()) {
            return Err("its id is empty or too long");
        }
        if self.origins.held(&item.origin, now()).is_some() {
            return Err("its target asked for a pause");
        }
        let mut running = self.running.values();
        if running.any(|run| run.monitor == item.monitor) {
            return Err("a probe is running, and will do");
        }
        if self.probes.len() >= self.config.max_probes + SPARE {
            return Err("all permits are in use");
        }
        Ok(item)
    }

    fn probe(&mut self, item: Item, mut plan: Plan, cause: Cause) {
        let is_confirmation = matches!(cause, Cause::Confirmation { .. });
        plan.known = self.eras.lookup(plan.url.as_url().as_str(), now());
        let job = probe::Job {
            plan,
            headers: item.headers.clone(),
            // Named by the API: only this host's allow list opens private addresses.
            origin: Origin::Remote,
            // Whatever the link goes through: what is measured is the target.
            proxy: None,
            network: probe::Network {
                // Somebody waits for a word on what failed.
                alt_svc: item.way.network.alt_svc && !is_confirmation,
                ..item.way.network.clone()
            },
            health: self.page_of(&item).filter(|_| !is_confirmation),
            alpn: item.way.alpn,
            authorizer: None,
            is_renewed: item.is_renewed,
            // Once a minute from every agent would be a load that nobody asked for.
            examines_walls: false,
            wall: telemetry::clock::wall(),
            contact: self.config.contact.clone(),
        };
        let running = Running {
            monitor: item.monitor.clone(),
            is_confirmation,
        };
        let (dialer, cancel) = (item.way.dialer(&self.dialer), self.cancel.clone());
        let examiner = self.surfaces.examiner(&item.monitor);
        let task = self.probes.spawn(async move {
            let started = now();
            let survey = probe::survey(&dialer, job, &cancel).await;
            Done {
                item,
                cause,
                started,
                report: survey.report,
                era: survey.era,
                examined: examiner.examine(survey.listing).await,
            }
        });
        self.telling.started(running.why());
        self.running.insert(task.id(), running);
    }

    pub(super) fn handle_done(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        if let Some(ended) = self.running.remove(&id) {
            let outcome = done.as_ref().ok().map(|(_, done)| &done.report.outcome);
            self.telling.ended(ended.why(), outcome);
            if !ended.is_confirmation {
                self.timetable.finished(&ended.monitor);
            }
        }
        match done {
            Ok((_, done)) => {
                let monitor = done.item.monitor.clone();
                let is_slot = matches!(done.cause, Cause::Slot(_));
                self.file(done);
                if is_slot {
                    self.look(&monitor);
                }
            }
            // A bug of ours: the slot is lost, the monitor goes on.
            Err(error) => tracing::error!(%error, "a probe task failed"),
        }
    }

    /// Makes records of what a probe found.
    fn file(&mut self, done: Done) {
        self.learn(&done);
        self.heed(&done.item, &done.report);
        self.heed_page(&done.item, &done.report);
        let Done {
            item,
            cause,
            started,
            report,
            examined,
            ..
        } = done;
        tracing::debug!(monitor = %item.monitor, ?cause, summary = %report.summary, "probed");
        if self.items.contains_key(&item.monitor) {
            let others = &mut self.others;
            others.handle_probe(&item.monitor, &item.hosting, &report, started);
        }
        let is_slot = matches!(cause, Cause::Slot(_));
        let is_failure = matches!(report.outcome, Outcome::Failed(_));
        let age = started.saturating_duration_since(self.boot);
        let answerer = self.answerer(&item, &report);
        let outcome = record::outcome(&item, cause, age, &report, answerer);
        // A verdict waits for a confirmation, whatever it says.
        let seq = self.spool(item.lane, outcome, is_failure || !is_slot);
        if is_failure {
            let failure = Failure {
                monitor: item.monitor.clone(),
                lane: item.lane,
                seq,
                began: started,
            };
            self.self_test.handle_failure(failure, now());
        }
        if is_slot {
            // Windows reconcile with the outcomes of slots.
            for (series, us) in record::latencies(&item.monitor, &report) {
                self.windows.record(&series, us, seq, now());
            }
            self.spool_windows();
        }
        self.say_surface(&item, age, &report, examined);
    }

    /// Who answered, where that must be told: always of what did not go well.
    fn answerer(&mut self, item: &Item, report: &Report) -> Option<v1::Answerer> {
        let answerer = record::answerer(report);
        let is_ok = report.outcome == Outcome::Ok;
        let known = (item.monitor.as_str(), item.generation);
        let must = self.naming.must_tell(known, &answerer, !is_ok, now());
        let items = &self.items;
        self.naming
            .keep(items.len(), |monitor| items.contains_key(monitor));
        must.then_some(answerer)
    }

    /// Remembers the era that a probe found.
    fn learn(&mut self, done: &Done) {
        let plan = &done.item.plan;
        let endpoint = plan.url.as_url().as_str();
        // A monitor that asks for an era says nothing of what others would find: servers of both
        // eras answer either.
        let era = done.era.filter(|_| plan.era == EraPolicy::Auto);
        match (&done.report.outcome, era) {
            (Outcome::Ok | Outcome::Degraded { .. }, Some(era)) => {
                self.eras.record(endpoint, era, now());
            }
            (Outcome::Failed(_), _) => self.eras.forget(endpoint),
            (Outcome::Ok | Outcome::Degraded { .. } | Outcome::Inconclusive { .. }, _) => {}
        }
    }
}

#[cfg(test)]
mod tests;
