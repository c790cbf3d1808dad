use std::collections::{BTreeMap, BTreeSet};

use super::*;
use proptest::prelude::*;

/// An agent of a test: its name, region, provider, and whether it is alive.
type Agent = (String, String, String, bool);

fn candidates(fleet: &[Agent]) -> Vec<Candidate<'_>> {
    let all = fleet.iter();
    all.map(|(agent, region, provider, is_alive)| Candidate {
        agent,
        region,
        provider,
        is_alive: *is_alive,
    })
    .collect()
}

/// `r1-p2` is an agent in region `r1` on provider `p2`; what follows another `-` tells twins apart.
fn fleet(names: &[&str]) -> Vec<Agent> {
    let agent = |name: &&str| {
        let mut parts = name.split('-').map(str::to_owned);
        let (region, provider) = (parts.next().unwrap(), parts.next().unwrap());
        ((*name).to_owned(), region, provider, true)
    };
    names.iter().map(agent).collect()
}

fn any_fleet(most: usize) -> impl Strategy<Value = Vec<Agent>> {
    let place = (0..4_u8, 0..4_u8, prop::bool::weighted(0.8));
    prop::collection::vec(place, 1..most).prop_map(|places| {
        let agent = |(n, (region, provider, is_alive)): (usize, &(u8, u8, bool))| {
            let name = format!("agent-{n}");
            (
                name,
                format!("r{region}"),
                format!("p{provider}"),
                *is_alive,
            )
        };
        places.iter().enumerate().map(agent).collect()
    })
}

fn bits(set: u32, of: usize) -> impl Iterator<Item = usize> {
    (0..of).filter(move |at| set >> at & 1 == 1)
}

/// Independent witnesses by trying all sets of those who pairwise differ.
fn independent(agents: &[&Agent]) -> usize {
    let differ = |set: &u32| {
        let of = || bits(*set, agents.len()).map(|at| agents[at]);
        let regions: BTreeSet<&str> = of().map(|agent| agent.1.as_str()).collect();
        let providers: BTreeSet<&str> = of().map(|agent| agent.2.as_str()).collect();
        regions.len() == of().count() && providers.len() == of().count()
    };
    let sets = (0_u32..1 << agents.len()).filter(differ);
    sets.map(|set| set.count_ones() as usize).max().unwrap()
}

/// How many of `kept` can stay at most when the others have all the independent witnesses that
/// there are: by trying all sets.
fn can_stay(alive: &[&Agent], kept: &[String], most: usize) -> usize {
    let wanted = independent(alive).min(most);
    let sets = (0_u32..1 << alive.len()).filter(|set| set.count_ones() as usize <= most);
    let sets = sets.map(|set| bits(set, alive.len()).map(|at| alive[at]).collect());
    let good = sets.filter(|set: &Vec<&Agent>| independent(set) == wanted);
    let staying = good.map(|set| set.iter().filter(|agent| kept.contains(&agent.0)).count());
    staying.max().unwrap()
}

fn chosen<'a>(fleet: &'a [Agent], names: &[String]) -> Vec<&'a Agent> {
    let find = |name: &String| fleet.iter().find(|agent| agent.0 == *name).unwrap();
    names.iter().map(find).collect()
}

proptest! {
    // Fleets in which a dearer path would do are rare.
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// What holds whatever was kept before, found by trying everything.
    #[test]
    fn an_assignment_is_the_best_and_keeps_whom_it_can(
        fleet in any_fleet(9), kept in prop::collection::vec(0..12_u8, 0..6), most in 0..6_usize,
    ) {
        let kept: Vec<String> = kept.iter().map(|n| format!("agent-{n}")).collect();
        let assigned = assign("docs", &candidates(&fleet), &kept, most);
        let names: BTreeSet<&String> = assigned.iter().collect();
        prop_assert_eq!(names.len(), assigned.len(), "nobody twice");
        prop_assert_eq!(assigned.len(), most.min(fleet.len()));
        let alive: Vec<&Agent> = fleet.iter().filter(|agent| agent.3).collect();
        let watching = chosen(&fleet, &assigned);
        let watching_alive: Vec<&Agent> = watching.into_iter().filter(|a| a.3).collect();
        prop_assert_eq!(watching_alive.len(), most.min(alive.len()), "the living come first");
        prop_assert_eq!(independent(&watching_alive), independent(&alive).min(most));
        let staying = watching_alive.iter().filter(|agent| kept.contains(&agent.0)).count();
        prop_assert_eq!(staying, can_stay(&alive, &kept, most));
        // those who stay are in their order, before the new ones
        let mut order = kept;
        let mut seen = BTreeSet::new();
        order.retain(|name| names.contains(name) && seen.insert(name.clone()));
        prop_assert_eq!(&assigned[..order.len()], &order[..]);
        prop_assert_eq!(&assign("docs", &candidates(&fleet), &assigned, most), &assigned, "settled");
    }

    /// Nobody leaves because somebody joins, but for another independent witness.
    #[test]
    fn nobody_leaves_for_nothing(
        fleet in any_fleet(10), most in 1..7_usize, monitor in "[a-z]{1,8}",
    ) {
        let all = candidates(&fleet);
        let before = assign(&monitor, &all[1..], &[], most);
        let after = assign(&monitor, &all, &before, most);
        let alive = |names: &[String]| -> Vec<&Agent> {
            chosen(&fleet, names).into_iter().filter(|agent| agent.3).collect()
        };
        let left: Vec<&Agent> = alive(&before).into_iter()
            .filter(|agent| !after.contains(&agent.0)).collect();
        let gained = independent(&alive(&after)) - independent(&alive(&before));
        prop_assert!(gained <= 1);
        prop_assert!(gained == 1 || left.is_empty(), "{left:?}");
    }

    #[test]
    fn the_order_of_candidates_does_not_matter(
        fleet in any_fleet(20), by in 0..20_usize, most in 1..8_usize,
    ) {
        let mut turned = fleet.clone();
        turned.rotate_left(by % fleet.len());
        let (one, other) = (candidates(&fleet), candidates(&turned));
        prop_assert_eq!(assign("docs", &one, &[], most), assign("docs", &other, &[], most));
    }
}

#[test]
fn a_dead_agent_makes_room_and_comes_back_only_to_a_vacancy() {
    let mut fleet = fleet(&["r1-p1", "r2-p2", "r3-p3"]);
    let kept = assign("docs", &candidates(&fleet), &[], 2);
    let (first, last) = (kept[0].clone(), kept[1].clone());
    let life = |fleet: &mut Vec<Agent>, name: &str, is_alive| {
        fleet.iter_mut().find(|agent| agent.0 == name).unwrap().3 = is_alive;
    };
    life(&mut fleet, &first, false);
    let third = fleet.iter().find(|agent| !kept.contains(&agent.0)).unwrap();
    let third = third.0.clone();
    let replaced = assign("docs", &candidates(&fleet), &kept, 2);
    assert_eq!(replaced, [last.clone(), third.clone()]);
    // with nobody left to take its place, it keeps it
    life(&mut fleet, &third, false);
    let alone = assign("docs", &candidates(&fleet), &replaced, 2);
    assert_eq!(alone, [last.clone(), third]);
    life(&mut fleet, &first, true);
    let back = assign("docs", &candidates(&fleet), &alone, 2);
    assert_eq!(back, [last, first]);
}

#[test]
fn who_joins_as_another_witness_takes_one_place() {
    let watching = ["r1-p1", "r1-p2", "r1-p3"];
    let kept: Vec<String> = watching.map(str::to_owned).to_vec();
    let same = fleet(&["r1-p1", "r1-p2", "r1-p3", "r1-p4"]);
    assert_eq!(assign("docs", &candidates(&same), &kept, 3), kept);
    let better = fleet(&["r1-p1", "r1-p2", "r1-p3", "r2-p3"]);
    let assigned = assign("docs", &candidates(&better), &kept, 3);
    assert_eq!(assigned.len(), 3);
    assert_eq!(assigned[2], "r2-p3");
}

/// Whoever of these four is left out, somebody may join with whom only that one makes a third
/// witness: then two leave at once, and no assignment could prevent it.
#[test]
fn one_witness_more_may_need_two_places() {
    let kept: Vec<String> = ["r1-p1", "r2-p2", "r2-p4"].map(str::to_owned).to_vec();
    let fleet = fleet(&["r1-p1", "r1-p3", "r2-p2", "r2-p4", "r3-p1"]);
    let assigned = assign("docs", &candidates(&fleet), &kept, 3);
    assert_eq!(independent(&chosen(&fleet, &assigned)), 3);
    let staying = assigned.iter().filter(|name| kept.contains(name));
    assert_eq!(staying.count(), 1);
    assert_eq!(can_stay(&fleet.iter().collect::<Vec<_>>(), &kept, 3), 1);
}

/// Two regions, one with many agents: places are shared and not given to the larger.
#[test]
fn vacancies_are_spread() {
    let names = [
        "r1-p1-a", "r1-p1-b", "r1-p1-c", "r1-p2-a", "r1-p2-b", "r2-p1", "r2-p2",
    ];
    let fleet = fleet(&names);
    for monitor in ["a", "b", "c", "d"] {
        let assigned = assign(monitor, &candidates(&fleet), &[], 4);
        let places: BTreeSet<(&str, &str)> = chosen(&fleet, &assigned)
            .into_iter()
            .map(|agent| (agent.1.as_str(), agent.2.as_str()))
            .collect();
        assert_eq!(places.len(), 4, "{assigned:?}");
    }
}

/// The most and the fewest monitors that an agent has.
fn load(fleet: &[Agent], monitors: usize, most: usize) -> (usize, usize) {
    let candidates = candidates(fleet);
    let pool = Pool::new(&candidates);
    let mut load: BTreeMap<&str, usize> = candidates.iter().map(|known| (known.agent, 0)).collect();
    for monitor in 0..monitors {
        let assigned = pool.assign(&format!("monitor-{monitor}"), &[], most);
        assert_eq!(assigned.len(), most);
        for agent in assigned {
            *load.get_mut(agent.as_str()).unwrap() += 1;
        }
    }
    let (most, least) = (load.values().max(), load.values().min());
    (*most.unwrap(), *least.unwrap())
}

#[test]
fn monitors_spread_over_a_large_fleet() {
    // 5 agents in each of 20 regions, 10 on each of 10 providers
    let even: Vec<String> = (0..100)
        .map(|n| format!("r{}-p{}-{n}", n % 20, n / 2 % 10))
        .collect();
    // the same with places by chance, as fleets are
    let place = |n: u64, of: u64| xxh3_64(&(n * 1000 + of).to_be_bytes()) % of;
    let any: Vec<String> = (0..100)
        .map(|n| format!("r{}-p{}-{n}", place(n, 20), place(n, 10)))
        .collect();
    for names in [even, any] {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (most, least) = load(&fleet(&names), 1000, 10);
        assert!(
            most <= 300 && least >= 20,
            "{most} and {least}; the mean is 100"
        );
    }
}
