//! Durations in buckets, as whole nanoseconds; and sizes, as whole bytes.

use super::block::{Blocks, Cells};
use crate::Error;

/// The upper bounds of a histogram's buckets, ascending; `+Inf` is understood.
///
/// Of sizes they are in bytes, wherever those of durations are in seconds or nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bounds {
    seconds: Box<[f64]>,
    nanos: Box<[u64]>,
}

/// Where a histogram lies in a row of [`Blocks`]: its sum, then one counter per
/// bucket, the last one for what is above every bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Histogram {
    first: usize,
}

/// What a histogram held when it was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Distribution {
    /// Observations at or below each bound, and in the last place all of them.
    pub(crate) cumulative: Vec<u64>,
    /// In nanoseconds, or of sizes in bytes.
    pub(crate) sum: u64,
}

const NANOS_PER_SECOND: f64 = 1e9;

/// From 5 ms to 10 s: what Prometheus' own clients default to.
pub(crate) const DEFAULT_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

// === impl Distribution ===

impl Distribution {
    /// How many observations there were.
    pub(crate) fn count(&self) -> u64 {
        self.cumulative.last().copied().unwrap_or(0)
    }
}

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
        Ok(Self { seconds, nanos })
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
        })
    }

    /// As they are shown.
    pub(crate) fn shown(&self) -> &[f64] {
        &self.seconds
    }

    /// How many counters a histogram with these bounds takes.
    pub(crate) fn cells(&self) -> usize {
        1 + self.nanos.len() + 1
    }

    /// The bucket that holds `nanos`: the first whose bound is not below it.
    #[inline]
    fn bucket(&self, nanos: u64) -> usize {
        self.nanos.partition_point(|&bound| bound < nanos)
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            seconds: DEFAULT_BUCKETS.into(),
            nanos: DEFAULT_BUCKETS.iter().map(|&b| to_nanos(b)).collect(),
        }
    }
}

/// The nearest nanosecond; a float's `as` saturates, so that no bound wraps.
fn to_nanos(seconds: f64) -> u64 {
    (seconds * NANOS_PER_SECOND).round() as u64
}

// === impl Histogram ===

impl Histogram {
    /// A histogram whose counters begin at cell `first`.
    pub(crate) const fn at(first: usize) -> Self {
        Self { first }
    }

    #[inline]
    pub(crate) fn observe(self, cells: &Cells<'_>, bounds: &Bounds, nanos: u64) {
        // The sum of one thread wraps after 584 years of calls, which scrapers
        // take for a restart.
        cells.add(self.first, nanos);
        cells.add(self.first + 1 + bounds.bucket(nanos), 1);
    }

    /// The count is the sum of the buckets, so that the two always agree.
    pub(crate) fn read(self, blocks: &Blocks, bounds: &Bounds) -> Distribution {
        let mut total = 0;
        let cumulative = (0..=bounds.nanos.len())
            .map(|bucket| {
                total += blocks.sum(self.first + 1 + bucket);
                total
            })
            .collect();
        Distribution {
            cumulative,
            sum: blocks.sum(self.first),
        }
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
        let histogram = Histogram::at(0);
        for nanos in [0, 1_000_000, 1_000_001, 100_000_000, 100_000_001] {
            histogram.observe(&blocks.cells(&writer), &bounds, nanos);
        }
        assert_eq!(
            histogram.read(&blocks, &bounds),
            Distribution {
                cumulative: vec![2, 4, 5],
                sum: 202_000_002,
            }
        );
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
