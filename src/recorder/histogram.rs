//! Durations in buckets, as whole nanoseconds; and sizes, as whole bytes.

use super::block::{Blocks, Cells};
use super::exemplars::{Exemplar, Exemplars};
use super::native::{self, Native};
use crate::Error;
use std::ops::Range;

/// The upper bounds of a histogram's buckets, ascending; `+Inf` is understood.
///
/// Of sizes they are in bytes, wherever those of durations are in seconds or nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bounds {
    seconds: Box<[f64]>,
    nanos: Box<[u64]>,
    /// Whether there are the buckets of a native histogram beside them.
    native: bool,
}

/// Where a histogram lies in a row of [`Blocks`]: its sum, then one counter per
/// bucket, the last one for what is above every bound; then those of the native one, if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Histogram {
    first: usize,
    /// Where its buckets begin among the series' exemplars.
    kept: usize,
}

/// What a histogram held when it was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Distribution {
    /// Where the numbers lie that were read with it: observations at or below each bound, and in the last place
    /// all of them.
    pub(crate) cumulative: Range<usize>,
    /// How many observations there were.
    pub(crate) count: u64,
    /// In nanoseconds, or of sizes in bytes.
    pub(crate) sum: u64,
    /// The latest traced call of each bucket; none, where calls aren't traced.
    pub(crate) exemplars: Vec<Option<Exemplar>>,
    /// Where there is one, and it was asked for.
    pub(crate) native: Option<Native>,
}

/// What of a histogram is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What text can show.
    Classic,
    /// The native histogram too, where there is one.
    Native,
}

const NANOS_PER_SECOND: f64 = 1e9;

/// From 5 ms to 10 s: what Prometheus' own clients default to.
pub(crate) const DEFAULT_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

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
        let nanos = seconds.iter().map(|&bound| to_nanos(bound)).collect();
        Ok(Self {
            seconds,
            nanos,
            native: false,
        })
    }

    /// None but `+Inf`.
    pub(crate) fn none() -> Self {
        Self {
            seconds: Box::default(),
            nanos: Box::default(),
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
            seconds: bounds.iter().map(|&bytes| bytes as f64).collect(),
            nanos: bounds.into(),
            native: false,
        })
    }

    /// As they are shown.
    pub(crate) fn shown(&self) -> &[f64] {
        &self.seconds
    }

    /// How many counters a histogram with these bounds takes.
    pub(crate) fn cells(&self) -> usize {
        let native = if self.native { native::CELLS } else { 0 };
        1 + self.buckets() + native
    }

    /// How many buckets there are, `+Inf` included.
    pub(super) fn buckets(&self) -> usize {
        self.nanos.len() + 1
    }

    /// The bucket that holds `nanos`: the first whose bound is not below it.
    #[inline]
    fn bucket(&self, nanos: u64) -> usize {
        // Where most calls are: not to be searched for.
        match self.nanos.first() {
            Some(&first) if nanos <= first => 0,
            _ => self.nanos.partition_point(|&bound| bound < nanos),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            seconds: DEFAULT_BUCKETS.into(),
            nanos: DEFAULT_BUCKETS.iter().map(|&b| to_nanos(b)).collect(),
            native: false,
        }
    }
}

/// The nearest nanosecond; a float's `as` saturates, so that no bound wraps.
fn to_nanos(seconds: f64) -> u64 {
    (seconds * NANOS_PER_SECOND).round() as u64
}

// === impl Histogram ===

impl Histogram {
    /// A histogram whose counters begin at cell `first`, and whose exemplars at `kept`.
    pub(crate) const fn at(first: usize, kept: usize) -> Self {
        Self { first, kept }
    }

    /// Gives back the bucket's place among the series' exemplars.
    #[inline]
    pub(crate) fn observe(self, cells: &Cells<'_>, bounds: &Bounds, nanos: u64) -> usize {
        let bucket = bounds.bucket(nanos);
        // The sum of one thread wraps after 584 years of calls, which scrapers
        // take for a restart.
        cells.add(self.first, nanos);
        cells.add(self.first + 1 + bucket, 1);
        if bounds.native {
            cells.add(self.native(bounds) + native::cell(nanos), 1);
        }
        self.kept + bucket
    }

    /// What stands in a row comes to the end of `numbers`. The count is the sum of the buckets, so that the two always
    /// agree.
    pub(crate) fn read(
        self,
        blocks: &Blocks,
        bounds: &Bounds,
        exemplars: &Exemplars,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let native = bounds.native && detail == Detail::Native;
        let native = native.then(|| {
            let first = self.native(bounds);
            let mut cells = Vec::new();
            blocks.push_sums(first..first + native::CELLS, &mut cells);
            Native::of(&cells)
        });
        let first = numbers.len();
        let buckets = self.first + 1;
        blocks.push_sums(buckets..buckets + bounds.buckets(), numbers);
        let cumulative = &mut numbers[first..];
        let mut count = 0;
        for below in &mut *cumulative {
            count += *below;
            *below = count;
        }
        if let Some(native) = &native {
            count = native.count();
            agree(cumulative, count);
        }
        let kept = self.kept..self.kept + bounds.buckets();
        Distribution {
            cumulative: first..numbers.len(),
            count,
            sum: blocks.sum(self.first),
            exemplars: exemplars.all(kept),
            native,
        }
    }

    /// Where the native histogram's counters begin.
    #[inline]
    fn native(self, bounds: &Bounds) -> usize {
        self.first + 1 + bounds.buckets()
    }
}

/// The two were read one after the other, and calls have ended in between. What the second has seen more is
/// left for the next scrape, so that both say the same count and neither ever decreases: the lower of
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
    use super::super::thread::Writer;
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let bounds = Bounds::new([0.001, 0.1]).unwrap();
        let blocks = Blocks::new(bounds.cells());
        let writer = Writer::new();
        let histogram = Histogram::at(0, 0);
        for nanos in [0, 1_000_000, 1_000_001, 100_000_000, 100_000_001] {
            histogram.observe(&blocks.cells(&writer), &bounds, nanos);
        }
        let exemplars = Exemplars::new(false, 0);
        // What was read before.
        let mut numbers = vec![7];
        let read = histogram.read(&blocks, &bounds, &exemplars, Detail::Native, &mut numbers);
        assert_eq!(numbers, [7, 2, 4, 5]);
        assert_eq!(
            read,
            Distribution {
                cumulative: 1..4,
                count: 5,
                sum: 202_000_002,
                exemplars: Vec::new(),
                native: None,
            }
        );
    }

    #[test]
    fn classic_and_native_buckets_count_the_same() {
        let bounds = Bounds::new([1.0]).unwrap().native(true);
        let blocks = Blocks::new(bounds.cells());
        let writer = Writer::new();
        let histogram = Histogram::at(0, 0);
        for nanos in [0, 1_000_000_000, 3_000_000_000] {
            histogram.observe(&blocks.cells(&writer), &bounds, nanos);
        }
        let exemplars = Exemplars::new(false, 0);
        let mut numbers = Vec::new();
        let mut read = |detail| histogram.read(&blocks, &bounds, &exemplars, detail, &mut numbers);
        assert_eq!(read(Detail::Classic).native, None);
        let both = read(Detail::Native);
        assert_eq!((&numbers[both.cumulative], both.count), (&[2, 3][..], 3));
        let native = both.native.unwrap();
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
