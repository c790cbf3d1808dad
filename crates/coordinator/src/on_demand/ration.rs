//! How many probes on demand there may be: by key, over the mesh, and of each origin. No clock:
//! time is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is spent counts for so long.
const WINDOW: Duration = Duration::from_secs(60);
/// Runs of one key within the window: a pipeline that waits for a deploy asks every two seconds.
pub(crate) const PER_KEY: usize = 60;
/// Runs of all keys within the window.
pub(crate) const PER_MESH: usize = 240;

/// Why a run must wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Spent {
    /// The key has had its share.
    #[error("this key ran {PER_KEY} probes on demand within a minute")]
    Key,
    /// Everybody together has had theirs.
    #[error("this mesh ran {PER_MESH} probes on demand within a minute")]
    Mesh,
    /// The origin would get more requests than it bears.
    #[error(
        "probes on demand may make {0} requests a minute of this origin, and have made most of them"
    )]
    Origin(u32),
}

#[derive(Debug)]
struct Run {
    at: Instant,
    key: String,
    origin: String,
    requests: u32,
}

/// The runs within the last window, oldest first; at most [`PER_MESH`].
#[derive(Debug, Default)]
pub(crate) struct Ration {
    runs: VecDeque<Run>,
}

impl Ration {
    /// Lets a run begin that makes so many requests of an origin, of which `budget` are allowed a
    /// minute; or says why not, and for how long to wait.
    pub(crate) fn admit(
        &mut self,
        key: &str,
        (origin, requests, budget): (&str, u32, u32),
        now: Instant,
    ) -> Result<(), (Spent, Duration)> {
        let is_over = |run: &Run| now.saturating_duration_since(run.at) >= WINDOW;
        while self.runs.front().is_some_and(is_over) {
            self.runs.pop_front();
        }
        let until = |run: &Run| (run.at + WINDOW).saturating_duration_since(now);
        let mut of_key = self.runs.iter().filter(|run| run.key == key);
        if let Some(first) = of_key.nth_back(PER_KEY - 1) {
            return Err((Spent::Key, until(first)));
        }
        if self.runs.len() >= PER_MESH
            && let Some(first) = self.runs.front()
        {
            return Err((Spent::Mesh, until(first)));
        }
        let of_origin = self.runs.iter().filter(|run| run.origin == origin);
        let mut made: u32 = of_origin.clone().map(|run| run.requests).sum();
        let mut wait = Duration::ZERO;
        for run in of_origin {
            if made.saturating_add(requests) <= budget {
                break;
            }
            made -= run.requests;
            wait = until(run);
        }
        if !wait.is_zero() {
            return Err((Spent::Origin(budget), wait));
        }
        self.runs.push_back(Run {
            at: now,
            key: key.to_owned(),
            origin: origin.to_owned(),
            requests,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "https://a.example";
    const B: &str = "https://b.example";

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_origin_gets_its_budget_a_minute_and_no_more() {
        let t = tokio::time::Instant::now().into_std();
        let mut ration = Ration::default();
        let mut admit =
            |origin, requests, after| ration.admit("k", (origin, requests, 20), t + s(after));
        assert_eq!(admit(A, 12, 0), Ok(()));
        assert_eq!(admit(A, 8, 10), Ok(()));
        assert_eq!(admit(A, 1, 20), Err((Spent::Origin(20), s(40))));
        assert_eq!(admit(A, 13, 20), Err((Spent::Origin(20), s(50))));
        assert_eq!(admit(B, 20, 20), Ok(()), "another origin");
        assert_eq!(admit(A, 12, 59), Err((Spent::Origin(20), s(1))));
        assert_eq!(admit(A, 12, 60), Ok(()));
    }

    #[test]
    fn a_key_and_the_mesh_have_their_share() {
        let t = tokio::time::Instant::now().into_std();
        let mut ration = Ration::default();
        for n in 0..PER_KEY {
            assert_eq!(ration.admit("k", (A, 0, 1), t + s(n as u64 / 10)), Ok(()));
        }
        let denied = ration.admit("k", (A, 0, 1), t + s(10));
        assert_eq!(denied, Err((Spent::Key, s(50))));
        for n in PER_KEY..PER_MESH {
            let key = format!("k{n}");
            assert_eq!(ration.admit(&key, (A, 0, 1), t + s(20)), Ok(()));
        }
        let denied = ration.admit("other", (A, 0, 1), t + s(30));
        assert_eq!(denied, Err((Spent::Mesh, s(30))));
        assert_eq!(ration.admit("other", (A, 0, 1), t + s(60)), Ok(()));
        assert!(ration.runs.len() <= PER_MESH);
    }
}
