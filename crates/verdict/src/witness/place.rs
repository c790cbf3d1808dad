//! Which agents share a region, and which a provider.

use super::Witness;

/// Agents nearer to each other than this share a region (CA/Browser Forum, Baseline Requirements
/// 3.2.2.9: perspectives are distinct from 500 km on).
const NEAR_KM: f64 = 500.0;
const EARTH_KM: f64 = 6371.0;

/// A point on earth, in thousandths of a degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// North of the equator.
    pub latitude: i32,
    /// East of Greenwich.
    pub longitude: i32,
}

impl Place {
    /// Whether the other is near, by the great circle.
    fn is_near(self, other: Self) -> bool {
        let radians = |thousandths: i32| (f64::from(thousandths) / 1000.0).to_radians();
        let (north, other_north) = (radians(self.latitude), radians(other.latitude));
        let up = ((north - other_north) / 2.0).sin().powi(2);
        let east = radians(self.longitude.saturating_sub(other.longitude));
        let along = north.cos() * other_north.cos() * (east / 2.0).sin().powi(2);
        2.0 * EARTH_KM * (up + along).sqrt().min(1.0).asin() < NEAR_KM
    }
}

/// Of each witness: the first witness of its region, and the first of its provider.
pub(super) fn places(witnesses: &[Witness]) -> Vec<(u8, u8)> {
    let providers = linked(witnesses, |a, b| {
        let network = a.network.as_ref().zip(b.network.as_ref());
        a.provider == b.provider || network.is_some_and(|(a, b)| a == b)
    });
    let small = |at: usize| u8::try_from(at).unwrap_or(u8::MAX);
    let both = regions(witnesses).into_iter().zip(providers);
    both.map(|(region, provider)| (small(region), small(provider)))
        .collect()
}

/// A name of a region, and where it lies.
struct Region<'a> {
    name: &'a str,
    place: Option<Place>,
    /// The first witness of the regions that it is one with.
    group: usize,
}

/// The first witness of each witness's region, where names that lie near to each other are one.
///
/// A region joins the first ones that it is near to all of (complete linkage), never by way of a
/// third: London and Frankfurt stay two whoever is in Brussels. So witnesses who differ pairwise in
/// provider and are pairwise far from each other are counted each, whoever else is there. The order
/// is that of the panel, and whoever comes last changes nothing of those before it.
fn regions(witnesses: &[Witness]) -> Vec<usize> {
    let mut known: Vec<Region<'_>> = Vec::new();
    for (first, witness) in witnesses.iter().enumerate() {
        let name = witness.region.as_str();
        if known.iter().any(|region| region.name == name) {
            continue;
        }
        // A region lies where the first is of whom that is known.
        let of_name = witnesses.iter().filter(|other| other.region == name);
        let place = of_name.filter_map(|other| other.place).next();
        let is_near = |region: &Region<'_>| {
            let both = region.place.zip(place);
            both.is_some_and(|(a, b)| a.is_near(b))
        };
        let joins = |group: usize| {
            let mut members = known.iter().filter(|region| region.group == group);
            members.all(is_near)
        };
        let mut groups = known.iter().map(|region| region.group);
        let group = groups.find(|group| joins(*group)).unwrap_or(first);
        known.push(Region { name, place, group });
    }
    let group = |witness: &Witness| {
        let region = known.iter().find(|region| region.name == witness.region);
        region.map_or(0, |region| region.group)
    };
    witnesses.iter().map(group).collect()
}

/// The first member of each witness's group, where those who are alike are in one group, and those
/// who are alike to them.
fn linked(witnesses: &[Witness], alike: impl Fn(&Witness, &Witness) -> bool) -> Vec<usize> {
    let mut first: Vec<usize> = (0..witnesses.len()).collect();
    for at in 0..witnesses.len() {
        for before in 0..at {
            if first[before] != first[at] && alike(&witnesses[before], &witnesses[at]) {
                let (low, high) = (first[before].min(first[at]), first[before].max(first[at]));
                for group in first.iter_mut().filter(|group| **group == high) {
                    *group = low;
                }
            }
        }
    }
    first
}
