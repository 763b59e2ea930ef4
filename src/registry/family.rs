//! Types of families, and the names of families and samples.

use crate::Error;
use crate::escaping::{Escaping, is_metric_name, is_name, is_plain_name};
use prometheus_client::metrics::MetricType;
use std::borrow::Cow;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
    /// A counter of format 0.0.4 whose name does not end in `_total`. OpenMetrics has no such type.
    PlainCounter,
    StateSet,
    Summary,
    Unknown,
}

impl Kind {
    /// Returns the type's name in OpenMetrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Summary => "summary",
            Self::PlainCounter | Self::Unknown => "unknown",
        }
    }

    /// Returns the type of this name, if both text formats have it.
    pub(crate) fn from_text(name: &str) -> Option<Self> {
        match name {
            "counter" => Some(Self::Counter),
            "gauge" => Some(Self::Gauge),
            "histogram" => Some(Self::Histogram),
            "info" => Some(Self::Info),
            "stateset" => Some(Self::StateSet),
            "summary" => Some(Self::Summary),
            "unknown" | "untyped" => Some(Self::Unknown),
            _ => None,
        }
    }

    /// Returns the names that a family shows on the page: its own, and those of its samples. If they are escaped, also the
    /// escaped ones.
    pub(crate) fn names(self, family: &str) -> impl Iterator<Item = String> {
        let escaped = (!is_metric_name(family)).then_some(Escaping::CLASHING);
        let escaped = escaped.into_iter().flatten();
        let escaped = escaped.map(move |escaping| self.escaped(family, escaping));
        let families = std::iter::once(Cow::Borrowed(family)).chain(escaped);
        families.flat_map(move |family| {
            let suffixes = self.suffixes().iter().chain(&[""]);
            suffixes.map(move |suffix| format!("{family}{suffix}"))
        })
    }

    /// Returns the escaped name of a family. A name that Prometheus knows with its suffix, such as `jobs_total`, is escaped with
    /// it.
    pub(crate) fn escaped(self, family: &str, escaping: Escaping) -> Cow<'_, str> {
        let Some(suffix) = self.own_suffix() else {
            return escaping.metric(family);
        };
        match escaping {
            Escaping::AllowUtf8 => family.into(),
            _ if escaping != Escaping::Dots && is_metric_name(family) => family.into(),
            _ => {
                let name = format!("{family}{suffix}");
                let escaped = escaping.metric(&name);
                escaped
                    .strip_suffix(suffix)
                    .unwrap_or(&escaped)
                    .to_owned()
                    .into()
            }
        }
    }

    /// Returns whether the type may have a unit. Samples of the other types have fixed values (OpenMetrics 1.0,
    /// "MetricFamily").
    pub(crate) fn may_have_unit(self) -> bool {
        !matches!(self, Self::Info | Self::StateSet)
    }

    /// Returns the suffixes that turn the family's name into the names of its samples.
    pub(crate) fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total", "_created"],
            Self::Gauge | Self::PlainCounter | Self::StateSet | Self::Unknown => &[""],
            Self::Summary => &["", "_count", "_sum", "_created"],
            Self::Histogram => &["_bucket", "_count", "_sum", "_created"],
            Self::Info => &["_info"],
        }
    }

    /// Returns whether the type may tell when its series began.
    pub(crate) fn has_created(self) -> bool {
        self.suffixes().contains(&"_created")
    }

    /// Returns the suffix that prometheus-client adds to each sample.
    fn own_suffix(self) -> Option<&'static str> {
        match self {
            Self::Counter => Some("_total"),
            Self::Info => Some("_info"),
            _ => None,
        }
    }
}

impl From<MetricType> for Kind {
    fn from(metric_type: MetricType) -> Self {
        match metric_type {
            MetricType::Counter => Self::Counter,
            MetricType::Gauge => Self::Gauge,
            MetricType::Histogram => Self::Histogram,
            MetricType::Info => Self::Info,
            MetricType::Unknown => Self::Unknown,
        }
    }
}

/// Returns the family's name for a metric registered as `name`: the name, and the unit unless the name ends in it.
///
/// # Errors
///
/// Returns an error if `name` is not a valid name, if it ends in a suffix that would appear twice, or if the unit is
/// invalid.
pub(super) fn name(name: &str, unit: Option<&str>, kind: Kind) -> Result<String, Error> {
    if !is_name(name) {
        return Err(Error::new(format!(
            "metric name {name:?} is invalid: use at least one character, and no control characters"
        )));
    }
    if let Some(suffix) = kind.own_suffix()
        && let Some(stem) = name.strip_suffix(suffix)
    {
        return Err(Error::new(format!(
            "metric name `{name}` ends in `{suffix}`, which the samples of a {} get automatically: register it as `{stem}`",
            kind.as_str()
        )));
    }
    match unit {
        Some(unit) if !is_plain_name(unit) => Err(Error::new(format!(
            "unit {unit:?} of metric `{name}` is invalid: use letters, digits and `_`"
        ))),
        Some(unit) if !name.ends_with(&format!("_{unit}")) => Ok(format!("{name}_{unit}")),
        _ => Ok(name.to_owned()),
    }
}

/// Checks that two families of this name have the same type and unit.
pub(super) fn check_same_type(
    name: &str,
    a: (Kind, Option<&str>),
    b: (Kind, Option<&str>),
) -> Result<(), Error> {
    if a == b {
        return Ok(());
    }
    Err(Error::new(format!(
        "two families have the name `{name}` and different types or units: rename one, or leave it out"
    )))
}

/// Returns whether the name ends in the unit. Scrapers refuse any other unit.
pub(crate) fn ends_in_unit(name: &str, unit: &str) -> bool {
    !unit.is_empty()
        && name
            .strip_suffix(unit)
            .is_some_and(|stem| stem.ends_with('_'))
}

/// Returns the prefix with exactly one `_` at its end, or an empty string for an empty prefix.
///
/// # Errors
///
/// Returns an error if no name can begin with the prefix.
pub(super) fn prefix(prefix: &str) -> Result<String, Error> {
    if prefix.is_empty() {
        return Ok(String::new());
    }
    let stem = prefix.trim_end_matches('_');
    if !is_plain_name(stem) {
        return Err(Error::new(format!(
            "prefix {prefix:?} is invalid: use letters, digits and `_`, not beginning with a digit"
        )));
    }
    Ok(format!("{stem}_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_checked_and_its_unit_appended() {
        let ok = [
            ("jobs", None, Kind::Counter, "jobs"),
            ("a:b_c", None, Kind::Gauge, "a:b_c"),
            ("1 µ.\"", Some("s"), Kind::Gauge, "1 µ.\"_s"),
            ("read", Some("bytes"), Kind::Counter, "read_bytes"),
            ("read_bytes", Some("bytes"), Kind::Counter, "read_bytes"),
            ("things_total", None, Kind::Gauge, "things_total"),
        ];
        for (given, unit, kind, expected) in ok {
            assert_eq!(name(given, unit, kind).unwrap(), expected);
        }
        let bad = [
            ("", None, Kind::Gauge, "\"\""),
            ("a\n", None, Kind::Gauge, r#""a\n""#),
            ("a", Some("b-c"), Kind::Gauge, "\"b-c\""),
            ("jobs_total", None, Kind::Counter, "`jobs`"),
            ("build_info", None, Kind::Info, "`build`"),
        ];
        for (given, unit, kind, named) in bad {
            let error = name(given, unit, kind).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
