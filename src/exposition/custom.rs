//! What prometheus-client writes, made fit for our page.
//!
//! Its comments are dropped, for a family's are written once for all its members. Its samples are
//! taken apart at their labels: those are put in order, and with them the
//! series, which come as a hash map has them; bounds and infinities get their
//! canonical form; and exemplars are cut off where the format has none.

use super::Format;
use super::number::canonical;
use super::text::TextWriter;
use crate::registry::CustomFamily;
use std::fmt;

/// A line that holds a sample.
struct Sample<'a> {
    name: &'a str,
    /// Sorted by name, values as they stand between their quotes.
    labels: Vec<(&'a str, &'a str)>,
    value: &'a str,
    exemplar: Option<&'a str>,
}

/// Writes a family that users registered.
///
/// # Errors
///
/// If one of its members can't be encoded.
pub(super) fn write(text: &mut TextWriter, name: &str, family: &CustomFamily) -> fmt::Result {
    let encoded = family.encode()?;
    let mut samples: Vec<Sample<'_>> = encoded
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| Sample::parse(line).ok_or(fmt::Error))
        .collect::<Result<_, _>>()?;
    if samples.is_empty() {
        return Ok(());
    }
    // A stable sort: what belongs to one series stays in its order.
    samples.sort_by(|a, b| a.series().cmp(b.series()));
    text.family(name, family.kind, family.unit.as_deref(), &family.help);
    for sample in &samples {
        sample.write(text);
    }
    Ok(())
}

// === impl Sample ===

impl<'a> Sample<'a> {
    /// `name{label="value"} value # exemplar`; labels and exemplar may be missing.
    fn parse(line: &'a str) -> Option<Self> {
        let name = &line[..line.find(['{', ' '])?];
        let mut rest = &line[name.len()..];
        let mut labels = Vec::new();
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
        let rest = rest.trim_start();
        let (value, exemplar) = match rest.split_once(" # ") {
            Some((value, exemplar)) => (value, Some(exemplar)),
            None => (rest, None),
        };
        Some(Self {
            name,
            labels,
            value,
            exemplar,
        })
    }

    /// What all samples of a series have in common.
    fn series(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
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
}
