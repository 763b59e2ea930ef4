use super::snapshot::Series;
use std::fmt;

/// What [`assert_metrics!`](crate::assert_metrics) is told to find.
#[derive(Debug, Default)]
pub struct Expectations {
    pub(super) listed: Vec<(Pattern, Expected)>,
    /// Whether nothing else may have counted anything.
    pub(super) nothing_else: bool,
}

/// The series of one name with these labels.
#[derive(Debug)]
pub struct Pattern {
    pub(super) series: Series,
    /// Whether the series may have other labels, too.
    pub(super) and_others: bool,
}

/// What a series is expected to be: a number, the observations of a histogram, or [`ABSENT`].
#[derive(Clone, Debug, PartialEq)]
pub struct Expected(pub(super) Kind);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Number(f64),
    Observations(Vec<f64>),
    Absent,
}

/// Expects that there is no such series.
pub const ABSENT: Expected = Expected(Kind::Absent);

// === impl Expectations ===

impl Expectations {
    /// Expects this of the series that match.
    pub fn push(&mut self, pattern: Pattern, expected: impl Into<Expected>) {
        self.listed.push((pattern, expected.into()));
    }

    /// Expects that no counter and no histogram that isn't listed has counted anything.
    pub fn nothing_else(&mut self) {
        self.nothing_else = true;
    }
}

// === impl Pattern ===

impl Pattern {
    /// Returns a pattern for series without labels.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            series: Series::new(name, [("", ""); 0]),
            and_others: false,
        }
    }

    /// Adds a label that the series must have.
    ///
    /// # Panics
    ///
    /// Panics if the pattern has a label of this name.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        // The macro takes labels as identifiers, which may be raw.
        let name = name.strip_prefix("r#").unwrap_or(&name).to_owned();
        let value = value.into();
        if let Some(before) = self.series.labels.insert(name.clone(), value.clone()) {
            panic!("label `{name}` is listed twice, as {before:?} and as {value:?}: list it once");
        }
        self
    }

    /// Lets the series have other labels, too.
    pub fn and_others(mut self) -> Self {
        self.and_others = true;
        self
    }

    pub(super) fn matches(&self, found: &Series) -> bool {
        let Series { name, labels } = &self.series;
        let has = |(name, value)| found.labels.get(name) == Some(value);
        let may_have_others = self.and_others || found.labels.len() == labels.len();
        found.name == *name && labels.iter().all(has) && may_have_others
    }
}

/// As on a page, with `..` if there may be other labels.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.series.write(f, self.and_others)
    }
}

// === impl Expected ===

macro_rules! from_numbers {
    ($($number:ty),*) => {
        $(impl From<$number> for Expected {
            fn from(number: $number) -> Self {
                Self(Kind::Number(number as f64))
            }
        })*
    };
}

from_numbers!(f64, i32, i64, u32, u64, usize);

/// The observations of a histogram, in its unit.
impl<const N: usize> From<[f64; N]> for Expected {
    fn from(observations: [f64; N]) -> Self {
        Self(Kind::Observations(observations.into()))
    }
}
