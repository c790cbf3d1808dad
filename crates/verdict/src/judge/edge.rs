//! Which edge of a target each agent meets, and which instances behind it fail.

use super::Seen;
use crate::Ms;
use crate::witness::{MAX_WITNESSES, Set};

/// Edges and instances that are told apart; those beyond are none.
const MAX_NAMES: usize = 16;
/// Bytes of a name that are kept.
const MAX_NAME: usize = 64;
/// How long what an instance answered counts.
const RECENT: Ms = 300_000;
/// Fewer than one in so many may fail at an edge that others reach.
const FEW: usize = 4;
/// Answers of an instance before anything is said of it.
const ENOUGH: u32 = 3;

/// What is known of one instance.
#[derive(Debug)]
struct Instance {
    name: String,
    oks: u32,
    fails: u32,
    since: Ms,
}

/// Edges by agent, and instances.
#[derive(Debug, Default)]
pub(super) struct Edges {
    names: Vec<String>,
    /// Of each agent, by its place: its edge, counted from one.
    of: Vec<u8>,
    instances: Vec<Instance>,
}

impl Edges {
    /// Takes what a probe met.
    pub(super) fn take(&mut self, at: usize, seen: &Seen, now: Ms) {
        if let Some(edge) = &seen.edge {
            let edge = self.place(edge);
            if self.of.len() <= at {
                self.of.resize((at + 1).min(MAX_WITNESSES), 0);
            }
            if let Some(of) = self.of.get_mut(at) {
                *of = edge;
            }
        }
        self.instances
            .retain(|known| now.saturating_sub(known.since) <= RECENT);
        let Some(name) = &seen.instance else { return };
        let is_ok = seen.outcome.reason().is_none();
        let known = self.instances.iter_mut().find(|known| known.name == *name);
        let (ok, fail) = (u32::from(is_ok), u32::from(!is_ok));
        if let Some(known) = known {
            (known.oks, known.fails) = (known.oks + ok, known.fails + fail);
            known.since = now;
        } else if self.instances.len() < MAX_NAMES && name.len() <= MAX_NAME {
            self.instances.push(Instance {
                name: name.clone(),
                oks: ok,
                fails: fail,
                since: now,
            });
        }
    }

    /// The edges of other agents are others.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn place(&mut self, name: &str) -> u8 {
        let known = self.names.iter().position(|known| known == name);
        let at = known.or_else(|| {
            let has_room = self.names.len() < MAX_NAMES && name.len() <= MAX_NAME;
            has_room.then(|| {
                self.names.push(name.to_owned());
                self.names.len() - 1
            })
        });
        at.map_or(0, |at| u8::try_from(at + 1).unwrap_or(0))
    }

    /// The edges that agents meet, in their order; none where one of them is not known.
    fn met(&self, set: Set) -> Option<Vec<u8>> {
        let agents = (0..MAX_WITNESSES).filter(|at| set >> at & 1 == 1);
        let edge = |at: usize| self.of.get(at).copied().filter(|edge| *edge != 0);
        agents.map(edge).collect()
    }

    /// The edges that those who fail meet, where nobody who reaches the target meets one of them; but
    /// for a few who fail for a reason of their own.
    pub(super) fn failing(&self, failing: Set, ok: Set) -> Option<String> {
        if self.names.len() < 2 || failing == 0 || ok == 0 {
            return None;
        }
        let (mut failing, ok) = (self.met(failing)?, self.met(ok)?);
        let all = failing.len();
        failing.retain(|edge| !ok.contains(edge));
        if (all - failing.len()) * FEW >= all {
            return None;
        }
        failing.sort_unstable();
        failing.dedup();
        let name = |edge: &u8| self.names[usize::from(*edge) - 1].as_str();
        let names: Vec<&str> = failing.iter().map(name).collect();
        Some(format!("edge:{}", names.join(" + edge:")))
    }

    /// The instances that fail each time, while others never do.
    pub(super) fn broken(&self) -> Option<String> {
        let those = |is: fn(&Instance) -> bool| self.instances.iter().filter(move |i| is(i));
        let broken = those(|i| i.oks == 0 && i.fails >= ENOUGH);
        let is_mixed = those(|i| i.oks > 0 && i.fails > 0).count() > 0;
        let has_good = those(|i| i.fails == 0 && i.oks >= ENOUGH).count() > 0;
        let names: Vec<&str> = broken.map(|i| i.name.as_str()).collect();
        let is_told = !names.is_empty() && has_good && !is_mixed;
        is_told.then(|| format!("instance:{}", names.join(" + instance:")))
    }
}
