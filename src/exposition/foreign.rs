//! What prometheus-client writes, made fit for our page.
//!
//! Its text is taken apart, into families and samples, and written again: a family once for all
//! who have samples in it; labels in order, and with them the series, which come as a hash
//! map has them; bounds and infinities in their canonical form; exemplars, timestamps and the
//! parts of a histogram as the format has them. What strict parsers would not read is refused:
//! see [`rules`](super::rules).

use super::number::{canonical, millis};
use super::text::TextWriter;
use super::{Format, Selection, rules};
use crate::Error;
use crate::registry::Kind;
use std::borrow::Cow;

/// A family as it was found.
#[derive(Debug)]
pub(super) struct ForeignFamily<'a> {
    pub(super) kind: Kind,
    pub(super) unit: Option<String>,
    pub(super) help: String,
    pub(super) samples: Vec<Sample<'a>>,
}

/// A line that holds a sample.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Pairs<'a>,
    pub(super) value: &'a str,
    pub(super) number: f64,
    /// In seconds.
    pub(super) timestamp: Option<&'a str>,
    pub(super) exemplar: Option<&'a str>,
}

/// Labels sorted by name, values as they stand between their quotes.
type Pairs<'a> = Vec<(&'a str, &'a str)>;

// === impl ForeignFamily ===

impl<'a> ForeignFamily<'a> {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            unit: None,
            help: String::new(),
            samples: Vec::new(),
        }
    }

    /// Adds the samples that stand in `text`, whatever families it calls them.
    ///
    /// # Errors
    ///
    /// Names the line that is not a sample.
    pub(super) fn add_samples(&mut self, text: &'a str) -> Result<(), Error> {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            self.add_sample(line)?;
        }
        Ok(())
    }

    /// Whether it is selected, by its name or by that of a sample: not all that it may hold is
    /// known by its type.
    pub(super) fn is_in(&self, selection: &Selection, name: &str) -> bool {
        let by_sample = |sample: &Sample<'_>| selection.has_sample(sample.name);
        selection.has(name, self.kind) || self.samples.iter().any(by_sample)
    }

    /// Takes in the samples of another one of the same name.
    ///
    /// # Errors
    ///
    /// If the two disagree.
    pub(super) fn join(&mut self, name: &str, other: Self) -> Result<(), Error> {
        if (self.kind, &self.unit) != (other.kind, &other.unit) {
            return Err(Error::new(format!(
                "two families are called `{name}` and differ in type or unit: rename one, or leave it out"
            )));
        }
        self.samples.extend(other.samples);
        Ok(())
    }

    /// Puts the samples in order.
    ///
    /// # Errors
    ///
    /// Says which of the [`rules`] it breaks.
    pub(super) fn arrange(&mut self, name: &str) -> Result<(), Error> {
        // A stable sort: what belongs to one series stays in its order.
        self.samples.sort_by(|a, b| a.series().cmp(b.series()));
        if self.kind == Kind::StateSet {
            // The states of one set belong together.
            self.samples
                .sort_by(|a, b| a.labels_but(name).cmp(b.labels_but(name)));
        }
        rules::check(name, self.kind, self.unit.as_deref(), &self.samples)
    }

    /// Writes the family, which has been arranged, if there is anything of it in this format.
    pub(super) fn write(&self, text: &mut TextWriter, name: &str) {
        let mut shown = self.shown(text.format(), name).peekable();
        if shown.peek().is_none() {
            return;
        }
        text.family(name, self.kind, self.unit.as_deref(), &self.help);
        for sample in shown {
            sample.write(text, self.kind);
        }
    }

    fn shown(&self, format: Format, name: &str) -> impl Iterator<Item = &Sample<'a>> {
        let series = self.samples.chunk_by(Sample::is_beside);
        series.flat_map(move |series| {
            let all = self.has_all_parts(format, name, series);
            let samples = series.iter();
            samples.filter(move |sample| shows(format, &sample.name[name.len()..], all))
        })
    }

    /// Whether a histogram may show its sum, and with it its count: in OpenMetrics only if nothing
    /// it observed was negative, for then the sum would not be a counter (OpenMetrics 1.0,
    /// "Histogram").
    fn has_all_parts(&self, format: Format, name: &str, series: &[Sample<'_>]) -> bool {
        let has = |suffix| {
            let mut parts = series.iter();
            parts.find(|sample| sample.name.strip_prefix(name) == Some(suffix))
        };
        let below_zero = |sample: &Sample<'_>| sample.bound().is_some_and(|bound| bound < 0.0);
        format != Format::OpenMetrics
            || self.kind != Kind::Histogram
            || (has("_count").is_some()
                && has("_sum").is_some_and(|sum| sum.number >= 0.0)
                && !series.iter().any(below_zero))
    }

    fn add_sample(&mut self, line: &'a str) -> Result<(), Error> {
        let sample = Sample::parse(line)
            .ok_or_else(|| Error::new(format!("{line:?} is not a sample: look at its encoder")))?;
        self.samples.push(sample);
        Ok(())
    }
}

/// Whether the format has this part of a family's name, and with `all`, too, what may be missing.
fn shows(format: Format, part: &str, all: bool) -> bool {
    match part {
        "_created" => format == Format::OpenMetrics,
        "_sum" | "_count" => all,
        _ => true,
    }
}

/// Takes a whole text apart. What stands between HELP and TYPE is HELP
/// continued, for line feeds in it are not escaped.
///
/// # Errors
///
/// As [`ForeignFamily::add_samples`]; if samples come before any family; or names a family whose
/// type is missing or unknown.
pub(super) fn parse(text: &str) -> Result<Vec<(&str, ForeignFamily<'_>)>, Error> {
    let mut families: Vec<(&str, ForeignFamily<'_>)> = Vec::new();
    let mut in_help = false;
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name)) if !in_help => {
                let mut family = ForeignFamily::new(Kind::Unknown);
                words.next().unwrap_or("").clone_into(&mut family.help);
                families.push((name, family));
                in_help = true;
                continue;
            }
            (Some("#"), Some("EOF"), None) if !in_help => continue,
            _ => {}
        }
        let Some((name, family)) = families.last_mut() else {
            return Err(Error::new(format!(
                "{line:?} belongs to no family: metadata must come before samples"
            )));
        };
        if let Some(of_type) = metadata(line, "TYPE", name) {
            family.kind = Kind::from_text(of_type).ok_or_else(|| {
                Error::new(format!(
                    "family `{name}` is of the type {of_type:?}, which not both formats have: leave it out"
                ))
            })?;
            in_help = false;
        } else if in_help {
            family.help.push('\n');
            family.help.push_str(line);
        } else if let Some(unit) = metadata(line, "UNIT", name) {
            family.unit = Some(unit.to_owned());
        } else {
            family.add_sample(line)?;
        }
    }
    match families.last() {
        Some((name, _)) if in_help => Err(Error::new(format!(
            "family `{name}` has HELP and no TYPE: look at its encoder, and at its name"
        ))),
        _ => Ok(families),
    }
}

/// `# TYPE name counter` holds `counter`.
fn metadata<'a>(line: &'a str, keyword: &str, name: &str) -> Option<&'a str> {
    line.strip_prefix("# ")?
        .strip_prefix(keyword)?
        .strip_prefix(' ')?
        .strip_prefix(name)?
        .strip_prefix(' ')
}

// === impl Sample ===

impl<'a> Sample<'a> {
    /// `name{label="value"} value timestamp # exemplar`; only name and value must be there.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
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

    /// What all samples of a series have in common.
    pub(super) fn series(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let labels = self.labels.iter().copied();
        labels.filter(|(name, _)| !matches!(*name, "le" | "quantile"))
    }

    /// Its labels without this one.
    pub(super) fn labels_but(&self, label: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let labels = self.labels.iter().copied();
        labels.filter(move |(name, _)| *name != label)
    }

    /// Whether the two are of one series.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.series().eq(other.series())
    }

    pub(super) fn label(&self, name: &str) -> Option<&'a str> {
        let mut labels = self.labels.iter();
        labels
            .find(|(label, _)| *label == name)
            .map(|(_, value)| *value)
    }

    /// The upper bound of a bucket.
    pub(super) fn bound(&self) -> Option<f64> {
        self.label("le")?.parse().ok()
    }

    fn write(&self, text: &mut TextWriter, kind: Kind) {
        let mut labels = String::new();
        for (name, value) in &self.labels {
            labels.push_str(if labels.is_empty() { "{" } else { "," });
            labels.push_str(name);
            labels.push_str("=\"");
            match *name {
                "le" => labels.push_str(&canonical_bound(value)),
                _ => labels.push_str(value),
            }
            labels.push('"');
        }
        if !labels.is_empty() {
            labels.push('}');
        }
        let value = match self.number {
            f64::INFINITY => "+Inf",
            f64::NEG_INFINITY => "-Inf",
            number if number.is_nan() => "NaN",
            _ => self.value,
        };
        let mut line = vec![self.name, &labels, " ", value];
        let timestamp = self
            .timestamp
            .map(|seconds| written(text.format(), seconds));
        if let Some(timestamp) = &timestamp {
            line.extend([" ", timestamp]);
        }
        let exemplar = self.exemplar.filter(|exemplar| {
            text.format() == Format::OpenMetrics && rules::allow_exemplar(kind, self.name, exemplar)
        });
        if let Some(exemplar) = exemplar {
            line.extend([" # ", exemplar]);
        }
        text.line(&line);
    }
}

/// A timestamp, which is in milliseconds in 0.0.4.
fn written(format: Format, seconds: &str) -> Cow<'_, str> {
    match format {
        Format::OpenMetrics => Cow::Borrowed(seconds),
        Format::Prometheus => Cow::Owned(millis(seconds)),
    }
}

/// The labels between the braces that `text` begins with, if it does, and what follows them.
pub(super) fn parse_labels(text: &str) -> Option<(Pairs<'_>, &str)> {
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

fn canonical_bound(bound: &str) -> String {
    bound.parse().map_or_else(|_| bound.to_owned(), canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(format: Format, line: &str) -> String {
        let mut text = TextWriter::with_capacity(0, format);
        Sample::parse(line).unwrap().write(&mut text, Kind::Counter);
        text.finish().replace("# EOF\n", "")
    }

    #[test]
    fn samples_are_taken_apart_at_their_labels() {
        let cases = [
            ("a 1", "a 1\n"),
            ("a{} 1", "a 1\n"),
            (r#"a{y="1",x="2"} inf"#, "a{x=\"2\",y=\"1\"} +Inf\n"),
            (
                r#"a{x="\"} # \\",b=",c=\""} 1.5"#,
                "a{b=\",c=\\\"\",x=\"\\\"} # \\\\\"} 1.5\n",
            ),
            (r#"a_bucket{le="0.00001"} 2"#, "a_bucket{le=\"1e-05\"} 2\n"),
            (r#"a_bucket{le="+Inf"} 2"#, "a_bucket{le=\"+Inf\"} 2\n"),
        ];
        for (line, expected) in cases {
            assert_eq!(rewritten(Format::Prometheus, line), expected);
        }
        for broken in [
            "",
            "a",
            "a{x",
            "a{x=\"1 2",
            "a{x=\"1\" 2",
            "a{x=\"1\"y=\"2\"} 3",
        ] {
            assert!(Sample::parse(broken).is_none(), "{broken}");
        }
    }

    /// What is written of a text.
    fn page(format: Format, text: &str) -> String {
        let mut writer = TextWriter::with_capacity(0, format);
        for (name, mut family) in parse(text).unwrap() {
            family.arrange(name).unwrap();
            family.write(&mut writer, name);
        }
        writer.finish().replace("# EOF\n", "")
    }

    #[test]
    fn what_a_format_lacks_is_not_written() {
        let created = "# HELP a .\n# TYPE a counter\na_total 1 1.5\na_created 2 1.5\n";
        assert_eq!(page(Format::OpenMetrics, created), created);
        assert_eq!(
            page(Format::Prometheus, created),
            "# HELP a_total .\n# TYPE a_total counter\na_total 1 1500\n"
        );
        let alone = "# HELP a .\n# TYPE a summary\na_created 2\n";
        assert_eq!(page(Format::OpenMetrics, alone), alone);
        assert_eq!(page(Format::Prometheus, alone), "");
        let states = "# HELP a .\n# TYPE a stateset\na{a=\"on\"} 1\n";
        assert_eq!(page(Format::OpenMetrics, states), states);
        assert_eq!(
            page(Format::Prometheus, states),
            states.replace("stateset", "gauge")
        );
        let (on, off) = ("a{a=\"on\",b=\"1\"} 1", "a{a=\"off\",b=\"2\"} 1");
        let sets = format!(
            "{on}\n{off}\n{}\n{}\n",
            on.replace("on", "off"),
            off.replace("off", "on")
        );
        let sets = page(
            Format::OpenMetrics,
            &format!("# HELP a .\n# TYPE a stateset\n{sets}"),
        );
        let order = ["off\",b=\"1", "on\",b=\"1", "off\",b=\"2", "on\",b=\"2"];
        let order = order.map(|state| sets.find(state).unwrap());
        assert!(order.is_sorted(), "{sets}");
    }

    #[test]
    fn a_sum_that_is_no_counters_is_not_for_openmetrics() {
        for (sum, bound, shown) in [
            ("1.5", "1.0", true),
            ("-1.5", "1.0", false),
            ("NaN", "1.0", false),
            ("1.5", "-1.0", false),
        ] {
            let head = "# HELP a .\n# TYPE a histogram\n";
            let parts = format!("a_sum {sum}\na_count 1\n");
            let buckets = format!("a_bucket{{le=\"{bound}\"}} 1\na_bucket{{le=\"+Inf\"}} 1\n");
            let whole = format!("{head}{parts}{buckets}");
            assert_eq!(page(Format::Prometheus, &whole), whole);
            let expected = if shown {
                whole.clone()
            } else {
                format!("{head}{buckets}")
            };
            assert_eq!(page(Format::OpenMetrics, &whole), expected);
        }
    }

    #[test]
    fn exemplars_are_for_openmetrics() {
        let line = r#"a_total{x="1"} 2 # {trace_id="7"} 1.0 3.5"#;
        assert_eq!(rewritten(Format::OpenMetrics, line), format!("{line}\n"));
        assert_eq!(rewritten(Format::Prometheus, line), "a_total{x=\"1\"} 2\n");
    }

    #[test]
    fn help_may_have_line_feeds() {
        let text = "# HELP a say\n# HELP b\nmore\n# TYPE a counter\n# UNIT a x\na_total 1\n# EOF\n";
        let families = parse(text).unwrap();
        let [(name, family)] = &families[..] else {
            panic!("one family, not {families:?}");
        };
        assert_eq!((*name, family.kind), ("a", Kind::Counter));
        assert_eq!(family.help, "say\n# HELP b\nmore");
        assert_eq!(family.unit.as_deref(), Some("x"));
        assert_eq!(family.samples.len(), 1);
    }

    #[test]
    fn what_can_not_be_shown_is_named() {
        for (text, named) in [
            ("a 1", "a 1"),
            ("# HELP a .\n# TYPE a gauge\nnot a sample{", "not a sample{"),
            ("# HELP a .\n# TYPE a matrix\na 1", "\"matrix\""),
            ("# HELP a\n# TYPE b gauge\na 1", "`a`"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
