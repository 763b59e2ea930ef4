//! What a family is called, and what its samples are.

use crate::Error;
use crate::labels::is_plain_name;
use prometheus_client::metrics::MetricType;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
    /// A counter of 0.0.4 whose name does not end in `_total`. OpenMetrics has no such thing.
    PlainCounter,
    StateSet,
    Summary,
    Unknown,
}

impl Kind {
    /// The type's name in OpenMetrics.
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

    /// The type of that name in either format, if both have it.
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

    /// The names that a family puts on the page: its own, and those of its samples.
    pub(crate) fn names(self, family: &str) -> impl Iterator<Item = String> {
        self.suffixes()
            .iter()
            .chain(&[""])
            .map(move |suffix| format!("{family}{suffix}"))
    }

    /// Whether a unit makes sense: samples of the others are marks (OpenMetrics 1.0, "MetricFamily").
    pub(crate) fn may_have_unit(self) -> bool {
        !matches!(self, Self::Info | Self::StateSet)
    }

    /// What is appended to the family's name to make those of its samples.
    pub(crate) fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total", "_created"],
            Self::Gauge | Self::PlainCounter | Self::StateSet | Self::Unknown => &[""],
            Self::Summary => &["", "_count", "_sum", "_created"],
            Self::Histogram => &["_bucket", "_count", "_sum", "_created"],
            Self::Info => &["_info"],
        }
    }

    /// The suffix that the encoder adds by itself.
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

/// The family's name for a metric registered as `name`, its unit at the end.
///
/// # Errors
///
/// Names what is not a metric's name, or has a suffix that would be doubled.
pub(super) fn name(name: &str, unit: Option<&str>, kind: Kind) -> Result<String, Error> {
    if !is_metric_name(name) {
        return Err(Error::new(format!(
            "metric name {name:?} is invalid: use letters, digits, `_` and `:`, not beginning with a digit"
        )));
    }
    if let Some(suffix) = kind.own_suffix()
        && let Some(stem) = name.strip_suffix(suffix)
    {
        return Err(Error::new(format!(
            "metric name `{name}` ends in `{suffix}`, which a {}'s samples get by themselves: register it as `{stem}`",
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

/// What names begin with that have this prefix: nothing for none, and one `_` at the end of any other.
///
/// # Errors
///
/// If names can't begin so.
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

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`: a name in all the formats and to all scrapers.
pub(crate) fn is_metric_name(name: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    name.bytes().all(is_name_byte) && name.starts_with(|first: char| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_get_their_unit() {
        let ok = [
            ("jobs", None, Kind::Counter, "jobs"),
            ("a:b_c", None, Kind::Gauge, "a:b_c"),
            ("read", Some("bytes"), Kind::Counter, "read_bytes"),
            ("read_bytes", Some("bytes"), Kind::Counter, "read_bytes"),
            ("things_total", None, Kind::Gauge, "things_total"),
        ];
        for (given, unit, kind, expected) in ok {
            assert_eq!(name(given, unit, kind).unwrap(), expected);
        }
        let bad = [
            ("", None, Kind::Gauge, "\"\""),
            ("1a", None, Kind::Gauge, "\"1a\""),
            ("a b", None, Kind::Gauge, "\"a b\""),
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
