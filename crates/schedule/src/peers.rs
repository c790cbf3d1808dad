//! The coordinator's half: which agents watch the paths to which others.
//!
//! What is wanted of an agent's peers is that they differ: a path to each of several regions and
//! providers tells the agent's own network from somebody else's. So each agent takes those first
//! that add a region and a provider, and nobody is watched by more than a few dozen.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

/// Peers of one agent.
pub const PEERS: usize = 8;
/// Agents that watch the path to one.
pub const WATCHERS: usize = 32;
/// Servers that an agent chooses among, in large fleets: its neighbours on a ring of hashes, so that
/// few choices change when somebody joins.
const NEIGHBOURS: usize = 64;

/// An agent that may watch, or be watched.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its name.
    pub agent: &'a str,
    /// Where it is.
    pub region: &'a str,
    /// On whose network.
    pub provider: &'a str,
    /// Whether others reach it: the coordinator has tried.
    pub is_reachable: bool,
}

/// For each agent its peers, best first: the same for the same fleet in any order.
#[must_use]
pub fn choose<'a>(fleet: &[Place<'a>]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let fleet: BTreeMap<&str, &Place<'a>> =
        fleet.iter().map(|place| (place.agent, place)).collect();
    let servers = fleet.values().filter(|place| place.is_reachable);
    let mut ring: Vec<(u64, &Place<'a>)> = servers
        .map(|place| (xxh3_64(place.agent.as_bytes()), *place))
        .collect();
    ring.sort_unstable_by_key(|(hash, place)| (*hash, place.agent));
    let mut watchers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut chosen = BTreeMap::new();
    for place in fleet.values() {
        let peers = of(place, &ring, &watchers);
        for peer in &peers {
            *watchers.entry(peer).or_default() += 1;
        }
        chosen.insert(place.agent, peers);
    }
    chosen
}

fn of<'a>(
    own: &Place<'a>,
    ring: &[(u64, &Place<'a>)],
    watchers: &BTreeMap<&str, usize>,
) -> Vec<&'a str> {
    let hash = xxh3_64(own.agent.as_bytes());
    let begin = ring.partition_point(|(other, _)| *other <= hash);
    let around = ring[begin..].iter().chain(&ring[..begin]);
    let has_room = |agent: &str| watchers.get(agent).is_none_or(|count| *count < WATCHERS);
    let others = around.map(|(_, place)| *place);
    let others = others.filter(|place| place.agent != own.agent && has_room(place.agent));
    let mut left: Vec<&Place<'a>> = others.take(NEIGHBOURS).collect();
    let (mut regions, mut providers) = (BTreeMap::new(), BTreeMap::new());
    // The own place comes last: what fails there fails with the agent itself.
    regions.insert(own.region, 1);
    providers.insert(own.provider, 1);
    let mut chosen = Vec::new();
    while chosen.len() < PEERS {
        let seen = |count: Option<&usize>| count.copied().unwrap_or_default();
        let cost = |place: &&Place<'a>| {
            let (region, provider) = (
                seen(regions.get(place.region)),
                seen(providers.get(place.provider)),
            );
            (region.max(provider), region + provider)
        };
        // The first of equals: nearest on the ring.
        let Some(best) = (0..left.len()).min_by_key(|n| (cost(&left[*n]), *n)) else {
            break;
        };
        let place = left.remove(best);
        *regions.entry(place.region).or_default() += 1;
        *providers.entry(place.provider).or_default() += 1;
        chosen.push(place.agent);
    }
    chosen
}

/// Who watches the path to each agent.
#[must_use]
pub fn watchers<'a>(
    chosen: &BTreeMap<&'a str, Vec<&'a str>>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut watchers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (agent, peers) in chosen {
        for peer in peers {
            watchers.entry(peer).or_default().insert(agent);
        }
    }
    watchers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place<'a>(agent: &'a str, region: &'a str, provider: &'a str) -> Place<'a> {
        Place {
            agent,
            region,
            provider,
            is_reachable: true,
        }
    }

    #[test]
    fn those_that_differ_come_first() {
        let fleet = [
            place("eu-a", "eu", "alpha"),
            place("eu-b", "eu", "beta"),
            place("us-a", "us", "alpha"),
            place("us-c", "us", "gamma"),
            place("ap-d", "ap", "delta"),
        ];
        let chosen = choose(&fleet);
        let mut first = chosen["eu-a"][..2].to_vec();
        first.sort_unstable();
        assert_eq!(first, ["ap-d", "us-c"], "{chosen:?}");
        assert_eq!(chosen["eu-a"].len(), 4, "the others come too");
    }

    #[test]
    fn who_is_not_reached_watches_and_is_not_watched() {
        let mut fleet = [place("a", "eu", "x"), place("b", "us", "y")];
        fleet[0].is_reachable = false;
        let chosen = choose(&fleet);
        assert_eq!(chosen["a"], ["b"]);
        assert_eq!(chosen["b"], [""; 0]);
    }

    proptest! {
        /// Whatever the fleet: no agent watches itself, none watches one twice or one that is not
        /// reachable, nobody has too many, and the order of the fleet does not matter.
        #[test]
        fn bounds_hold_for_any_fleet(
            places in proptest::collection::vec((0u8..6, 0u8..6, any::<bool>()), 0..90),
        ) {
            let names: Vec<(String, String, String, bool)> = places
                .iter()
                .enumerate()
                .map(|(n, (r, p, up))| (format!("a{n}"), format!("r{r}"), format!("p{p}"), *up))
                .collect();
            let mut fleet: Vec<Place<'_>> = names
                .iter()
                .map(|(agent, region, provider, is_reachable)| Place {
                    agent,
                    region,
                    provider,
                    is_reachable: *is_reachable,
                })
                .collect();
            let chosen = choose(&fleet);
            let reachable: BTreeSet<&str> =
                fleet.iter().filter(|p| p.is_reachable).map(|p| p.agent).collect();
            for (agent, peers) in &chosen {
                let distinct: BTreeSet<&&str> = peers.iter().collect();
                prop_assert_eq!(distinct.len(), peers.len());
                prop_assert!(!peers.contains(agent));
                prop_assert!(peers.iter().all(|peer| reachable.contains(peer)));
                prop_assert!(peers.len() <= PEERS);
            }
            prop_assert!(watchers(&chosen).values().all(|w| w.len() <= WATCHERS));
            let again: BTreeMap<String, Vec<String>> = chosen
                .iter()
                .map(|(a, p)| ((*a).to_owned(), p.iter().map(|p| (*p).to_owned()).collect()))
                .collect();
            fleet.reverse();
            for (agent, peers) in choose(&fleet) {
                prop_assert_eq!(&again[agent], &peers);
            }
        }
    }
}
