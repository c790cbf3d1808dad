//! Agents that pairwise differ in region and provider: a matching of regions and providers whose
//! edges are agents.
//!
//! A matching grows by the path that brings in the fewest new agents, found as Bellman and Ford
//! do. Growing so, it has the fewest new agents of all matchings of its size (successive shortest
//! paths), and no agent that can be had for less stays outside.

/// Where an agent is, as numbers of its pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) region: usize,
    pub(super) provider: usize,
    /// The two as one.
    pub(super) pair: usize,
}

/// A matching of some of the agents at `places`.
pub(super) struct Matching<'p> {
    places: &'p [Place],
    of_region: Vec<Option<usize>>,
    of_provider: Vec<Option<usize>>,
    len: usize,
}

impl<'p> Matching<'p> {
    /// A matching of nobody.
    pub(super) fn new(places: &'p [Place], regions: usize, providers: usize) -> Self {
        Self {
            places,
            of_region: vec![None; regions],
            of_provider: vec![None; providers],
            len: 0,
        }
    }

    /// How many agents it has.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether an agent belongs to it.
    pub(super) fn has(&self, agent: usize) -> bool {
        self.of_region[self.places[agent].region] == Some(agent)
    }

    /// Grows to `wanted` agents where `agents` allow it. Who is kept is there already and costs
    /// nothing, so it must first be grown by those alone; anybody else costs one. Where the cost
    /// is the same, the earlier of `agents` is taken.
    pub(super) fn grow(&mut self, agents: &[usize], is_kept: &[bool], wanted: usize) {
        for agent in agents {
            if self.len >= wanted {
                return;
            }
            // No path is cheaper than one new agent, once those who are kept can do no more.
            let Place {
                region, provider, ..
            } = self.places[*agent];
            if self.of_region[region].is_none() && self.of_provider[provider].is_none() {
                self.put(*agent);
                self.len += 1;
            }
        }
        while self.len < wanted && self.lengthen(agents, is_kept) {}
    }

    fn put(&mut self, agent: usize) {
        let Place {
            region, provider, ..
        } = self.places[agent];
        self.of_region[region] = Some(agent);
        self.of_provider[provider] = Some(agent);
    }

    /// Brings in one region and one provider more by the cheapest path; whether there is any.
    fn lengthen(&mut self, agents: &[usize], is_kept: &[bool]) -> bool {
        let (cost, via) = self.paths(agents, is_kept);
        let ends = agents.iter().copied().filter(|agent| {
            let provider = self.places[*agent].provider;
            self.of_provider[provider].is_none() && via[provider] == Some(*agent)
        });
        let mut next = ends.min_by_key(|agent| cost[self.places[*agent].provider]);
        if next.is_none() {
            return false;
        }
        while let Some(agent) = next {
            // Who had the region makes room, and its provider gets the agent that led there.
            let before = self.of_region[self.places[agent].region];
            self.put(agent);
            next = before.and_then(|before| via[self.places[before].provider]);
        }
        self.len += 1;
        true
    }

    /// Of each provider: what it costs to come there from a region without an agent, and by whom.
    fn paths(&self, agents: &[usize], is_kept: &[bool]) -> (Vec<Option<i32>>, Vec<Option<usize>>) {
        let price = |agent: usize| i32::from(!is_kept[agent]);
        let is_free = |taken: &Option<usize>| taken.is_none().then_some(0);
        let mut to_region: Vec<Option<i32>> = self.of_region.iter().map(is_free).collect();
        let mut to_provider = vec![None; self.of_provider.len()];
        let mut via = vec![None; self.of_provider.len()];
        // A path passes each region once, so this many rounds settle it.
        for _ in 0..=self.of_region.len() {
            let mut is_settled = true;
            for agent in agents {
                let Place {
                    region, provider, ..
                } = self.places[*agent];
                let Some(so_far) = to_region[region] else {
                    continue;
                };
                let cost = so_far + price(*agent);
                if to_provider[provider].is_some_and(|known| known <= cost) {
                    continue;
                }
                is_settled = false;
                to_provider[provider] = Some(cost);
                via[provider] = Some(*agent);
                if let Some(other) = self.of_provider[provider] {
                    to_region[self.places[other].region] = Some(cost - price(other));
                }
            }
            if is_settled {
                break;
            }
        }
        (to_provider, via)
    }
}
