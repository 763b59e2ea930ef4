use super::Kind;
use std::collections::HashSet;

/// The families that a page shows: all, or those selected by name.
///
/// A family is selected by its own name or by the name of any of its samples, even if the format does
/// not show that sample. It is shown as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// `None` selects all families.
    names: Option<HashSet<String>>,
}

// === impl Selection ===

impl Selection {
    /// Returns the selection by these names. Without a name it selects all families.
    pub(crate) fn named(names: impl IntoIterator<Item = String>) -> Self {
        let names: HashSet<String> = names.into_iter().collect();
        Self {
            names: (!names.is_empty()).then_some(names),
        }
    }

    /// Returns whether a family of this name and type is selected.
    pub(crate) fn contains(&self, family: &str, kind: Kind) -> bool {
        kind.names(family).any(|name| self.contains_sample(&name))
    }

    /// Returns whether a sample's name is one of the selected names.
    fn contains_sample(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_selected_by_its_name_or_a_samples_name() {
        for (name, family, kind, expected) in [
            ("requests", "requests", Kind::Counter, true),
            ("requests_total", "requests", Kind::Counter, true),
            ("requests_total", "requests", Kind::Gauge, false),
            ("request", "requests", Kind::Counter, false),
            ("Requests", "requests", Kind::Counter, false),
            ("seconds_bucket", "seconds", Kind::Histogram, true),
            ("seconds_count", "seconds", Kind::Histogram, true),
            ("seconds_total", "seconds", Kind::Histogram, false),
            ("build_info", "build", Kind::Info, true),
            ("", "requests", Kind::Counter, false),
        ] {
            let selection = Selection::named([name.to_owned(), "other".to_owned()]);
            assert_eq!(
                selection.contains(family, kind),
                expected,
                "{name} of {family}"
            );
            assert!(Selection::named([]).contains(family, kind));
        }
    }
}
