//! Parses a line with a sample.

use crate::Error;
use crate::clock::WallTime;
use crate::registry::Kind;
use std::borrow::Cow;

/// A sample as it was written.
#[derive(Debug)]
pub(crate) struct Sample<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) labels: LabelPairs<'a>,
    pub(crate) value: &'a str,
    pub(crate) number: f64,
    /// The timestamp in seconds.
    pub(crate) timestamp: Option<Cow<'a, str>>,
    pub(crate) exemplar: Option<&'a str>,
    /// When its metric was registered, if this registry knows.
    pub(crate) created: Option<WallTime>,
    /// The label that tells it from other samples of its series: `le` of a bucket, or `quantile` of a summary's sample.
    own_label: Option<&'static str>,
}

/// Labels sorted by name. Values are as written between the quotes.
type LabelPairs<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// What stands between braces.
#[derive(Default)]
struct Braces<'a> {
    /// The name of the sample, if it is in quotes.
    name: Option<Cow<'a, str>>,
    labels: LabelPairs<'a>,
}

// === impl Sample ===

impl<'a> Sample<'a> {
    /// Parses `name{label="value"} value timestamp # exemplar`. Only the name and the value are required. A name with other
    /// characters is in quotes, that of the sample between the braces: `{"my.name","my.label"="value"} value`.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim();
        let before = &line[..line.find(['{', ' ', '\t'])?];
        let rest = &line[before.len()..];
        let (Braces { name, labels }, rest) = match rest.trim_start() {
            braces if braces.starts_with('{') => parse_braces(braces, true)?,
            _ => (Braces::default(), rest),
        };
        let name = match (before, name) {
            ("", Some(name)) => name,
            (name, None) => name.into(),
            (_, Some(_)) => return None,
        };
        let rest = rest.strip_prefix([' ', '\t'])?;
        let (value, exemplar) = match rest.split_once(" # ") {
            Some((value, exemplar)) => (value, Some(exemplar)),
            None => (rest, None),
        };
        let mut words = value.split_ascii_whitespace();
        let (value, timestamp) = (words.next()?, words.next());
        words.next().is_none().then_some(())?;
        Some(Self {
            name,
            labels,
            value,
            number: value.parse().ok()?,
            timestamp: timestamp.map(Cow::Borrowed),
            exemplar,
            created: None,
            own_label: None,
        })
    }

    /// Parses a line.
    ///
    /// # Errors
    ///
    /// Returns an error that names the line if it is not a sample.
    pub(crate) fn parse_line(line: &'a str) -> Result<Self, Error> {
        let sample = Self::parse(line);
        sample.ok_or_else(|| Error::new(format!("{line:?} is not a sample: check its encoder")))
    }

    /// Converts a whole timestamp from milliseconds to seconds.
    pub(super) fn convert_timestamp_from_millis(&mut self) {
        let Some(timestamp) = self.timestamp.as_deref() else {
            return;
        };
        let (sign, digits) = match timestamp.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", timestamp),
        };
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let digits = format!("{digits:0>4}");
            let (seconds, millis) = digits.split_at(digits.len() - 3);
            self.timestamp = Some(Cow::Owned(format!("{sign}{seconds}.{millis}")));
        }
    }

    /// Says which family it is a sample of.
    pub(crate) fn set_family(&mut self, family: &str, kind: Kind) {
        self.own_label = match (kind, self.name.strip_prefix(family)) {
            (Kind::Histogram, Some("_bucket")) => Some("le"),
            (Kind::Summary, Some("")) => Some("quantile"),
            _ => None,
        };
    }

    /// Returns the labels that all samples of a series have in common.
    pub(crate) fn series(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.labels_without(self.own_label)
    }

    /// Returns all labels.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.labels_without(None)
    }

    /// Returns the labels except this one.
    pub(super) fn labels_without<'s>(
        &'s self,
        label: impl Into<Option<&'s str>>,
    ) -> impl Iterator<Item = (&'s str, &'a str)> {
        let label = label.into();
        let pairs = self.labels.iter().map(|(name, value)| (&**name, *value));
        pairs.filter(move |(name, _)| Some(*name) != label)
    }

    /// Returns whether both samples belong to the same series.
    pub(crate) fn is_same_series(&self, other: &Self) -> bool {
        self.series().eq(other.series())
    }

    pub(crate) fn label(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.pairs();
        pairs
            .find(|(label, _)| *label == name)
            .map(|(_, value)| value)
    }

    /// Returns the upper bound of a bucket.
    pub(crate) fn bound(&self) -> Option<f64> {
        self.label("le")?.parse().ok()
    }
}

/// Parses the labels at the beginning of `text`, if there are any. Returns them and the rest.
pub(crate) fn parse_labels(text: &str) -> Option<(LabelPairs<'_>, &str)> {
    if text.starts_with('{') {
        let (Braces { name, labels }, rest) = parse_braces(text, false)?;
        name.is_none().then_some((labels, rest))
    } else {
        Some((Vec::new(), text))
    }
}

/// Parses what stands between braces. Returns it and the rest. `trailing_comma` allows a comma after the last label.
///
/// Blanks are not skipped. They become part of a name.
fn parse_braces(text: &str, trailing_comma: bool) -> Option<(Braces<'_>, &str)> {
    let mut braces = Braces::default();
    let mut rest = text.strip_prefix('{')?;
    while !rest.starts_with('}') {
        let (name, after) = match parse_quoted(rest) {
            Some((name, after)) => (unescape(name), after),
            None => {
                let (name, after) = rest.split_at(rest.find('=')?);
                (name.into(), after)
            }
        };
        rest = match after.strip_prefix('=') {
            Some(value) => {
                let (value, after) = parse_quoted(value)?;
                braces.labels.push((name, value));
                after
            }
            None if braces.name.is_none() => {
                braces.name = Some(name);
                after
            }
            None => return None,
        };
        match rest.strip_prefix(',') {
            Some(next) if trailing_comma || !next.starts_with('}') => rest = next,
            Some(_) => return None,
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
    braces.labels.sort();
    Some((braces, &rest[1..]))
}

/// Returns what stands between the quotes at the beginning of the text, as it was written, and the rest.
pub(super) fn parse_quoted(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((&text[..end], &text[end + 1..]))
}

/// Unescapes what stood between quotes. A text with another escape than `\\`, `\"` and `\n` stands for itself.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    unescape_all(text).unwrap_or(Cow::Borrowed(text))
}

/// Returns the text without its escapes. Returns `None` if there is another one than `\\`, `\"` and `\n`.
pub(super) fn unescape_all(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            },
            c => c,
        });
    }
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unescaped() {
        for (escaped, plain) in [
            ("", ""),
            ("plain é", "plain é"),
            (r"a\\b", r"a\b"),
            (r#"say \"a\""#, r#"say "a""#),
            (r"two\nlines", "two\nlines"),
            (r"\\n", r"\n"),
            (r"\\\n", "\\\n"),
            // No escapes
            (r"\t\", r"\t\"),
        ] {
            assert_eq!(unescape(escaped), plain, "{escaped}");
        }
    }

    #[test]
    fn names_may_be_in_quotes() {
        for (line, name, labels) in [
            ("a.b 1", "a.b", &[][..]),
            ("a.b{c.d=\"1\"} 1", "a.b", &[("c.d", "1")]),
            (r#"{"a b"} 1"#, "a b", &[]),
            (r#"{"a\"}b",x="1",} 1"#, "a\"}b", &[("x", "1")]),
            (
                r#"{x="1","a","y,\\="="2"} 1"#,
                "a",
                &[("x", "1"), ("y,\\=", "2")],
            ),
            (r#"a{"="="="} 1"#, "a", &[("=", "=")]),
        ] {
            let sample = Sample::parse(line).unwrap();
            assert_eq!(sample.name, name, "{line}");
            assert_eq!(sample.pairs().collect::<Vec<_>>(), labels, "{line}");
        }
        for line in [
            r#"a{"b"} 1"#,
            r#"{"a","b"} 1"#,
            r#"{"a} 1"#,
            r#"{"a"=1} 1"#,
            r#"{"a"x} 1"#,
        ] {
            assert!(Sample::parse(line).is_none(), "{line}");
        }
    }
}
