//! How a call ends: completed, cancelled, or failed with an error type, which has an index in its layer.

use crate::classify::{ErrorType, Fault};
use std::borrow::Cow;
use std::num::NonZeroU8;
use std::sync::OnceLock;

/// Maximum number of error types of a layer, undeclared ones included. Failures beyond it are counted as `_OTHER`.
pub(crate) const MOST_ERROR_TYPES: usize = 64;

/// The error types of a layer: the declared ones first, then others that calls have failed with.
#[derive(Debug)]
pub(crate) struct ErrorTypes {
    declared: Vec<ErrorType>,
    /// The declared types and `_OTHER`, by name. Most layers have no others.
    by_name: Vec<IndexedType>,
    /// Filled from the front. A type is here before its call ends, and a page reads the numbers first: it only misses types
    /// of calls that it takes to be in flight.
    undeclared: Box<[OnceLock<ErrorType>]>,
}

/// An error type, its index, and whether it is declared.
pub(crate) type IndexedType = (ErrorType, usize, bool);

/// How a call ended, or will end, in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome(NonZeroU8);

/// The index of `_OTHER`.
pub(crate) const OTHER_INDEX: usize = MOST_ERROR_TYPES - 1;

// === impl Outcome ===

impl Outcome {
    pub(crate) const COMPLETED: Self = Self(NonZeroU8::MIN);
    pub(crate) const CANCELLED: Self = Self(NonZeroU8::MIN.saturating_add(1));
    const FIRST_FAILURE: NonZeroU8 = NonZeroU8::MIN.saturating_add(2);

    /// Failed with the error type at `index` of the layer's [`ErrorTypes`].
    pub(crate) const fn failed(index: u8) -> Self {
        Self(Self::FIRST_FAILURE.saturating_add(index))
    }

    /// The index of the error type, if the call failed.
    #[inline]
    pub(crate) fn failure(self) -> Option<usize> {
        let index = self.0.get().checked_sub(Self::FIRST_FAILURE.get());
        index.map(usize::from)
    }

    /// Never 0.
    #[inline]
    pub(crate) fn code(self) -> u8 {
        self.0.get()
    }

    /// The outcome with this code. `None` for 0.
    #[inline]
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        NonZeroU8::new(code).map(Self)
    }
}

// === impl ErrorTypes ===

impl ErrorTypes {
    pub(crate) fn new(declared: Vec<ErrorType>) -> Self {
        let indexed = declared.iter().zip(0..);
        let indexed = indexed.map(|(name, index)| (*name, index, true));
        let other = (ErrorType::OTHER, OTHER_INDEX, false);
        let mut by_name: Vec<_> = indexed.chain([other]).collect();
        by_name.sort_unstable();
        let undeclared = declared.len()..OTHER_INDEX;
        Self {
            declared,
            by_name,
            undeclared: undeclared.map(|_| OnceLock::new()).collect(),
        }
    }

    /// The index of a type. A new type takes the next one.
    #[cold]
    fn index(&self, wanted: ErrorType) -> u8 {
        if wanted == ErrorType::OTHER {
            return OTHER_INDEX as u8;
        }
        let mut declared = self.declared.iter();
        let index = declared.position(|name| *name == wanted).or_else(|| {
            let mut undeclared = self.undeclared.iter();
            let at = undeclared.position(|name| *name.get_or_init(|| wanted) == wanted)?;
            Some(self.declared.len() + at)
        });
        index.unwrap_or(OTHER_INDEX) as u8
    }

    /// The outcome of a call with this fault.
    pub(crate) fn outcome(&self, fault: Fault) -> Outcome {
        match fault {
            Fault::Failed(error_type) => Outcome::failed(self.index(error_type)),
            Fault::Cancelled => Outcome::CANCELLED,
        }
    }

    /// The value of the label `error_type` for this outcome. `None` if the call completed.
    pub(crate) fn failure(&self, outcome: Outcome) -> Option<&'static str> {
        match self.failed(outcome) {
            Some(error_type) => Some(error_type.as_str()),
            None => (outcome == Outcome::CANCELLED).then_some("cancelled"),
        }
    }

    /// The type of a failure. `None` if the call completed or was cancelled.
    pub(crate) fn failed(&self, outcome: Outcome) -> Option<ErrorType> {
        let index = outcome.failure()?;
        let mut types = self.declared.iter().chain(self.undeclared());
        Some(types.nth(index).copied().unwrap_or(ErrorType::OTHER))
    }

    fn undeclared(&self) -> impl Iterator<Item = &ErrorType> {
        self.undeclared.iter().map_while(OnceLock::get)
    }

    /// All types in use, by name.
    pub(crate) fn by_name(&self) -> Cow<'_, [IndexedType]> {
        let mut by_name = Cow::Borrowed(&*self.by_name);
        for (name, index) in self.undeclared().zip(self.declared.len()..) {
            by_name.to_mut().push((*name, index, false));
        }
        if let Cow::Owned(by_name) = &mut by_name {
            by_name.sort_unstable();
        }
        by_name
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    const NAMES: [&str; 70] = {
        const DIGITS: &str =
            "0123456789012345678901234567890123456789012345678901234567890123456789";
        let mut names = [""; 70];
        let mut i = 0;
        while i < 70 {
            names[i] = DIGITS.split_at(i + 1).0;
            i += 1;
        }
        names
    };

    #[test]
    fn new_types_take_an_index_until_none_is_left() {
        let types = ErrorTypes::new(ErrorType::BUILT_IN.to_vec());
        assert_eq!(types.index(ErrorType::DESERIALIZATION), 0);
        assert_eq!(types.index(ErrorType::PANIC), 8);
        for (i, name) in NAMES.iter().enumerate() {
            let expected = (9 + i).min(MOST_ERROR_TYPES - 1);
            assert_eq!(
                usize::from(types.index(ErrorType::from_static(name))),
                expected
            );
        }
        assert_eq!(
            types.index(ErrorType::from_static("0")),
            9,
            "it keeps its index"
        );
        let all = types.by_name();
        assert_eq!(all.len(), MOST_ERROR_TYPES);
        assert!(all.is_sorted());
        assert!(all.contains(&(ErrorType::OTHER, 63, false)));
        assert_eq!(usize::from(types.index(ErrorType::OTHER)), OTHER_INDEX);
    }

    #[test]
    fn threads_agree_on_the_index_of_a_new_type() {
        let types = ErrorTypes::new(ErrorType::BUILT_IN.to_vec());
        let indices = || NAMES.map(|name| types.index(ErrorType::from_static(name)));
        let of_threads = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(indices));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(of_threads, [indices(); 4]);
    }

    #[test]
    fn codes_and_outcomes_belong_together() {
        let failures = [0, 63].map(Outcome::failed);
        for outcome in [Outcome::COMPLETED, Outcome::CANCELLED]
            .into_iter()
            .chain(failures)
        {
            assert_eq!(Outcome::from_code(outcome.code()), Some(outcome));
        }
        assert_eq!(Outcome::from_code(0), None);
        assert_eq!(Outcome::CANCELLED.failure(), None);
        assert_eq!(Outcome::failed(0).failure(), Some(0));
    }
}
