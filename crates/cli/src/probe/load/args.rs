//! What a load may be: its options and hard limits.

use std::time::Duration;

use clap::Args;
use model::Period;

use super::super::args::UsageError;

/// Probes per second. More would be a benchmark, and one machine's own limits.
const MAX_RATE: i64 = 200;
/// Probes at once; each has connections of its own.
const MAX_CONCURRENCY: i64 = 64;
/// How long a load may take.
const MAX_LENGTH: Duration = Duration::from_secs(600);

/// A load check of one's own server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load (your own server only)")]
pub(crate) struct LoadArgs {
    /// Probe at a steady rate for this long, up to 10m, and compare with the thresholds
    #[arg(long = "for", value_name = "TIME", requires = "rate", conflicts_with_all = ["wait", "repeat"])]
    length: Option<Period>,
    /// Probes per second, up to 200. A probe makes two to six requests, more with calls
    #[arg(long, value_name = "N", requires = "length",
        value_parser = clap::value_parser!(u32).range(1..=MAX_RATE))]
    rate: Option<u32>,
    /// Probes at once, up to 64
    #[arg(long, value_name = "N", default_value = "8", requires = "length",
        value_parser = clap::value_parser!(u32).range(1..=MAX_CONCURRENCY))]
    concurrency: u32,
    /// The most probes that may fail, like 5% or 0.05
    #[arg(long, value_name = "PART", default_value = "1%", requires = "length", value_parser = parse_part)]
    max_error_rate: f64,
    /// The longest that 95 of 100 probes may take, waiting for their turn included
    #[arg(long, value_name = "TIME", requires = "length")]
    max_p95: Option<Period>,
    /// The server is yours, or its owner knows: without this no load is made
    #[arg(long)]
    i_own_this: bool,
}

/// A load that may be made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) length: Duration,
    pub(crate) rate: u32,
    pub(crate) concurrency: u32,
    pub(crate) max_error_rate: f64,
    pub(crate) max_p95: Option<Duration>,
}

impl LoadArgs {
    /// The load, where one is asked for.
    pub(crate) fn plan(&self) -> Result<Option<Plan>, UsageError> {
        let (Some(length), Some(rate)) = (self.length, self.rate) else {
            return Ok(None);
        };
        if !self.i_own_this {
            return Err(UsageError::NotOwned);
        }
        if length.duration() > MAX_LENGTH {
            return Err(UsageError::TooLong);
        }
        Ok(Some(Plan {
            length: length.duration(),
            rate,
            concurrency: self.concurrency,
            max_error_rate: self.max_error_rate,
            max_p95: self.max_p95.map(Period::duration),
        }))
    }
}

impl Plan {
    /// When the probe of this index is due; nothing after the last one.
    pub(super) fn due(&self, index: u64) -> Option<Duration> {
        let nanos = u128::from(index) * 1_000_000_000 / u128::from(self.rate.max(1));
        let due = Duration::from_nanos(u64::try_from(nanos).ok()?);
        (due < self.length).then_some(due)
    }

    /// How many probes are due.
    pub(super) fn scheduled(&self) -> u64 {
        let nanos = self.length.as_nanos() * u128::from(self.rate);
        u64::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
    }
}

fn parse_part(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let part = number.parse::<f64>().ok().map(|number| number / scale);
    part.filter(|part| (0.0..=1.0).contains(part))
        .ok_or_else(|| "write it like 5% or 0.05, from 0 to 100%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_percent_or_fractions() {
        for (text, part) in [
            ("5%", 0.05),
            ("0.05", 0.05),
            ("0", 0.0),
            ("100%", 1.0),
            ("1", 1.0),
        ] {
            assert_eq!(parse_part(text), Ok(part), "{text}");
        }
        for text in ["5", "-1%", "101%", "x", "", "%", "nan"] {
            assert!(parse_part(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// What is due is what is counted, evenly spread.
        #[test]
        fn the_schedule_is_even_and_complete(rate in 1u32..=200, millis in 1u64..=600_000) {
            let plan = Plan {
                length: Duration::from_millis(millis),
                rate,
                concurrency: 1,
                max_error_rate: 0.0,
                max_p95: None,
            };
            let scheduled = plan.scheduled();
            prop_assert!(plan.due(scheduled - 1).is_some());
            prop_assert_eq!(plan.due(scheduled), None);
            let (first, second) = (plan.due(0), plan.due(1));
            prop_assert_eq!(first, Some(Duration::ZERO));
            if let Some(second) = second {
                prop_assert_eq!(second, Duration::from_nanos(1_000_000_000 / u64::from(rate)));
            }
        }
    }
}
