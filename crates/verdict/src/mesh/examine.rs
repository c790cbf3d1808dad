//! What a self-test says, and which references are themselves at fault.

use std::collections::{BTreeMap, BTreeSet};

use model::verdict::Fault;

use super::{Attested, LAGGING, Mesh, SelfTest};

/// Fewer references than this vouch weakly.
const ENOUGH: u32 = 3;
/// Agents that must report before a reference may be judged by them.
const REPORTERS: usize = 3;
/// Fewer peers than this are no evidence.
const USABLE_PEERS: u32 = 2;

impl Mesh {
    /// What a self-test says. Nothing changes.
    ///
    /// Other targets may vouch for an agent, and do not speak against it while enough references
    /// do for it: they may share what is broken.
    #[must_use]
    pub fn examine(&self, agent: &str, test: &SelfTest) -> Attested {
        if test.lag >= LAGGING {
            return Attested::Bad(Fault::Lag);
        }
        let valid = self.valid(agent);
        let asked = (test.asked & valid).count_ones();
        let answered = (test.asked & test.answered & valid).count_ones();
        let references = asked.saturating_add(test.others);
        let reached = answered.saturating_add(test.others_ok.min(test.others));
        let speaks_for = asked >= ENOUGH && answered.saturating_mul(2) >= asked;
        // Sick peers must not make the healthy look sick, nor few of them anybody.
        let has_peers = test.peers >= USABLE_PEERS;
        let peers_ok = test.peers_ok.min(test.peers);
        let is_cut_off = has_peers && peers_ok.saturating_mul(2) < test.peers;
        let is_clean = answered.saturating_mul(5) >= asked.saturating_mul(4);
        let is_bad = !speaks_for && reached.saturating_mul(2) < references;
        if is_bad || (is_cut_off && asked > 0 && !is_clean) {
            return Attested::Bad(Fault::SelfTest);
        }
        let peers = if has_peers && !is_cut_off {
            peers_ok
        } else {
            0
        };
        if references.saturating_add(peers) < ENOUGH {
            Attested::Weak
        } else {
            Attested::Full
        }
    }

    /// The references of an agent that are not themselves at fault.
    fn valid(&self, agent: &str) -> u64 {
        let Some(member) = self.members.get(agent) else {
            return u64::MAX;
        };
        // Bits beyond the references that were named are of nothing.
        let named = member.references.iter().enumerate();
        let named = named.filter(|(_, name)| !name.is_empty() && !self.dead.contains(*name));
        let valid = named.fold(0, |set, (bit, _)| set | 1 << bit);
        if member.references.is_empty() {
            u64::MAX
        } else {
            valid
        }
    }

    /// Finds the references that fail for more than half of those who ask them.
    pub(super) fn judge_references(&mut self) {
        let mut asked: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for member in self.members.values() {
            let Some(test) = member.test.filter(|_| !member.is_silent) else {
                continue;
            };
            let named = member.references.iter().enumerate();
            for (bit, name) in named.filter(|(_, name)| !name.is_empty()) {
                if test.asked >> bit & 1 == 1 {
                    let (all, failing) = asked.entry(name).or_default();
                    *all += 1;
                    *failing += usize::from(test.answered >> bit & 1 == 0);
                }
            }
        }
        let is_dead = |(all, failing): (usize, usize)| all >= REPORTERS && failing * 2 > all;
        let known = asked.len();
        let dead = asked.into_iter().filter(|(_, counts)| is_dead(*counts));
        let mut dead: BTreeSet<String> = dead.map(|(name, _)| name.to_owned()).collect();
        if dead.len() == known {
            dead.clear();
        }
        self.dead = dead;
    }
}
