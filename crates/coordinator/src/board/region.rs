//! One region of one monitor: what was counted, and what its agents said last.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use model::{Outcome, Phase, RegionState, Step};
use window::{Buckets, Fold};

use super::answerer::Answerer;
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
    pub(crate) started_at: jiff::Timestamp,
    /// When the probe began, on our monotonic clock.
    pub(crate) observed: Instant,
    pub(crate) era: String,
    pub(crate) protocol_version: String,
    pub(crate) detail: Option<String>,
    /// Who answered; what was said of that before where nothing is said.
    pub(crate) answerer: Option<Answerer>,
    /// When the probe began that said so, on the clock of this life of the agent.
    pub(crate) named_us: Option<u64>,
    /// The life of the agent, and when the probe began on that life's clock: what came first.
    pub(crate) boot: String,
    pub(crate) order_us: u64,
}

impl Voice {
    /// What waited at the agent says who answered, where nothing younger did.
    fn learn(&mut self, late: Self) {
        if late.answerer.is_some() && self.named_us < late.named_us {
            (self.answerer, self.named_us) = (late.answerer, late.named_us);
        }
    }
}

/// Counted results: by outcome, then by reason.
pub(crate) type Results = BTreeMap<(&'static str, &'static str), u64>;

/// Everything that was counted of one region of one monitor.
#[derive(Debug, Default)]
pub(crate) struct Region {
    voices: BTreeMap<String, Voice>,
    results: Results,
    confirmations: Results,
    missed: BTreeMap<&'static str, u64>,
    duration: Buckets,
    phases: BTreeMap<(Step, Phase), Buckets>,
    recent: VecDeque<(Instant, Fold)>,
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
    pub(crate) since: Option<verdict::Ms>,
    pub(crate) last_probe_at: Option<jiff::Timestamp>,
    pub(crate) percentiles: Option<Percentiles>,
    pub(crate) voices: Vec<(String, Voice)>,
}

impl Region {
    /// Counts an outcome. Each is counted once: the ledger sees to that. What was done because
    /// somebody saw a failure is counted apart: it would make failures look more frequent.
    pub(crate) fn count(&mut self, outcome: &Outcome, is_confirmation: bool) {
        let counts = if is_confirmation {
            &mut self.confirmations
        } else {
            &mut self.results
        };
        *counts
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

    /// Takes what an agent says now; whether it is news. Within one life of the agent its own
    /// clock says what came first: what waited at the agent comes late.
    pub(crate) fn hear(&mut self, agent: &str, mut voice: Voice) -> bool {
        let before = self.voices.get_mut(agent);
        if let Some(known) = before {
            if known.boot == voice.boot && known.order_us >= voice.order_us {
                known.learn(voice);
                return false;
            }
            if voice.answerer.is_none() {
                voice.answerer.clone_from(&known.answerer);
                let is_same = known.boot == voice.boot;
                voice.named_us = known.named_us.filter(|_| is_same);
            }
        }
        if voice.outcome.reason() == Some(model::Reason::Cancelled) {
            return false; // an agent that stops: its last word stands
        }
        self.make_room(agent);
        self.voices.insert(agent.to_owned(), voice);
        true
    }

    /// The monitor has another meaning now.
    pub(crate) fn forget_voices(&mut self) {
        self.voices.clear();
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

    pub(crate) const fn results(&self) -> &Results {
        &self.results
    }

    pub(crate) const fn confirmations(&self) -> &Results {
        &self.confirmations
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

    /// The region, with what is said of it.
    pub(crate) fn view(&self, said: verdict::RegionView, now: Instant) -> RegionView {
        RegionView {
            name: said.region,
            state: said.state,
            reason: said.reason,
            since: said.since,
            last_probe_at: self.voices.values().map(|voice| voice.started_at).max(),
            percentiles: self.percentiles(now),
            voices: self
                .voices
                .iter()
                .map(|(agent, voice)| (agent.clone(), voice.clone()))
                .collect(),
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
