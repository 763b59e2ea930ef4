//! Durations in buckets, as whole nanoseconds; and sizes, as whole bytes.
//!
//! A native histogram has buckets that are as fine everywhere, whatever the durations are: their bounds are the powers of
//! 2^(1/8), schema 3 of Prometheus, so that one is 9 % above the other
//! (<https://prometheus.io/docs/specs/native_histograms/#schema>). A block holds a counter for each, from a microsecond to
//! twelve days: a sparse histogram would have to be allocated where calls are counted.

use super::block::{Block, SUM_CELLS};
use super::exemplars::{EXEMPLAR_CELLS, Exemplar};
use crate::Error;
use std::ops::Range;
use std::sync::LazyLock;

/// The upper bounds of a histogram's buckets, ascending; `+Inf` is understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bounds {
    /// As they are shown: in seconds, or in bytes.
    shown: Box<[f64]>,
    /// As they are compared: in nanoseconds, or in bytes.
    limits: Box<[u64]>,
    /// Whether there are the buckets of a native histogram beside them.
    native: bool,
}

/// A histogram, and where it lies in a block: its sum, then one counter per bucket, the last one for what is above
/// every bound; then those of the native one, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) bounds: Bounds,
    pub(super) at: usize,
    /// Where its buckets' exemplars lie, if calls are traced; and where the first of all histograms of the series do.
    pub(super) exemplars_at: Option<(usize, usize)>,
}

/// The buckets of a native histogram.
#[derive(Debug, PartialEq)]
#[cfg_attr(
    not(feature = "protobuf"),
    expect(dead_code, reason = "only protobuf shows them")
)]
pub(crate) struct Native {
    /// Observations at or below [`ZERO_THRESHOLD`].
    pub(crate) zero: u64,
    /// Those that are not empty: index, and observations. The upper bound of a bucket is 2^(index/8) seconds.
    pub(crate) buckets: Vec<(i32, u64)>,
}

/// From 5 ms to 10 s: what Prometheus' own clients default to.
pub(crate) const DEFAULT_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Of Prometheus' schemas, the one in which eight buckets double the bound.
pub(crate) const SCHEMA: i8 = 3;

/// In seconds: 2^-20, about a microsecond. What is not longer counts as zero.
#[cfg(any(test, feature = "protobuf"))]
pub(crate) const ZERO_THRESHOLD: f64 = 1.0 / 1_048_576.0;

/// Eight to an octave.
const FINENESS: i32 = 1 << SCHEMA;
/// The last bucket at or below the threshold.
const BELOW: i32 = -20 * FINENESS;
/// The last bucket: up to 2^20 seconds, twelve days. What is longer counts as that long.
const LAST: i32 = 20 * FINENESS;
const NATIVE_BUCKETS: usize = (LAST - BELOW) as usize;
/// How many counters there are: that for zero, and one for each bucket.
const NATIVE_CELLS: usize = 1 + NATIVE_BUCKETS;

/// Upper bounds, the threshold first, in whole nanoseconds: a duration is at most the
/// bound if it is at most what the bound is rounded down to.
static NATIVE_BOUNDS: LazyLock<[u64; NATIVE_CELLS]> = LazyLock::new(|| {
    std::array::from_fn(|cell| {
        let index = BELOW + cell as i32;
        let seconds = (f64::from(index) / f64::from(FINENESS)).exp2();
        (seconds * 1e9).floor() as u64
    })
});

// === impl Bounds ===

impl Bounds {
    /// # Errors
    ///
    /// Names the bound that is not finite, negative, out of order or repeated.
    pub(crate) fn new(seconds: impl IntoIterator<Item = f64>) -> Result<Self, Error> {
        let seconds: Box<[f64]> = seconds.into_iter().collect();
        if seconds.is_empty() {
            return Err(Error::new(
                "buckets are empty: give at least one upper bound in seconds",
            ));
        }
        for (i, &bound) in seconds.iter().enumerate() {
            if !bound.is_finite() {
                return Err(Error::new(format!(
                    "bucket bound {bound} is not finite: leave it out, `+Inf` is always added"
                )));
            }
            if bound < 0.0 {
                return Err(Error::new(format!(
                    "bucket bound {bound} is negative: durations start at 0"
                )));
            }
            if i > 0 && bound <= seconds[i - 1] {
                return Err(Error::new(format!(
                    "bucket bound {bound} comes after {}: bounds must ascend, each once",
                    seconds[i - 1]
                )));
            }
        }
        Ok(Self::of_seconds(seconds))
    }

    /// None but `+Inf`.
    pub(crate) fn none() -> Self {
        Self {
            shown: Box::default(),
            limits: Box::default(),
            native: false,
        }
    }

    /// With the buckets of a native histogram beside them, or without.
    pub(crate) fn native(self, on: bool) -> Self {
        Self { native: on, ..self }
    }

    /// For sizes in bytes.
    ///
    /// # Errors
    ///
    /// Names the bound that is out of order or repeated.
    pub(crate) fn of_bytes(bounds: Vec<u64>) -> Result<Self, Error> {
        if bounds.is_empty() {
            return Err(Error::new(
                "buckets of sizes are empty: give at least one upper bound in bytes",
            ));
        }
        if let Some(two) = bounds.windows(2).find(|two| two[1] <= two[0]) {
            return Err(Error::new(format!(
                "bucket bound of {} bytes comes after {}: bounds must ascend, each once",
                two[1], two[0]
            )));
        }
        Ok(Self {
            shown: bounds.iter().map(|&bytes| bytes as f64).collect(),
            limits: bounds.into(),
            native: false,
        })
    }

    /// As they are shown.
    pub(crate) fn shown(&self) -> &[f64] {
        &self.shown
    }

    /// In nanoseconds, the nearest; a float's `as` saturates, so that no bound wraps.
    fn of_seconds(seconds: Box<[f64]>) -> Self {
        let limits = seconds.iter().map(|bound| (bound * 1e9).round() as u64);
        Self {
            limits: limits.collect(),
            shown: seconds,
            native: false,
        }
    }

    /// How many buckets there are, `+Inf` included.
    pub(super) fn buckets(&self) -> usize {
        self.limits.len() + 1
    }

    /// The bucket that holds `value`: the first whose bound is not below it.
    #[inline]
    fn bucket(&self, value: u64) -> usize {
        // Where most calls are: not to be searched for.
        match self.limits.first() {
            Some(&first) if value <= first => 0,
            _ => self.limits.partition_point(|&bound| bound < value),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::of_seconds(DEFAULT_BUCKETS.into())
    }
}

// === impl Histogram ===

impl Histogram {
    /// One whose cells begin at `at`; and where they end.
    pub(super) fn new(bounds: &Bounds, at: usize) -> (Self, usize) {
        let native = if bounds.native { NATIVE_CELLS } else { 0 };
        let end = at + SUM_CELLS + bounds.buckets() + native;
        let histogram = Self {
            bounds: bounds.clone(),
            at,
            exemplars_at: None,
        };
        (histogram, end)
    }

    /// Counts `value`, and returns its bucket.
    #[inline]
    pub(super) fn observe(&self, block: &Block, value: u64) -> usize {
        let bucket = self.bounds.bucket(value);
        block.add_to_sum(self.at, value);
        block.add(self.at + SUM_CELLS + bucket, 1);
        if self.bounds.native {
            let native = NATIVE_BOUNDS.partition_point(|&bound| bound < value);
            block.add(self.native().start + native.min(NATIVE_BUCKETS), 1);
        }
        bucket
    }

    /// Where the exemplar of a bucket lies, if calls are traced.
    pub(super) fn exemplar_at(&self, bucket: usize) -> Option<usize> {
        Some(self.exemplars_at?.0 + EXEMPLAR_CELLS * bucket)
    }

    /// Of the exemplars of a series: those of this histogram's buckets.
    pub(crate) fn exemplars<'a>(&self, all: &'a [Option<Exemplar>]) -> &'a [Option<Exemplar>] {
        let first = self
            .exemplars_at
            .map(|(own, first)| (own - first) / EXEMPLAR_CELLS);
        let own = first.and_then(|first| all.get(first..first + self.bounds.buckets()));
        own.unwrap_or_default()
    }

    fn buckets(&self) -> Range<usize> {
        let first = self.at + SUM_CELLS;
        first..first + self.bounds.buckets()
    }

    /// Where the native histogram's counters lie.
    fn native(&self) -> Range<usize> {
        let first = self.buckets().end;
        first..first + NATIVE_CELLS
    }

    /// Makes the counts of buckets cumulative. The count of observations is that of the last, so that the two always agree.
    pub(super) fn cumulate(&self, numbers: &mut [u64]) {
        let native: Option<u64> = self
            .bounds
            .native
            .then(|| numbers[self.native()].iter().sum());
        let cumulative = &mut numbers[self.buckets()];
        let mut count = 0;
        for below in &mut *cumulative {
            count += *below;
            *below = count;
        }
        if let Some(native) = native {
            agree(cumulative, native);
        }
    }

    /// Of the numbers of a series: observations at or below each bound, and in the last place all of them.
    pub(crate) fn cumulative<'a>(&self, numbers: &'a [u64]) -> &'a [u64] {
        &numbers[self.buckets()]
    }

    /// Of the numbers of a series: what was observed, in nanoseconds or bytes.
    pub(crate) fn sum(&self, numbers: &[u64]) -> u128 {
        u128::from(numbers[self.at + 1]) << 64 | u128::from(numbers[self.at])
    }

    /// Of the numbers of a series: the native histogram, if there is one.
    #[cfg(any(test, feature = "protobuf"))]
    pub(crate) fn native_of(&self, numbers: &[u64]) -> Option<Native> {
        let cells = self.bounds.native.then(|| &numbers[self.native()])?;
        let buckets = (BELOW..).zip(cells).skip(1);
        let buckets = buckets.filter(|(_, count)| **count > 0);
        Some(Native {
            zero: cells[0],
            buckets: buckets.map(|(index, count)| (index, *count)).collect(),
        })
    }
}

/// The two were read one after the other, and calls have ended in between. What the classic buckets have not seen yet, or have
/// seen more, is left for the next scrape, so that both say the same count and neither ever decreases: the lower of
/// two numbers that grow grows.
fn agree(cumulative: &mut [u64], count: u64) {
    for below in &mut *cumulative {
        *below = count.min(*below);
    }
    if let Some(all) = cumulative.last_mut() {
        *all = count;
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// What a scrape reads after these observations.
    fn observed(bounds: Bounds, values: &[u64]) -> (Histogram, Vec<u64>) {
        let (histogram, end) = Histogram::new(&bounds, 3);
        let block = Block::new(end);
        for value in values {
            histogram.observe(&block, *value);
        }
        let mut numbers = vec![0; end];
        block.add_to(&mut numbers);
        histogram.cumulate(&mut numbers);
        (histogram, numbers)
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let bounds = Bounds::new([0.001, 0.1]).unwrap();
        let values = [0, 1_000_000, 1_000_001, 100_000_000, 100_000_001];
        let (histogram, numbers) = observed(bounds, &values);
        assert_eq!(histogram.cumulative(&numbers), [2, 4, 5]);
        assert_eq!(histogram.sum(&numbers), 202_000_002);
        assert_eq!(histogram.native_of(&numbers), None);
    }

    #[test]
    fn classic_and_native_buckets_count_the_same() {
        let bounds = Bounds::new([1.0]).unwrap().native(true);
        let (histogram, numbers) = observed(bounds, &[0, SECOND, 3 * SECOND]);
        assert_eq!(histogram.cumulative(&numbers), [2, 3]);
        let native = histogram.native_of(&numbers).unwrap();
        // 1 s is the upper bound of bucket 0, 3 s lies below that of bucket 13: 2^(13/8) = 3.08.
        assert_eq!((native.zero, native.buckets), (1, vec![(0, 1), (13, 1)]));
    }

    #[test]
    fn what_one_of_two_has_not_seen_yet_waits() {
        let mut cumulative = [2, 5, 6];
        agree(&mut cumulative, 4);
        assert_eq!(cumulative, [2, 4, 4]);
        agree(&mut cumulative, 7);
        assert_eq!(cumulative, [2, 4, 7]);
    }

    #[test]
    fn a_native_bound_belongs_to_its_bucket() {
        for (nanos, expected) in [
            (0, None),
            // 2^-20 s is 953.67 ns, and 2^(-159/8) s 1040.0.
            (953, None),
            (954, Some(-159)),
            (SECOND / 2, Some(-8)),
            (SECOND / 2 + 1, Some(-7)),
            (SECOND, Some(0)),
            (SECOND + 1, Some(1)),
            (2 * SECOND, Some(8)),
            // 2^(1/8) s = 1.090507732665 s.
            (1_090_507_732, Some(1)),
            (1_090_507_733, Some(2)),
            (1_048_576 * SECOND, Some(160)),
            (u64::MAX, Some(160)),
        ] {
            let (histogram, numbers) = observed(Bounds::none().native(true), &[nanos]);
            let native = histogram.native_of(&numbers).unwrap();
            let index = native.buckets.first().map(|(index, _)| *index);
            assert_eq!(
                (index, native.zero),
                (expected, u64::from(index.is_none())),
                "{nanos}"
            );
        }
        assert!(NATIVE_BOUNDS.is_sorted_by(|a, b| a < b));
        assert_eq!(f64::from(BELOW / FINENESS).exp2(), ZERO_THRESHOLD);
    }

    #[test]
    fn bad_bounds_are_named() {
        let cases: [(&[f64], &str); 6] = [
            (&[], "empty"),
            (&[1.0, f64::INFINITY], "inf"),
            (&[f64::NAN], "NaN"),
            (&[-0.5], "-0.5"),
            (&[2.0, 1.5], "1.5 comes after 2"),
            (&[3.0, 3.0], "3 comes after 3"),
        ];
        for (bounds, named) in cases {
            let error = Bounds::new(bounds.iter().copied()).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
