//! How often monitors may probe: the interval that each wants, stretched where the requests of all
//! of an origin's monitors would be more than its cap.
//!
//! Thinned is evenly: all intervals of the origin by one factor, but no further than the cap
//! needs, and those that a cap of their own stretches by more keep that. What is said here is of the
//! schedule alone: confirmations have a budget of their own, so that no cap takes the witnesses that
//! a verdict needs.

use std::time::Duration;

/// Intervals are stretched to whole steps of this.
pub const STEP: Duration = Duration::from_secs(1);
/// No interval is stretched beyond this: what a message can say. A cap that would need more is not
/// kept; that takes a million monitors of one origin.
pub const LONGEST: Duration = Duration::from_secs(45 * 86_400);

/// What a monitor wants of its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// How often each of its agents should probe.
    pub interval: Duration,
    /// How many agents it has.
    pub agents: u32,
    /// Requests that one probe makes.
    pub requests: u32,
    /// Its own cap: requests a minute of all its agents.
    pub cap: Option<u32>,
}

impl Demand {
    /// Requests a minute of all its agents, at an interval.
    #[must_use]
    pub fn per_minute(&self, interval: Duration) -> f64 {
        f64::from(self.agents) * f64::from(self.requests) * 60.0 / interval.as_secs_f64().max(0.001)
    }

    /// The interval where only its own cap counts.
    fn alone(&self) -> f64 {
        let wanted = self.interval.as_secs_f64();
        let capped = self.cap.map(|cap| {
            let needed = f64::from(self.agents) * f64::from(self.requests) * 60.0;
            needed / f64::from(cap.max(1))
        });
        capped.map_or(wanted, |capped| capped.max(wanted))
    }
}

/// How often each of an origin's monitors may be probed, in their order: never more requests a
/// minute than `cap` in all, nor more than a monitor's own.
#[must_use]
pub fn thin(demands: &[Demand], cap: u32) -> Vec<Duration> {
    let factor = factor(demands, f64::from(cap.max(1)));
    let stretched = demands.iter().map(|demand| {
        let wanted = demand.interval.as_secs_f64();
        let needed = demand.alone().max(wanted * factor);
        stepped(demand.interval, needed)
    });
    stretched.collect()
}

/// The least factor, 1 or more, by which all intervals must be stretched that no cap of their own
/// stretches by more.
fn factor(demands: &[Demand], cap: f64) -> f64 {
    // By how much each is stretched on its own, and what it would cause if it were not.
    let mut own: Vec<(f64, f64)> = demands
        .iter()
        .map(|demand| {
            let stretched = demand.alone() / demand.interval.as_secs_f64().max(0.001);
            (stretched, demand.per_minute(demand.interval))
        })
        .collect();
    // Sums of floats depend on their order: this is one order for any.
    own.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut capped: f64 = own.iter().map(|(stretched, load)| load / stretched).sum();
    let mut free = 0.0;
    for (at, (stretched, load)) in own.iter().enumerate() {
        // From here on the first ones are stretched together.
        capped -= load / stretched;
        free += load;
        let next = own.get(at + 1).map_or(f64::INFINITY, |(next, _)| *next);
        let left = cap - capped.max(0.0);
        let factor = if left > 0.0 {
            free / left
        } else {
            f64::INFINITY
        };
        if factor <= next {
            return factor.max(1.0);
        }
    }
    1.0
}

/// The interval in whole steps; what is not stretched is as it was.
fn stepped(wanted: Duration, needed: f64) -> Duration {
    let longest = LONGEST.as_secs_f64();
    // A share of a billionth is the error of the sums, and no reason for a step.
    if needed <= wanted.as_secs_f64() * (1.0 + 1e-9) {
        return wanted;
    }
    let step = STEP.as_secs_f64();
    let steps = (needed.min(longest) / step * (1.0 - 1e-9)).ceil();
    Duration::from_secs_f64(steps * step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn demand(seconds: u64, agents: u32, requests: u32, cap: Option<u32>) -> Demand {
        Demand {
            interval: Duration::from_secs(seconds),
            agents,
            requests,
            cap,
        }
    }

    fn thinned(demands: &[Demand], cap: u32) -> Vec<u64> {
        let intervals = thin(demands, cap).into_iter();
        intervals.map(|interval| interval.as_secs()).collect()
    }

    #[test]
    fn ten_agents_with_six_requests_each_minute_make_sixty() {
        let one = demand(60, 10, 6, None);
        let load = one.per_minute(one.interval);
        assert!((load - 60.0).abs() < 1e-9, "{load}");
    }

    #[test]
    fn what_is_too_much_is_thinned_evenly() {
        let (minute, slow) = (demand(60, 10, 6, None), demand(600, 10, 6, None));
        let modest = demand(60, 10, 6, Some(20));
        let low = demand(60, 10, 6, Some(60));
        let table: [(&[Demand], u32, &[u64]); 9] = [
            (&[], 600, &[]),
            (&[minute], 600, &[60]),
            (&[minute], 60, &[60]),
            (&[minute], 30, &[120]),
            // By one factor, whatever the interval.
            (&[minute, slow], 33, &[120, 1200]),
            // A cap of its own that is reached.
            (&[modest], 600, &[180]),
            (&[low], 600, &[60]),
            // One that is stretched on its own leaves the others more: 60 / 2 + 20 = 50.
            (&[minute, modest], 50, &[120, 180]),
            // And is stretched with them where that is not enough: 120 / 4 = 30.
            (&[minute, modest], 30, &[240, 240]),
        ];
        for (demands, cap, expected) in table {
            assert_eq!(thinned(demands, cap), expected, "{demands:?} at {cap}");
        }
        // Eleven monitors of sixty requests each, where six hundred may be made.
        assert_eq!(thinned(&[minute; 11], 600), [66; 11]);
    }

    fn any_demand() -> impl Strategy<Value = Demand> {
        let caps = prop_oneof![Just(None), (1_u32..2000).prop_map(Some)];
        (10_u64..3600, 0_u32..64, 1_u32..60, caps)
            .prop_map(|(seconds, agents, requests, cap)| demand(seconds, agents, requests, cap))
    }

    fn load(demands: &[Demand], intervals: &[Duration]) -> f64 {
        let pairs = demands.iter().zip(intervals);
        pairs
            .map(|(demand, interval)| demand.per_minute(*interval))
            .sum()
    }

    proptest! {
        #[test]
        fn never_above_a_cap_nor_quicker_than_wanted(
            demands in prop::collection::vec(any_demand(), 0..20), cap in 1_u32..5000,
        ) {
            let intervals = thin(&demands, cap);
            prop_assert!(load(&demands, &intervals) <= f64::from(cap) * (1.0 + 1e-6));
            for (demand, interval) in demands.iter().zip(&intervals) {
                prop_assert!(*interval >= demand.interval);
                if let Some(own) = demand.cap {
                    prop_assert!(demand.per_minute(*interval) <= f64::from(own) * (1.0 + 1e-6));
                }
            }
        }

        /// A step less for those whom the cap of the origin stretches would be too much, and for
        /// the others a step less is too much for themselves.
        #[test]
        fn never_thinner_than_needed_by_more_than_a_step(
            demands in prop::collection::vec(any_demand(), 1..20), cap in 1_u32..5000,
        ) {
            let intervals = thin(&demands, cap);
            let less: Vec<Duration> = demands.iter().zip(&intervals).map(|(demand, interval)| {
                if *interval == demand.interval { *interval } else { *interval - STEP }
            }).collect();
            let is_thinned = demands.iter().zip(&intervals).any(|(demand, interval)| {
                let own = demand.cap.map_or(f64::INFINITY, f64::from);
                let has_agents = demand.agents > 0;
                let is_own = demand.per_minute(interval.saturating_sub(STEP)) > own;
                has_agents && *interval > demand.interval && !is_own
            });
            if is_thinned {
                prop_assert!(load(&demands, &less) >= f64::from(cap) * (1.0 - 1e-6));
            }
        }

        #[test]
        fn the_order_does_not_matter(
            demands in prop::collection::vec(any_demand(), 0..20), cap in 1_u32..5000, turn in 0_usize..20,
        ) {
            let mut turned = demands.clone();
            let mut expected = thin(&demands, cap);
            let by = if demands.is_empty() { 0 } else { turn % demands.len() };
            turned.rotate_left(by);
            expected.rotate_left(by);
            turned.reverse();
            expected.reverse();
            prop_assert_eq!(thin(&turned, cap), expected);
        }

        #[test]
        fn a_higher_cap_makes_nobody_slower(
            demands in prop::collection::vec(any_demand(), 0..20), cap in 1_u32..5000, more in 0_u32..5000,
        ) {
            for (low, high) in thin(&demands, cap).into_iter().zip(thin(&demands, cap + more)) {
                prop_assert!(high <= low);
            }
        }
    }
}
