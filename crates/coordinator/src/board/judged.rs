//! The judges of the board: fed with what agents say of targets and of themselves, and asked what
//! is to be passed on.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use model::{MonitorSpec, Outcome, RegionState};
use rpc::convert::{self, ConvertError};
use rpc::v1;
use verdict::judge::Standing;
use verdict::{AgentChange, Ask, Call, Ms, Policy, Seen, SelfTest, Transition, Witness};

use super::region::RegionView;
use super::{Board, Sighting, State};
use crate::axis::Axis;
use crate::keeper::whole_ms;

/// A monitor as it is read.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) standing: Standing,
    pub(crate) suspected_since: Option<Ms>,
    pub(crate) regions: Vec<RegionView>,
    /// How many agents watch it.
    pub(crate) assigned: usize,
    pub(crate) independent: u32,
    pub(crate) quorum: u32,
}

/// What is said of a monitor, for metrics.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) monitor: String,
    pub(crate) verdict: model::verdict::Verdict,
    pub(crate) is_suspected: bool,
    pub(crate) independent: u32,
    pub(crate) quorum: u32,
}

/// What of a spec matters to a judge.
pub(super) fn policy(spec: &MonitorSpec, interval: Duration) -> Policy {
    let calls = spec.calls.iter().map(|call| Call {
        tool: call.name.clone(),
        is_repeatable: spec.confirm_calls && call.idempotent,
    });
    let timeout = whole_ms(spec.total_timeout.duration());
    Policy {
        calls: calls.collect(),
        accept_weak: spec.accept_weak,
        hosting: spec.hosting.clone().unwrap_or_default(),
        ..Policy::new(whole_ms(interval), timeout)
    }
}

/// What a record says to a judge.
pub(super) fn seen(
    record: &v1::ProbeOutcome,
    outcome: Outcome,
    sighting: &Sighting<'_>,
    axis: &Axis,
) -> Seen {
    let retry_after = record
        .detail
        .as_ref()
        .map(|detail| detail.retry_after_seconds);
    let retry_after = retry_after.filter(|seconds| *seconds > 0);
    Seen {
        began: axis.ms(sighting.observed),
        seq: sighting.seq,
        took: record.total_us / 1000,
        outcome,
        tool: (!record.failed_tool.is_empty()).then(|| record.failed_tool.clone()),
        confirms: (!record.confirmation_id.is_empty()).then_some(record.confirmed_calls),
        retry_after: retry_after.map(|seconds| u64::from(seconds) * 1000),
        ..Seen::default()
    }
}

impl State {
    /// Something was said of a monitor.
    pub(super) fn hear(
        &mut self,
        monitor: &str,
        sighting: &Sighting<'_>,
        seen: &Seen,
        axis: &Axis,
    ) {
        let now = axis.ms(sighting.received);
        let agent = &sighting.identity.agent;
        if let Some(watched) = self.monitors.get_mut(monitor) {
            let judge = &mut watched.judge;
            // What is read again was vouched for long ago.
            if !sighting.is_recalled && matches!(seen.outcome, Outcome::Failed(_)) {
                let hosting = &judge.policy().hosting;
                self.mesh.handle_failure(agent, hosting, now);
            }
            judge.handle_outcome(agent, seen, &self.mesh, now);
        }
        self.settle(monitor);
    }

    /// Takes what a judge has to pass on, and when it wants to look again.
    pub(super) fn settle(&mut self, monitor: &str) {
        let Some(watched) = self.monitors.get_mut(monitor) else {
            return;
        };
        while let Some(ask) = watched.judge.poll_ask() {
            let ask = (monitor.to_owned(), watched.generation, ask);
            self.asks.push_back(ask);
        }
        while let Some(pause) = watched.judge.poll_hold() {
            self.holds.push_back((monitor.to_owned(), pause));
        }
        while let Some(change) = watched.judge.poll_transition() {
            self.transitions.push_back((monitor.to_owned(), change));
        }
        while let Some((agent, stance, now)) = watched.judge.poll_stance() {
            let hosting = &watched.judge.policy().hosting;
            self.mesh
                .handle_stance(&agent, monitor, hosting, stance, now);
        }
        let due = watched.judge.poll_timeout();
        let before = std::mem::replace(&mut watched.due, due);
        self.due.remove(&(before, monitor.to_owned()));
        self.due.insert((due, monitor.to_owned()));
    }

    /// Takes what has changed of agents: those who watch with them look again.
    fn settle_agents(&mut self, now: Ms) {
        let mut agents = BTreeSet::new();
        while let Some(change) = self.mesh.poll_change() {
            agents.insert(change.agent.clone());
            self.changes.push_back(change);
        }
        let watched = agents.iter().filter_map(|agent| self.watching.get(agent));
        let concerned: BTreeSet<String> = watched.flatten().cloned().collect();
        for monitor in concerned {
            if let Some(watched) = self.monitors.get_mut(&monitor)
                && watched.due > now
            {
                self.due.remove(&(watched.due, monitor.clone()));
                watched.due = now;
                self.due.insert((now, monitor));
            }
        }
    }

    /// Other agents watch a monitor now.
    pub(super) fn watch(&mut self, monitor: &str, before: &[Witness], after: &[Witness]) {
        for witness in before {
            if let Some(watching) = self.watching.get_mut(&witness.agent) {
                watching.remove(monitor);
                if watching.is_empty() {
                    self.watching.remove(&witness.agent);
                }
            }
        }
        for witness in after {
            let watching = self.watching.entry(witness.agent.clone()).or_default();
            watching.insert(monitor.to_owned());
        }
    }
}

impl Board {
    /// These agents watch a monitor now.
    pub(crate) fn assign(&self, monitor: &str, witnesses: Vec<Witness>, now: Instant) {
        let at = self.axis.ms(now);
        let mut state = self.lock();
        if let Some(watched) = state.monitors.get_mut(monitor) {
            let before = watched.judge.panel().witnesses().to_vec();
            watched.judge.assign(witnesses, at);
            let after = watched.judge.panel().witnesses().to_vec();
            let agents = after.iter().map(|witness| &witness.agent[..]);
            watched.contract.assign(agents, at);
            state.watch(monitor, &before, &after);
            state.settle(monitor);
            drop(state);
            self.news.notify_one();
        }
    }

    /// A stream of an agent began: which references it has.
    pub(crate) fn hello(&self, agent: &str, references: &[String], now: Instant) {
        let shown = references.iter().take(64);
        let references = shown.map(|name| model::text::line(name, 128)).collect();
        self.of_mesh(now, |state, at| {
            state.mesh.handle_hello(agent, references, at);
        });
    }

    /// Something came from an agent.
    pub(crate) fn heard(&self, agent: &str, now: Instant) {
        self.of_mesh(now, |state, at| state.mesh.handle_heard(agent, at));
    }

    /// An agent is a member no more.
    pub(crate) fn gone(&self, agent: &str, now: Instant) {
        self.of_mesh(now, |state, _| state.mesh.handle_gone(agent));
    }

    /// A heartbeat came.
    pub(crate) fn beat(&self, agent: &str, beat: &v1::Heartbeat, now: Instant) {
        let test = SelfTest {
            asked: beat.canaries_asked,
            answered: beat.canaries_ok,
            peers: beat.peers_asked.count_ones(),
            peers_ok: (beat.peers_asked & beat.peers_ok).count_ones(),
            lag: beat.scheduler_lag_us / 1000,
            ..SelfTest::default()
        };
        self.of_mesh(now, |state, at| {
            let mesh = &mut state.mesh;
            mesh.handle_heartbeat(agent, beat.tested_at_us, test, at);
        });
    }

    /// The self-test after a failure was applied.
    pub(crate) fn attestation(
        &self,
        sighting: &Sighting<'_>,
        record: &v1::Attestation,
    ) -> Result<(), ConvertError> {
        let monitor = convert::id_from("monitor_id", &record.monitor_id)?;
        if !sighting.is_live {
            return Ok(());
        }
        let test = SelfTest {
            asked: record.canaries_asked,
            answered: record.canaries_ok,
            peers: record.peers_asked.count_ones(),
            peers_ok: (record.peers_asked & record.peers_ok).count_ones(),
            others: record.others_asked,
            others_ok: record.others_ok,
            lag: record.scheduler_lag_us / 1000,
        };
        let agent = &sighting.identity.agent;
        self.of_mesh(sighting.received, |state, at| {
            // What is read again says nothing of the agent as it is now.
            let attested = if sighting.is_recalled {
                state.mesh.examine(agent, &test)
            } else {
                state.mesh.attest(agent, &test, at)
            };
            if let Some(watched) = state.monitors.get_mut(&monitor) {
                let judge = &mut watched.judge;
                judge.handle_attestation(agent, record.of_seq, attested, &state.mesh, at);
                state.settle(&monitor);
            }
        });
        Ok(())
    }

    /// Why an agent has no vote, none where it has one; and since when it is as it is.
    pub(crate) fn fault(&self, agent: &str) -> (Option<model::verdict::Fault>, Option<Ms>) {
        let state = self.lock();
        (state.mesh.fault(agent), state.mesh.since(agent))
    }

    /// What is said of an agent, also where it keeps its vote; and since when.
    pub(crate) fn told(&self, agent: &str) -> (Option<model::verdict::Fault>, Option<Ms>) {
        let state = self.lock();
        (state.mesh.told(agent), state.mesh.since(agent))
    }

    fn of_mesh(&self, now: Instant, change: impl FnOnce(&mut State, Ms)) {
        let at = self.axis.ms(now);
        let mut state = self.lock();
        change(&mut state, at);
        state.settle_agents(at);
        drop(state);
        self.news.notify_one();
    }

    /// Time passes.
    pub(crate) fn handle_timeout(&self, now: Instant) {
        let at = self.axis.ms(now);
        let mut state = self.lock();
        state.mesh.handle_timeout(at);
        state.settle_agents(at);
        let due = state.due.iter().take_while(|(due, _)| *due <= at);
        let due: Vec<String> = due.map(|(_, monitor)| monitor.clone()).collect();
        for monitor in due {
            let State { monitors, mesh, .. } = &mut *state;
            let Some(watched) = monitors.get_mut(&monitor) else {
                continue;
            };
            watched.judge.handle_timeout(mesh, at);
            state.settle(&monitor);
        }
        state.settle_agents(at);
    }

    /// When time matters next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let state = self.lock();
        let due = state.due.first().map(|(due, _)| *due);
        let silent = state.mesh.poll_timeout();
        let next = due.into_iter().chain(silent).min()?;
        Some(self.axis.instant(next))
    }

    /// Waits until there is something to pass on.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// The next confirmation to ask for: of which monitor, in which generation.
    pub(crate) fn poll_ask(&self) -> Option<(String, u64, Ask)> {
        self.lock().asks.pop_front()
    }

    /// The next change of a verdict.
    pub(crate) fn poll_transition(&self) -> Option<(String, Transition)> {
        self.lock().transitions.pop_front()
    }

    /// The next change of an agent.
    pub(crate) fn poll_change(&self) -> Option<AgentChange> {
        self.lock().changes.pop_front()
    }

    /// From now on evidence of the past is read: nothing is decided.
    pub(crate) fn begin_reading(&self, monitor: &str) {
        if let Some(watched) = self.lock().monitors.get_mut(monitor) {
            watched.judge.begin_reading();
        }
    }

    /// The past was read: the monitor stands as its last transitions, newest first, left it.
    pub(crate) fn end_reading(&self, monitor: &str, past: &[Transition], now: Instant) {
        let at = self.axis.ms(now);
        let mut state = self.lock();
        if let Some(watched) = state.monitors.get_mut(monitor) {
            watched.judge.end_reading(past, at);
            state.settle(monitor);
        }
    }

    /// What is known of one monitor.
    pub(crate) fn view(&self, monitor: &str, now: Instant) -> Option<Watch> {
        let at = self.axis.ms(now);
        let state = self.lock();
        let watched = state.monitors.get(monitor)?;
        let judge = &watched.judge;
        let mut said = judge.regions(&state.mesh, at);
        for region in watched.regions.keys() {
            if !said.iter().any(|said| said.region == *region) {
                said.push(verdict::RegionView {
                    region: region.clone(),
                    state: RegionState::Unknown,
                    reason: Some("no_agent"),
                    since: None,
                });
            }
        }
        said.sort_by(|a, b| a.region.cmp(&b.region));
        let nothing = super::Region::default();
        let view = |said: verdict::RegionView| {
            let counted = watched.regions.get(&said.region);
            counted.unwrap_or(&nothing).view(said, now)
        };
        let panel = judge.panel();
        Some(Watch {
            standing: judge.view(&state.mesh, at),
            suspected_since: judge.suspected_since(),
            regions: said.into_iter().map(view).collect(),
            assigned: panel.witnesses().len(),
            independent: panel.independent(panel.all()),
            quorum: judge.quorum(),
        })
    }

    /// What is said of every monitor, for metrics.
    pub(crate) fn said(&self) -> Vec<Said> {
        let state = self.lock();
        let monitors = state.monitors.iter();
        let said = monitors.map(|(monitor, watched)| {
            let judge = &watched.judge;
            Said {
                monitor: monitor.clone(),
                verdict: judge.standing().verdict,
                is_suspected: judge.suspected_since().is_some(),
                independent: judge.panel().independent(judge.panel().all()),
                quorum: judge.quorum(),
            }
        });
        said.collect()
    }
}
