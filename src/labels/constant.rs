use super::LabelText;
use crate::Error;
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
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels {
    pairs: Vec<(String, String)>,
}

/// Names that the crate or the formats use.
const RESERVED: [&str; 3] = ["error_type", "le", "quantile"];

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
    pub(crate) fn new<L, K, V>(labels: L) -> Result<Self, Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let mut pairs: Vec<(String, String)> = labels
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        for (name, _) in &pairs {
            check_name(name)?;
        }
        pairs.sort();
        if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::new(format!(
                "label `{}` is given twice, as {:?} and as {:?}: give it once",
                twice[0].0, twice[0].1, twice[1].1
            )));
        }
        Ok(Self { pairs })
    }

    /// Adds the labels that all metrics of a registry carry.
    ///
    /// # Errors
    ///
    /// Returns an error that names the label if both have it.
    pub(crate) fn with_common(mut self, common: &Self) -> Result<Self, Error> {
        for (name, value) in &common.pairs {
            if let Some((_, own)) = self.pairs.iter().find(|(own, _)| own == name) {
                return Err(Error::new(format!(
                    "label `{name}` is given as {own:?}, and the registry gives it to all metrics as {value:?}: leave it out, or give it another name"
                )));
            }
        }
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

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
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

/// Whether all formats and scrapers accept the name: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// # Errors
///
/// Returns an error if a label must not have this name.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    if !is_plain_name(name) {
        return Err(Error::new(format!(
            "label name {name:?} is invalid: use ASCII letters, digits and `_`, and don't begin with a digit"
        )));
    }
    if RESERVED.contains(&name) {
        return Err(Error::new(format!(
            "label name `{name}` is reserved: it has a meaning of its own on the page, choose another"
        )));
    }
    if name.starts_with("__") {
        return Err(Error::new(format!(
            "label name `{name}` is reserved: names that begin with `__` belong to Prometheus, choose another"
        )));
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
            (vec![("9a", "")], "\"9a\""),
            (vec![("a-b", "")], "\"a-b\""),
            (vec![("ä", "")], "\"ä\""),
            (vec![("a\n", "")], r#""a\n""#),
            (vec![("le", "")], "`le`"),
            (vec![("quantile", "")], "`quantile`"),
            (vec![("error_type", "")], "`error_type`"),
            (vec![("__name__", "")], "`__name__`"),
            (vec![("a", "1"), ("b", ""), ("a", "2")], "`a`"),
        ];
        for (labels, named) in cases {
            let error = Labels::new(labels).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
