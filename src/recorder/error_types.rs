//! How a call ends: well, cancelled, or by one of the error types of its layer, each of which has a number.

use crate::classify::ErrorType;
use std::borrow::Cow;
use std::num::NonZeroU8;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The most error types that a layer tells apart, those that it was not told
/// of included; it counts what comes beyond under `_OTHER`.
pub(crate) const MOST_ERROR_TYPES: usize = 64;

/// Declared types first, then those that calls failed with all the same.
///
/// A declared type is found without a lock; one that is not, behind one: declare what is
/// to fail often.
#[derive(Debug)]
pub(crate) struct ErrorTypes {
    declared: DeclaredTypes,
    met: RwLock<Vec<ErrorType>>,
    /// Whether there are any, for who would not take the lock for nothing. Calls say so before they end, and a page reads
    /// which ones have ended before it asks: it may only miss types of calls that it takes to be in flight.
    has_met: AtomicBool,
}

/// The types that a layer is told of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeclaredTypes {
    types: Arc<[ErrorType]>,
    /// Those that are always in use, by name.
    by_name: Arc<[Place]>,
}

/// A type, its place, and whether it was declared.
pub(crate) type Place = (ErrorType, usize, bool);

/// How a call ended, or is bound to end, in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome(NonZeroU8);

const COMPLETED: NonZeroU8 = NonZeroU8::MIN;
const CANCELLED: NonZeroU8 = COMPLETED.saturating_add(1);
const FIRST_FAILURE: NonZeroU8 = CANCELLED.saturating_add(1);

/// The place of all that there is no other place for.
pub(super) const LAST: usize = MOST_ERROR_TYPES - 1;
const OTHER: Place = (ErrorType::OTHER, LAST, false);

// === impl Outcome ===

impl Outcome {
    pub(crate) const COMPLETED: Self = Self(COMPLETED);
    pub(crate) const CANCELLED: Self = Self(CANCELLED);

    /// Failed, as the error type at `index` of its layer's [`ErrorTypes`].
    pub(crate) const fn failed(index: u8) -> Self {
        Self(FIRST_FAILURE.saturating_add(index))
    }

    /// The index of the error type, if it failed.
    #[inline]
    pub(crate) fn failure(self) -> Option<usize> {
        let index = self.0.get().checked_sub(FIRST_FAILURE.get());
        index.map(usize::from)
    }

    /// Never 0.
    #[inline]
    pub(super) fn code(self) -> u8 {
        self.0.get()
    }

    /// The outcome with that code; none has 0.
    #[inline]
    pub(super) fn from_code(code: u8) -> Option<Self> {
        NonZeroU8::new(code).map(Self)
    }
}

// === impl DeclaredTypes ===

impl DeclaredTypes {
    /// Types past the last place are left out; who declares them has checked
    /// that there are none.
    pub(crate) fn new(types: &[ErrorType]) -> Self {
        let types: Arc<[ErrorType]> = types.iter().take(LAST).copied().collect();
        let places = types.iter().zip(0..);
        let places = places.map(|(name, place)| (*name, place, true));
        let mut by_name: Vec<Place> = places.chain([OTHER]).collect();
        by_name.sort_unstable();
        Self {
            types,
            by_name: by_name.into(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.types.len()
    }
}

// === impl ErrorTypes ===

impl ErrorTypes {
    pub(super) fn new(declared: DeclaredTypes) -> Self {
        Self {
            declared,
            met: RwLock::default(),
            has_met: AtomicBool::new(false),
        }
    }

    /// The place of `wanted`, which it takes if it is new.
    #[cold]
    pub(crate) fn index(&self, wanted: ErrorType) -> u8 {
        if wanted == ErrorType::OTHER {
            return LAST as u8;
        }
        let declared = &self.declared.types;
        let place = declared.iter().position(|name| *name == wanted);
        let place = place.unwrap_or_else(|| declared.len() + self.met_index(wanted));
        place.min(LAST) as u8
    }

    /// The type that has this place.
    pub(crate) fn name(&self, index: usize) -> ErrorType {
        let declared = &self.declared.types;
        declared.get(index).copied().unwrap_or_else(|| {
            let met = self.met.read().unwrap_or_else(PoisonError::into_inner);
            let met = met.get(index - declared.len()).copied();
            met.unwrap_or(ErrorType::OTHER)
        })
    }

    fn met_index(&self, wanted: ErrorType) -> usize {
        let find = |met: &[ErrorType]| met.iter().position(|name| *name == wanted);
        let found = find(&self.met.read().unwrap_or_else(PoisonError::into_inner));
        found.unwrap_or_else(|| {
            let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have met it meanwhile.
            find(&met).unwrap_or_else(|| {
                if self.declared.types.len() + met.len() < LAST {
                    met.push(wanted);
                    self.has_met.store(true, Ordering::Relaxed);
                    met.len() - 1
                } else {
                    LAST
                }
            })
        })
    }

    /// All types in use, by name.
    pub(crate) fn by_name(&self) -> Cow<'_, [Place]> {
        if !self.has_met.load(Ordering::Relaxed) {
            return Cow::Borrowed(&self.declared.by_name);
        }
        let met = self.met.read().unwrap_or_else(PoisonError::into_inner);
        let DeclaredTypes { types, by_name } = &self.declared;
        let met = met.iter().zip(types.len()..);
        let met = met.map(|(name, place)| (*name, place, false));
        let mut by_name: Vec<Place> = by_name.iter().copied().chain(met).collect();
        by_name.sort_unstable();
        Cow::Owned(by_name)
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
    fn new_types_take_places_until_there_are_none() {
        let declared = DeclaredTypes::new(&ErrorType::BUILT_IN);
        let types = ErrorTypes::new(declared);
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
            "it keeps its place"
        );
        let all = types.by_name();
        assert_eq!(all.len(), MOST_ERROR_TYPES);
        assert!(all.is_sorted());
        assert!(all.contains(&(ErrorType::OTHER, 63, false)));
        assert_eq!(usize::from(types.index(ErrorType::OTHER)), LAST);
    }

    #[test]
    fn a_code_and_its_outcome_are_one() {
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
