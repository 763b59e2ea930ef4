//! Parses the text that users' encoders write into included families.
//!
//! A page then shows each family once, even if several sources have samples in it. It shows series in order, although
//! encoders write them in the order of a hash map. The [`rules`] keep out what strict parsers don't read.

mod parse;
mod rules;
mod sample;

pub(crate) use self::parse::{NamedFamily, parse};
pub(crate) use self::sample::Sample;
#[cfg(feature = "protobuf")]
pub(crate) use self::sample::parse_labels;
#[cfg(any(feature = "protobuf", feature = "testing"))]
pub(crate) use self::sample::unescape;

use super::family::Kind;
use crate::Error;
use std::borrow::Cow;

/// A family that something else than this crate encoded.
#[derive(Debug)]
pub(crate) struct IncludedFamily<'a> {
    pub(crate) kind: Kind,
    pub(crate) unit: Option<Cow<'a, str>>,
    pub(crate) help: Cow<'a, str>,
    pub(crate) samples: Vec<Sample<'a>>,
}

// === impl IncludedFamily ===

impl IncludedFamily<'_> {
    /// Sorts the samples, and checks them by the [`rules`]. Removes exemplars that scrapers don't read.
    ///
    /// # Errors
    ///
    /// Returns an error that says which rule the family breaks.
    pub(crate) fn sort_and_check(&mut self, name: &str) -> Result<(), Error> {
        // The sort is stable, so samples of one series keep their order.
        self.samples.sort_by(|a, b| a.series().cmp(b.series()));
        if self.kind == Kind::StateSet {
            // States of one set must be adjacent.
            self.samples
                .sort_by(|a, b| a.labels_without(name).cmp(b.labels_without(name)));
        }
        for Sample { name, exemplar, .. } in &mut self.samples {
            *exemplar = exemplar.filter(|text| rules::allow_exemplar(self.kind, name, text));
        }
        rules::check(name, self.kind, self.unit.as_deref(), &self.samples)
    }
}
