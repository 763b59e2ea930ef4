//! The error types of a layer, and a number for each.

use crate::classify::ErrorType;
use std::array;
use std::sync::OnceLock;

/// The most error types that a layer tells apart, those that it was not told
/// of included; it counts what comes beyond under `_OTHER`.
pub(crate) const MOST_ERROR_TYPES: usize = 64;

/// Declared types first, then those that calls failed with all the same. A list
/// that only grows, so that it can be read while it does.
#[derive(Debug)]
pub(crate) struct ErrorTypes {
    declared: usize,
    names: [OnceLock<ErrorType>; MOST_ERROR_TYPES],
}

impl ErrorTypes {
    /// Types past the last place are left out; who declares them has checked
    /// that there are none.
    pub(crate) fn new(declared: &[ErrorType]) -> Self {
        let last = MOST_ERROR_TYPES - 1;
        let declared = &declared[..declared.len().min(last)];
        Self {
            declared: declared.len(),
            names: array::from_fn(|i| match declared.get(i) {
                Some(name) => OnceLock::from(*name),
                None if i == last => OnceLock::from(ErrorType::OTHER),
                None => OnceLock::new(),
            }),
        }
    }

    /// The place of `wanted`, which it takes if it is new.
    pub(crate) fn index(&self, wanted: ErrorType) -> u8 {
        let place = self
            .names
            .iter()
            .position(|name| *name.get_or_init(|| wanted) == wanted);
        place.unwrap_or(MOST_ERROR_TYPES - 1) as u8
    }

    /// Whether no type has taken a place but those that were declared.
    pub(crate) fn are_as_declared(&self) -> bool {
        self.names
            .get(self.declared)
            .and_then(OnceLock::get)
            .is_none_or(|next| *next == ErrorType::OTHER)
    }

    /// All types in use, each with whether it was declared.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, ErrorType, bool)> {
        self.names.iter().enumerate().filter_map(|(index, name)| {
            name.get().map(|name| (index, *name, index < self.declared))
        })
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
        assert!(types.are_as_declared());
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
        assert!(!types.are_as_declared());
        let (index, last, declared) = types.iter().last().unwrap();
        assert_eq!((index, last.as_str(), declared), (63, "_OTHER", false));
    }
}
