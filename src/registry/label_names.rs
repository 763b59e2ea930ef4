//! Finds layers that might show the same series.
//!
//! Layers with the same label names and different constant labels never do. Layers with different label names may: a
//! request label of one can be a constant label of the other, and Prometheus treats an empty label as absent.

use crate::escaping::Escaping;
use crate::labels::{Carrier, Labels, Schema};
use std::borrow::Cow;
use std::collections::HashSet;

/// The label names of a layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LabelNames {
    /// Constant labels, and whether each is empty.
    constant: Vec<(String, bool)>,
    /// Request labels, for each carrier.
    of_requests: [Vec<String>; Carrier::ALL.len()],
}

impl LabelNames {
    pub(super) fn of(labels: &Labels, schema: &Schema) -> Self {
        let constant = labels.iter();
        let constant = constant.map(|(name, value)| (name.to_owned(), value.is_empty()));
        Self {
            constant: constant.collect(),
            of_requests: Carrier::ALL
                .map(|carrier| schema.names(carrier).map(str::to_owned).collect()),
        }
    }

    /// Returns whether layers with these label names might have series in common. Only the label values can tell for
    /// certain.
    pub(super) fn may_share_series(&self, other: &Self) -> bool {
        let mut carriers = 0..Carrier::ALL.len();
        self != other && carriers.any(|carrier| self.names(carrier) == other.names(carrier))
    }

    /// Returns the only labels with these names that can agree with `labels`. Returns `None` if a name is not in `labels`.
    pub(super) fn matching_labels(&self, labels: &Labels) -> Option<Labels> {
        let value = |(name, is_empty): &(String, bool)| {
            let mut labels = labels.iter().filter(|(_, value)| !value.is_empty());
            let value = labels
                .find(|(given, _)| given == name)
                .map(|(_, value)| value);
            let value = if *is_empty { Some("") } else { value };
            value.map(|value| (name.clone(), value.to_owned()))
        };
        let pairs: Option<Vec<_>> = self.constant.iter().map(value).collect();
        Labels::new(pairs?).ok()
    }

    /// Returns all names that Prometheus sees if it sees the fewest.
    fn names(&self, carrier: usize) -> HashSet<Cow<'_, str>> {
        let constant = self.constant.iter();
        let constant = constant.filter(|(_, is_empty)| !is_empty);
        let constant = constant.map(|(name, _)| &**name);
        let of_requests = self.of_requests[carrier].iter();
        let names = constant.chain(of_requests.map(|name| &**name));
        names.map(seen_as).collect()
    }
}

/// Returns the name under which the most names are equal.
fn seen_as(name: &str) -> Cow<'_, str> {
    Escaping::Underscores.label(name)
}

/// Returns whether no label has different values in `a` and `b`.
pub(super) fn agree(a: &Labels, b: &Labels) -> bool {
    a.iter()
        .filter(|(_, value)| !value.is_empty())
        .all(|(name, value)| {
            let mut of_b = b.iter();
            let of_b =
                of_b.find(|(other, of_b)| seen_as(other) == seen_as(name) && !of_b.is_empty());
            of_b.is_none_or(|(_, of_b)| of_b == value)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Label;

    fn labels(given: &[(&str, &str)]) -> Labels {
        Labels::new(given.iter().copied()).unwrap()
    }

    fn names(given: &[(&str, &str)], of_requests: &[Label]) -> LabelNames {
        let labels = labels(given);
        let schema = Schema::new(of_requests.to_vec(), &labels).unwrap();
        LabelNames::of(&labels, &schema)
    }

    #[test]
    fn a_constant_label_may_be_a_request_label_elsewhere() {
        let constant = names(&[("a", "1"), ("method", "GET")], &[]);
        let of_requests = names(&[("a", "1")], &[Label::method()]);
        assert!(constant.may_share_series(&of_requests) && of_requests.may_share_series(&constant));
        for other in [
            names(&[("a", "2"), ("method", "PUT")], &[]),
            names(&[("a", "1")], &[]),
            names(&[("a", "1"), ("b", "2")], &[]),
        ] {
            assert!(!constant.may_share_series(&other), "{other:?}");
        }
        // Some metrics have no status label.
        let status = names(&[("a", "1")], &[Label::method(), Label::status()]);
        assert!(constant.may_share_series(&status));
    }

    #[test]
    fn an_empty_label_counts_as_absent() {
        let (empty, none) = (names(&[("a", "")], &[]), names(&[], &[]));
        assert!(empty.may_share_series(&none));
        assert!(!empty.may_share_series(&names(&[("a", "1")], &[])));
    }

    #[test]
    fn labels_with_two_values_for_a_name_do_not_agree() {
        let a = labels(&[("a", "1"), ("b", "")]);
        assert!(agree(&a, &labels(&[("b", "2"), ("c", "3")])));
        assert!(agree(&labels(&[("b", "2")]), &a));
        assert!(!agree(&a, &labels(&[("a", "2")])));
    }
}
