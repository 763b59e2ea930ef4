//! What those who write a page are shown of layers.

use crate::classify::ErrorType;
use crate::labels::{Carrier, LabelStr};
use crate::recorder::{Distribution, Place, Settings};
use crate::registry::Endpoint;

/// A label set that shows a metric, and what was read under it.
pub(super) struct Shown<'r> {
    /// All its labels, as text.
    pub(super) labels: LabelStr<'r>,
    pub(super) reading: Reading<'r>,
    pub(super) settings: &'static Settings,
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
    /// Observations at or below each bound, and in the last place all of them.
    pub(super) cumulative: &'r [u64],
    /// The rest of what was read.
    pub(super) of: &'r Distribution,
}

pub(super) struct Errors<'r> {
    pub(super) types: &'r [Place],
    /// By the places of their types; nothing, if there were none.
    pub(super) counts: Option<&'r [u64]>,
    /// Whether the declared ones stand there from the start.
    pub(super) is_declared: bool,
}

// === impl Shown ===

impl<'r> Shown<'r> {
    /// All its labels, by name.
    pub(super) fn pairs(&self) -> Vec<(&'r str, &'r str)> {
        let (carrier, values) = self.values;
        self.endpoint.pairs(carrier, values)
    }
}

// === impl Errors ===

impl Errors<'_> {
    /// By the names of the types. Declared ones stand there from the start where the label set does, others once they were met.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ErrorType, u64)> {
        let Self {
            types,
            counts,
            is_declared,
        } = *self;
        types.iter().filter_map(move |(name, place, declared)| {
            let count = counts.map_or(0, |counts| counts[*place]);
            (*declared && is_declared || count > 0).then_some((*name, count))
        })
    }
}
