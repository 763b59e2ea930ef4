//! What a family from elsewhere has to be like, so that every parser reads the page.
//!
//! The rules are those of OpenMetrics 1.0 as its strictest readers apply them. They are checked when a
//! metric is registered, and again at each scrape, for what it shows may change.

use super::sample::{Sample, parse_labels};
use crate::Error;
use crate::labels::is_plain_name;
use crate::registry::{Kind, is_metric_name};
use std::collections::BTreeSet;

/// How many characters the labels of an exemplar may have together (OpenMetrics 1.0, "Exemplars").
const EXEMPLAR: usize = 128;

/// That a family of these samples, in order, can be shown.
///
/// # Errors
///
/// Names the family, sample, label or value that can't.
pub(super) fn check(
    name: &str,
    kind: Kind,
    unit: Option<&str>,
    samples: &[Sample<'_>],
) -> Result<(), Error> {
    if !is_metric_name(name) {
        return Err(Error::new(format!(
            "family name {name:?} is invalid: use letters, digits, `_` and `:`, not beginning with a digit"
        )));
    }
    if let Some(unit) = unit
        && !ends_in_unit(name, unit)
    {
        return Err(Error::new(format!(
            "family `{name}` does not end in `_` and its unit {unit:?}: call it so"
        )));
    }
    check_unique(samples)?;
    for sample in samples {
        check_sample(name, kind, sample)?;
    }
    for series in samples.chunk_by(|a, b| are_together(name, kind, a, b)) {
        check_series(name, kind, series)?;
    }
    Ok(())
}

/// Whether two samples belong to one thing: a histogram, a set of states, all of the infos.
fn are_together(family: &str, kind: Kind, a: &Sample<'_>, b: &Sample<'_>) -> bool {
    match kind {
        Kind::Info => true,
        Kind::StateSet => a.labels_but(family).eq(b.labels_but(family)),
        _ => a.is_beside(b),
    }
}

/// Whether every reader of OpenMetrics takes this exemplar of a sample called `name`; else the sample
/// is better off without it.
pub(crate) fn allow_exemplar(kind: Kind, name: &str, exemplar: &str) -> bool {
    let parts = exemplar
        .starts_with('{')
        .then(|| parse_labels(exemplar))
        .flatten();
    let Some((labels, rest)) = parts.filter(|_| can_have_exemplar(kind, name)) else {
        return false;
    };
    let mut seen = BTreeSet::new();
    // Some readers can't tell an escaped quote from one that closes.
    let plain = labels.iter().all(|(name, value)| {
        is_label_name(name) && seen.insert(*name) && !value.contains(['\\', '"'])
    });
    let length = |(name, value): &(&str, &str)| name.chars().count() + value.chars().count();
    let short = labels.iter().map(length).sum::<usize>() <= EXEMPLAR;
    let mut numbers = rest.split(' ');
    let numbers = [
        numbers.next(),
        numbers.next(),
        numbers.next(),
        numbers.next(),
    ];
    let valued = match numbers {
        [Some(""), Some(value), None, _] => is_finite(value),
        [Some(""), Some(value), Some(timestamp), None] => is_finite(value) && is_decimal(timestamp),
        _ => false,
    };
    plain && short && valued
}

fn can_have_exemplar(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::Counter => name.ends_with("_total"),
        Kind::Histogram => name.ends_with("_bucket"),
        _ => false,
    }
}

/// Samples are in order, so those of one name and labels need not be neighbours.
fn check_unique(samples: &[Sample<'_>]) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for sample in samples {
        // An empty label is as good as none.
        let labels = sample.labels.iter().filter(|(_, value)| !value.is_empty());
        if !seen.insert((sample.name, labels.collect::<Vec<_>>())) {
            return Err(Error::new(format!(
                "a series of `{}` is there twice: two metrics have the same name and labels, or a histogram has a bound twice; leave one out",
                sample.name
            )));
        }
    }
    Ok(())
}

fn check_sample(family: &str, kind: Kind, sample: &Sample<'_>) -> Result<(), Error> {
    let name = sample.name;
    let suffix = name
        .strip_prefix(family)
        .filter(|suffix| kind.suffixes().contains(suffix));
    let Some(suffix) = suffix else {
        return Err(Error::new(format!(
            "`{name}` is no sample of the {} `{family}`: look at its encoder",
            kind.as_str()
        )));
    };
    check_labels(sample)?;
    if let Some(timestamp) = &sample.timestamp
        && !is_decimal(timestamp)
    {
        return Err(Error::new(format!(
            "a sample of `{name}` has the timestamp {timestamp:?}: give it in decimal seconds"
        )));
    }
    let number = sample.number;
    let wrong = match (kind, suffix) {
        (_, "_created") | (Kind::Gauge | Kind::Unknown, _) => None,
        (Kind::Info, _) => (number != 1.0).then_some("1"),
        (Kind::StateSet, _) => (number != 0.0 && number != 1.0).then_some("0 or 1"),
        (Kind::Summary, "") => (number < 0.0).then_some("not negative"),
        // A histogram whose sum is no counter's goes without it.
        (Kind::Histogram, "_sum") => None,
        (_, "_bucket" | "_count") => (!is_count(number)).then_some("a count"),
        _ => (number.is_nan() || number < 0.0).then_some("a number, and not negative"),
    };
    match wrong {
        None => Ok(()),
        Some(expected) => Err(Error::new(format!(
            "a sample of `{name}` has the value {number}: what a {} shows there has to be {expected}",
            kind.as_str()
        ))),
    }
}

fn check_labels(sample: &Sample<'_>) -> Result<(), Error> {
    let Sample { name, labels, .. } = sample;
    for (label, value) in labels {
        if !is_label_name(label) {
            return Err(Error::new(format!(
                "a sample of `{name}` has the label {label:?}: use letters, digits and `_`, not beginning with a digit or `__`"
            )));
        }
        if !is_escaped(value) {
            return Err(Error::new(format!(
                "a sample of `{name}` has the label `{label}` with the value \"{value}\": only \\\\, \\\" and \\n are escapes"
            )));
        }
    }
    match labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        None => Ok(()),
        Some(twice) => Err(Error::new(format!(
            "a sample of `{name}` has the label `{}` twice: a label of the metric's own may not be called as one of the layer's, nor `le` in a histogram",
            twice[0].0
        ))),
    }
}

/// What the samples of one series have to do with each other.
fn check_series(family: &str, kind: Kind, series: &[Sample<'_>]) -> Result<(), Error> {
    if series
        .iter()
        .any(|sample| sample.timestamp != series[0].timestamp)
    {
        return Err(Error::new(format!(
            "samples of one series of `{family}` differ in their timestamps: give them the same, or none"
        )));
    }
    match kind {
        Kind::Histogram => check_histogram(family, series),
        Kind::Summary => check_summary(family, series),
        Kind::StateSet if series.iter().any(|sample| sample.label(family).is_none()) => {
            Err(Error::new(format!(
                "a sample of the stateset `{family}` lacks the label `{family}`: it names the state"
            )))
        }
        _ => Ok(()),
    }
}

fn check_summary(family: &str, series: &[Sample<'_>]) -> Result<(), Error> {
    for sample in series.iter().filter(|sample| sample.name == family) {
        let quantile = sample.label("quantile").map(str::parse::<f64>);
        if !matches!(quantile, Some(Ok(0.0..=1.0))) {
            return Err(Error::new(format!(
                "a sample of the summary `{family}` has no label `quantile` from 0 to 1"
            )));
        }
    }
    Ok(())
}

fn check_histogram(family: &str, series: &[Sample<'_>]) -> Result<(), Error> {
    let mut last = (f64::NEG_INFINITY, 0.0);
    let mut count = None;
    for sample in series {
        match &sample.name[family.len()..] {
            "_bucket" => {
                let bound = sample
                    .bound()
                    .filter(|bound| *bound > last.0 && last.1 <= sample.number);
                let Some(bound) = bound else {
                    return Err(Error::new(format!(
                        "the buckets of the histogram `{family}` are not in order: give it its bounds sorted, each once"
                    )));
                };
                last = (bound, sample.number);
            }
            "_count" => count = Some(sample.number),
            _ => {}
        }
    }
    if last.0 != f64::INFINITY {
        return Err(Error::new(format!(
            "the histogram `{family}` lacks its bucket of the bound `+Inf`: it holds all that is observed"
        )));
    }
    match count {
        Some(count) if count != last.1 => Err(Error::new(format!(
            "the histogram `{family}` has counted {count} and its bucket of the bound `+Inf` {}: they ought to be the same",
            last.1
        ))),
        _ => Ok(()),
    }
}

fn ends_in_unit(name: &str, unit: &str) -> bool {
    !unit.is_empty()
        && name
            .strip_suffix(unit)
            .is_some_and(|stem| stem.ends_with('_'))
}

fn is_label_name(name: &str) -> bool {
    is_plain_name(name) && !name.starts_with("__")
}

/// Whether what stands between quotes has no other escapes than those of a label.
fn is_escaped(value: &str) -> bool {
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && !matches!(bytes.next(), Some(b'\\' | b'"' | b'n')) {
            return false;
        }
    }
    true
}

fn is_count(number: f64) -> bool {
    number >= 0.0 && number.fract() == 0.0
}

fn is_finite(text: &str) -> bool {
    text.parse().is_ok_and(f64::is_finite)
}

/// `-12.5`: what every reader takes for a timestamp.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let positive = text.strip_prefix('-').unwrap_or(text);
    match positive.split_once('.') {
        None => digits(positive),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// What comes of a text: nothing, or an error.
    fn complaint(text: &str) -> String {
        let families = parse(text).map(|families| {
            let mut families = families.into_iter();
            families.try_for_each(|(name, mut family)| family.arrange(name))
        });
        match families {
            Ok(Ok(())) => String::new(),
            Ok(Err(error)) | Err(error) => error.to_string(),
        }
    }

    fn family(kind: &str, samples: &str) -> String {
        format!("# HELP a .\n# TYPE a {kind}\n{samples}\n# EOF\n")
    }

    #[test]
    fn what_can_be_read_is_shown() {
        for (kind, samples) in [
            ("counter", "a_total 1\na_created 2"),
            ("gauge", "a -1\na{x=\"1\"} nan\na{x=\"2\"} -inf"),
            ("gauge", "a{x=\"\\\\\\\"\\n\"} 1 2.5"),
            ("info", "a_info{x=\"1\"} 1"),
            ("stateset", "a{a=\"on\"} 1\na{a=\"off\"} 0"),
            ("summary", "a{quantile=\"0.5\"} 1\na_sum 1\na_count 1"),
            ("histogram", "a_bucket{le=\"+Inf\"} 1"),
            (
                "histogram",
                "a_sum nan\na_count 1\na_bucket{le=\"1\"} 1\na_bucket{le=\"inf\"} 1",
            ),
            ("unknown", "a 1"),
            ("untyped", "a{le=\"x\"} 1"),
        ] {
            let text = family(kind, samples);
            assert_eq!(complaint(&text), "", "{text}");
        }
    }

    #[test]
    fn what_can_not_is_refused() {
        for (kind, samples, named) in [
            ("counter", "a 1", "`a` is no sample"),
            ("counter", "a_total -1", "value -1"),
            ("counter", "a_total nan", "value NaN"),
            (
                "counter",
                "a_total{x=\"1\"} 1\na_total{x=\"1\",y=\"\"} 1",
                "twice",
            ),
            ("gauge", "a_total 1", "`a_total`"),
            ("gauge", "b 1", "`b`"),
            ("gauge", "a{x-y=\"1\"} 1", "\"x-y\""),
            ("gauge", "a{=\"1\"} 1", "\"\""),
            ("gauge", "a{__name__=\"1\"} 1", "\"__name__\""),
            ("gauge", "a{x=\"1\",x=\"2\"} 1", "`x`"),
            ("gauge", "a{x=\"\\t\"} 1", "escapes"),
            ("gauge", "a 1 soon", "\"soon\""),
            ("gauge", "a 1 1e3", "\"1e3\""),
            ("info", "a_info 2", "value 2"),
            ("stateset", "a{a=\"on\"} 2", "value 2"),
            ("stateset", "a{b=\"on\"} 1", "lacks the label `a`"),
            ("stateset", "a{a=\"on\"} 1\na{a=\"off\"} 0 1", "timestamps"),
            (
                "info",
                "a_info{x=\"1\"} 1\na_info{x=\"2\"} 1 1",
                "timestamps",
            ),
            ("summary", "a 1", "quantile"),
            ("summary", "a{quantile=\"2\"} 1", "quantile"),
            ("summary", "a{quantile=\"0.5\"} -1", "value -1"),
            ("summary", "a_count 1.5", "value 1.5"),
            ("summary", "a_sum -1", "value -1"),
            ("summary", "a_sum 1 1\na_count 1 2", "timestamps"),
            ("histogram", "a_sum 1\na_count 1", "`+Inf`"),
            ("histogram", "a_bucket 1", "not in order"),
            (
                "histogram",
                "a_count{le=\"x\"} 1\na_bucket{le=\"+Inf\"} 1",
                "`+Inf`",
            ),
            ("histogram", "a_bucket{le=\"+Inf\"} 0.5", "value 0.5"),
            (
                "histogram",
                "a_count 2\na_bucket{le=\"+Inf\"} 1",
                "counted 2",
            ),
            (
                "histogram",
                "a_bucket{le=\"2\"} 1\na_bucket{le=\"1\"} 1",
                "sorted",
            ),
            (
                "histogram",
                "a_bucket{le=\"1\"} 1\na_bucket{le=\"1.0\"} 1",
                "each once",
            ),
            (
                "histogram",
                "a_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1",
                "not in order",
            ),
        ] {
            let text = family(kind, samples);
            let complaint = complaint(&text);
            assert!(complaint.contains(named), "{text}{complaint}");
        }
        for (text, named) in [
            ("# HELP a-b .\n# TYPE a-b gauge\n", "\"a-b\""),
            ("# HELP a .\n# TYPE a gauge\n# UNIT a x\n", "\"x\""),
        ] {
            let complaint = complaint(text);
            assert!(complaint.contains(named), "{text}{complaint}");
        }
    }

    #[test]
    fn exemplars_are_short_and_plain() {
        let long = "x".repeat(EXEMPLAR);
        for (exemplar, expected) in [
            ("{} 1", true),
            ("{trace_id=\"7\"} 1.0 3.5", true),
            ("{trace_id=\"7,}# \"} -1e9 -3", true),
            (&format!("{{a=\"{}\"}} 1", &long[1..]), true),
            (&format!("{{a=\"{long}\"}} 1"), false),
            ("{a=\"\\\"\"} 1", false),
            ("{a=\"1\",a=\"2\"} 1", false),
            ("{a=\"1\"b=\"2\"} 1", false),
            ("{a=\"1\",} 1", false),
            ("{a-b=\"1\"} 1", false),
            ("{} inf", false),
            ("{} 1 1e3", false),
            ("{} 1 2 3", false),
            ("{}1", false),
            ("{}", false),
            ("1", false),
        ] {
            let allowed = |kind, name| allow_exemplar(kind, name, exemplar);
            assert_eq!(allowed(Kind::Counter, "a_total"), expected, "{exemplar}");
            assert_eq!(allowed(Kind::Histogram, "a_bucket"), expected);
            assert!(!allowed(Kind::Counter, "a_created"));
            assert!(!allowed(Kind::Histogram, "a_count"));
            assert!(!allowed(Kind::Gauge, "a_total"));
        }
    }
}
