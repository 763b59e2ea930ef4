//! The buckets of a native histogram: as fine everywhere, whatever the durations are.
//!
//! Their bounds are the powers of 2^(1/8), schema 3 of Prometheus, so that one is 9 % above the other
//! (<https://prometheus.io/docs/specs/native_histograms/#schema>). Threads count in a row of counters that spans all
//! durations there can be, as wide as it has to be: a sparse one would have to be allocated where calls are counted.

use std::sync::LazyLock;

/// What a native histogram held when it was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Native {
    /// Observations at or below [`ZERO_THRESHOLD`].
    pub(crate) zero: u64,
    /// Those that are not empty: index, and observations. The upper bound of a bucket is 2^(index/8) seconds.
    pub(crate) buckets: Vec<(i32, u64)>,
}

/// Of Prometheus' schemas, the one in which eight buckets double the bound.
pub(crate) const SCHEMA: i8 = 3;

/// In seconds: 2^-20, about a microsecond. What is not longer counts as zero.
pub(crate) const ZERO_THRESHOLD: f64 = 1.0 / 1_048_576.0;

/// Eight to an octave.
const FINENESS: i32 = 1 << SCHEMA;
/// The last bucket at or below the threshold.
const BELOW: i32 = -20 * FINENESS;
/// The last bucket: up to 2^20 seconds, twelve days. What is longer counts as that long.
const LAST: i32 = 20 * FINENESS;
const BUCKETS: usize = (LAST - BELOW) as usize;

/// How many counters there are: that for zero, and one for each bucket.
pub(super) const CELLS: usize = 1 + BUCKETS;

/// Upper bounds, the threshold first, in whole nanoseconds: a duration is at most the
/// bound if it is at most what the bound is rounded down to.
static BOUNDS: LazyLock<[u64; CELLS]> = LazyLock::new(|| {
    std::array::from_fn(|cell| {
        let index = BELOW + cell as i32;
        let seconds = (f64::from(index) / f64::from(FINENESS)).exp2();
        (seconds * 1e9).floor() as u64
    })
});

/// The counter for a duration.
#[inline]
pub(super) fn cell(nanos: u64) -> usize {
    let cell = BOUNDS.partition_point(|&bound| bound < nanos);
    cell.min(BUCKETS)
}

// === impl Native ===

impl Native {
    /// What the counters say.
    pub(super) fn of(cells: &[u64]) -> Self {
        let buckets = (BELOW..).zip(cells).skip(1);
        Self {
            zero: cells.first().copied().unwrap_or(0),
            buckets: buckets
                .filter(|(_, count)| **count > 0)
                .map(|(index, count)| (index, *count))
                .collect(),
        }
    }

    /// How many observations there were.
    pub(crate) fn count(&self) -> u64 {
        self.zero + self.buckets.iter().map(|(_, count)| count).sum::<u64>()
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    fn index(nanos: u64) -> Option<i32> {
        let cell = i32::try_from(cell(nanos)).unwrap();
        (cell > 0).then_some(BELOW + cell)
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        const SECOND: u64 = 1_000_000_000;
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
            assert_eq!(index(nanos), expected, "{nanos}");
        }
    }

    #[test]
    fn bounds_ascend() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
        assert_eq!(f64::from(BELOW / FINENESS).exp2(), ZERO_THRESHOLD);
    }
}
