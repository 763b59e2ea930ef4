//! Bounds of buckets for common uses.
//!
//! ```
//! use tower_openmetrics::{MetricsLayer, buckets};
//!
//! # fn main() -> Result<(), tower_openmetrics::Error> {
//! let layer = MetricsLayer::streaming_builder()
//!     .buckets(buckets::INFERENCE)
//!     .build([("endpoint", "generate")])?;
//! # Ok(())
//! # }
//! ```

// The bounds of a native histogram are the powers of 2^(1/8), each 9 % above the one before: schema 3 of Prometheus
// (<https://prometheus.io/docs/specs/native_histograms/#schema>). They go from a microsecond to twelve days.

use crate::Error;
use std::array;
use std::sync::{Arc, LazyLock};

/// The upper bounds of a histogram's buckets, ascending. `+Inf` is implied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Buckets {
    /// As a page shows them: in seconds or bytes.
    shown: Arc<[f64]>,
    /// As observations are compared with them: in nanoseconds or bytes.
    limits: Arc<[u64]>,
    is_native: bool,
}

/// For calls of model servers: from 50 ms to 10 minutes.
pub const INFERENCE: [f64; 13] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// For the gaps between the items of a stream, such as tokens: from 1 ms to 2.5 s.
pub const ITEM_GAPS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// From 5 ms to 10 s: the default of Prometheus' own clients.
const DEFAULT_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The schema of Prometheus in which eight buckets double the bound.
pub(crate) const SCHEMA: i8 = 3;

/// In seconds: 2^-20, about a microsecond. Durations up to it count as zero.
#[cfg(any(test, feature = "protobuf"))]
pub(crate) const ZERO_THRESHOLD: f64 = 1.0 / 1_048_576.0;

/// The number of buckets that double the bound.
const FINENESS: i32 = 1 << SCHEMA;
/// The index of the last bucket at or below the threshold.
pub(crate) const NATIVE_BELOW: i32 = -20 * FINENESS;
/// The index of the last bucket: up to 2^20 seconds, twelve days. It counts longer durations, too.
const LAST: i32 = 20 * FINENESS;
const NATIVE_BUCKETS: usize = (LAST - NATIVE_BELOW) as usize;
/// The counter for zero, and one for each bucket.
pub(crate) const NATIVE_CELLS: usize = 1 + NATIVE_BUCKETS;

/// Upper bounds in whole nanoseconds, the threshold first. Rounding down is exact: durations are whole nanoseconds, too.
static NATIVE_BOUNDS: LazyLock<[u64; NATIVE_CELLS]> = LazyLock::new(|| {
    array::from_fn(|cell| {
        let seconds = native_bound(NATIVE_BELOW + cell as i32);
        (seconds * 1e9).floor() as u64
    })
});

// === impl Buckets ===

impl Buckets {
    /// Buckets of durations, in seconds.
    ///
    /// # Errors
    ///
    /// Names the bound that is not finite, negative, out of order or repeated.
    pub(crate) fn new(seconds: &[f64]) -> Result<Self, Error> {
        check(seconds, "seconds")?;
        Ok(Self::of(seconds, 1e9))
    }

    /// Buckets of sizes in bytes.
    ///
    /// # Errors
    ///
    /// Names the bound that is out of order or repeated.
    pub(crate) fn of_bytes(bytes: &[f64]) -> Result<Self, Error> {
        check(bytes, "bytes")?;
        Ok(Self::of(bytes, 1.0))
    }

    /// No bucket but `+Inf`.
    pub(crate) fn none() -> Self {
        Self::of(&[], 1.0)
    }

    /// Adds the buckets of a native histogram, or leaves them out.
    pub(crate) fn native(self, is_native: bool) -> Self {
        Self { is_native, ..self }
    }

    /// Rounds limits to whole numbers. `as` saturates, so that no bound wraps.
    fn of(shown: &[f64], limits_per_unit: f64) -> Self {
        let limits = shown.iter();
        Self {
            limits: limits
                .map(|bound| (bound * limits_per_unit).round() as u64)
                .collect(),
            shown: shown.into(),
            is_native: false,
        }
    }

    /// The bounds as a page shows them.
    pub(crate) fn shown(&self) -> &[f64] {
        &self.shown
    }

    /// Whether a native histogram is kept beside the classic one.
    #[inline]
    pub(crate) fn is_native(&self) -> bool {
        self.is_native
    }

    /// The number of buckets, `+Inf` included.
    pub(crate) fn count(&self) -> usize {
        self.limits.len() + 1
    }

    /// The bucket that holds `value`: the first whose bound is not below it.
    #[inline]
    pub(crate) fn index(&self, value: u64) -> usize {
        // Most calls fall into the first bucket, which needs no search.
        match self.limits.first() {
            Some(&first) if value <= first => 0,
            _ => self.limits.partition_point(|&bound| bound < value),
        }
    }
}

impl Default for Buckets {
    fn default() -> Self {
        // Shared by all layers, so that a page of many layers finds them in the processor's cache.
        static DEFAULT: LazyLock<Buckets> = LazyLock::new(|| Buckets::of(&DEFAULT_BUCKETS, 1e9));
        DEFAULT.clone()
    }
}

/// Names the bound that is not finite, negative, out of order or repeated.
fn check(bounds: &[f64], unit: &str) -> Result<(), Error> {
    let mut before = None;
    for &bound in bounds {
        let why = match before.replace(bound) {
            _ if !bound.is_finite() => {
                "is not finite: leave it out, `+Inf` is always added".to_owned()
            }
            _ if bound < 0.0 => "is negative: use bounds from 0 on".to_owned(),
            Some(before) if bound <= before => {
                format!("comes after {before}: bounds in {unit} must ascend, each once")
            }
            _ => continue,
        };
        return Err(Error::new(format!("bucket bound {bound} {why}")));
    }
    match bounds {
        [] => Err(Error::new(format!(
            "buckets are empty: give at least one upper bound in {unit}"
        ))),
        _ => Ok(()),
    }
}

/// The upper bound of a native bucket, in seconds.
pub(crate) fn native_bound(index: i32) -> f64 {
    (f64::from(index) / f64::from(FINENESS)).exp2()
}

/// The counter of a native histogram that counts `nanos`.
pub(crate) fn native_cell(nanos: u64) -> usize {
    let cell = NATIVE_BOUNDS.partition_point(|&bound| bound < nanos);
    cell.min(NATIVE_BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let error = Buckets::new(bounds).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn a_native_bound_belongs_to_its_bucket() {
        const SECOND: u64 = 1_000_000_000;
        for (nanos, expected) in [
            // 2^-20 s is 953.67 ns, and 2^(-159/8) s 1040.0.
            (0, NATIVE_BELOW),
            (953, NATIVE_BELOW),
            (954, -159),
            (SECOND / 2, -8),
            (SECOND / 2 + 1, -7),
            (SECOND, 0),
            (SECOND + 1, 1),
            (2 * SECOND, 8),
            // 2^(1/8) s = 1.090507732665 s.
            (1_090_507_732, 1),
            (1_090_507_733, 2),
            (1_048_576 * SECOND, 160),
            (u64::MAX, 160),
        ] {
            let index = NATIVE_BELOW + native_cell(nanos) as i32;
            assert_eq!(index, expected, "{nanos}");
        }
        assert!(NATIVE_BOUNDS.is_sorted_by(|a, b| a < b));
        assert_eq!(f64::from(NATIVE_BELOW / FINENESS).exp2(), ZERO_THRESHOLD);
    }
}
