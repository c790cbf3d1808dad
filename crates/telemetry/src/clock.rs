//! The wall clock. For display and audit only: decisions use monotonic time, which is an argument
//! in cores and `tokio::time::Instant::now()` in shells.

/// The wall clock, now.
#[must_use]
pub fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
