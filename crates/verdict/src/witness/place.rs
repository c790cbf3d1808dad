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
    let regions = groups(witnesses, |a, b| {
        let near = a.place.zip(b.place);
        a.region == b.region || near.is_some_and(|(a, b)| a.is_near(b))
    });
    let providers = groups(witnesses, |a, b| {
        let network = a.network.as_ref().zip(b.network.as_ref());
        a.provider == b.provider || network.is_some_and(|(a, b)| a == b)
    });
    regions.into_iter().zip(providers).collect()
}

/// The first member of each witness's group, where those who are alike are in one group, and those
/// who are alike to them.
fn groups(witnesses: &[Witness], alike: impl Fn(&Witness, &Witness) -> bool) -> Vec<u8> {
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
    let small = |at: usize| u8::try_from(at).unwrap_or(u8::MAX);
    first.into_iter().map(small).collect()
}
