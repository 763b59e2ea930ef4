use super::{ERROR_TYPE, LabelText};
use crate::Error;
use crate::escaping::{Escaping, is_name, is_plain_name};
use std::collections::HashMap;
use std::fmt;

/// Constant labels to build a layer or a registry with: any collection of name and value pairs, or `()` for none.
///
/// Use `()` instead of an empty array, whose type the compiler can't infer.
///
/// ```
/// use tower_openmetrics::MetricsLayer;
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// let plain = MetricsLayer::builder().build(())?;
/// let labelled = MetricsLayer::builder().build([("endpoint", "cart")])?;
/// # Ok(())
/// # }
/// ```
///
/// `M` tells the two kinds apart, and is inferred. The trait is sealed.
pub trait ConstantLabels<M>: sealed::Sealed<M> {
    #[doc(hidden)]
    fn into_labels(self) -> impl Iterator<Item = (String, String)>;
}

mod sealed {
    #[allow(unnameable_types, reason = "seals `ConstantLabels`")]
    pub trait Sealed<M> {}
}

/// Constant labels, checked and sorted by name.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Labels {
    pairs: Vec<(String, String)>,
}

/// Names that the crate or the formats use.
const RESERVED: [&str; 3] = [ERROR_TYPE, "le", "quantile"];

// === impl ConstantLabels ===

impl sealed::Sealed<()> for () {}

impl ConstantLabels<()> for () {
    fn into_labels(self) -> impl Iterator<Item = (String, String)> {
        std::iter::empty()
    }
}

impl<L, K, V> sealed::Sealed<(K, V)> for L
where
    L: IntoIterator<Item = (K, V)>,
    K: Into<String>,
    V: Into<String>,
{
}

impl<L, K, V> ConstantLabels<(K, V)> for L
where
    L: IntoIterator<Item = (K, V)>,
    K: Into<String>,
    V: Into<String>,
{
    fn into_labels(self) -> impl Iterator<Item = (String, String)> {
        self.into_iter()
            .map(|(name, value)| (name.into(), value.into()))
    }
}

// === impl Labels ===

impl Labels {
    /// # Errors
    ///
    /// Returns an error that names the label if its name is invalid, reserved, or given twice.
    pub(crate) fn new<M>(labels: impl ConstantLabels<M>) -> Result<Self, Error> {
        let mut pairs: Vec<_> = labels.into_labels().collect();
        for (name, _) in &pairs {
            check_name(name)?;
        }
        pairs.sort();
        let labels = Self { pairs };
        check_distinct(labels.described("the constant"))?;
        Ok(labels)
    }

    /// Adds the labels that all metrics of a registry carry.
    ///
    /// # Errors
    ///
    /// Returns an error that names the label if both have it.
    pub(crate) fn with_common(mut self, common: &Self) -> Result<Self, Error> {
        let own = self.described("the constant");
        check_distinct(own.chain(common.described("the registry's")))?;
        self.pairs.extend(common.pairs.iter().cloned());
        self.pairs.sort();
        Ok(self)
    }

    /// Adds a label, unless there is one of this name.
    pub(crate) fn with_default(mut self, name: &str, value: &str) -> Self {
        if self.iter().all(|(own, _)| own != name) {
            self.pairs.push((name.to_owned(), value.to_owned()));
            self.pairs.sort();
        }
        self
    }

    /// Returns each name, and what an error calls the label.
    pub(super) fn described(&self, what: &str) -> impl Iterator<Item = (&str, String)> {
        let labels = self.iter();
        labels.map(move |(name, value)| (name, format!("{what} {value:?}")))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Labels {
    /// Writes the labels as the page does: `{a="1",b="2"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", LabelText::new(self.iter()).as_str())
    }
}

/// # Errors
///
/// Returns an error if a label must not have this name.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    if !is_name(name) {
        return Err(Error::new(format!(
            "label name {name:?} is invalid: use at least one character, and no control characters"
        )));
    }
    let why = if RESERVED.contains(&&*Escaping::Underscores.label(name)) {
        // A scraper may take `error.type` for `error_type`.
        "it has a meaning of its own on the page"
    } else if name.starts_with("__") {
        "names that begin with `__` belong to Prometheus"
    } else {
        return Ok(());
    };
    Err(Error::new(format!(
        "label name `{name}` is reserved: {why}, choose another"
    )))
}

/// Checks that no two labels that a metric carries together have one name. Each comes with what it is.
///
/// # Errors
///
/// Returns an error that names two labels that are one for some scraper, or one that is reserved for some.
pub(super) fn check_distinct<'a>(
    labels: impl Iterator<Item = (&'a str, String)>,
) -> Result<(), Error> {
    let mut seen = HashMap::new();
    let mut names = Vec::new();
    for (name, label) in labels {
        if let Some(other) = seen.get(name) {
            let both = match *other == label {
                true => label,
                false => format!("{other} and as {label}"),
            };
            return Err(Error::new(format!(
                "label `{name}` is given twice, as {both}: give it once, or rename one"
            )));
        }
        seen.insert(name, label);
        names.push(name);
    }
    check_clashes(names.into_iter())
}

/// Checks that different names stay different and none is reserved, however they are escaped.
///
/// # Errors
///
/// Returns an error that names two labels that a scraper would take for one.
pub(crate) fn check_clashes<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Result<(), Error> {
    if names.clone().all(is_plain_name) {
        return Ok(());
    }
    for escaping in Escaping::CLASHING {
        let mut seen = HashMap::new();
        for name in names.clone() {
            let escaped = escaping.label(name);
            if escaped.starts_with("__") {
                return Err(Error::new(format!(
                    "label name `{name}` is reserved: it is `{escaped}` for a scraper that asks for `{}`, and names that begin with `__` belong to Prometheus; begin it with a letter",
                    escaping.as_str()
                )));
            }
            if let Some(other) = seen.insert(escaped.clone(), name) {
                return Err(Error::new(format!(
                    "labels `{other}` and `{name}` are both `{escaped}` for a scraper that asks for `{}`: rename one",
                    escaping.as_str()
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_escaped() {
        let labels = Labels::new([("b", "2\\"), ("a", "\"1\"\n")]).unwrap();
        assert_eq!(labels.to_string(), r#"{a="\"1\"\n",b="2\\"}"#);
    }

    #[test]
    fn errors_name_the_bad_label() {
        let cases = [
            (vec![("", "")], "\"\""),
            (vec![("花火", "")], "`__`"),
            (vec![("_a.b", "")], "`__a_dot_b`"),
            (vec![("a.b", ""), ("a-b", "")], "`a_b`"),
            (vec![("a.b", ""), ("a_b", "")], "`a_b`"),
            (vec![("a.b", ""), ("U__a_2e_b", "")], "`U__a_2e_b`"),
            (vec![("a\n", "")], r#""a\n""#),
            (vec![("le", "")], "`le`"),
            (vec![("quantile", "")], "`quantile`"),
            (vec![("error_type", "")], "`error_type`"),
            (vec![("error.type", "")], "`error.type`"),
            (vec![("__name__", "")], "`__name__`"),
            (vec![("a", "1"), ("b", ""), ("a", "2")], "`a`"),
        ];
        for (labels, named) in cases {
            let error = Labels::new(labels).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
