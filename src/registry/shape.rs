//! Which layers would show the same series.
//!
//! Two layers that differ in their constant labels do not, as long as both have the same names of labels. One may have
//! as a constant, though, what the other has from requests; and to Prometheus an empty label is as good as none.

use crate::labels::{Carrier, Labels, Schema};
use std::collections::BTreeSet;

/// The names of a layer's labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    /// Constant ones, and whether they are empty.
    constant: Vec<(String, bool)>,
    /// Those of requests, for each carrier.
    of_requests: [Vec<String>; Carrier::ALL.len()],
}

impl Shape {
    pub(super) fn of(labels: &Labels, schema: &Schema) -> Self {
        let constant = labels.iter();
        let constant = constant.map(|(name, value)| (name.to_owned(), value.is_empty()));
        Self {
            constant: constant.collect(),
            of_requests: Carrier::ALL
                .map(|carrier| schema.names(carrier).map(str::to_owned).collect()),
        }
    }

    /// Whether layers of these two shapes may have series in common, though their constant labels differ. It takes values
    /// to tell.
    pub(super) fn may_meet(&self, other: &Self) -> bool {
        let mut carriers = 0..Carrier::ALL.len();
        self != other && carriers.any(|carrier| self.names(carrier) == other.names(carrier))
    }

    /// The only labels of this shape that might agree with those given, unless it has names that are not among them.
    pub(super) fn filled_from(&self, labels: &Labels) -> Option<Labels> {
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

    /// All names that Prometheus sees.
    fn names(&self, carrier: usize) -> BTreeSet<&str> {
        let constant = self.constant.iter();
        let constant = constant.filter(|(_, is_empty)| !is_empty);
        let constant = constant.map(|(name, _)| &**name);
        let of_requests = self.of_requests[carrier].iter();
        constant.chain(of_requests.map(|name| &**name)).collect()
    }
}

/// Whether no label has two values here.
pub(super) fn agree(a: &Labels, b: &Labels) -> bool {
    a.iter()
        .filter(|(_, value)| !value.is_empty())
        .all(|(name, value)| {
            let mut of_b = b.iter();
            let of_b = of_b.find(|(other, of_b)| *other == name && !of_b.is_empty());
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

    fn shape(given: &[(&str, &str)], of_requests: &[Label]) -> Shape {
        let labels = labels(given);
        let schema = Schema::new(of_requests.to_vec(), &labels).unwrap();
        Shape::of(&labels, &schema)
    }

    #[test]
    fn constants_may_be_what_requests_bring() {
        let constant = shape(&[("a", "1"), ("method", "GET")], &[]);
        let of_requests = shape(&[("a", "1")], &[Label::method()]);
        assert!(constant.may_meet(&of_requests) && of_requests.may_meet(&constant));
        for other in [
            shape(&[("a", "2"), ("method", "PUT")], &[]),
            shape(&[("a", "1")], &[]),
            shape(&[("a", "1"), ("b", "2")], &[]),
        ] {
            assert!(!constant.may_meet(&other), "{other:?}");
        }
        // Some metrics know no status, others don't carry a method alone.
        let status = shape(&[("a", "1")], &[Label::method(), Label::status()]);
        assert!(constant.may_meet(&status));
    }

    #[test]
    fn an_empty_label_is_none() {
        let (empty, none) = (shape(&[("a", "")], &[]), shape(&[], &[]));
        assert!(empty.may_meet(&none));
        assert!(!empty.may_meet(&shape(&[("a", "1")], &[])));
    }

    #[test]
    fn who_has_two_values_for_a_name_does_not_agree() {
        let a = labels(&[("a", "1"), ("b", "")]);
        assert!(agree(&a, &labels(&[("b", "2"), ("c", "3")])));
        assert!(agree(&labels(&[("b", "2")]), &a));
        assert!(!agree(&a, &labels(&[("a", "2")])));
    }
}
