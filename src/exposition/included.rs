//! Writes included families as text.
//!
//! Bounds and infinities are written in canonical form. Exemplars, timestamps and the parts of a histogram are written as
//! the format requires.

use super::Format;
use super::number::{canonical, millis, not_finite};
use super::text::TextWriter;
use crate::escaping::Escaping;
use crate::registry::{IncludedFamily, Kind, Sample};

/// Writes the family, if it has samples in this format. Its samples must be sorted.
pub(super) fn write(text: &mut TextWriter, name: &str, family: &IncludedFamily<'_>) {
    let format = text.encoding.format;
    let mut is_empty = true;
    for series in family.samples.chunk_by(Sample::is_same_series) {
        let with_sum = may_show_sum(format, name, family.kind, series);
        let in_format = |sample: &&Sample<'_>| match &sample.name[name.len()..] {
            "_created" => format == Format::OpenMetrics,
            "_sum" | "_count" => with_sum,
            _ => true,
        };
        for sample in series.iter().filter(in_format) {
            if std::mem::take(&mut is_empty) {
                text.family(name, family.kind, family.unit.as_deref(), &family.help);
            }
            write_sample(text, name, family.kind, sample);
        }
        let created = series[0].created.filter(|_| family.kind.has_created());
        if let Some(created) = created {
            let labels = label_text(text.encoding.escaping, family.kind, series[0].series());
            text.created(&labels, created);
        }
    }
}

/// Returns whether a histogram may show its sum and count. With negative observations the sum is not
/// a counter, and OpenMetrics forbids both (OpenMetrics 1.0, "Histogram").
fn may_show_sum(format: Format, name: &str, kind: Kind, series: &[Sample<'_>]) -> bool {
    let has = |suffix| {
        let mut parts = series.iter();
        parts.find(|sample| sample.name.strip_prefix(name) == Some(suffix))
    };
    let below_zero = |sample: &Sample<'_>| sample.bound().is_some_and(|bound| bound < 0.0);
    format != Format::OpenMetrics
        || kind != Kind::Histogram
        || (has("_count").is_some()
            && has("_sum").is_some_and(|sum| sum.number >= 0.0)
            && !series.iter().any(below_zero))
}

fn write_sample(text: &mut TextWriter, family: &str, kind: Kind, sample: &Sample<'_>) {
    let format = text.encoding.format;
    let labels = label_text(text.encoding.escaping, kind, sample.pairs());
    text.sample(&sample.name[family.len()..], &labels, |page| {
        page.push_str(not_finite(sample.number).unwrap_or(sample.value));
        if let Some(seconds) = &sample.timestamp {
            page.push(' ');
            match format {
                Format::OpenMetrics => page.push_str(seconds),
                Format::Prometheus => page.push_str(&millis(seconds)),
            }
        }
        if let Some(exemplar) = sample.exemplar
            && format == Format::OpenMetrics
        {
            page.extend([" # ", exemplar]);
        }
    });
}

/// Returns the text between the braces. Label values are escaped as they were written.
fn label_text<'a>(
    escaping: Escaping,
    kind: Kind,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut text = String::new();
    for (name, value) in escaping.labels_in_text(labels) {
        let bound = (name == "le" && kind == Kind::Histogram).then(|| value.parse());
        let bound = bound.and_then(Result::ok).map(canonical);
        let comma = if text.is_empty() { "" } else { "," };
        text.extend([comma, &name, "=\"", bound.as_deref().unwrap_or(value), "\""]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::parse;

    fn rewritten(format: Format, line: &str) -> String {
        let mut text = TextWriter::with_capacity(0, format.into());
        let sample = Sample::parse(line).unwrap();
        let (name, kind) = match sample.name.strip_suffix("_total") {
            Some(name) => (name, Kind::Counter),
            None if sample.name.ends_with("_bucket") => ("a", Kind::Histogram),
            None => ("a", Kind::Unknown),
        };
        text.family(name, kind, None, "");
        write_sample(&mut text, name, kind, &sample);
        let page = text.finish().replace("# EOF\n", "");
        page.lines()
            .skip(2)
            .map(|line| format!("{line}\n"))
            .collect()
    }

    #[test]
    fn labels_are_parsed_and_sorted() {
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

    /// Returns the page of the families in a text.
    fn page(format: Format, text: &str) -> String {
        let mut writer = TextWriter::with_capacity(0, format.into());
        for (name, mut family) in parse(text).unwrap() {
            family.sort_and_check(&name).unwrap();
            write(&mut writer, &name, &family);
        }
        writer.finish().replace("# EOF\n", "")
    }

    #[test]
    fn samples_that_a_format_lacks_are_not_written() {
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
    fn openmetrics_has_no_sum_of_negative_observations() {
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

    /// `le` and `quantile` are ordinary labels outside of histograms and summaries.
    #[test]
    fn samples_of_one_series_are_written_together() {
        let head = "# HELP a .\n# TYPE a counter\n";
        let [first, second] = ["1", "2"].map(|le| {
            [
                format!("a_total{{le=\"{le}\"}} 1\n"),
                format!("a_created{{le=\"{le}\"}} 1\n"),
            ]
        });
        let apart = [&first[0], &second[0], &first[1], &second[1]].map(|line| &**line);
        let together = [&first[0], &first[1], &second[0], &second[1]].map(|line| &**line);
        assert_eq!(
            page(Format::OpenMetrics, &format!("{head}{}", apart.concat())),
            format!("{head}{}", together.concat())
        );
    }

    #[test]
    fn only_openmetrics_has_exemplars() {
        let line = r#"a_total{x="1"} 2 # {trace_id="7"} 1.0 3.5"#;
        assert_eq!(rewritten(Format::OpenMetrics, line), format!("{line}\n"));
        assert_eq!(rewritten(Format::Prometheus, line), "a_total{x=\"1\"} 2\n");
    }
}
