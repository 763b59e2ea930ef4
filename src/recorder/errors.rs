//! The error types of a layer, and a number for each.

use crate::classify::ErrorType;
use std::sync::{PoisonError, RwLock};

/// The most error types that a layer tells apart, those that it was not told
/// of included; it counts what comes beyond under `_OTHER`.
pub(crate) const MOST_ERROR_TYPES: usize = 64;

/// Declared types first, then those that calls failed with all the same.
///
/// A declared type is found without a lock; one that is not, behind one: declare what is
/// to fail often.
#[derive(Debug)]
pub(crate) struct ErrorTypes {
    declared: Box<[ErrorType]>,
    met: RwLock<Vec<ErrorType>>,
}

/// The place of all that there is no other place for.
const LAST: usize = MOST_ERROR_TYPES - 1;

impl ErrorTypes {
    /// Types past the last place are left out; who declares them has checked
    /// that there are none.
    pub(crate) fn new(declared: &[ErrorType]) -> Self {
        Self {
            declared: declared.iter().take(LAST).copied().collect(),
            met: RwLock::default(),
        }
    }

    /// The place of `wanted`, which it takes if it is new.
    #[cold]
    pub(crate) fn index(&self, wanted: ErrorType) -> u8 {
        if wanted == ErrorType::OTHER {
            return LAST as u8;
        }
        let declared = self.declared.iter().position(|name| *name == wanted);
        let place = declared.unwrap_or_else(|| self.declared.len() + self.met_index(wanted));
        place.min(LAST) as u8
    }

    /// The type that has this place.
    pub(crate) fn name(&self, index: usize) -> ErrorType {
        let declared = self.declared.get(index).copied();
        declared.unwrap_or_else(|| {
            let met = self.met.read().unwrap_or_else(PoisonError::into_inner);
            let met = met.get(index - self.declared.len()).copied();
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
                if self.declared.len() + met.len() < LAST {
                    met.push(wanted);
                    met.len() - 1
                } else {
                    LAST
                }
            })
        })
    }

    /// Forgets the types that were not declared.
    pub(crate) fn reset(&self) {
        self.met
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// All types in use, each with its place and whether it was declared.
    pub(crate) fn all(&self) -> Vec<(usize, ErrorType, bool)> {
        let met = self.met.read().unwrap_or_else(PoisonError::into_inner);
        let declared = self.declared.iter().map(|name| (*name, true));
        let others = declared
            .chain(met.iter().map(|name| (*name, false)))
            .enumerate()
            .map(|(index, (name, declared))| (index, name, declared));
        others.chain([(LAST, ErrorType::OTHER, false)]).collect()
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
        let types = ErrorTypes::new(&ErrorType::BUILT_IN);
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
        let (index, last, declared) = types.all().pop().unwrap();
        assert_eq!((index, last.as_str(), declared), (63, "_OTHER", false));
        assert_eq!(usize::from(types.index(ErrorType::OTHER)), LAST);

        types.reset();
        assert_eq!(types.all().len(), 9 + 1);
        assert_eq!(types.index(ErrorType::from_static("another")), 9);
    }
}
