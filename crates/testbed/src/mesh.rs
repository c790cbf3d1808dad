//! A mesh of real processes in one folder: what `up`, `down` and `demo` share.

pub(crate) mod api;
pub(crate) mod client;
pub(crate) mod folder;
pub(crate) mod plan;
pub(crate) mod process;
pub(crate) mod progress;
pub(crate) mod world;

use std::time::Duration;

use tokio::time::Instant;

/// Between two looks at something that is waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// Looks again and again until there is something to see, for at most `bound`. `None` when the
/// time is over.
pub(crate) async fn wait_for<T>(
    bound: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let end = Instant::now() + bound;
    loop {
        if let Some(seen) = look().await? {
            return Ok(Some(seen));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}
