//! The coordinator's half: windows in, quantiles and buckets out.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::record::Latencies;
use crate::{DIGITS, HIGHEST_US, LOWEST_US, MAX_SAMPLES};

/// The largest V2 form of a window: 32 values take some hundred bytes.
const MAX_HDR_BYTES: usize = 4096;

/// A window that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("window: {0}")]
pub struct MalformedWindow(String);

/// Latencies of many windows in one sparse map, to three digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fold {
    counts: BTreeMap<u64, u64>,
    total: u64,
}

impl Fold {
    /// Adds the latencies of a window; nothing where they cannot be read.
    ///
    /// # Errors
    /// Says what is wrong with them. They come from an agent, which may lie.
    pub fn add(&mut self, latencies: &Latencies) -> Result<(), MalformedWindow> {
        for (value, count) in Samples::read(latencies)?.0 {
            self.add_value(value, count);
        }
        Ok(())
    }

    /// Adds one value so many times.
    pub fn add_value(&mut self, us: u64, count: u64) {
        *self.counts.entry(rounded(us)).or_default() += count;
        self.total += count;
    }

    /// Adds everything that another fold holds.
    pub fn merge(&mut self, other: &Self) {
        for (value, count) in &other.counts {
            *self.counts.entry(*value).or_default() += count;
        }
        self.total += other.total;
    }

    /// How many values it holds.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.total
    }

    /// The value below which a share `q` of all values lies, microseconds; `None` when empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among at most 2^53 values"
        )]
        let rank = (q.clamp(0.0, 1.0) * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (value, count) in &self.counts {
            seen += count;
            if seen >= rank {
                return Some(*value);
            }
        }
        self.counts.last_key_value().map(|(value, _)| *value)
    }
}

/// Cumulative counts of a classic histogram.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buckets {
    counts: [u64; Self::BOUNDS_SECONDS.len()],
    over: u64,
    sum_us: u64,
}

impl Buckets {
    /// Upper bounds in seconds: those of the OpenTelemetry MCP conventions, with 5 ms below.
    pub const BOUNDS_SECONDS: [f64; 15] = [
        0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
    ];
    const BOUNDS_US: [u64; 15] = [
        5_000,
        10_000,
        20_000,
        50_000,
        100_000,
        200_000,
        500_000,
        1_000_000,
        2_000_000,
        5_000_000,
        10_000_000,
        30_000_000,
        60_000_000,
        120_000_000,
        300_000_000,
    ];

    /// Adds the values of a window, with the sum that travelled beside it.
    pub fn add(&mut self, samples: &Samples, sum_us: u64) {
        for (value, count) in &samples.0 {
            match Self::BOUNDS_US.iter().position(|bound| value <= bound) {
                Some(n) => self.counts[n] += count,
                None => self.over += count,
            }
        }
        self.sum_us = self.sum_us.saturating_add(sum_us);
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.over
    }

    /// The sum of all values, seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    pub fn sum_seconds(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }

    /// Upper bounds in seconds with the count of each bucket alone, the last one open.
    #[must_use]
    pub fn rows(&self) -> Vec<(f64, u64)> {
        let bounded = Self::BOUNDS_SECONDS.into_iter().zip(self.counts);
        bounded.chain([(f64::MAX, self.over)]).collect()
    }
}

/// The values of a window with their counts: at most [`MAX_SAMPLES`], within the window's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples(Vec<(u64, u64)>);

impl Samples {
    /// Reads a window.
    ///
    /// # Errors
    /// Says what is wrong with it. It comes from an agent, which may lie.
    pub fn read(latencies: &Latencies) -> Result<Self, MalformedWindow> {
        let bad = |problem: &str| MalformedWindow(problem.to_owned());
        let in_range = |us: u64| (LOWEST_US..=HIGHEST_US + HIGHEST_US / 500).contains(&us);
        let rows: Vec<(u64, u64)> = match latencies {
            Latencies::Sparse(values) => values
                .iter()
                .take(MAX_SAMPLES + 1)
                .map(|value| (*value, 1))
                .collect(),
            Latencies::Hdr(bytes) => {
                check_v2(bytes).map_err(bad)?;
                let histogram: Histogram<u64> = Deserializer::new()
                    .deserialize(&mut bytes.as_slice())
                    .map_err(|error| MalformedWindow(format!("not HdrHistogram V2: {error}")))?;
                let steps = histogram.iter_recorded().take(MAX_SAMPLES + 1);
                let row = |value| {
                    (
                        histogram.median_equivalent(value),
                        histogram.count_at(value),
                    )
                };
                steps.map(|step| row(step.value_iterated_to())).collect()
            }
        };
        let count: u64 = rows
            .iter()
            .map(|(_, count)| *count)
            .fold(0, u64::saturating_add);
        if count > MAX_SAMPLES as u64 {
            return Err(bad("more samples than a window holds"));
        }
        if !rows.iter().all(|(value, _)| in_range(*value)) {
            return Err(bad("a value outside 1 us to 120 s"));
        }
        Ok(Self(rows))
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| *count).sum()
    }
}

/// Checks a V2 form before the library sees it: the library believes the header's sizes and
/// allocates by them.
///
/// The header is, big-endian: cookie, payload length, offset, digits (u32 each), lowest, highest
/// (u64 each), ratio (f64); then counts as zig-zag LEB128, negative for runs of zeros.
fn check_v2(bytes: &[u8]) -> Result<(), &'static str> {
    const COOKIE: u32 = 0x1c84_9313;
    const HEADER: usize = 40;
    if bytes.len() > MAX_HDR_BYTES {
        return Err("more than 4 KiB");
    }
    let header = bytes.get(..HEADER).ok_or("shorter than a V2 header")?;
    let word = |at: usize| -> u64 {
        header[at..at + 4]
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte))
    };
    let long = |at: usize| word(at) << 32 | word(at + 4);
    let payload = &bytes[HEADER..];
    if word(0) != u64::from(COOKIE) {
        return Err("not HdrHistogram V2");
    }
    if word(4) != payload.len() as u64 || word(8) != 0 {
        return Err("the header contradicts the payload");
    }
    if word(12) != u64::from(DIGITS) || long(16) != LOWEST_US || long(24) != HIGHEST_US {
        return Err("not of 3 digits and 1 us to 120 s");
    }
    check_counts(payload)
}

/// No count is larger than a window, no run of zeros longer than a histogram.
fn check_counts(mut payload: &[u8]) -> Result<(), &'static str> {
    while !payload.is_empty() {
        let end = payload.iter().take(9).position(|byte| byte & 0x80 == 0);
        // Nine bytes carry a whole u64: the last one has no flag.
        let len = end.map_or(9, |end| end + 1);
        let number = payload.get(..len).ok_or("a count is cut off")?;
        let mut value = 0_u64;
        for (n, byte) in number.iter().enumerate() {
            let bits = if n == 8 { *byte } else { byte & 0x7f };
            value |= u64::from(bits) << (7 * n);
        }
        if value > 2 * 65_536 {
            return Err("a count that no window has");
        }
        payload = &payload[len..];
    }
    Ok(())
}

/// A value to three digits: the ten highest bits and the middle of what they stand for.
const fn rounded(us: u64) -> u64 {
    let bits = 64 - us.leading_zeros();
    if bits <= 10 {
        return us;
    }
    let shift = bits - 10;
    ((us >> shift) << shift) + (1 << (shift - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_by_nearest_rank() {
        let mut fold = Fold::default();
        assert_eq!(fold.quantile(0.5), None);
        for value in 1..=100 {
            fold.add_value(value, 1);
        }
        assert_eq!(
            [0.0, 0.5, 0.95, 0.99, 1.0].map(|q| fold.quantile(q)),
            [Some(1), Some(50), Some(95), Some(99), Some(100)]
        );
    }

    #[test]
    fn buckets_count_each_value_once() {
        let mut buckets = Buckets::default();
        let values = vec![5_000, 5_001, 120_000_000];
        let samples = Samples::read(&Latencies::Sparse(values)).unwrap();
        buckets.add(&samples, 120_010_001);
        let rows = buckets.rows();
        assert_eq!(rows[0], (0.005, 1));
        assert_eq!(rows[1], (0.01, 1));
        assert_eq!(rows[13], (120.0, 1));
        assert_eq!(buckets.count(), 3);
        assert!((buckets.sum_seconds() - 120.010_001).abs() < 1e-9);
    }

    #[test]
    fn lies_are_refused() {
        let mut fold = Fold::default();
        for bad in [
            Latencies::Sparse(vec![0]),
            Latencies::Sparse(vec![u64::MAX]),
            Latencies::Sparse(vec![1; 33]),
            Latencies::Hdr(vec![0; 5000]),
            Latencies::Hdr(b"garbage".to_vec()),
        ] {
            assert!(fold.add(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(fold.count(), 0);
    }

    proptest! {
        #[test]
        fn three_digits_are_kept(us in 1u64..200_000_000) {
            prop_assert!(rounded(us).abs_diff(us) * 1000 <= us);
            prop_assert_eq!(rounded(rounded(us)), rounded(us));
        }

        #[test]
        fn merging_is_adding(a in proptest::collection::vec(1u64..1_000_000, 0..50),
                             b in proptest::collection::vec(1u64..1_000_000, 0..50)) {
            let fold = |values: &[u64]| {
                let mut fold = Fold::default();
                values.iter().for_each(|v| fold.add_value(*v, 1));
                fold
            };
            let mut merged = fold(&a);
            merged.merge(&fold(&b));
            prop_assert_eq!(merged, fold(&[a, b].concat()));
        }

        /// A real window with any of its bytes changed is read or refused, within its size.
        #[test]
        fn forged_windows_do_no_harm(
            at in 0usize..120,
            forged in proptest::collection::vec(any::<u8>(), 1..12),
        ) {
            let mut recorder = crate::Recorder::default();
            let series =
                crate::Series { monitor: "m".into(), step: None, phase: None, warm: false };
            #[expect(clippy::disallowed_methods, reason = "any instant will do")]
            let now = std::time::Instant::now();
            for us in 0..32 {
                recorder.record(&series, 1000 * us, us, now);
            }
            let Latencies::Hdr(mut bytes) = recorder.poll_closed().unwrap().latencies else {
                panic!("32 samples travel as a histogram");
            };
            prop_assert_eq!(Samples::read(&Latencies::Hdr(bytes.clone())).unwrap().count(), 32);
            for (n, byte) in forged.into_iter().enumerate() {
                if let Some(place) = bytes.get_mut(at + n) {
                    *place = byte;
                }
            }
            if let Ok(samples) = Samples::read(&Latencies::Hdr(bytes)) {
                prop_assert!(samples.count() <= 32);
            }
        }

        #[test]
        fn forged_counts_do_no_harm(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = 0x1c84_9313_u32.to_be_bytes().to_vec();
            bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
            bytes.extend(0_u32.to_be_bytes());
            bytes.extend(3_u32.to_be_bytes());
            bytes.extend(LOWEST_US.to_be_bytes());
            bytes.extend(HIGHEST_US.to_be_bytes());
            bytes.extend(1_f64.to_be_bytes());
            bytes.extend(payload);
            let _ = Samples::read(&Latencies::Hdr(bytes));
        }
    }
}
