//! Durations in buckets, as whole nanoseconds, and sizes, as whole bytes.
//!
//! A block has a counter for each bucket of a native histogram: a sparse histogram would allocate while calls are counted.

use super::block::{Block, SUM_CELLS};
use super::cells::Cells;
use super::exemplar::{EXEMPLAR_CELLS, Exemplar};
use crate::buckets::{self, Buckets, NATIVE_CELLS};
use std::ops::Range;

/// A histogram, and its cells in a block: its sum, a counter for each bucket up to `+Inf`, and the counters of the native
/// histogram if there is one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) buckets: Buckets,
    pub(crate) at: usize,
    /// If calls are traced: the first cell of its exemplars, and that of all exemplars of the series.
    pub(crate) exemplars_at: Option<(usize, usize)>,
}

/// The buckets of a native histogram.
#[derive(Debug, PartialEq)]
#[cfg_attr(
    not(any(test, feature = "protobuf", feature = "testing")),
    expect(dead_code, reason = "text doesn't show them")
)]
pub(crate) struct Native {
    /// Observations at or below [`ZERO_THRESHOLD`](buckets::ZERO_THRESHOLD).
    pub(crate) zero: u64,
    /// Index and observations of each bucket that is not empty. The upper bound is 2^(index/8) seconds.
    pub(crate) buckets: Vec<(i32, u64)>,
}

// === impl Histogram ===

impl Histogram {
    /// A histogram, whose cells are added to `cells`.
    pub(crate) fn new(buckets: &Buckets, cells: &mut Cells) -> Self {
        let native = if buckets.is_native() { NATIVE_CELLS } else { 0 };
        let at = cells.add_sum();
        cells.add(buckets.count() + native);
        Self {
            buckets: buckets.clone(),
            at,
            exemplars_at: None,
        }
    }

    /// Keeps an exemplar for each bucket.
    pub(crate) fn keep_exemplars(&mut self, cells: &mut Cells) {
        let first = cells.add_exemplars(self.buckets.count());
        self.exemplars_at = Some((first, cells.numbers()));
    }

    /// Counts `value`, and returns its bucket.
    #[inline]
    pub(crate) fn observe(&self, block: &Block, value: u64) -> usize {
        let bucket = self.buckets.index(value);
        block.add_to_sum(self.at, value);
        block.add(self.at + SUM_CELLS + bucket, 1);
        if self.buckets.is_native() {
            block.add(self.native_cells().start + buckets::native_cell(value), 1);
        }
        bucket
    }

    /// The first cell of a bucket's exemplar, if calls are traced.
    pub(crate) fn exemplar_at(&self, bucket: usize) -> Option<usize> {
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
    pub(crate) fn cumulate(&self, numbers: &mut [u64]) {
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
    #[cfg(any(test, feature = "protobuf", feature = "testing"))]
    pub(crate) fn native_of(&self, numbers: &[u64]) -> Option<Native> {
        let is_native = self.buckets.is_native();
        let cells = is_native.then(|| &numbers[self.native_cells()])?;
        let buckets = (buckets::NATIVE_BELOW..).zip(cells).skip(1);
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
        let mut cells = Cells::new(3);
        let histogram = Histogram::new(&buckets, &mut cells);
        let block = Block::new(cells.all());
        for value in values {
            histogram.observe(&block, *value);
        }
        let mut numbers = vec![0; cells.numbers()];
        block.add_to(&mut numbers);
        histogram.cumulate(&mut numbers);
        (histogram, numbers)
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let buckets = Buckets::new(&[0.001, 0.1]).unwrap();
        let values = [0, 1_000_000, 1_000_001, 100_000_000, 100_000_001];
        let (histogram, numbers) = observed(buckets, &values);
        assert_eq!(histogram.cumulative(&numbers), [2, 4, 5]);
        assert_eq!(histogram.sum(&numbers), 202_000_002);
        assert_eq!(histogram.native_of(&numbers), None);
    }

    #[test]
    fn classic_and_native_buckets_count_the_same() {
        let buckets = Buckets::new(&[1.0]).unwrap().native(true);
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
}
