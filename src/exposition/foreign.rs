//! What prometheus-client writes, made fit for our page.
//!
//! Its text is taken apart, into families and samples, and written again: a family once for all
//! who have samples in it; labels in order, and with them the series, which come as a hash
//! map has them; bounds and infinities in their canonical form; exemplars only where the format has them.

use super::number::canonical;
use super::text::TextWriter;
use super::{Format, Selection};
use crate::Error;
use crate::registry::Kind;
use std::collections::BTreeSet;

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
    /// A number, and perhaps a timestamp.
    pub(super) value: &'a str,
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
    /// Names the line that is not a sample, or has a label twice.
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

    /// Puts the samples in the order of their series.
    ///
    /// # Errors
    ///
    /// Names the series that is there twice.
    pub(super) fn sort(&mut self) -> Result<(), Error> {
        // A stable sort: what belongs to one series stays in its order.
        self.samples.sort_by(|a, b| a.series().cmp(b.series()));
        self.check_unique()
    }

    /// Writes the family, if it has samples.
    ///
    /// # Errors
    ///
    /// Names the series that is there twice.
    pub(super) fn write(&mut self, text: &mut TextWriter, name: &str) -> Result<(), Error> {
        if self.samples.is_empty() {
            return Ok(());
        }
        self.sort()?;
        text.family(name, self.kind, self.unit.as_deref(), &self.help);
        for sample in &self.samples {
            sample.write(text);
        }
        Ok(())
    }

    fn add_sample(&mut self, line: &'a str) -> Result<(), Error> {
        let sample = Sample::parse(line)
            .ok_or_else(|| Error::new(format!("{line:?} is not a sample: look at its encoder")))?;
        if let Some(twice) = sample.labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::new(format!(
                "a sample of `{}` has the label `{}` twice: a label of the metric's own may not be called as one of the layer's",
                sample.name, twice[0].0
            )));
        }
        self.samples.push(sample);
        Ok(())
    }

    fn check_unique(&self) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        match self
            .samples
            .iter()
            .find(|sample| !seen.insert((sample.name, &sample.labels)))
        {
            None => Ok(()),
            Some(Sample { name, .. }) => Err(Error::new(format!(
                "a series of `{name}` is there twice: two metrics have the same name and labels, leave one out"
            ))),
        }
    }
}

/// Takes a whole text apart. What stands between HELP and TYPE is HELP
/// continued, for line feeds in it are not escaped.
///
/// # Errors
///
/// As [`ForeignFamily::add_samples`]; or if samples come before any family.
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
            family.kind = Kind::from_text(of_type);
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
    Ok(families)
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
    /// `name{label="value"} value # exemplar`; labels and exemplar may be missing.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let name = &line[..line.find(['{', ' '])?];
        let (labels, rest) = parse_labels(&line[name.len()..])?;
        let rest = rest.trim_start();
        let (value, exemplar) = match rest.split_once(" # ") {
            Some((value, exemplar)) => (value, Some(exemplar)),
            None => (rest, None),
        };
        // A number, and perhaps a timestamp.
        value
            .split(' ')
            .try_for_each(|word| word.parse::<f64>().map(drop))
            .ok()?;
        Some(Self {
            name,
            labels,
            value,
            exemplar,
        })
    }

    /// What all samples of a series have in common.
    pub(super) fn series(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.labels
            .iter()
            .copied()
            .filter(|(name, _)| *name != "le")
    }

    fn write(&self, text: &mut TextWriter) {
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
        let value = match self.value {
            "inf" => "+Inf",
            "-inf" => "-Inf",
            value => value,
        };
        match self.exemplar {
            Some(exemplar) if text.format() == Format::OpenMetrics => {
                text.line(&[self.name, &labels, " ", value, " # ", exemplar]);
            }
            _ => text.line(&[self.name, &labels, " ", value]),
        }
    }
}

/// The labels between the braces that `text` begins with, if it does, and what follows them.
pub(super) fn parse_labels(text: &str) -> Option<(Pairs<'_>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text;
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while let Some((label, after)) = rest.split_once("=\"") {
            if rest.starts_with('}') {
                break;
            }
            let (value, after) = after.split_at(end_of_value(after)?);
            labels.push((label.trim_start_matches(','), value));
            rest = after.strip_prefix('"')?;
        }
        rest = rest.strip_prefix('}')?;
    }
    labels.sort_by_key(|(label, _)| *label);
    Some((labels, rest))
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
        let mut text = TextWriter::new(format);
        Sample::parse(line).unwrap().write(&mut text);
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
        for broken in ["", "a", "a{x", "a{x=\"1 2", "a{x=\"1\" 2"] {
            assert!(Sample::parse(broken).is_none(), "{broken}");
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
            (
                "# HELP a .\n# TYPE a gauge\na{x=\"1\",y=\"\",x=\"2\"} 1",
                "`x`",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let mut twice = ForeignFamily::new(Kind::Gauge);
        twice.add_samples("a{x=\"1\"} 1\na{x=\"1\"} 2").unwrap();
        let error = twice.write(&mut TextWriter::new(Format::OpenMetrics), "a");
        assert!(error.unwrap_err().to_string().contains("`a`"));
    }
}
