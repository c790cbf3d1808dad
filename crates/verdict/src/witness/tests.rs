//! Who counts how often, and what explains whom.

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
