//! One region of one monitor.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use model::{Class, Outcome, Phase, RegionState, Step};
use window::{Buckets, Fold};

use super::reason_of;

/// How far back percentiles look.
const RECENT: Duration = Duration::from_secs(3600);
/// Percentiles are kept in pieces of this length.
const PIECE: Duration = Duration::from_secs(60);
/// Agents of one region of one monitor that are heard; a region has a handful.
const MAX_VOICES: usize = 64;

/// What one agent said last.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    pub(crate) outcome: Outcome,
    pub(crate) started_at: jiff::Timestamp,
    pub(crate) received: Instant,
    pub(crate) era: String,
    pub(crate) protocol_version: String,
    pub(crate) detail: Option<String>,
    pub(crate) fails_in_a_row: u32,
}

/// Everything that is known of one region of one monitor.
#[derive(Debug, Default)]
pub(crate) struct Region {
    voices: BTreeMap<String, Voice>,
    results: BTreeMap<(&'static str, &'static str), u64>,
    missed: BTreeMap<&'static str, u64>,
    duration: Buckets,
    phases: BTreeMap<(Step, Phase), Buckets>,
    recent: VecDeque<(Instant, Fold)>,
    state: Option<(RegionState, jiff::Timestamp)>,
}

/// Latencies of the last hour at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percentiles {
    pub(crate) p50_us: u64,
    pub(crate) p95_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) samples: u64,
    /// The time that the samples are from.
    pub(crate) window: Duration,
}

/// A region as it is read.
#[derive(Debug, Clone)]
pub(crate) struct RegionView {
    pub(crate) name: String,
    pub(crate) state: RegionState,
    /// Why: the failure's reason, or why nothing is known.
    pub(crate) reason: Option<&'static str>,
    pub(crate) since: Option<jiff::Timestamp>,
    pub(crate) last_probe_at: Option<jiff::Timestamp>,
    pub(crate) percentiles: Option<Percentiles>,
    pub(crate) voices: Vec<(String, Voice)>,
}

impl Region {
    /// Counts an outcome. Each is counted once: the ledger sees to that.
    pub(crate) fn count(&mut self, outcome: &Outcome, total_us: u64, received: Instant) {
        *self
            .results
            .entry((outcome.as_str(), reason_of(outcome)))
            .or_default() += 1;
        if !matches!(outcome, Outcome::Ok | Outcome::Degraded { .. }) {
            return;
        }
        let begins_piece = self
            .recent
            .back()
            .is_none_or(|(since, _)| received.saturating_duration_since(*since) >= PIECE);
        if begins_piece {
            self.recent.push_back((received, Fold::default()));
        }
        if let Some((_, fold)) = self.recent.back_mut() {
            fold.add_value(total_us.max(1), 1);
        }
        while self
            .recent
            .front()
            .is_some_and(|(since, _)| received.saturating_duration_since(*since) > RECENT)
        {
            self.recent.pop_front();
        }
    }

    /// Takes what an agent says now.
    pub(crate) fn hear(&mut self, agent: &str, mut voice: Voice, ttl: Duration) {
        if self.voices.len() >= MAX_VOICES && !self.voices.contains_key(agent) {
            return;
        }
        let before = self.voices.get(agent);
        if before.is_some_and(|known| known.started_at > voice.started_at) {
            return; // older than what is known: history
        }
        if let Outcome::Failed(_) = voice.outcome {
            voice.fails_in_a_row = before.map_or(0, |known| known.fails_in_a_row) + 1;
        }
        let (at, now) = (voice.started_at, voice.received);
        self.voices.insert(agent.to_owned(), voice);
        let (state, _) = self.judge(ttl, now);
        if self.state.is_none_or(|(known, _)| known != state) {
            self.state = Some((state, at));
        }
    }

    pub(crate) fn miss(&mut self, reason: &'static str) {
        *self.missed.entry(reason).or_default() += 1;
    }

    /// The buckets of a series: of a phase of a step, or of whole probes.
    pub(crate) fn buckets(&mut self, series: Option<(Step, Phase)>) -> &mut Buckets {
        match series {
            Some(series) => self.phases.entry(series).or_default(),
            None => &mut self.duration,
        }
    }

    pub(crate) const fn results(&self) -> &BTreeMap<(&'static str, &'static str), u64> {
        &self.results
    }

    pub(crate) const fn missed(&self) -> &BTreeMap<&'static str, u64> {
        &self.missed
    }

    pub(crate) const fn duration(&self) -> &Buckets {
        &self.duration
    }

    pub(crate) const fn phases(&self) -> &BTreeMap<(Step, Phase), Buckets> {
        &self.phases
    }

    pub(crate) fn view(&self, name: &str, ttl: Duration, now: Instant) -> RegionView {
        let (state, reason) = self.judge(ttl, now);
        let since = self
            .state
            .filter(|(known, _)| *known == state)
            .map(|(_, since)| since);
        RegionView {
            name: name.to_owned(),
            state,
            reason,
            since,
            last_probe_at: self.voices.values().map(|voice| voice.started_at).max(),
            percentiles: self.percentiles(now),
            voices: self
                .voices
                .iter()
                .map(|(agent, voice)| (agent.clone(), voice.clone()))
                .collect(),
        }
    }

    /// The region's state by those agents that have a say: heard within the time to live, with an
    /// outcome that is about the target.
    fn judge(&self, ttl: Duration, now: Instant) -> (RegionState, Option<&'static str>) {
        if self.voices.is_empty() {
            return (RegionState::Unknown, Some("no_agent"));
        }
        let fresh = self
            .voices
            .values()
            .filter(|voice| now.saturating_duration_since(voice.received) <= ttl);
        let fresh: Vec<&Voice> = fresh.collect();
        if fresh.is_empty() {
            return (RegionState::Unknown, Some("stale"));
        }
        let have_say: Vec<&Voice> = fresh
            .into_iter()
            .filter(|voice| !matches!(voice.outcome, Outcome::Inconclusive { .. }))
            .collect();
        if have_say.is_empty() {
            return (RegionState::Unknown, Some("agent_fault"));
        }
        let failures: Vec<(&Voice, Class)> = have_say
            .iter()
            .filter_map(|voice| match &voice.outcome {
                Outcome::Failed(failure) => Some((*voice, failure.class())),
                Outcome::Ok | Outcome::Degraded { .. } | Outcome::Inconclusive { .. } => None,
            })
            .collect();
        let reason = failures.first().map(|(voice, _)| reason_of(&voice.outcome));
        let all_fail = failures.len() == have_say.len();
        let is_blocked = all_fail && failures.iter().all(|(_, class)| *class == Class::Refused);
        let is_twice = failures.iter().all(|(voice, _)| voice.fails_in_a_row >= 2);
        let degraded = |voice: &&&Voice| matches!(voice.outcome, Outcome::Degraded { .. });
        if is_blocked {
            (RegionState::Blocked, reason)
        } else if all_fail && is_twice {
            (RegionState::Failing, reason)
        } else if !failures.is_empty() {
            (RegionState::Degraded, reason)
        } else if have_say.iter().any(|voice| degraded(&voice)) {
            (RegionState::Degraded, None)
        } else {
            (RegionState::Ok, None)
        }
    }

    fn percentiles(&self, now: Instant) -> Option<Percentiles> {
        let recent = self
            .recent
            .iter()
            .filter(|(since, _)| now.saturating_duration_since(*since) <= RECENT);
        let mut all = Fold::default();
        let mut oldest = None;
        for (since, fold) in recent {
            oldest.get_or_insert(*since);
            all.merge(fold);
        }
        Some(Percentiles {
            p50_us: all.quantile(0.5)?,
            p95_us: all.quantile(0.95)?,
            p99_us: all.quantile(0.99)?,
            samples: all.count(),
            window: now.saturating_duration_since(oldest?),
        })
    }
}
