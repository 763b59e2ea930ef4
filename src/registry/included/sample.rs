//! Parses a line with a sample.

use crate::Error;
use crate::clock::WallTime;
use crate::registry::Kind;
use std::borrow::Cow;

/// A sample as it was written.
#[derive(Debug)]
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    pub(crate) labels: LabelPairs<'a>,
    pub(crate) value: &'a str,
    pub(crate) number: f64,
    /// The timestamp in seconds.
    pub(crate) timestamp: Option<Cow<'a, str>>,
    pub(crate) exemplar: Option<&'a str>,
    /// When its metric was registered, if this registry knows.
    pub(crate) created: Option<WallTime>,
}

/// Labels sorted by name. Values are as written between the quotes.
type LabelPairs<'a> = Vec<(&'a str, &'a str)>;

// === impl Sample ===

impl<'a> Sample<'a> {
    /// Parses `name{label="value"} value timestamp # exemplar`. Only the name and the value are required.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim();
        let name = &line[..line.find(['{', ' ', '\t'])?];
        let rest = &line[name.len()..];
        let (labels, rest) = match rest.trim_start() {
            labels if labels.starts_with('{') => parse_pairs(labels, true)?,
            _ => (Vec::new(), rest),
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
        })
    }

    /// Parses a line.
    ///
    /// # Errors
    ///
    /// Returns an error that names the line if it is not a sample.
    pub(super) fn parse_line(line: &'a str) -> Result<Self, Error> {
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
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let digits = format!("{digits:0>4}");
            let (seconds, millis) = digits.split_at(digits.len() - 3);
            self.timestamp = Some(Cow::Owned(format!("{sign}{seconds}.{millis}")));
        }
    }

    /// Returns the labels that all samples of a series have in common: all but the `le` of a bucket and the `quantile` of
    /// a summary's sample.
    pub(crate) fn series(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        const PARTS: [&str; 4] = ["_count", "_created", "_sum", "_total"];
        let own = if self.name.ends_with("_bucket") {
            Some("le")
        } else if PARTS.iter().any(|part| self.name.ends_with(part)) {
            None
        } else {
            Some("quantile")
        };
        let labels = self.labels.iter().copied();
        labels.filter(move |(name, _)| Some(*name) != own)
    }

    /// Returns the labels that all samples of a metric with this type have in common.
    pub(crate) fn labels_of_metric(&self, kind: Kind) -> impl Iterator<Item = (&'a str, &'a str)> {
        let series = matches!(kind, Kind::Histogram | Kind::Summary).then(|| self.series());
        let all = series.is_none().then(|| self.labels.iter().copied());
        series
            .into_iter()
            .flatten()
            .chain(all.into_iter().flatten())
    }

    /// Returns the labels except this one.
    pub(crate) fn labels_without(&self, label: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let labels = self.labels.iter().copied();
        labels.filter(move |(name, _)| *name != label)
    }

    /// Returns whether both samples belong to the same series.
    pub(crate) fn is_same_series(&self, other: &Self) -> bool {
        self.series().eq(other.series())
    }

    pub(crate) fn label(&self, name: &str) -> Option<&'a str> {
        let mut labels = self.labels.iter();
        labels
            .find(|(label, _)| *label == name)
            .map(|(_, value)| *value)
    }

    /// Returns the upper bound of a bucket.
    pub(crate) fn bound(&self) -> Option<f64> {
        self.label("le")?.parse().ok()
    }
}

/// Parses the labels at the beginning of `text`, if there are any. Returns them and the rest.
pub(crate) fn parse_labels(text: &str) -> Option<(LabelPairs<'_>, &str)> {
    if text.starts_with('{') {
        parse_pairs(text, false)
    } else {
        Some((Vec::new(), text))
    }
}

/// Parses labels between braces. Returns them and the rest. `trailing_comma` allows a comma after the last label.
///
/// Blanks are not skipped. They become part of a name, which is then invalid.
fn parse_pairs(text: &str, trailing_comma: bool) -> Option<(LabelPairs<'_>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text.strip_prefix('{')?;
    while !rest.starts_with('}') {
        let (name, value) = rest.split_once('=')?;
        let value = value.strip_prefix('"')?;
        let (value, after) = value.split_at(end_of_value(value)?);
        labels.push((name, value));
        // Skips the closing quote.
        rest = &after[1..];
        match rest.strip_prefix(',') {
            Some(next) if trailing_comma || !next.starts_with('}') => rest = next,
            Some(_) => return None,
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
    labels.sort_by_key(|(label, _)| *label);
    Some((labels, &rest[1..]))
}

/// Returns the index of the quote that closes a label's value.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}
