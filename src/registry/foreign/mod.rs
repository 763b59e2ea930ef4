//! What others encode, taken apart.
//!
//! Their text is read into families and samples, so that a page can have a family once for all who have samples in it; in
//! order, for series come as a hash map has them; and with nothing in it that strict parsers would not read: see
//! [`rules`].

mod parse;
mod rules;
mod sample;

pub(crate) use self::parse::parse;
pub(crate) use self::rules::allow_exemplar;
pub(crate) use self::sample::Sample;
#[cfg(feature = "protobuf")]
pub(crate) use self::sample::parse_labels;

use super::family::Kind;
use crate::Error;

/// A family as it was found.
#[derive(Debug)]
pub(crate) struct ForeignFamily<'a> {
    pub(crate) kind: Kind,
    pub(crate) unit: Option<String>,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample<'a>>,
}

// === impl ForeignFamily ===

impl<'a> ForeignFamily<'a> {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            unit: None,
            help: String::new(),
            samples: Vec::new(),
        }
    }

    /// Adds the samples that stand in `text`, whatever families it calls them.
    ///
    /// # Errors
    ///
    /// Names the line that is not a sample.
    pub(crate) fn add_samples(&mut self, text: &'a str) -> Result<(), Error> {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            self.samples.push(Sample::parse_line(line)?);
        }
        Ok(())
    }

    /// Takes in the samples of another one of the same name.
    ///
    /// # Errors
    ///
    /// If the two disagree.
    pub(crate) fn join(&mut self, name: &str, other: Self) -> Result<(), Error> {
        if (self.kind, &self.unit) != (other.kind, &other.unit) {
            return Err(Error::new(format!(
                "two families are called `{name}` and differ in type or unit: rename one, or leave it out"
            )));
        }
        self.samples.extend(other.samples);
        Ok(())
    }

    /// Puts the samples in order.
    ///
    /// # Errors
    ///
    /// Says which of the [`rules`] it breaks.
    pub(crate) fn arrange(&mut self, name: &str) -> Result<(), Error> {
        // A stable sort: what belongs to one series stays in its order.
        self.samples.sort_by(|a, b| a.series().cmp(b.series()));
        if self.kind == Kind::StateSet {
            // The states of one set belong together.
            self.samples
                .sort_by(|a, b| a.labels_but(name).cmp(b.labels_but(name)));
        }
        rules::check(name, self.kind, self.unit.as_deref(), &self.samples)
    }
}
