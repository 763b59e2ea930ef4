//! Durations in buckets, as whole nanoseconds; and sizes, as whole bytes.
//!
//! The bounds of a native histogram are the powers of 2^(1/8), each 9 % above the one before: schema 3 of Prometheus
//! (<https://prometheus.io/docs/specs/native_histograms/#schema>). A block has a counter for each, from a microsecond to
//! twelve days: a sparse histogram would allocate while calls are counted.

use super::block::{Block, SUM_CELLS};
use super::exemplars::{EXEMPLAR_CELLS, Exemplar};
use crate::buckets::Buckets;
use std::ops::Range;
use std::sync::LazyLock;

/// A histogram, and its cells in a block: its sum, a counter for each bucket up to `+Inf`, and the counters of the native
/// histogram if there is one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) buckets: Buckets,
    pub(super) at: usize,
    /// If calls are traced: the first cell of its exemplars, and that of all exemplars of the series.
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
    /// Index and observations of each bucket that is not empty. The upper bound is 2^(index/8) seconds.
    pub(crate) buckets: Vec<(i32, u64)>,
}

/// The schema of Prometheus in which eight buckets double the bound.
pub(crate) const SCHEMA: i8 = 3;

/// In seconds: 2^-20, about a microsecond. Durations up to it count as zero.
#[cfg(any(test, feature = "protobuf"))]
pub(crate) const ZERO_THRESHOLD: f64 = 1.0 / 1_048_576.0;

/// Buckets that double the bound.
const FINENESS: i32 = 1 << SCHEMA;
/// The last bucket at or below the threshold.
const BELOW: i32 = -20 * FINENESS;
/// The last bucket: up to 2^20 seconds, twelve days. It counts longer durations, too.
const LAST: i32 = 20 * FINENESS;
const NATIVE_BUCKETS: usize = (LAST - BELOW) as usize;
/// The counter for zero, and one for each bucket.
const NATIVE_CELLS: usize = 1 + NATIVE_BUCKETS;

/// Upper bounds in whole nanoseconds, the threshold first. Rounding down is exact: durations are whole nanoseconds, too.
static NATIVE_BOUNDS: LazyLock<[u64; NATIVE_CELLS]> = LazyLock::new(|| {
    std::array::from_fn(|cell| {
        let index = BELOW + cell as i32;
        let seconds = (f64::from(index) / f64::from(FINENESS)).exp2();
        (seconds * 1e9).floor() as u64
    })
});

// === impl Histogram ===

impl Histogram {
    /// A histogram whose cells begin at `at`, and the end of its cells.
    pub(super) fn new(buckets: &Buckets, at: usize) -> (Self, usize) {
        let native = if buckets.is_native() { NATIVE_CELLS } else { 0 };
        let end = at + SUM_CELLS + buckets.count() + native;
        let histogram = Self {
            buckets: buckets.clone(),
            at,
            exemplars_at: None,
        };
        (histogram, end)
    }

    /// Counts `value`, and returns its bucket.
    #[inline]
    pub(super) fn observe(&self, block: &Block, value: u64) -> usize {
        let bucket = self.buckets.index(value);
        block.add_to_sum(self.at, value);
        block.add(self.at + SUM_CELLS + bucket, 1);
        if self.buckets.is_native() {
            let native = NATIVE_BOUNDS.partition_point(|&bound| bound < value);
            block.add(self.native_cells().start + native.min(NATIVE_BUCKETS), 1);
        }
        bucket
    }

    /// The first cell of a bucket's exemplar, if calls are traced.
    pub(super) fn exemplar_at(&self, bucket: usize) -> Option<usize> {
        Some(self.exemplars_at?.0 + EXEMPLAR_CELLS * bucket)
    }

    /// The exemplars of this histogram, out of `all` of the series.
    pub(crate) fn exemplars<'a>(&self, all: &'a [Option<Exemplar>]) -> &'a [Option<Exemplar>] {
        let first = self
            .exemplars_at
            .map(|(own, first)| (own - first) / EXEMPLAR_CELLS);
        let own = first.and_then(|first| all.get(first..first + self.buckets.count()));
        own.unwrap_or_default()
    }

    fn bucket_cells(&self) -> Range<usize> {
        let first = self.at + SUM_CELLS;
        first..first + self.buckets.count()
    }

    fn native_cells(&self) -> Range<usize> {
        let first = self.bucket_cells().end;
        first..first + NATIVE_CELLS
    }

    /// Makes the counts of buckets cumulative. The last one is the count of all observations.
    pub(super) fn cumulate(&self, numbers: &mut [u64]) {
        let is_native = self.buckets.is_native();
        let native = is_native.then(|| numbers[self.native_cells()].iter().sum());
        let cumulative = &mut numbers[self.bucket_cells()];
        let mut count = 0;
        for below in &mut *cumulative {
            count += *below;
            *below = count;
        }
        if let Some(native) = native {
            agree(cumulative, native);
        }
    }

    /// Observations at or below each bound, and last all of them, out of the `numbers` of a series.
    pub(crate) fn cumulative<'a>(&self, numbers: &'a [u64]) -> &'a [u64] {
        &numbers[self.bucket_cells()]
    }

    /// The sum of all observations, in nanoseconds or bytes.
    pub(crate) fn sum(&self, numbers: &[u64]) -> u128 {
        u128::from(numbers[self.at + 1]) << 64 | u128::from(numbers[self.at])
    }

    /// The native histogram, if there is one.
    #[cfg(any(test, feature = "protobuf"))]
    pub(crate) fn native_of(&self, numbers: &[u64]) -> Option<Native> {
        let is_native = self.buckets.is_native();
        let cells = is_native.then(|| &numbers[self.native_cells()])?;
        let buckets = (BELOW..).zip(cells).skip(1);
        let buckets = buckets.filter(|(_, count)| **count > 0);
        Some(Native {
            zero: cells[0],
            buckets: buckets.map(|(index, count)| (index, *count)).collect(),
        })
    }
}

/// Makes classic buckets agree with the `count` of the native histogram.
///
/// One was read after the other, and calls may have ended in between. The next scrape shows the difference. Neither count
/// ever decreases: the lower of two growing numbers grows.
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
    fn observed(buckets: Buckets, values: &[u64]) -> (Histogram, Vec<u64>) {
        let (histogram, end) = Histogram::new(&buckets, 3);
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
        let buckets = Buckets::new([0.001, 0.1]).unwrap();
        let values = [0, 1_000_000, 1_000_001, 100_000_000, 100_000_001];
        let (histogram, numbers) = observed(buckets, &values);
        assert_eq!(histogram.cumulative(&numbers), [2, 4, 5]);
        assert_eq!(histogram.sum(&numbers), 202_000_002);
        assert_eq!(histogram.native_of(&numbers), None);
    }

    #[test]
    fn classic_and_native_buckets_count_the_same() {
        let buckets = Buckets::new([1.0]).unwrap().native(true);
        let (histogram, numbers) = observed(buckets, &[0, SECOND, 3 * SECOND]);
        assert_eq!(histogram.cumulative(&numbers), [2, 3]);
        let native = histogram.native_of(&numbers).unwrap();
        // 1 s is the upper bound of bucket 0, 3 s lies below that of bucket 13: 2^(13/8) = 3.08.
        assert_eq!((native.zero, native.buckets), (1, vec![(0, 1), (13, 1)]));
    }

    #[test]
    fn classic_and_native_counts_agree() {
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
            let (histogram, numbers) = observed(Buckets::none().native(true), &[nanos]);
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
}
