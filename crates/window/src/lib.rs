//! Latencies of a series over a while: recorded by an agent, folded by a coordinator.
//!
//! A series closes its window after [`MAX_AGE`] or [`MAX_SAMPLES`], whichever comes first. Few
//! samples travel as themselves, more as HdrHistogram V2 bytes; both fold alike. A dense
//! histogram of three digits takes 136 KiB, so neither side keeps one: the agent keeps the
//! samples, the coordinator a sparse map ([`Fold`]).

mod fold;
mod record;

pub use fold::{Buckets, Fold, MalformedWindow, Samples};
pub use record::{Closed, Latencies, Recorder, Series};

use std::time::Duration;

/// A window closes when its first sample is so old.
pub const MAX_AGE: Duration = Duration::from_secs(300);
/// A window closes with so many samples.
pub const MAX_SAMPLES: usize = 32;
/// Up to so many samples travel as themselves: below that a histogram is larger.
pub const MAX_SPARSE: usize = 16;
/// The smallest latency that is told apart, microseconds.
pub const LOWEST_US: u64 = 1;
/// The largest, microseconds; longer ones are recorded as this.
pub const HIGHEST_US: u64 = 120_000_000;
/// Significant decimal digits.
pub const DIGITS: u8 = 3;
