//! How long a token is good.

use std::time::{Duration, Instant};

use crate::token::Token;

/// What a token's life is taken to be where nobody says.
const ASSUMED_LIFE: Duration = Duration::from_secs(300);
/// How much earlier than its end a token is given up: the time of a probe, and clocks that differ.
const SKEW: Duration = Duration::from_secs(60);

/// The token that is in use, if it is still good.
#[derive(Debug, Default)]
pub struct Cache {
    held: Option<(Token, Instant)>,
}

impl Cache {
    /// The token, unless it ends within the skew: a minute, or a tenth of a short life.
    #[must_use]
    pub fn usable(&self, now: Instant) -> Option<&Token> {
        let (token, until) = self.held.as_ref()?;
        (now < *until).then_some(token)
    }

    /// A token came at `now`.
    pub fn put(&mut self, token: Token, now: Instant) {
        let life = token.life.unwrap_or(ASSUMED_LIFE);
        let skew = SKEW.min(life / 10);
        let until = now.checked_add(life.saturating_sub(skew)).unwrap_or(now);
        self.held = Some((token, until));
    }

    /// The server did not accept the token: it is not used again.
    pub fn reject(&mut self) {
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use proptest::prelude::*;

    fn token(life: Option<u64>) -> Token {
        Token {
            access: Secret::new("t"),
            life: life.map(Duration::from_secs),
            refresh: None,
            scope: None,
        }
    }

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn a_token_is_used_until_shortly_before_its_end() {
        let start = start();
        let after = |seconds| start + Duration::from_secs(seconds);
        for (life, last, first_gone) in [
            (Some(3600), 3539, 3540),
            (Some(100), 89, 90),
            (None, 269, 270),
        ] {
            let mut cache = Cache::default();
            assert!(cache.usable(start).is_none());
            cache.put(token(life), start);
            assert!(cache.usable(after(last)).is_some(), "{life:?}");
            assert!(cache.usable(after(first_gone)).is_none(), "{life:?}");
        }
        let mut cache = Cache::default();
        cache.put(token(Some(3600)), start);
        cache.reject();
        assert!(cache.usable(start).is_none());
    }

    proptest! {
        #[test]
        fn no_token_is_used_after_its_end(life in 0u64..1_000_000, later in 0u64..2_000_000) {
            let start = start();
            let mut cache = Cache::default();
            cache.put(token(Some(life)), start);
            let usable = cache.usable(start + Duration::from_secs(later)).is_some();
            prop_assert!(!usable || later < life);
        }
    }
}
