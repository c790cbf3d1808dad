//! Which agents watch a monitor.
//!
//! In this order:
//! 1. Agents that are alive come before those that are not; these fill up what is left, so that
//!    they have their schedule when they come back.
//! 2. Those who watch have as many independent witnesses among them as can be had: agents that
//!    pairwise differ in region and provider.
//! 3. As few as possible of those who watched before leave. So nobody leaves because somebody
//!    joins, unless there is another independent witness by it. That mostly takes one place, but
//!    may take more: the new witness may need another one who is not assigned.
//! 4. The others are spread over regions and providers. A hash of monitor and agent decides where
//!    nothing else does, so that monitors spread over the fleet.

mod matching;
mod panel;

use std::collections::BTreeMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use matching::{Matching, Place};
use panel::Panel;

/// An agent that may watch a monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name.
    pub agent: &'a str,
    /// Where it is.
    pub region: &'a str,
    /// On whose network it is.
    pub provider: &'a str,
    /// Whether it is there and may be given work.
    pub is_alive: bool,
}

/// At most `most` of the candidates: those of `kept` in their order, then new ones. See the
/// module for the rules, and [`Pool`] for many monitors with the same candidates.
#[must_use]
pub fn assign(
    monitor: &str,
    candidates: &[Candidate<'_>],
    kept: &[String],
    most: usize,
) -> Vec<String> {
    Pool::new(candidates).assign(monitor, kept, most)
}

/// Candidates, prepared for many monitors. Of several with one name the first counts; their order
/// does not matter otherwise.
///
/// With n candidates, a pool takes O(n log n). A monitor that has what it needs is told so from
/// those it has, in O(`most` log n) and one pass over n flags; one that lacks somebody takes
/// O(n log n + `most` · n). Where witnesses must change places to make room for another one, each
/// new one takes some rounds over n more. So 100,000 monitors of 1,000 candidates should share a
/// pool.
#[derive(Debug)]
pub struct Pool<'a> {
    /// By name.
    agents: Vec<Candidate<'a>>,
    places: Vec<Place>,
    regions: usize,
    providers: usize,
    /// How many of those who are alive pairwise differ in region and provider.
    independent: usize,
}

impl<'a> Pool<'a> {
    /// Prepares candidates.
    #[must_use]
    pub fn new(candidates: &[Candidate<'a>]) -> Self {
        let mut agents = candidates.to_vec();
        agents.sort_by_key(|candidate| candidate.agent);
        agents.dedup_by_key(|candidate| candidate.agent);
        let (mut regions, mut providers) = (BTreeMap::new(), BTreeMap::new());
        let mut pairs = BTreeMap::new();
        let places = agents.iter().map(|candidate| {
            let region = number(&mut regions, candidate.region);
            let provider = number(&mut providers, candidate.provider);
            Place {
                region,
                provider,
                pair: number(&mut pairs, (region, provider)),
            }
        });
        let mut pool = Self {
            places: places.collect(),
            regions: regions.len(),
            providers: providers.len(),
            independent: 0,
            agents,
        };
        let (alive, _) = pool.by_life(0..pool.agents.len());
        let mut matching = pool.matching();
        matching.grow(&alive, &vec![true; pool.agents.len()], alive.len());
        pool.independent = matching.len();
        pool
    }

    /// Who watches a monitor: see [`assign`].
    #[must_use]
    pub fn assign(&self, monitor: &str, kept: &[String], most: usize) -> Vec<String> {
        let mut is_kept = vec![false; self.agents.len()];
        let kept: Vec<usize> = kept
            .iter()
            .filter_map(|name| self.find(name))
            .filter(|agent| !std::mem::replace(&mut is_kept[*agent], true))
            .collect();
        let (staying, gone) = self.by_life(kept.iter().copied());
        let wanted = self.independent.min(most);
        let mut matching = self.matching();
        matching.grow(&staying, &is_kept, wanted);
        if matching.len() == wanted && staying.len() == most {
            return self.names(&staying);
        }
        let (alive, dead) = self.by_life(self.shuffled(monitor));
        matching.grow(&alive, &is_kept, wanted);
        let mut panel = Panel::new(&self.places);
        for agent in alive.iter().filter(|agent| matching.has(**agent)) {
            panel.take(*agent);
        }
        for group in [staying, alive, gone, dead] {
            panel.fill(&group, most);
        }
        let staying = kept.into_iter().filter(|agent| panel.has(*agent));
        let new = panel.taken().iter().filter(|agent| !is_kept[**agent]);
        let all: Vec<usize> = staying.chain(new.copied()).collect();
        self.names(&all)
    }

    fn matching(&self) -> Matching<'_> {
        Matching::new(&self.places, self.regions, self.providers)
    }

    fn find(&self, name: &str) -> Option<usize> {
        let found = self.agents.binary_search_by_key(&name, |known| known.agent);
        found.ok()
    }

    /// Those who are alive, and the others.
    fn by_life(&self, agents: impl IntoIterator<Item = usize>) -> (Vec<usize>, Vec<usize>) {
        let agents = agents.into_iter();
        agents.partition(|agent| self.agents[*agent].is_alive)
    }

    /// Everybody, in an order of the monitor's own.
    fn shuffled(&self, monitor: &str) -> Vec<usize> {
        let seed = xxh3_64(monitor.as_bytes());
        let hash = |name: &str| xxh3_64_with_seed(name.as_bytes(), seed);
        let hashed = self.agents.iter().enumerate();
        let mut hashed: Vec<(u64, usize)> = hashed
            .map(|(agent, known)| (hash(known.agent), agent))
            .collect();
        hashed.sort_unstable();
        hashed.into_iter().map(|(_, agent)| agent).collect()
    }

    fn names(&self, agents: &[usize]) -> Vec<String> {
        let names = agents.iter().map(|agent| self.agents[*agent].agent);
        names.map(str::to_owned).collect()
    }
}

fn number<K: Ord>(known: &mut BTreeMap<K, usize>, key: K) -> usize {
    let next = known.len();
    *known.entry(key).or_insert(next)
}

#[cfg(test)]
mod tests;
