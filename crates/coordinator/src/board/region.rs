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
    /// The last outcome, which may be that the agent can say nothing.
    pub(crate) outcome: Outcome,
    /// Its slot, by which outcomes are ordered.
    pub(crate) slot: u64,
    pub(crate) started_at: jiff::Timestamp,
    /// When the probe began, on our monotonic clock.
    pub(crate) observed: Instant,
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
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        *self
            .results
            .entry((outcome.as_str(), reason_of(outcome)))
            .or_default() += 1;
    }

    /// Takes the total of a probe for the percentiles.
    pub(crate) fn sample(&mut self, outcome: &Outcome, total_us: u64, observed: Instant) {
        if !matches!(outcome, Outcome::Ok | Outcome::Degraded { .. }) {
            return;
        }
        // What was left behind by an interruption belongs where it was observed.
        let at = self.recent.partition_point(|(since, _)| *since <= observed);
        let covers = |(since, _): &(Instant, Fold)| {
            *since <= observed && observed.saturating_duration_since(*since) < PIECE
        };
        let known = at.checked_sub(1).filter(|at| covers(&self.recent[*at]));
        let at = known.unwrap_or_else(|| {
            self.recent.insert(at, (observed, Fold::default()));
            at
        });
        self.recent[at].1.add_value(total_us.max(1), 1);
        let newest = self.recent.back().map_or(observed, |(since, _)| *since);
        while self
            .recent
            .front()
            .is_some_and(|(since, _)| newest.saturating_duration_since(*since) > RECENT)
        {
            self.recent.pop_front();
        }
    }

    /// Takes what an agent says now.
    pub(crate) fn hear(&mut self, agent: &str, mut voice: Voice, ttl: Duration) {
        let before = self.voices.get(agent);
        let is_cancelled = voice.outcome
            == Outcome::Inconclusive {
                reason: model::Reason::Cancelled,
            };
        if before.is_some_and(|known| known.slot >= voice.slot) || is_cancelled {
            return; // history, or an agent that stops: its last word stands
        }
        let fails = before.map_or(0, |known| known.fails_in_a_row);
        voice.fails_in_a_row = match voice.outcome {
            Outcome::Failed(_) => fails + 1,
            // What says nothing of the target breaks no row.
            Outcome::Inconclusive { .. } => fails,
            Outcome::Ok | Outcome::Degraded { .. } => 0,
        };
        let (at, now) = (voice.started_at, voice.observed);
        // The region may have fallen silent since the last word.
        let (silent, _) = self.judge(ttl, now);
        if self.state.is_some_and(|(known, _)| known != silent) {
            self.state = None;
        }
        self.make_room(agent);
        self.voices.insert(agent.to_owned(), voice);
        let (state, _) = self.judge(ttl, now);
        if self.state.is_none_or(|(known, _)| known != state) {
            self.state = Some((state, at));
        }
    }

    /// The monitor has another meaning now.
    pub(crate) fn forget_voices(&mut self) {
        self.voices.clear();
        self.state = None;
    }

    /// The agent that was silent longest makes room for a new one.
    fn make_room(&mut self, agent: &str) {
        if self.voices.len() < MAX_VOICES || self.voices.contains_key(agent) {
            return;
        }
        let oldest = self.voices.iter().min_by_key(|(_, voice)| voice.observed);
        if let Some(oldest) = oldest.map(|(agent, _)| agent.clone()) {
            self.voices.remove(&oldest);
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
        let last = self.voices.values().map(|voice| voice.started_at).max();
        let silent_since = || {
            let ttl = jiff::SignedDuration::try_from(ttl).unwrap_or_default();
            last.and_then(|last| last.checked_add(ttl).ok())
        };
        let since = match self.state {
            Some((known, since)) if known == state => Some(since),
            _ if reason == Some("stale") => silent_since(),
            _ => None,
        };
        RegionView {
            name: name.to_owned(),
            state,
            reason,
            since,
            last_probe_at: last,
            percentiles: self.percentiles(now),
            voices: self
                .voices
                .iter()
                .map(|(agent, voice)| (agent.clone(), voice.clone()))
                .collect(),
        }
    }

    /// The region's state alone.
    pub(crate) fn state(&self, ttl: Duration, now: Instant) -> RegionState {
        self.judge(ttl, now).0
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
            .filter(|voice| now.saturating_duration_since(voice.observed) <= ttl);
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
        // A contract that drifted degrades; it is no failure of the target.
        let is_twice = failures
            .iter()
            .all(|(voice, class)| voice.fails_in_a_row >= 2 && *class != Class::Contract);
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
