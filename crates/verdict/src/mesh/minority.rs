//! An agent that is alone in what it says of most of its targets: what is broken is its own, though
//! its self-tests are good.

use std::collections::BTreeMap;

use crate::Ms;

/// Targets that must be seen otherwise than by all others, on so many hostings …
const TARGETS: usize = 3;
const HOSTINGS: usize = 2;
/// … and this share of all its targets, in percent.
const MOST: usize = 60;
/// Outages in which an agent alone said that all is well, of different targets, within that time.
const LUCKY: usize = 2;
const LUCKY_WINDOW: Ms = 1_800_000;
/// Targets of one agent that are remembered as alone ok.
const MAX_LUCKY: usize = 16;

/// What an agent says of a target, beside what others say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// What others say too.
    Agrees,
    /// It fails, for it alone.
    AloneFailing,
    /// It works, for it alone.
    AloneOk,
    /// It says nothing.
    Silent,
}

/// The stances of one agent.
#[derive(Debug, Default)]
pub(super) struct Stances {
    /// By target: its hosting, and what is said of it.
    targets: BTreeMap<String, (String, Stance)>,
    /// When it alone said that all is well, and of which target on which hosting.
    lucky: Vec<(Ms, String, String)>,
}

impl Stances {
    pub(super) const fn new() -> Self {
        Self {
            targets: BTreeMap::new(),
            lucky: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, target: &str, hosting: &str, stance: Stance, now: Ms) {
        self.forget(now);
        match stance {
            Stance::Silent => {
                self.targets.remove(target);
            }
            Stance::Agrees | Stance::AloneFailing | Stance::AloneOk => {
                let said = (hosting.to_owned(), stance);
                self.targets.insert(target.to_owned(), said);
            }
        }
        if stance == Stance::AloneOk {
            self.lucky.retain(|(_, known, _)| known != target);
            if self.lucky.len() >= MAX_LUCKY {
                self.lucky.remove(0);
            }
            self.lucky
                .push((now, target.to_owned(), hosting.to_owned()));
        } else if stance == Stance::AloneFailing {
            // Who sees failures is not blind.
            self.lucky.clear();
        }
    }

    /// What was long ago says nothing of now.
    pub(super) fn forget(&mut self, now: Ms) {
        self.lucky
            .retain(|(at, ..)| now.saturating_sub(*at) <= LUCKY_WINDOW);
    }

    pub(super) fn is_minority(&self) -> bool {
        let is_alone = |said: &&(String, Stance)| said.1 == Stance::AloneFailing;
        let alone = self.targets.values().filter(is_alone);
        let hostings = |names: &mut dyn Iterator<Item = &String>| {
            let mut names: Vec<&String> = names.collect();
            names.sort_unstable();
            names.dedup();
            names.len()
        };
        let count = alone.clone().count();
        let is_failing = count >= TARGETS
            && count * 100 >= MOST * self.targets.len()
            && hostings(&mut alone.map(|(hosting, _)| hosting)) >= HOSTINGS;
        let is_blind = self.lucky.len() >= LUCKY
            && hostings(&mut self.lucky.iter().map(|(_, _, hosting)| hosting)) >= HOSTINGS;
        is_failing || is_blind
    }
}
