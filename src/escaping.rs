//! Names in any characters, and how they are escaped for scrapers that read only ASCII letters, digits and `_`.
//!
//! The rules are those of Prometheus' [escaping schemes](https://prometheus.io/docs/instrumenting/escaping_schemes/), as its own
//! client libraries apply them.

use std::borrow::Cow;
use std::fmt::Write;

/// How characters of names outside `[a-zA-Z0-9_:]` are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// They stay. Text has such names in quotes.
    AllowUtf8,
    /// `my.metric` is `my_metric`.
    Underscores,
    /// `my.metric` is `my_dot_metric`, and `my_metric` is `my__metric`.
    Dots,
    /// `my.metric` is `U__my_2e_metric`.
    Values,
}

/// What has the name. Only metrics may have colons in their names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Metric,
    Label,
}

// === impl Escaping ===

impl Escaping {
    /// The schemes under which different names may become equal.
    pub(crate) const CLASHING: [Self; 3] = [Self::Underscores, Self::Dots, Self::Values];

    /// Returns the scheme of this name in `Accept`.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        let all = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];
        let mut all = all.into_iter();
        all.find(|scheme| name.eq_ignore_ascii_case(scheme.as_str().as_bytes()))
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    pub(crate) fn metric(self, name: &str) -> Cow<'_, str> {
        self.escape(name, Of::Metric)
    }

    pub(crate) fn label(self, name: &str) -> Cow<'_, str> {
        self.escape(name, Of::Label)
    }

    /// Returns labels as text has them, sorted by their names.
    pub(crate) fn labels_in_text<'a>(
        self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<(Cow<'a, str>, &'a str)> {
        let labels = labels.into_iter();
        let mut labels: Vec<_> = labels
            .map(|(name, value)| (self.label(name), value))
            .collect();
        labels.sort();
        let quoted = labels.into_iter();
        quoted
            .map(|(name, value)| (label_in_text(name), value))
            .collect()
    }

    fn escape(self, name: &str, of: Of) -> Cow<'_, str> {
        let stays = match self {
            Self::AllowUtf8 => true,
            // Labels that begin with two underscores belong to Prometheus, which drops them.
            Self::Dots if of == Of::Label && name.starts_with('_') => of.allows(name),
            Self::Dots => !name.contains('_') && of.allows(name),
            Self::Underscores | Self::Values => of.allows(name),
        };
        if stays {
            return name.into();
        }
        let mut escaped = String::with_capacity(2 * name.len());
        if self == Self::Values {
            escaped.push_str("U__");
        }
        for (place, c) in name.char_indices() {
            let is_allowed = u8::try_from(c).is_ok_and(|byte| of.allows_byte(byte))
                && !(place == 0 && c.is_ascii_digit());
            match (self, c) {
                (Self::Dots | Self::Values, '_') => escaped.push_str("__"),
                _ if is_allowed => escaped.push(c),
                (Self::Dots, '.') => escaped.push_str("_dot_"),
                (Self::Dots, _) => escaped.push_str("__"),
                // Writing to a string never fails.
                (Self::Values, _) => drop(write!(escaped, "_{:x}_", u32::from(c))),
                (Self::Underscores | Self::AllowUtf8, _) => escaped.push('_'),
            }
        }
        escaped.into()
    }
}

// === impl Of ===

impl Of {
    /// Returns whether all formats and scrapers accept the name.
    fn allows(self, name: &str) -> bool {
        let first = name.bytes().next();
        first.is_some_and(|first| !first.is_ascii_digit())
            && name.bytes().all(|byte| self.allows_byte(byte))
    }

    fn allows_byte(self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b':' && self == Self::Metric)
    }
}

/// Returns what stands between quotes, such as a label's value. Escapes backslash, quote and line feed, as both text formats require.
pub(crate) fn escaped(value: &str) -> Cow<'_, str> {
    let is_special = |byte| matches!(byte, b'\\' | b'"' | b'\n');
    if !value.bytes().any(is_special) {
        return value.into();
    }
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"");
    escaped.replace('\n', r"\n").into()
}

/// Returns a label's name as text has it: in quotes, if it has other characters.
pub(crate) fn label_in_text<'a>(name: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let name = name.into();
    if is_plain_name(&name) {
        return name;
    }
    format!("\"{}\"", escaped(&name)).into()
}

/// Returns whether a metric or a label may have the name. Control characters would only be mistakes.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}

/// Returns whether all formats and scrapers accept the name of a metric: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub(crate) fn is_metric_name(name: &str) -> bool {
    Of::Metric.allows(name)
}

/// Returns whether all formats and scrapers accept the name of a label: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub(crate) fn is_plain_name(name: &str) -> bool {
    Of::Label.allows(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of Prometheus' own library, and a name with a leading digit.
    #[test]
    fn names_are_escaped_as_prometheus_does() {
        for (name, underscores, dots, values) in [
            (
                "no:escaping_required",
                "no:escaping_required",
                "no:escaping__required",
                "no:escaping_required",
            ),
            (
                "mysystem.prod.west.cpu.load_total",
                "mysystem_prod_west_cpu_load_total",
                "mysystem_dot_prod_dot_west_dot_cpu_dot_load__total",
                "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load__total",
            ),
            (
                "http.status:sum",
                "http_status:sum",
                "http_dot_status:sum",
                "U__http_2e_status:sum",
            ),
            (
                "label with \u{1f631}",
                "label_with__",
                "label__with____",
                "U__label_20_with_20__1f631_",
            ),
            ("花火", "__", "____", "U___82b1__706b_"),
            ("1a", "_a", "__a", "U___31_a"),
        ] {
            assert_eq!(Escaping::AllowUtf8.metric(name), name);
            assert_eq!(Escaping::Underscores.metric(name), underscores);
            assert_eq!(Escaping::Dots.metric(name), dots);
            assert_eq!(Escaping::Values.metric(name), values);
        }
    }

    #[test]
    fn colons_are_for_metrics_only() {
        for (escaping, expected) in [
            (Escaping::Underscores, "a_b_c"),
            (Escaping::Dots, "a__b__c"),
            (Escaping::Values, "U__a_3a_b__c"),
        ] {
            assert_eq!(escaping.label("a:b_c"), expected);
        }
        assert_eq!(label_in_text("a:\"b\""), r#""a:\"b\"""#);
        assert_eq!(label_in_text("a_b"), "a_b");
    }

    /// Prometheus drops labels that begin with two underscores.
    #[test]
    fn dots_leave_labels_that_begin_with_an_underscore() {
        assert_eq!(Escaping::Dots.label("_a_b"), "_a_b");
        assert_eq!(Escaping::Dots.metric("_a_b"), "__a__b");
    }

    #[test]
    fn labels_are_sorted_as_they_are_written() {
        let labels = [("a.b", "1"), ("aB", "2"), ("é", "3")];
        for (escaping, expected) in [
            (Escaping::AllowUtf8, ["\"a.b\"", "aB", "\"é\""]),
            (Escaping::Underscores, ["_", "aB", "a_b"]),
        ] {
            let labels = escaping.labels_in_text(labels);
            let names: Vec<_> = labels.iter().map(|(name, _)| &**name).collect();
            assert_eq!(names, expected);
        }
    }
}
