use crate::registry::Kind;
use std::collections::BTreeSet;

/// Which families are on the page: all, or those that go by certain names.
///
/// A family goes by its own name and by those of its samples, whichever of them a format shows. It
/// is on the page as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// None for all.
    names: Option<BTreeSet<String>>,
}

// === impl Selection ===

impl Selection {
    /// Those that go by one of these names; all, if there is none.
    pub(crate) fn named(names: impl IntoIterator<Item = String>) -> Self {
        let names: BTreeSet<String> = names.into_iter().collect();
        Self {
            names: (!names.is_empty()).then_some(names),
        }
    }

    /// Whether a family of this name and type is among them.
    pub(super) fn has(&self, family: &str, kind: Kind) -> bool {
        let Some(names) = &self.names else {
            return true;
        };
        kind.names(family).any(|name| names.contains(&name))
    }

    /// Whether a sample of this name is in one of them.
    pub(super) fn has_sample(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_goes_by_its_name_and_those_of_its_samples() {
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
            assert_eq!(selection.has(family, kind), expected, "{name} of {family}");
            assert!(Selection::named([]).has(family, kind));
        }
    }
}
