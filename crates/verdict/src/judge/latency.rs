//! Whether a path has become slow: a cumulative sum of how far its latencies lie above the usual
//! (CUSUM; Page, 1954), on their logarithm, because latencies vary by factors.

use crate::Ms;

/// Samples that make the first idea of the usual.
const LEARN: usize = 4;
/// How fast the usual follows.
const FOLLOW: f64 = 0.03;
/// How fast the idea of its spread follows; never less than this spread.
const LEAST_SPREAD: f64 = 0.18;
/// Beyond this the path is slow.
const SLOW: f64 = 7.0;
/// The sum goes no further.
const MOST: f64 = 14.0;
/// One sample adds at most so much …
const MOST_STEP: f64 = 5.0;
/// … less this.
const SLACK: f64 = 1.2;
/// Samples near the usual that end it.
const CALM: u32 = 3;
/// So many far samples in a row are the new usual.
const MOVED: u32 = 60;
/// A quarter of a second more is what somebody feels; less is no trouble, whatever the factor.
const FELT: Ms = 250;

/// The latencies of one path.
#[derive(Debug, Clone, Default)]
pub(super) struct Latency {
    learned: Vec<f64>,
    /// The usual, and its spread.
    usual: Option<(f64, f64)>,
    sum: f64,
    calm: u32,
    far: u32,
    pub(super) is_slow: bool,
}

impl Latency {
    /// Takes how long a good, scheduled probe took.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of one probe")]
    pub(super) fn take(&mut self, took: Ms) {
        let y = (took.max(1) as f64).ln();
        let Some((usual, spread)) = self.usual else {
            self.learned.push(y);
            if self.learned.len() == LEARN {
                self.learned.sort_by(f64::total_cmp);
                let median = f64::midpoint(self.learned[1], self.learned[2]);
                self.usual = Some((median, LEAST_SPREAD));
                self.learned = Vec::new();
            }
            return;
        };
        let z = (y - usual) / spread;
        let is_felt = took as f64 - usual.exp() >= FELT as f64;
        if z.abs() < 3.0 {
            // A heavy tail is learned, a slow ramp is not: far samples teach nothing.
            let far = (y - usual).abs() * 1.25;
            let spread = spread + FOLLOW * (far - spread);
            let usual = usual + FOLLOW * (y - usual);
            self.usual = Some((usual, spread.max(LEAST_SPREAD)));
            self.far = 0;
        } else {
            self.far += 1;
            if self.far >= MOVED {
                *self = Self::default();
                return;
            }
        }
        let step = if is_felt {
            z.min(MOST_STEP)
        } else {
            z.min(0.0)
        };
        self.sum = (self.sum + step - SLACK).clamp(0.0, MOST);
        self.calm = if z < 1.5 || !is_felt {
            self.calm + 1
        } else {
            0
        };
        if self.sum > SLOW {
            self.is_slow = true;
        } else if self.calm >= CALM {
            (self.is_slow, self.sum) = (false, self.sum.min(2.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: &[Ms]) -> bool {
        let mut latency = Latency::default();
        samples.iter().for_each(|took| latency.take(*took));
        latency.is_slow
    }

    #[test]
    fn slow_is_what_lasts_and_is_felt() {
        let usual = [200; 8];
        let with = |more: &[Ms]| [&usual[..], more].concat();
        assert!(!after(&usual));
        assert!(!after(&with(&[2000])), "one outlier");
        assert!(after(&with(&[900, 900])));
        assert!(!after(&with(&[900, 900, 210, 200, 190])), "over");
        let fast = [[5; 8], [100; 8]].concat();
        assert!(!after(&fast), "twenty times as slow, and nobody feels it");
        assert!(!after(&[900, 900]), "nothing is usual yet");
        assert!(after(&with(&[900; 59])));
        assert!(!after(&with(&[900; 70])), "it has moved, and stays there");
    }
}
