//! The agents that are known, and which of their streams are current.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

/// Agents that are remembered.
const MAX_AGENTS: usize = 10_000;

/// Two heartbeats, and two seconds for the way: who is silent for longer is away.
const AWAY: Duration = Duration::from_secs(2 * rpc::limits::HEARTBEAT.as_secs() + 2);

/// An agent that has been gone for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// Who an agent is, as the fleet has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) agent: String,
    pub(crate) region: String,
    pub(crate) provider: String,
    /// Serves only monitors that name its region.
    pub(crate) is_private: bool,
}

/// An agent as the API shows it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct AgentView {
    #[serde(skip)]
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) region: String,
    #[serde(skip)]
    pub(crate) provider: String,
    pub(crate) version: String,
    #[serde(skip)]
    pub(crate) connected: bool,
    /// When the agent was last heard, seconds since the epoch.
    pub(crate) heard_at: f64,
    /// How far the agent's wall clock is ahead of ours. For display only.
    pub(crate) clock_offset_seconds: Option<f64>,
    pub(crate) spool_records: u64,
    pub(crate) dropped_records: u64,
    /// Whether what waits there would be lost with the agent's process.
    pub(crate) spool_in_memory: bool,
    pub(crate) scheduler_lag_seconds: f64,
}

/// What a heartbeat says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beat {
    pub(crate) clock_offset_seconds: f64,
    pub(crate) spool_records: u64,
    pub(crate) dropped_records: u64,
    pub(crate) spool_in_memory: bool,
    pub(crate) scheduler_lag_us: u64,
    /// Whether the agent is about to leave.
    pub(crate) is_draining: bool,
}

#[derive(Debug)]
struct Agent {
    identity: Identity,
    version: String,
    session: u64,
    streams: u32,
    heard: Instant,
    beat: Option<Beat>,
}

/// All agents.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    agents: Mutex<BTreeMap<String, Agent>>,
}

impl Fleet {
    /// A stream of an agent began. `false` where the fleet has no room.
    pub(crate) fn joined(&self, identity: &Identity, version: &str, now: Instant) -> bool {
        let mut agents = self.lock();
        // An agent that has been gone for long is forgotten, and its series with it.
        agents.retain(|_, agent| {
            agent.streams > 0 || now.saturating_duration_since(agent.heard) < FORGOTTEN
        });
        if agents.len() >= MAX_AGENTS && !agents.contains_key(&identity.agent) {
            return false;
        }
        let agent = agents
            .entry(identity.agent.clone())
            .or_insert_with(|| Agent {
                identity: identity.clone(),
                version: String::new(),
                session: 0,
                streams: 0,
                heard: now,
                beat: None,
            });
        agent.identity = identity.clone();
        agent.version = model::text::line(version, 64);
        agent.streams += 1;
        agent.heard = now;
        true
    }

    /// A stream of an agent ended.
    pub(crate) fn left(&self, agent: &str) {
        if let Some(agent) = self.lock().get_mut(agent) {
            agent.streams = agent.streams.saturating_sub(1);
        }
    }

    /// A number for a new report stream: it fences the older ones.
    pub(crate) fn new_session(&self, agent: &str) -> u64 {
        self.lock().get_mut(agent).map_or(0, |agent| {
            agent.session += 1;
            agent.session
        })
    }

    /// Whether a report stream is the newest of its agent.
    pub(crate) fn is_current(&self, agent: &str, session: u64) -> bool {
        self.lock()
            .get(agent)
            .is_some_and(|agent| agent.session == session)
    }

    /// Something came from an agent.
    pub(crate) fn heard(&self, agent: &str, beat: Option<Beat>, now: Instant) {
        if let Some(agent) = self.lock().get_mut(agent) {
            agent.heard = now;
            agent.beat = beat.or(agent.beat);
        }
    }

    /// Whether an agent can be given work: heard lately, and not about to leave.
    pub(crate) fn is_alive(&self, agent: &str, now: Instant) -> bool {
        self.lock().get(agent).is_some_and(|agent| {
            let is_leaving = agent.beat.is_some_and(|beat| beat.is_draining);
            !is_leaving && now.saturating_duration_since(agent.heard) <= AWAY
        })
    }

    /// How many agents have a stream.
    pub(crate) fn connected(&self) -> usize {
        self.lock()
            .values()
            .filter(|agent| agent.streams > 0)
            .count()
    }

    /// All agents, by name.
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    pub(crate) fn views(&self, now: Instant) -> Vec<AgentView> {
        let wall = telemetry::clock::wall().as_millisecond() as f64 / 1000.0;
        let agents = self.lock();
        let view = |agent: &Agent| AgentView {
            id: agent.identity.agent.clone(),
            region: agent.identity.region.clone(),
            provider: agent.identity.provider.clone(),
            version: agent.version.clone(),
            connected: agent.streams > 0,
            heard_at: wall - now.saturating_duration_since(agent.heard).as_secs_f64(),
            clock_offset_seconds: agent.beat.map(|beat| beat.clock_offset_seconds),
            spool_records: agent.beat.map_or(0, |beat| beat.spool_records),
            dropped_records: agent.beat.map_or(0, |beat| beat.dropped_records),
            spool_in_memory: agent.beat.is_some_and(|beat| beat.spool_in_memory),
            scheduler_lag_seconds: agent.beat.map_or(0, |b| b.scheduler_lag_us) as f64 / 1e6,
        };
        agents.values().map(view).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Agent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
