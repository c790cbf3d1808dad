//! Independent witnesses: how many simultaneous faults it would take to explain a set of agents
//! away, and which.
//!
//! Agents are edges between their region and their provider. The size of a maximum matching is the
//! number of agents that pairwise differ in both; by König's theorem it is also the smallest
//! number of regions and providers that touch every agent of the set.
//!
//! A transit, a resolver's operator or a version of the agent may take agents of several providers
//! with it: one such fault beside those of regions and providers is thought of too. One that so many
//! share that no outage could be told without them is not: nothing tells it from the target.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

mod place;

pub use place::Place;

/// Agents of one panel, as bits.
pub type Set = u64;

/// Agents that one panel may have.
pub const MAX_WITNESSES: usize = 64;
/// Explanations that are told; more say only that nothing is known.
const MAX_COVERS: usize = 4;
/// Faults at once beyond which no explanation is looked for.
const MAX_FAULTS: u32 = 6;
/// Counts that are remembered.
const CACHED: usize = 8;
/// Independent witnesses that an outage needs beside a fault that is shared.
const BESIDE: u32 = 2;

/// One agent of a panel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Witness {
    /// Its name.
    pub agent: String,
    /// Where it is.
    pub region: String,
    /// On whose network it is.
    pub provider: String,
    /// Who carries its traffic beyond that network, where that is known.
    pub transit: Option<String>,
    /// Who resolves names for it, where others may do so too.
    pub resolver: Option<String>,
    /// Which version of the agent it runs.
    pub version: Option<String>,
    /// The /24, /48 or network that its address is in: agents that share it are on one network,
    /// whatever provider they claim. None where the operator confirmed what they claim.
    pub network: Option<String>,
    /// Where on earth it is: regions that are all less than 500 km from each other are one.
    pub place: Option<Place>,
}

/// What may break and take agents with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Domain {
    /// A region.
    Region(String),
    /// A provider.
    Provider(String),
    /// A network that carries the traffic of several providers.
    Transit(String),
    /// An operator of resolvers.
    Resolver(String),
    /// A version of the agent.
    Version(String),
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(name) => write!(f, "region:{name}"),
            Self::Provider(name) => write!(f, "provider:{name}"),
            Self::Transit(name) => write!(f, "transit:{name}"),
            Self::Resolver(name) => write!(f, "resolver:{name}"),
            Self::Version(name) => write!(f, "version:{name}"),
        }
    }
}

/// The agents that watch one target. A set names them by their place in the panel.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    witnesses: Vec<Witness>,
    /// Of each witness: the first witness of its region, and of its provider.
    places: Vec<(u8, u8)>,
    /// What else some of them share.
    shared: Vec<(Domain, Set)>,
    counted: [Cell<(Set, u32)>; CACHED],
}

impl Panel {
    /// A panel of at most [`MAX_WITNESSES`] agents; more are left out.
    #[must_use]
    pub fn new(mut witnesses: Vec<Witness>) -> Self {
        witnesses.truncate(MAX_WITNESSES);
        let mut panel = Self {
            places: place::places(&witnesses),
            witnesses,
            ..Self::default()
        };
        panel.shared = panel.find_shared();
        panel.counted = Default::default();
        panel
    }

    /// What witnesses share beside regions and providers.
    fn find_shared(&self) -> Vec<(Domain, Set)> {
        type Kind = (fn(&Witness) -> Option<&String>, fn(String) -> Domain);
        const KINDS: [Kind; 3] = [
            (|witness| witness.transit.as_ref(), Domain::Transit),
            (|witness| witness.resolver.as_ref(), Domain::Resolver),
            (|witness| witness.version.as_ref(), Domain::Version),
        ];
        let mut found: Vec<(Domain, Set)> = Vec::new();
        for (of, domain) in KINDS {
            for (at, witness) in self.witnesses.iter().enumerate() {
                let Some(name) = of(witness) else { continue };
                let domain = domain(name.clone());
                match found.iter_mut().find(|(known, _)| *known == domain) {
                    Some((_, set)) => *set |= 1 << at,
                    None => found.push((domain, 1 << at)),
                }
            }
        }
        let all = self.all();
        // Few witnesses decide with two: then the fault of one leaves one that must be elsewhere.
        let beside = if self.matched(all) <= 3 { 1 } else { BESIDE };
        found.retain(|(_, set)| set.count_ones() > 1 && self.matched(all & !set) >= beside);
        found
    }

    /// The agents, in their order.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// The place of an agent.
    #[must_use]
    pub fn find(&self, agent: &str) -> Option<usize> {
        self.witnesses.iter().position(|known| known.agent == agent)
    }

    /// All agents.
    #[must_use]
    pub fn all(&self) -> Set {
        (0..self.witnesses.len()).fold(0, |set, at| set | 1 << at)
    }

    /// The agents of a set.
    pub fn members(&self, set: Set) -> impl Iterator<Item = (usize, &Witness)> {
        Members(set).map(|at| (at, &self.witnesses[at]))
    }

    /// How many faults at once would explain the set: how many of its agents differ pairwise in
    /// region and provider, unless one fault that is shared explains more.
    #[must_use]
    pub fn independent(&self, set: Set) -> u32 {
        if set.count_ones() <= 1 {
            return set.count_ones();
        }
        let known = self.counted.iter().find(|known| known.get().0 == set);
        if let Some(known) = known {
            return known.get().1;
        }
        let apart = self.matched(set);
        let shared = self.shared.iter().filter(|(_, touched)| set & touched != 0);
        let shared = shared.map(|(_, touched)| 1 + self.matched(set & !touched));
        let count = shared.min().map_or(apart, |shared| shared.min(apart));
        // The oldest makes room.
        let mut newest = (set, count);
        for known in &self.counted {
            newest = known.replace(newest);
        }
        count
    }

    /// The size of a maximum matching of regions and providers.
    fn matched(&self, set: Set) -> u32 {
        let mut providers_of = [0_u64; MAX_WITNESSES];
        let mut regions = 0_u64;
        for at in Members(set) {
            let (region, provider) = self.places[at];
            providers_of[usize::from(region)] |= 1 << provider;
            regions |= 1 << region;
        }
        let mut taken_by = [NOBODY; MAX_WITNESSES];
        let matched = Members(regions)
            .filter(|region| augment(*region, &providers_of, &mut taken_by, &mut 0));
        u32::try_from(matched.count()).unwrap_or(u32::MAX)
    }

    /// Of those that may be asked, some that say as much as all: each next one is another
    /// independent witness where there is one, or else on the least asked provider.
    #[must_use]
    pub fn choose(&self, from: usize, candidates: Set, most: usize) -> Set {
        let mut chosen: Set = 0;
        let mut left = candidates;
        let own = self.places.get(from).map(|place| place.1);
        while left != 0 && (chosen.count_ones() as usize) < most {
            let value = |at: usize| {
                let provider = self.places[at].1;
                let is_asked = |other: &usize| self.places[*other].1 == provider;
                let asked = Members(chosen).filter(is_asked).count();
                let adds = self.independent(chosen | 1 << at);
                let ordinal = MAX_WITNESSES - at;
                (adds, Some(provider) != own, MAX_WITNESSES - asked, ordinal)
            };
            let Some(best) = Members(left).max_by_key(|at| value(*at)) else {
                break;
            };
            chosen |= 1 << best;
            left &= !(1 << best);
        }
        chosen
    }

    /// The smallest explanations of a set: each a list of domains that together touch every agent
    /// of it. Empty where there are too many to say anything.
    #[must_use]
    pub fn explanations(&self, set: Set) -> Vec<Vec<Domain>> {
        let faults = self.independent(set);
        if faults > MAX_FAULTS {
            return Vec::new();
        }
        let mut found = BTreeSet::new();
        self.cover(set, faults, &mut Vec::new(), &mut found);
        if found.len() > MAX_COVERS {
            return Vec::new();
        }
        let named = |cover: Vec<Part>| cover.into_iter().map(|part| self.domain(part)).collect();
        found.into_iter().map(named).collect()
    }

    /// Branches on an agent that is not touched yet: something that it is part of must be at fault.
    fn cover(
        &self,
        left: Set,
        faults: u32,
        chosen: &mut Vec<Part>,
        found: &mut BTreeSet<Vec<Part>>,
    ) {
        let Some(first) = Members(left).next() else {
            let mut cover = chosen.clone();
            cover.sort_unstable();
            found.insert(cover);
            return;
        };
        if faults == 0 {
            return;
        }
        let (region, provider) = self.places[first];
        let own = [Part::Region(region), Part::Provider(provider)];
        let has_shared = chosen.iter().any(|part| matches!(part, Part::Shared(_)));
        let shared = self
            .shared
            .iter()
            .enumerate()
            .filter(|(_, (_, set))| !has_shared && set >> first & 1 == 1);
        let shared = shared.map(|(at, _)| Part::Shared(u8::try_from(at).unwrap_or(u8::MAX)));
        for part in own.into_iter().chain(shared) {
            chosen.push(part);
            self.cover(left & !self.part(part), faults - 1, chosen, found);
            chosen.pop();
        }
    }

    fn part(&self, part: Part) -> Set {
        let places = self.places.iter().enumerate();
        let set = |is: &dyn Fn(&(u8, u8)) -> bool| {
            places
                .clone()
                .filter(|(_, place)| is(place))
                .fold(0, |set, (at, _)| set | 1 << at)
        };
        match part {
            Part::Region(region) => set(&|place| place.0 == region),
            Part::Provider(provider) => set(&|place| place.1 == provider),
            Part::Shared(at) => self.shared[usize::from(at)].1,
        }
    }

    fn domain(&self, part: Part) -> Domain {
        match part {
            Part::Region(first) => {
                Domain::Region(self.witnesses[usize::from(first)].region.clone())
            }
            Part::Provider(first) => {
                Domain::Provider(self.witnesses[usize::from(first)].provider.clone())
            }
            Part::Shared(at) => self.shared[usize::from(at)].0.clone(),
        }
    }

    /// The agents that a fault of the domain would take with it.
    #[must_use]
    pub fn touched(&self, domain: &Domain) -> Set {
        let places = 0..u8::try_from(self.places.len()).unwrap_or(u8::MAX);
        let parts = places.flat_map(|first| [Part::Region(first), Part::Provider(first)]);
        let shared = (0..u8::try_from(self.shared.len()).unwrap_or(u8::MAX)).map(Part::Shared);
        let mut parts = parts.chain(shared);
        let found = parts.find(|part| self.part(*part) != 0 && self.domain(*part) == *domain);
        found.map_or(0, |part| self.part(part))
    }
}

/// A domain by its ordinal, so that no order of names decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Region(u8),
    Provider(u8),
    Shared(u8),
}

/// The members of a set, in their order.
struct Members(Set);

impl Iterator for Members {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let first = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (first < MAX_WITNESSES).then_some(first)
    }
}

/// The explanations as one text: `region:eu`, `region:eu + provider:a`, `region:eu or provider:a`.
#[must_use]
pub fn told(explanations: &[Vec<Domain>]) -> Option<String> {
    let texts = explanations.iter().map(|cover| {
        let domains: Vec<String> = cover.iter().map(ToString::to_string).collect();
        domains.join(" + ")
    });
    let texts: Vec<String> = texts.collect();
    (!texts.is_empty()).then(|| texts.join(" or "))
}

/// No region.
const NOBODY: u8 = u8::MAX;

/// Kuhn's step: finds a provider for a region, moving other regions where it must.
fn augment(
    region: usize,
    providers_of: &[u64; MAX_WITNESSES],
    taken_by: &mut [u8; MAX_WITNESSES],
    seen: &mut u64,
) -> bool {
    while let Some(provider) = Members(providers_of[region] & !*seen).next() {
        *seen |= 1 << provider;
        let other = taken_by[provider];
        let is_free = other == NOBODY || augment(usize::from(other), providers_of, taken_by, seen);
        if is_free {
            taken_by[provider] = u8::try_from(region).unwrap_or(NOBODY);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
