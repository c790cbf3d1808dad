//! Those who were chosen so far, and who spreads them best.

use super::matching::Place;

/// Agents that were chosen, and how many of them each place has.
pub(super) struct Panel<'p> {
    places: &'p [Place],
    taken: Vec<usize>,
    is_taken: Vec<bool>,
    in_region: Vec<usize>,
    on_provider: Vec<usize>,
    of_pair: Vec<usize>,
}

impl<'p> Panel<'p> {
    /// A panel of nobody.
    pub(super) fn new(places: &'p [Place]) -> Self {
        // None of the three has more numbers than there are agents.
        let nobody = vec![0; places.len()];
        Self {
            places,
            taken: Vec::new(),
            is_taken: vec![false; places.len()],
            in_region: nobody.clone(),
            on_provider: nobody.clone(),
            of_pair: nobody,
        }
    }

    /// Who was chosen, in that order.
    pub(super) fn taken(&self) -> &[usize] {
        &self.taken
    }

    /// Whether an agent was chosen.
    pub(super) fn has(&self, agent: usize) -> bool {
        self.is_taken[agent]
    }

    /// Chooses an agent.
    pub(super) fn take(&mut self, agent: usize) {
        let place = self.places[agent];
        self.is_taken[agent] = true;
        self.taken.push(agent);
        self.in_region[place.region] += 1;
        self.on_provider[place.provider] += 1;
        self.of_pair[place.pair] += 1;
    }

    /// Chooses from `agents` until there are `most`, always one whose region and provider have
    /// the fewest together, then one of whose very place there are the fewest, then the earlier.
    pub(super) fn fill(&mut self, agents: &[usize], most: usize) {
        while self.taken.len() < most {
            let free = agents.iter().filter(|agent| !self.is_taken[**agent]);
            let best = free.min_by_key(|agent| {
                let place = self.places[**agent];
                let apart = self.in_region[place.region] + self.on_provider[place.provider];
                (apart, self.of_pair[place.pair])
            });
            let Some(agent) = best else { return };
            self.take(*agent);
        }
    }
}
