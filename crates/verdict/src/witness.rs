//! Independent witnesses: how many simultaneous faults it would take to explain a set of agents
//! away, and which.
//!
//! Agents are edges between their region and their provider. The size of a maximum matching is the
//! number of agents that pairwise differ in both; by König's theorem it is also the smallest
//! number of regions and providers that touch every agent of the set.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// Agents of one panel, as bits.
pub type Set = u64;

/// Agents that one panel may have.
pub const MAX_WITNESSES: usize = 64;
/// Explanations that are told; more say only that nothing is known.
const MAX_COVERS: usize = 4;
/// Faults at once beyond which no explanation is looked for.
const MAX_FAULTS: u32 = 6;

/// One agent of a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its name.
    pub agent: String,
    /// Where it is.
    pub region: String,
    /// On whose network it is.
    pub provider: String,
}

/// What may break and take agents with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Domain {
    /// A region.
    Region(String),
    /// A provider.
    Provider(String),
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(name) => write!(f, "region:{name}"),
            Self::Provider(name) => write!(f, "provider:{name}"),
        }
    }
}

/// The agents that watch one target. A set names them by their place in the panel.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    witnesses: Vec<Witness>,
    regions: Vec<String>,
    providers: Vec<String>,
    /// Of each witness: its region and its provider.
    places: Vec<(usize, usize)>,
}

impl Panel {
    /// A panel of at most [`MAX_WITNESSES`] agents; more are left out.
    #[must_use]
    pub fn new(mut witnesses: Vec<Witness>) -> Self {
        witnesses.truncate(MAX_WITNESSES);
        let mut panel = Self::default();
        for witness in &witnesses {
            let region = place(&mut panel.regions, &witness.region);
            let provider = place(&mut panel.providers, &witness.provider);
            panel.places.push((region, provider));
        }
        panel.witnesses = witnesses;
        panel
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
        let members = self.witnesses.iter().enumerate();
        members.filter(move |(at, _)| set >> at & 1 == 1)
    }

    /// How many agents of the set differ pairwise in region and provider.
    #[must_use]
    pub fn independent(&self, set: Set) -> u32 {
        let mut providers_of = vec![0_u64; self.regions.len()];
        for (at, _) in self.members(set) {
            let (region, provider) = self.places[at];
            providers_of[region] |= 1 << provider;
        }
        let mut taken_by = vec![None; self.providers.len()];
        let matched = (0..self.regions.len())
            .filter(|region| augment(*region, &providers_of, &mut taken_by, &mut 0));
        u32::try_from(matched.count()).unwrap_or(u32::MAX)
    }

    /// The smallest explanations of a set: each a list of regions and providers that together
    /// touch every agent of it. Empty where there are too many to say anything.
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
        found.into_iter().collect()
    }

    /// Branches on an agent that is not touched yet: its region or its provider must be at fault.
    fn cover(
        &self,
        left: Set,
        faults: u32,
        chosen: &mut Vec<Domain>,
        found: &mut BTreeSet<Vec<Domain>>,
    ) {
        let Some((_, first)) = self.members(left).next() else {
            let mut cover = chosen.clone();
            cover.sort();
            found.insert(cover);
            return;
        };
        if faults == 0 {
            return;
        }
        let domains = [
            Domain::Region(first.region.clone()),
            Domain::Provider(first.provider.clone()),
        ];
        for domain in domains {
            let rest = left & !self.touched(&domain);
            chosen.push(domain);
            self.cover(rest, faults - 1, chosen, found);
            chosen.pop();
        }
    }

    /// The agents that a fault of the domain would take with it.
    #[must_use]
    pub fn touched(&self, domain: &Domain) -> Set {
        let is_in = |witness: &Witness| match domain {
            Domain::Region(region) => witness.region == *region,
            Domain::Provider(provider) => witness.provider == *provider,
        };
        let members = self.members(self.all());
        members
            .filter(|(_, witness)| is_in(witness))
            .fold(0, |set, (at, _)| set | 1 << at)
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

fn place(known: &mut Vec<String>, name: &str) -> usize {
    known.iter().position(|n| n == name).unwrap_or_else(|| {
        known.push(name.to_owned());
        known.len() - 1
    })
}

/// Kuhn's step: finds a provider for a region, moving other regions where it must.
fn augment(
    region: usize,
    providers_of: &[u64],
    taken_by: &mut [Option<usize>],
    seen: &mut u64,
) -> bool {
    for provider in 0..taken_by.len() {
        let bit = 1 << provider;
        if providers_of[region] & bit == 0 || *seen & bit != 0 {
            continue;
        }
        *seen |= bit;
        let is_free = match taken_by[provider] {
            None => true,
            Some(other) => augment(other, providers_of, taken_by, seen),
        };
        if is_free {
            taken_by[provider] = Some(region);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn panel(places: &[(&str, &str)]) -> Panel {
        let witness = |(n, (region, provider)): (usize, &(&str, &str))| Witness {
            agent: format!("agent-{n}"),
            region: (*region).to_owned(),
            provider: (*provider).to_owned(),
        };
        Panel::new(places.iter().enumerate().map(witness).collect())
    }

    /// Four regions on four providers, two agents in each region and on each provider.
    const RING: [(&str, &str); 8] = [
        ("eu", "a"),
        ("eu", "b"),
        ("us", "b"),
        ("us", "c"),
        ("ap", "c"),
        ("ap", "d"),
        ("sa", "d"),
        ("sa", "a"),
    ];

    #[test]
    fn explanations_are_minimal_and_never_picked_by_name() {
        let ring = panel(&RING);
        let table: [(Set, u32, Option<&str>); 6] = [
            (0b11, 1, Some("region:eu")),
            (0b110, 1, Some("provider:b")),
            (0b1, 1, Some("region:eu or provider:a")),
            (0b1001, 2, None), // eu-a and us-c: four pairs
            (0b111, 2, None),
            (0xff, 4, None),
        ];
        for (set, faults, text) in table {
            assert_eq!(ring.independent(set), faults, "{set:b}");
            if let Some(text) = text {
                assert_eq!(told(&ring.explanations(set)).as_deref(), Some(text));
            }
        }
        let pairs = told(&ring.explanations(0b1001)).unwrap();
        assert_eq!(pairs.matches(" or ").count(), 3, "{pairs}");
        assert_eq!(told(&ring.explanations(0)).as_deref(), Some(""));
    }

    fn any_panel() -> impl Strategy<Value = Panel> {
        let place = (0..5_u8, 0..5_u8);
        proptest::collection::vec(place, 1..14).prop_map(|places| {
            let name = |n: u8| ["p", "q", "r", "s", "t"][usize::from(n)];
            let places: Vec<_> = places.iter().map(|(r, p)| (name(*r), name(*p))).collect();
            panel(&places)
        })
    }

    proptest! {
        /// König: the matching is as large as the smallest explanation, found here by trying all.
        #[test]
        fn the_count_is_the_size_of_the_smallest_explanation(panel in any_panel(), set: u64) {
            let set = set & panel.all();
            let domains: Vec<Domain> = panel.regions.iter().cloned().map(Domain::Region)
                .chain(panel.providers.iter().cloned().map(Domain::Provider)).collect();
            let smallest = (0_u32..1 << domains.len()).filter(|chosen| {
                let touched = domains.iter().enumerate()
                    .filter(|(n, _)| chosen >> n & 1 == 1)
                    .fold(0, |all, (_, domain)| all | panel.touched(domain));
                set & !touched == 0
            }).map(u32::count_ones).min();
            prop_assert_eq!(Some(panel.independent(set)), smallest);
            for cover in panel.explanations(set) {
                prop_assert_eq!(cover.len(), smallest.unwrap_or_default() as usize);
            }
        }

        /// One more agent adds at most one; a region and a provider at fault together never
        /// make three.
        #[test]
        fn one_region_and_one_provider_are_two(panel in any_panel(), set: u64, at in 0usize..14) {
            let set = set & panel.all();
            let more = set | (1 << at & panel.all());
            let (few, many) = (panel.independent(set), panel.independent(more));
            prop_assert!(few <= many && many <= few + 1);
            let region = Domain::Region(panel.regions[0].clone());
            let provider = Domain::Provider(panel.providers[0].clone());
            let both = panel.touched(&region) | panel.touched(&provider);
            prop_assert!(panel.independent(both) <= 2);
        }
    }
}
