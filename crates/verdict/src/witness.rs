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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn panel(places: &[(&str, &str)]) -> Panel {
        let witness = |(n, (region, provider)): (usize, &(&str, &str))| Witness {
            agent: format!("agent-{n}"),
            region: (*region).to_owned(),
            provider: (*provider).to_owned(),
            ..Witness::default()
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

    /// Paris and London are 340 km apart, Frankfurt 450 and 640 km from them; New York is far.
    #[test]
    fn near_regions_and_shared_networks_are_one() {
        let at = |region: &str, provider: &str, latitude, longitude| Witness {
            region: region.to_owned(),
            provider: provider.to_owned(),
            place: Some(Place {
                latitude,
                longitude,
            }),
            ..Witness::default()
        };
        let paris = at("eu-west", "a", 48_857, 2_352);
        let london = at("uk", "b", 51_507, -128);
        let new_york = at("us-east", "c", 40_713, -74_006);
        let near = Panel::new(vec![paris.clone(), london, new_york.clone()]);
        assert_eq!(near.independent(near.all()), 2);
        let network = Some("192.0.2.0/24".to_owned());
        let shared = [paris, new_york].map(|witness| Witness {
            network: network.clone(),
            ..witness
        });
        let shared = Panel::new(shared.to_vec());
        assert_eq!(shared.independent(shared.all()), 1);
    }

    fn city(name: &str, provider: &str, (latitude, longitude): (i32, i32)) -> Witness {
        Witness {
            region: name.to_owned(),
            provider: provider.to_owned(),
            place: Some(Place {
                latitude,
                longitude,
            }),
            ..Witness::default()
        }
    }

    /// Brussels is 320 km from London and from Frankfurt, which are 640 km apart: whatever the
    /// order, it takes away neither.
    #[test]
    fn what_lies_between_two_regions_does_not_join_them() {
        let cities = [
            city("london", "a", (51_507, -128)),
            city("brussels", "b", (50_850, 4_352)),
            city("frankfurt", "c", (50_110, 8_682)),
        ];
        for order in [[0, 1, 2], [1, 0, 2], [1, 2, 0], [2, 1, 0], [0, 2, 1]] {
            let panel = Panel::new(order.map(|at| cities[at].clone()).to_vec());
            assert_eq!(panel.independent(panel.all()), 2, "{order:?}");
        }
    }

    /// A region that claims to be in two places is still one.
    #[test]
    fn agents_of_one_region_are_in_one_region() {
        let panel = Panel::new(vec![
            city("eu", "a", (51_507, -128)),
            city("paris", "b", (48_857, 2_352)),
            city("eu", "c", (40_417, -3_703)),
        ]);
        assert_eq!(panel.independent(0b101), 1);
    }

    /// Ten agents of ten providers, of which four buy from one transit.
    #[test]
    fn what_is_shared_explains_many_at_once_unless_it_explains_all() {
        let fleet = |sharing: usize| {
            let witness = |n: usize| Witness {
                region: format!("region-{n}"),
                provider: format!("provider-{n}"),
                transit: (n < sharing).then(|| "t".to_owned()),
                ..Witness::default()
            };
            Panel::new((0..10).map(witness).collect())
        };
        let four = fleet(4);
        assert_eq!(four.independent(0b1111), 1);
        assert_eq!(four.independent(0b11_1111), 3);
        assert_eq!(
            told(&four.explanations(0b1111)).as_deref(),
            Some("transit:t")
        );
        // All have it: nothing would tell it from the target.
        assert_eq!(fleet(10).independent(0b1111), 4);
        assert_eq!(fleet(9).independent(0b1111), 4);
    }

    /// Of many some are asked who are worth as much.
    #[test]
    fn the_chosen_are_as_independent_as_all() {
        let witness = |n: usize| Witness {
            region: format!("region-{}", n % 8),
            provider: format!("provider-{}", n % 5),
            ..Witness::default()
        };
        let fleet = Panel::new((0..40).map(witness).collect());
        let chosen = fleet.choose(0, fleet.all() & !1, 8);
        assert_eq!(chosen.count_ones(), 8);
        assert_eq!(chosen & 1, 0);
        assert_eq!(fleet.independent(chosen), fleet.independent(fleet.all()));
    }

    fn any_panel() -> impl Strategy<Value = Panel> {
        let place = (0..5_u8, 0..5_u8);
        proptest::collection::vec(place, 1..14).prop_map(|places| {
            let name = |n: u8| ["p", "q", "r", "s", "t"][usize::from(n)];
            let places: Vec<_> = places.iter().map(|(r, p)| (name(*r), name(*p))).collect();
            panel(&places)
        })
    }

    /// Agents along a line of cities, 250 km from each to the next.
    fn any_fleet() -> impl Strategy<Value = Vec<Witness>> {
        let agent = (0..12_i32, 0..5_u8);
        let fleet = proptest::collection::vec(agent, 1..11);
        fleet.prop_map(|agents| {
            let witness = |(at, provider): &(i32, u8)| {
                city(
                    &format!("city-{at}"),
                    &format!("{provider}"),
                    (0, at * 2_250),
                )
            };
            agents.iter().map(witness).collect()
        })
    }

    /// The most agents of which any two differ in provider and are far from each other, found by
    /// trying all.
    fn apart(fleet: &[Witness]) -> u32 {
        let longitude = |witness: &Witness| witness.place.map_or(0, |place| place.longitude);
        let is_apart = |a: &Witness, b: &Witness| {
            a.provider != b.provider && longitude(a).abs_diff(longitude(b)) > 4_500
        };
        let sets = 0_u32..1 << fleet.len();
        let good = sets.filter(|set| {
            let members = || (0..fleet.len()).filter(|at| set >> at & 1 == 1);
            members().all(|a| members().all(|b| a == b || is_apart(&fleet[a], &fleet[b])))
        });
        good.map(u32::count_ones).max().unwrap_or(0)
    }

    proptest! {
        /// One more agent that joins a panel adds at most one witness and takes none away; and
        /// wherever it stands, those who are far from each other are counted each.
        #[test]
        fn one_more_agent_takes_no_witness_away(fleet in any_fleet(), at in 0usize..11) {
            let count = |fleet: &[Witness]| {
                let panel = Panel::new(fleet.to_vec());
                panel.independent(panel.all())
            };
            let (last, few) = fleet.split_last().expect("one at least");
            let (before, after) = (count(few), count(&fleet));
            prop_assert!(before <= after && after <= before + 1, "{before} {after}");
            let mut elsewhere = few.to_vec();
            elsewhere.insert(at % fleet.len(), last.clone());
            prop_assert!(count(&elsewhere) >= apart(&elsewhere));
            prop_assert!(apart(&elsewhere) >= apart(few));
        }

        /// König: the matching is as large as the smallest explanation, found here by trying all.
        #[test]
        fn the_count_is_the_size_of_the_smallest_explanation(panel in any_panel(), set: u64) {
            let set = set & panel.all();
            let both = |w: &Witness| [Domain::Region(w.region.clone()), Domain::Provider(w.provider.clone())];
            let domains: BTreeSet<Domain> = panel.witnesses.iter().flat_map(both).collect();
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
            let region = Domain::Region(panel.witnesses[0].region.clone());
            let provider = Domain::Provider(panel.witnesses[at % panel.witnesses.len()].provider.clone());
            let both = panel.touched(&region) | panel.touched(&provider);
            prop_assert!(panel.independent(both) <= 2);
        }
    }
}
