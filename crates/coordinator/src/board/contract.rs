//! The tools of each monitor's server: who sees which, held against the pin. Fed by the ledger, and
//! looked after by `contracts`, which has the surfaces.

mod coming;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use contract::{Known, Seen, Sighting as Saw, Standing, Unfit};
use model::monitor::ContractSpec;
use model::report::ServerInfo;
use model::{CheckId, Outcome};
use rpc::convert::{self, ConvertError};
use rpc::{limits, v1};
use verdict::Ms;

use super::{Board, Sighting, State};
pub(super) use coming::Contracts;
pub(crate) use coming::{Come, Place};

/// Parts of the largest surface.
const MAX_PARTS: usize = limits::MAX_SURFACE_BYTES.div_ceil(limits::SURFACE_PART_BYTES);
/// How long after a surface was asked for it may be asked for again.
const ASK_AGAIN_MS: Ms = 60_000;
/// How often surfaces of one monitor are asked for in an hour: a server that lists other tools to
/// everybody must not fill the mesh with them.
const MOST_ASKED: usize = 12;
const HOUR_MS: Ms = 3_600_000;
/// How long after a contract was kept only sightings have changed for it to be kept again: a server whose
/// tools are others for everybody must not keep the store busy. The agents say again what they see.
const KEEP_AGAIN_MS: Ms = 10_000;
/// Characters of what an agent says that a server is.
const MAX_WORD_CHARS: usize = 128;

/// What is known of the tools of a monitor's server.
#[derive(Debug, Default)]
pub(super) struct Contract {
    spec: ContractSpec,
    standing: Standing,
    /// When surfaces were asked for.
    asked: VecDeque<Ms>,
    /// The fingerprint that was asked for last, and of whom, until it comes.
    awaited: Option<(String, String)>,
    /// When it was kept last, and which revision.
    kept: Option<(Ms, u64)>,
    /// Whether what was seen since is not kept yet.
    is_unkept: bool,
}

/// What is said of a monitor's tools, for metrics.
#[derive(Debug)]
pub(crate) struct ToolsSaid {
    pub(crate) monitor: String,
    /// How many there are, by region.
    pub(crate) tools: BTreeMap<String, u32>,
    pub(crate) changes: u64,
    pub(crate) drift: Option<Option<model::contract::ChangeClass>>,
}

impl Contract {
    /// The monitor's spec says so; whether that is news.
    pub(super) fn set(&mut self, spec: &ContractSpec, now: Ms) -> bool {
        self.spec = ContractSpec {
            // Its tools may be many; only which they are is of use here.
            pin: None,
            ..spec.clone()
        };
        if !spec.watch {
            self.standing = Standing::default();
            (self.awaited, self.kept) = (None, None);
            return true;
        }
        let pin = spec.pin.as_ref().and_then(|pin| pin.fingerprint());
        self.standing.declare(pin, now)
    }

    /// Only these agents watch.
    pub(super) fn assign<'a>(&mut self, agents: impl Iterator<Item = &'a str>, now: Ms) {
        let agents = agents.map(str::to_owned).collect();
        self.standing.assign(agents, now);
    }
}

impl State {
    /// What an outcome says to a judge: an agent that sees a change which degrades the monitor saw no
    /// target that is well.
    pub(super) fn held_to_contract(&self, monitor: &str, agent: &str, outcome: Outcome) -> Outcome {
        let contract = self.monitors.get(monitor).map(|watched| &watched.contract);
        let is_changed = contract.is_some_and(|contract| {
            let classes = &contract.spec.degrade_on;
            contract.standing.is_changed(agent, classes)
        });
        if is_changed && outcome == Outcome::Ok {
            return Outcome::Degraded {
                checks: vec![CheckId::ContractBaseline],
            };
        }
        outcome
    }

    pub(super) fn mark_contract(&mut self, monitor: &str) {
        self.contracts.changed.insert(monitor.to_owned());
    }
}

fn fingerprint(bytes: &[u8]) -> Result<String, ConvertError> {
    let fingerprint = contract::fingerprint_of(bytes);
    fingerprint.ok_or_else(|| ConvertError::new("fingerprint", "is not 32 bytes"))
}

fn word(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| model::text::line(text, MAX_WORD_CHARS))
}

/// What a record says of a surface.
fn facts(record: &v1::SurfaceSeen, fingerprint: String, at: Ms) -> Known {
    let server = word(&record.server_name).map(|name| ServerInfo {
        name,
        version: word(&record.server_version).unwrap_or_default(),
    });
    Known {
        fingerprint,
        tools: record.tools,
        first_seen_ms: at,
        seen: Seen {
            era: word(&record.era),
            protocol_version: word(&record.protocol_version),
            server,
        },
        is_sendable: record.is_sendable,
        held_bytes: 0,
        class: None,
    }
}

impl Board {
    /// An agent said which tools it sees.
    pub(crate) fn surface_seen(
        &self,
        sighting: &Sighting<'_>,
        record: &v1::SurfaceSeen,
    ) -> Result<(), ConvertError> {
        let monitor = convert::id_from("monitor_id", &record.monitor_id)?;
        let unfit = match &record.unfit[..] {
            "" => None,
            word => {
                let word = Unfit::word(word);
                Some(word.ok_or_else(|| ConvertError::new("unfit", "is no word of this version"))?)
            }
        };
        let seen = match unfit {
            None => Some(fingerprint(&record.fingerprint)?),
            Some(_) => None,
        };
        let at = self.axis.ms(sighting.observed);
        let mut state = self.lock();
        let Some(watched) = state.monitors.get_mut(&monitor) else {
            return Ok(());
        };
        // What was seen of another meaning of the monitor is history.
        if !watched.contract.spec.watch || record.generation != watched.generation {
            return Ok(());
        }
        // Nobody has asked the others.
        let mut witnesses = watched.judge.panel().witnesses().iter();
        if !witnesses.any(|witness| witness.agent == sighting.identity.agent) {
            return Ok(());
        }
        let facts = seen.clone().map(|seen| facts(record, seen, at));
        let saw = Saw {
            fingerprint: seen,
            unfit: unfit.map(str::to_owned),
            region: sighting.identity.region.clone(),
            credential: model::text::line(&record.credential, 2 * MAX_WORD_CHARS),
            generation: record.generation,
            at_ms: at,
            since_ms: at,
            judged: None,
            is_live: sighting.is_live,
        };
        let now = self.axis.ms(sighting.received);
        let agent = &sighting.identity.agent;
        let standing = &mut watched.contract.standing;
        let is_news = standing.handle_sighting(agent, saw, facts, now);
        // What is not held may have been asked for in vain.
        if is_news || !standing.wanted().is_empty() {
            state.mark_contract(&monitor);
            drop(state);
            self.contract_news.notify_one();
        }
        Ok(())
    }

    /// A part of a surface came from an agent.
    pub(crate) fn surface_part(
        &self,
        agent: &str,
        record: v1::SurfacePart,
    ) -> Result<(), ConvertError> {
        let monitor = convert::id_from("monitor_id", &record.monitor_id)?;
        let fingerprint = fingerprint(&record.fingerprint)?;
        let whole = usize::try_from(record.parts).unwrap_or(usize::MAX);
        let part = usize::try_from(record.part).unwrap_or(usize::MAX);
        if !(1..=MAX_PARTS).contains(&whole) || part >= whole {
            return Err(ConvertError::new("parts", "is not within its bounds"));
        }
        if record.data.is_empty() || record.data.len() > limits::SURFACE_PART_BYTES {
            return Err(ConvertError::new("data", "is not within its bounds"));
        }
        let mut state = self.lock();
        let is_wanted = state.monitors.get(&monitor).is_some_and(|watched| {
            let contract = &watched.contract;
            let asked = contract.awaited.as_ref();
            let is_asked = asked.is_some_and(|(what, whom)| *what == fingerprint && whom == agent);
            let entry = contract.standing.entry(&fingerprint);
            is_asked && entry.is_some_and(|known| known.held_bytes == 0)
        });
        if !is_wanted {
            return Ok(()); // of another agent, of before a restart, or not asked for at all
        }
        let from = Place {
            monitor: monitor.clone(),
            fingerprint,
            agent: agent.to_owned(),
        };
        if state.contracts.take(from, record, whole, part) {
            if let Some(watched) = state.monitors.get_mut(&monitor) {
                watched.contract.awaited = None;
            }
            drop(state);
            self.contract_news.notify_one();
        }
        Ok(())
    }

    /// The next monitor whose contract is to be looked after.
    pub(crate) fn poll_contract(&self) -> Option<String> {
        self.lock().contracts.next_changed()
    }

    /// It is to be looked after again.
    pub(crate) fn mark_contract(&self, monitor: &str) {
        self.lock().mark_contract(monitor);
    }

    /// Everything that nobody holds is asked for again, and what is not kept is kept, if it is time.
    pub(crate) fn mark_wanted(&self) {
        let mut state = self.lock();
        let wanted = state.monitors.iter().filter(|(_, watched)| {
            let standing = &watched.contract.standing;
            let mut known = standing.known().iter();
            let is_missing = known.any(|known| known.held_bytes == 0 && known.is_sendable);
            watched.contract.is_unkept || is_missing && !standing.wanted().is_empty()
        });
        let wanted: Vec<String> = wanted.map(|(monitor, _)| monitor.clone()).collect();
        state.contracts.changed.extend(wanted);
    }

    /// The next surface that has come.
    pub(crate) fn poll_surface(&self) -> Option<Come> {
        self.lock().contracts.come.pop_front()
    }

    /// Waits until there is something to look after.
    pub(crate) async fn contract_news(&self) {
        self.contract_news.notified().await;
    }

    /// Rings for whoever looks after contracts.
    pub(crate) fn ring_contract(&self) {
        self.contract_news.notify_one();
    }

    /// How a monitor's contract stands; none where there is no such monitor, or it is not watched.
    pub(crate) fn contract(&self, monitor: &str) -> Option<Standing> {
        let state = self.lock();
        let contract = &state.monitors.get(monitor)?.contract;
        contract.spec.watch.then(|| contract.standing.clone())
    }

    /// Changes how it stands.
    pub(crate) fn change_contract<T>(
        &self,
        monitor: &str,
        change: impl FnOnce(&mut Standing) -> T,
    ) -> Option<T> {
        let mut state = self.lock();
        let contract = &mut state.monitors.get_mut(monitor)?.contract;
        contract.spec.watch.then(|| change(&mut contract.standing))
    }

    /// Whether it is time to keep how it stands: not while only sightings have changed since a moment
    /// ago.
    pub(crate) fn is_to_keep(&self, monitor: &str, now: Instant) -> bool {
        let at = self.axis.ms(now);
        let mut state = self.lock();
        let Some(watched) = state.monitors.get_mut(monitor) else {
            return false;
        };
        let contract = &mut watched.contract;
        let revision = contract.standing.revision();
        let is_time = contract
            .kept
            .is_none_or(|(last, kept)| kept != revision || last + KEEP_AGAIN_MS <= at);
        contract.is_unkept = true;
        is_time
    }

    /// It was kept as it stood at a revision.
    pub(crate) fn handle_kept(&self, monitor: &str, revision: u64, now: Instant) {
        let at = self.axis.ms(now);
        if let Some(watched) = self.lock().monitors.get_mut(monitor) {
            watched.contract.kept = Some((at, revision));
            watched.contract.is_unkept = false;
        }
    }

    /// Whether there is such a monitor.
    pub(crate) fn has(&self, monitor: &str) -> bool {
        self.lock().monitors.contains_key(monitor)
    }

    /// It stood so before a restart.
    pub(crate) fn restore_contract(&self, monitor: &str, mut standing: Standing, now: Instant) {
        let at = self.axis.ms(now);
        self.change_contract(monitor, |known| {
            // The spec was read before.
            let declared = known.pin().map(|pin| pin.fingerprint.clone());
            standing.handle_restored(at);
            standing.declare(declared.as_deref(), at);
            *known = standing;
        });
    }

    /// What to ask for now, of whom: nothing while that was done a moment ago, or too often.
    pub(crate) fn ask_surface(&self, monitor: &str, now: Instant) -> Option<(String, String)> {
        let at = self.axis.ms(now);
        let mut state = self.lock();
        let contract = &mut state.monitors.get_mut(monitor)?.contract;
        let asked = &mut contract.asked;
        while asked.pop_front_if(|first| *first + HOUR_MS <= at).is_some() {}
        if asked.len() >= MOST_ASKED || asked.back().is_some_and(|last| *last + ASK_AGAIN_MS > at) {
            return None;
        }
        let wanted = contract.standing.wanted();
        let (fingerprint, agents) = wanted.first()?;
        // In turn: one that does not answer must not be the only one that is asked.
        let agent = agents.get(asked.len() % agents.len().max(1))?;
        let ask = ((*fingerprint).to_owned(), (*agent).to_owned());
        asked.push_back(at);
        contract.awaited = Some(ask.clone());
        Some(ask)
    }

    /// What was asked for has come: the next may be asked for at once.
    pub(crate) fn answer_surface(&self, monitor: &str) {
        let mut state = self.lock();
        if let Some(watched) = state.monitors.get_mut(monitor)
            && let Some(last) = watched.contract.asked.back_mut()
        {
            *last = last.saturating_sub(ASK_AGAIN_MS);
        }
    }

    /// What is said of every monitor's tools, for metrics.
    pub(crate) fn tools_said(&self) -> Vec<ToolsSaid> {
        let state = self.lock();
        let watched = state.monitors.iter();
        let watched = watched.filter(|(_, watched)| watched.contract.spec.watch);
        let said = watched.map(|(monitor, watched)| {
            let standing = &watched.contract.standing;
            let mut tools = BTreeMap::new();
            let groups = standing.groups();
            let agents = groups.iter().flat_map(|group| &group.agents);
            let mut sightings: Vec<_> = agents.collect();
            sightings.sort_by_key(|(_, saw)| saw.at_ms);
            for (_, saw) in sightings {
                let entry = saw.fingerprint.as_ref().and_then(|f| standing.entry(f));
                if let Some(entry) = entry {
                    tools.insert(saw.region.clone(), entry.tools);
                }
            }
            ToolsSaid {
                monitor: monitor.clone(),
                tools,
                changes: standing.changes(),
                drift: standing.is_drifting().then(|| standing.worst()),
            }
        });
        said.collect()
    }
}

#[cfg(test)]
mod tests;
