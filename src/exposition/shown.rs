//! What those who write a page are shown of layers.

use crate::classify::ErrorType;
use crate::error_types::IndexedType;
use crate::labels::{Carrier, LabelStr};
use crate::recorder::{self, Exemplar};
use crate::registry::Endpoint;

/// A label set that shows a metric, and what was read under it.
pub(super) struct Shown<'r> {
    /// All its labels, as text.
    pub(super) labels: LabelStr<'r>,
    pub(super) reading: Reading<'r>,
    pub(super) endpoint: &'r Endpoint,
    /// Of the labels of a request.
    pub(super) values: (Carrier, &'r [Box<str>]),
}

/// What was read under a label set.
pub(super) enum Reading<'r> {
    Counter(u64),
    Gauge(u64),
    /// Of durations.
    Histogram(Histogram<'r>),
    /// Of sizes.
    Sizes(Histogram<'r>),
    /// A counter for each error type.
    Errors(Errors<'r>),
}

pub(super) struct Histogram<'r> {
    pub(super) of: &'r recorder::Histogram,
    /// All that were read of the series.
    pub(super) numbers: &'r [u64],
    /// The latest traced call of each bucket; none, where calls aren't traced.
    pub(super) exemplars: &'r [Option<Exemplar>],
}

pub(super) struct Errors<'r> {
    pub(super) types: &'r [IndexedType],
    /// Of declared types, and behind them of all that there was no room for.
    pub(super) counts: &'r [u64],
    /// Of other types, by their places.
    pub(super) undeclared: &'r [(usize, u64)],
}

// === impl Shown ===

impl<'r> Shown<'r> {
    /// All its labels, by name.
    pub(super) fn pairs(&self) -> Vec<(&'r str, &'r str)> {
        let (carrier, values) = self.values;
        self.endpoint.pairs(carrier, values)
    }
}

// === impl Histogram ===

impl<'r> Histogram<'r> {
    /// Observations at or below each bound, and in the last place all of them.
    pub(super) fn cumulative(&self) -> &'r [u64] {
        self.of.cumulative(self.numbers)
    }

    /// How many observations there were.
    pub(super) fn count(&self) -> u64 {
        self.cumulative().last().copied().unwrap_or(0)
    }

    /// In nanoseconds, or of sizes in bytes.
    pub(super) fn sum(&self) -> u128 {
        self.of.sum(self.numbers)
    }
}

// === impl Errors ===

impl Errors<'_> {
    /// By the names of the types. Declared ones stand there from the start, others once they were met.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ErrorType, u64)> {
        let Self {
            types,
            counts,
            undeclared,
        } = *self;
        let declared = types
            .iter()
            .filter(|(_, _, is_declared)| *is_declared)
            .count();
        types.iter().filter_map(move |(name, place, is_declared)| {
            let of_place = || undeclared.iter().find(|(of, _)| of == place);
            let count = match (*is_declared, *name == ErrorType::OTHER) {
                (true, _) => counts[*place],
                (_, true) => counts[declared],
                _ => of_place().map_or(0, |(_, count)| *count),
            };
            (*is_declared || count > 0).then_some((*name, count))
        })
    }
}
