//! A line of text that holds a sample.

/// A line that holds a sample.
#[derive(Debug)]
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    pub(crate) labels: Pairs<'a>,
    pub(crate) value: &'a str,
    pub(crate) number: f64,
    /// In seconds.
    pub(crate) timestamp: Option<&'a str>,
    pub(crate) exemplar: Option<&'a str>,
}

/// Labels sorted by name, values as they stand between their quotes.
type Pairs<'a> = Vec<(&'a str, &'a str)>;

// === impl Sample ===

impl<'a> Sample<'a> {
    /// `name{label="value"} value timestamp # exemplar`; only name and value must be there.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let name = &line[..line.find(['{', ' '])?];
        let (labels, rest) = parse_labels(&line[name.len()..])?;
        let rest = rest.strip_prefix(' ')?;
        let (value, exemplar) = match rest.split_once(" # ") {
            Some((value, exemplar)) => (value, Some(exemplar)),
            None => (rest, None),
        };
        let (value, timestamp) = match value.split_once(' ') {
            Some((value, timestamp)) => (value, Some(timestamp)),
            None => (value, None),
        };
        Some(Self {
            name,
            labels,
            value,
            number: value.parse().ok()?,
            timestamp,
            exemplar,
        })
    }

    /// What all samples of a series have in common. Where it does not tell a bucket or a quantile, a label of that
    /// name is one like others.
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

    /// Its labels without this one.
    pub(crate) fn labels_but(&self, label: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let labels = self.labels.iter().copied();
        labels.filter(move |(name, _)| *name != label)
    }

    /// Whether the two are of one series.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.series().eq(other.series())
    }

    pub(crate) fn label(&self, name: &str) -> Option<&'a str> {
        let mut labels = self.labels.iter();
        labels
            .find(|(label, _)| *label == name)
            .map(|(_, value)| *value)
    }

    /// The upper bound of a bucket.
    pub(crate) fn bound(&self) -> Option<f64> {
        self.label("le")?.parse().ok()
    }
}

/// The labels between the braces that `text` begins with, if it does, and what follows them.
pub(crate) fn parse_labels(text: &str) -> Option<(Pairs<'_>, &str)> {
    let mut labels = Vec::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return Some((labels, text));
    };
    if let Some(after) = rest.strip_prefix('}') {
        return Some((labels, after));
    }
    loop {
        let (name, value) = rest.split_once("=\"")?;
        let (value, after) = value.split_at(end_of_value(value)?);
        labels.push((name, value));
        // Past the quote that closes the value.
        let after = &after[1..];
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => {
                labels.sort_by_key(|(label, _)| *label);
                return Some((labels, after.strip_prefix('}')?));
            }
        }
    }
}

/// Where the quote stands that closes a label's value.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}
