//! The snapshot of one series, as the writers of a page get it.

use super::number::Number;
use crate::block::{self, Exemplar};
use crate::classify::ErrorType;
use crate::clock::WallTime;
use crate::error_types::IndexedType;
use crate::labels::{Carrier, LabelStr};
use crate::recorder::UndeclaredFailures;
use crate::registry::Endpoint;

/// A label set of a metric, with its value.
pub(super) struct SeriesSnapshot<'r> {
    /// All labels, as text.
    pub(super) labels: LabelStr<'r>,
    pub(super) value: SeriesValue<'r>,
    /// Whether gauges and sums are in seconds. They are recorded in nanoseconds.
    pub(super) in_seconds: bool,
    /// When it began to count.
    pub(super) created: WallTime,
    pub(super) endpoint: &'r Endpoint,
    /// The values of labels that are read from calls.
    pub(super) label_values: (Carrier, &'r [Box<str>]),
}

/// The value of a series.
pub(super) enum SeriesValue<'r> {
    Counter(u64),
    Gauge(u64),
    Histogram(HistogramSnapshot<'r>),
    /// A counter for each error type.
    Errors(ErrorCounts<'r>),
}

pub(super) struct HistogramSnapshot<'r> {
    pub(super) layout: &'r block::Histogram,
    /// All numbers of the series.
    pub(super) numbers: &'r [u64],
    /// The latest traced call of each bucket. Empty if calls aren't traced.
    pub(super) exemplars: &'r [Option<Exemplar>],
}

pub(super) struct ErrorCounts<'r> {
    pub(super) types: &'r [IndexedType],
    /// The counts of declared types, followed by the count of all types beyond the limit.
    pub(super) counts: &'r [u64],
    /// The counts of other types.
    pub(super) undeclared: &'r [UndeclaredFailures],
    /// When the series began to count.
    pub(super) created: WallTime,
}

/// The failures by one error type.
pub(super) struct ErrorCount {
    pub(super) error_type: ErrorType,
    pub(super) count: u64,
    /// When it began to count: with the series, or with the first failure by an undeclared type.
    pub(super) created: WallTime,
}

// === impl SeriesSnapshot ===

impl<'r> SeriesSnapshot<'r> {
    /// Returns all labels, sorted by name.
    pub(super) fn pairs(&self) -> Vec<(&'r str, &'r str)> {
        let (carrier, values) = self.label_values;
        self.endpoint.pairs(carrier, values)
    }

    /// Returns a gauge or a sum of the series as pages show it.
    pub(super) fn number(&self, recorded: impl Into<u128>) -> Number {
        let recorded = recorded.into();
        match self.in_seconds {
            true => Number::Nanos(recorded),
            // No process moves more than 2^64 bytes.
            false => Number::Whole(recorded as u64),
        }
    }
}

// === impl HistogramSnapshot ===

impl<'r> HistogramSnapshot<'r> {
    /// Returns the number of observations at or below each bound. The last one counts all.
    pub(super) fn cumulative(&self) -> &'r [u64] {
        self.layout.cumulative(self.numbers)
    }

    /// Returns the number of observations.
    pub(super) fn count(&self) -> u64 {
        self.cumulative().last().copied().unwrap_or(0)
    }

    /// Returns the sum of observations, in nanoseconds or bytes.
    pub(super) fn sum(&self) -> u128 {
        self.layout.sum(self.numbers)
    }
}

// === impl ErrorCounts ===

impl ErrorCounts<'_> {
    /// Returns the count of each error type, sorted by name. Declared types are always included, other
    /// types only if they have occurred.
    pub(super) fn iter(&self) -> impl Iterator<Item = ErrorCount> {
        let Self {
            types,
            counts,
            undeclared,
            created,
        } = *self;
        let declared = types
            .iter()
            .filter(|(_, _, is_declared)| *is_declared)
            .count();
        types.iter().filter_map(move |(name, place, is_declared)| {
            let of_type = || undeclared.iter().find(|other| other.index == *place);
            let (count, created) = match (*is_declared, *name == ErrorType::OTHER) {
                (true, _) => (counts[*place], created),
                (_, true) => (counts[declared], created),
                _ => of_type().map_or((0, created), |failures| (failures.count, failures.created)),
            };
            (*is_declared || count > 0).then_some(ErrorCount {
                error_type: *name,
                count,
                created,
            })
        })
    }
}
