//! How many requests origins had within the last minute, and when one may have more.
//!
//! The coordinator's cap ([`crate::load`]) spaces what it schedules. What an agent is asked for beside
//! that has no schedule, so it is measured against what the origin had already, whoever asked for it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// What a cap in requests a minute is counted over.
pub const MINUTE: Duration = Duration::from_secs(60);
/// Requests this close together are counted together, which bounds what is kept of an origin.
const GRAIN: Duration = Duration::from_secs(1);
/// Origins that are counted at once, more than an agent has monitors; beyond them the one that was
/// asked longest ago is let go.
const MOST: usize = 32_768;

/// What origins had. Kept in memory only: who starts anew begins to count anew.
#[derive(Debug, Default)]
pub struct Budget {
    /// Requests, and when; the oldest first.
    origins: BTreeMap<String, VecDeque<(Instant, u32)>>,
    /// When those that are not asked any more were last let go.
    swept: Option<Instant>,
}

impl Budget {
    /// An origin has so many requests now, whether there was room for them or not.
    pub fn spend(&mut self, origin: &str, requests: u32, now: Instant) {
        if requests == 0 {
            return;
        }
        if self.swept.is_none_or(|at| at + MINUTE <= now) {
            self.swept = Some(now);
            self.origins.retain(|_, spent| !forget_old(spent, now));
        }
        let spent = self.origins.entry(origin.to_owned()).or_default();
        forget_old(spent, now);
        match spent.back_mut() {
            Some((at, count)) if now.saturating_duration_since(*at) < GRAIN => {
                *count = count.saturating_add(requests);
            }
            Some(_) | None => spent.push_back((now, requests)),
        }
        if self.origins.len() > MOST {
            let last = |spent: &VecDeque<(Instant, u32)>| spent.back().map(|(at, _)| *at);
            let first = self.origins.iter().min_by_key(|(_, spent)| last(spent));
            if let Some(first) = first.map(|(origin, _)| origin.clone()) {
                self.origins.remove(&first);
            }
        }
    }

    /// When so many requests more are within `cap` a minute; `None` where they are now. More requests
    /// than the cap are within it once the origin had none for a minute: else they never were.
    #[must_use]
    pub fn full_until(
        &self,
        origin: &str,
        requests: u32,
        cap: u32,
        now: Instant,
    ) -> Option<Instant> {
        let spent = self.origins.get(origin)?.iter();
        let spent = spent.filter(|(at, _)| *at + MINUTE > now);
        let mut left: u64 = spent.clone().map(|(_, count)| u64::from(*count)).sum();
        let room = u64::from(cap.saturating_sub(requests));
        let mut until = None;
        for (at, count) in spent {
            if left <= room {
                break;
            }
            left -= u64::from(*count);
            until = Some(*at + MINUTE);
        }
        until
    }
}

/// Forgets what is older than a minute; whether nothing is left.
fn forget_old(spent: &mut VecDeque<(Instant, u32)>, now: Instant) -> bool {
    while spent.front().is_some_and(|(at, _)| *at + MINUTE <= now) {
        spent.pop_front();
    }
    spent.is_empty()
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
    fn there_is_room_again_when_enough_of_the_last_minute_forget_old() {
        let t = start();
        let s = Duration::from_secs;
        let mut budget = Budget::default();
        assert_eq!(budget.full_until(A, 6, 18, t), None);
        budget.spend(A, 6, t);
        budget.spend(A, 6, t + s(10));
        budget.spend(A, 6, t + s(20));
        let at = t + s(20);
        let table = [
            // What comes with its own, lower, cap waits for longer.
            (6, 18, Some(t + s(60))),
            (6, 24, None),
            (12, 18, Some(t + s(70))),
            (6, 12, Some(t + s(70))),
            (6, 6, Some(t + s(80))),
            // It never fits: so it may run alone.
            (60, 18, Some(t + s(80))),
        ];
        for (requests, cap, until) in table {
            assert_eq!(
                budget.full_until(A, requests, cap, at),
                until,
                "{requests} of {cap}"
            );
        }
        assert_eq!(budget.full_until(B, 6, 6, at), None);
        let later = t + s(60);
        assert_eq!(budget.full_until(A, 6, 18, later), None);
        assert_eq!(budget.full_until(A, 60, 18, t + s(80)), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let t = start();
        let ms = Duration::from_millis;
        let mut budget = Budget::default();
        for n in 0..1000 {
            budget.spend(A, 1, t + ms(200 * n));
        }
        let kept = &budget.origins[A];
        assert!(kept.len() <= 61, "{}", kept.len());
        let now = t + ms(200 * 999);
        assert!(budget.full_until(A, 1, 300, now).is_some());
        assert_eq!(
            budget.full_until(A, 1, 306, now),
            None,
            "300 and a second's"
        );
        let mut many = Budget::default();
        for n in 0..=MOST {
            many.spend(&format!("https://{n}.example"), 1, t + ms(n as u64));
        }
        assert_eq!(many.origins.len(), MOST);
        assert_eq!(many.full_until("https://0.example", 1, 1, t), None);
        many.spend(A, 1, t + 2 * MINUTE);
        assert_eq!(many.origins.len(), 1);
    }
}
