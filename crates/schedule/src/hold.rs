//! Which origins asked to be left alone for a while.
//!
//! An agent that is answered 429 asks nothing of that origin until the time is over, whichever of
//! its monitors the answer was for. Others may say so too: then it has not been turned away itself,
//! and its slots say so.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The least that an origin is left alone: less is no pause.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// The longest that an origin may ask for: an hour without a look is enough, whatever it says.
pub const LONGEST: Duration = Duration::from_secs(3600);
/// Origins that are held at once; beyond them the one that is free first is let go.
const MOST: usize = 10_000;

/// What keeps an agent from probing an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The origin turned this agent away.
    Limited,
    /// It turned others away, and this agent heard of it.
    Told,
}

#[derive(Debug, Clone, Copy, Default)]
struct Until {
    limited: Option<Instant>,
    told: Option<Instant>,
}

impl Until {
    fn end(&self) -> Option<Instant> {
        self.limited.max(self.told)
    }
}

/// The origins that an agent leaves alone. Kept in memory only: who starts anew may ask once.
#[derive(Debug, Default)]
pub struct Holds {
    origins: BTreeMap<String, Until>,
}

impl Holds {
    /// An origin is to be left alone for so long from now, within [`SHORTEST`] and [`LONGEST`]. One
    /// that is held for longer already stays so.
    pub fn hold(&mut self, origin: &str, why: Held, pause: Duration, now: Instant) {
        self.forget(now);
        let until = now + pause.clamp(SHORTEST, LONGEST);
        let held = self.origins.entry(origin.to_owned()).or_default();
        let end = match why {
            Held::Limited => &mut held.limited,
            Held::Told => &mut held.told,
        };
        *end = (*end).max(Some(until));
        if self.origins.len() > MOST {
            let first = self.origins.iter().min_by_key(|(_, held)| held.end());
            if let Some(first) = first.map(|(origin, _)| origin.clone()) {
                self.origins.remove(&first);
            }
        }
    }

    /// When an origin may be asked again; `None` where it may now.
    #[must_use]
    pub fn until(&self, origin: &str, now: Instant) -> Option<Instant> {
        let end = self.origins.get(origin)?.end();
        end.filter(|end| *end > now)
    }

    /// Whether an origin is to be left alone now, and why.
    #[must_use]
    pub fn held(&self, origin: &str, now: Instant) -> Option<Held> {
        let held = self.origins.get(origin)?;
        let lasts = |end: Option<Instant>| end.is_some_and(|end| end > now);
        if lasts(held.limited) {
            Some(Held::Limited)
        } else {
            lasts(held.told).then_some(Held::Told)
        }
    }

    fn forget(&mut self, now: Instant) {
        self.origins
            .retain(|_, held| held.end().is_some_and(|end| end > now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the origin"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    const A: &str = "https://a.example";
    const B: &str = "https://b.example";

    #[test]
    fn an_origin_is_held_as_long_as_it_asked_within_bounds() {
        let s = Duration::from_secs;
        let table = [
            (s(30), s(30)),
            (Duration::ZERO, SHORTEST),
            (s(3600), s(3600)),
            (s(1_000_000), LONGEST),
        ];
        for (asked, held) in table {
            let t = start();
            let mut holds = Holds::default();
            holds.hold(A, Held::Limited, asked, t);
            let last = t + held - Duration::from_millis(1);
            assert_eq!(holds.held(A, last), Some(Held::Limited), "{asked:?}");
            assert_eq!(holds.held(A, t + held), None, "{asked:?}");
            assert_eq!(holds.held(B, t), None);
        }
    }

    #[test]
    fn the_longer_one_holds_and_who_was_turned_away_says_so() {
        let t = start();
        let s = Duration::from_secs;
        let mut holds = Holds::default();
        holds.hold(A, Held::Told, s(60), t);
        holds.hold(A, Held::Limited, s(30), t);
        holds.hold(A, Held::Told, s(10), t);
        let table = [
            (0, Some(Held::Limited)),
            (29, Some(Held::Limited)),
            (30, Some(Held::Told)),
            (59, Some(Held::Told)),
            (60, None),
        ];
        for (after, held) in table {
            assert_eq!(holds.held(A, t + s(after)), held, "{after}");
            let until = held.map(|_| t + s(60));
            assert_eq!(holds.until(A, t + s(after)), until, "{after}");
        }
    }

    #[test]
    fn origins_are_forgotten_and_bounded() {
        let t = start();
        let mut holds = Holds::default();
        for n in 0..=MOST {
            let pause = Duration::from_secs(10 + n as u64 % 1000);
            holds.hold(&format!("https://{n}.example"), Held::Limited, pause, t);
        }
        assert_eq!(holds.origins.len(), MOST);
        assert_eq!(
            holds.held("https://0.example", t),
            None,
            "it was free first"
        );
        holds.hold(A, Held::Limited, SHORTEST, t + LONGEST);
        assert_eq!(holds.origins.len(), 1);
    }
}
