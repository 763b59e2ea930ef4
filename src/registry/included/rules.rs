//! The rules for included families, so that every parser reads the page.
//!
//! They are the rules of OpenMetrics 1.0 as its strictest parsers apply them. They are checked when a metric is registered
//! and at each scrape, because what a metric shows may change.

use super::sample::{Sample, parse_labels, unescape_all};
use crate::Error;
use crate::escaping::{Escaping, is_name, is_plain_name};
use crate::labels::check_clashes;
use crate::registry::family::{Kind, ends_in_unit};
use std::borrow::Cow;
use std::collections::HashSet;

/// Maximum number of characters in the labels of an exemplar (OpenMetrics 1.0, "Exemplars").
const MAX_EXEMPLAR_CHARS: usize = 128;

/// Checks a family. Its samples must be sorted.
///
/// # Errors
///
/// Returns an error that names the family, sample, label or value that can't be shown.
pub(super) fn check(
    name: &str,
    kind: Kind,
    unit: Option<&str>,
    samples: &[Sample<'_>],
) -> Result<(), Error> {
    if !is_name(name) {
        return Err(Error::new(format!(
            "family name {name:?} is invalid: use at least one character, and no control characters"
        )));
    }
    if let Some(unit) = unit
        && !ends_in_unit(name, unit)
    {
        return Err(Error::new(format!(
            "family `{name}` does not end in `_` and its unit {unit:?}: rename it"
        )));
    }
    check_unique(samples)?;
    for sample in samples {
        check_sample(name, kind, sample)?;
    }
    for series in samples.chunk_by(|a, b| belong_together(name, kind, a, b)) {
        check_series(name, kind, series)?;
    }
    Ok(())
}

/// Returns whether two samples are checked together: those of a histogram, of a set of states, or of all infos.
fn belong_together(family: &str, kind: Kind, a: &Sample<'_>, b: &Sample<'_>) -> bool {
    match kind {
        Kind::Info => true,
        Kind::StateSet => a.labels_without(family).eq(b.labels_without(family)),
        _ => a.is_same_series(b),
    }
}

/// Returns whether every OpenMetrics parser accepts this exemplar for the sample `name`.
pub(super) fn allow_exemplar(kind: Kind, name: &str, exemplar: &str) -> bool {
    let parts = exemplar
        .starts_with('{')
        .then(|| parse_labels(exemplar))
        .flatten();
    let Some((labels, rest)) = parts.filter(|_| can_have_exemplar(kind, name)) else {
        return false;
    };
    let mut seen = HashSet::new();
    // Some parsers mistake an escaped quote for the closing one.
    let plain = labels.iter().all(|(name, value)| {
        is_plain_name(name)
            && !name.starts_with("__")
            && seen.insert(&**name)
            && !value.contains(['\\', '"'])
    });
    let length =
        |(name, value): &(Cow<'_, str>, &str)| name.chars().count() + value.chars().count();
    let short = labels.iter().map(length).sum::<usize>() <= MAX_EXEMPLAR_CHARS;
    let valued = match rest.split(' ').collect::<Vec<_>>()[..] {
        ["", value] => is_finite(value),
        ["", value, timestamp] => is_finite(value) && is_decimal(timestamp),
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

/// Checks that no name and labels appear twice. Such samples need not be adjacent.
fn check_unique(samples: &[Sample<'_>]) -> Result<(), Error> {
    let names = samples.iter().flat_map(|sample| &sample.labels);
    let is_plain = names.into_iter().all(|(name, _)| is_plain_name(name));
    // Labels that clash if they are escaped must not make two series one.
    let escapings: &[Escaping] = match is_plain {
        true => &[Escaping::AllowUtf8],
        false => &Escaping::CLASHING,
    };
    for escaping in escapings {
        let mut seen = HashSet::new();
        for sample in samples {
            // An empty label counts as absent.
            let labels = sample.labels.iter().filter(|(_, value)| !value.is_empty());
            let labels = labels.map(|(name, value)| (escaping.label(name), *value));
            let mut labels: Vec<(Cow<'_, str>, &str)> = labels.collect();
            labels.sort();
            if !seen.insert((&*sample.name, labels)) {
                return Err(Error::new(format!(
                    "a series of `{}` appears twice: two metrics have the same name and labels, or a histogram has the same bound twice; leave one out",
                    sample.name
                )));
            }
        }
    }
    Ok(())
}

fn check_sample(family: &str, kind: Kind, sample: &Sample<'_>) -> Result<(), Error> {
    let name = &*sample.name;
    let suffix = name
        .strip_prefix(family)
        .filter(|suffix| kind.suffixes().contains(suffix));
    let Some(suffix) = suffix else {
        return Err(Error::new(format!(
            "`{name}` is not a sample of the {} `{family}`: check its encoder",
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
        (Kind::Summary, "") => (number < 0.0).then_some("0 or more"),
        // A histogram with a negative sum is shown without it.
        (Kind::Histogram, "_sum") => None,
        (_, "_bucket" | "_count") => (!is_count(number)).then_some("a whole number, 0 or more"),
        _ => (number.is_nan() || number < 0.0).then_some("a number, 0 or more"),
    };
    match wrong {
        None => Ok(()),
        Some(expected) => Err(Error::new(format!(
            "a sample of `{name}` has the value {number}: in a {} it must be {expected}",
            kind.as_str()
        ))),
    }
}

fn check_labels(sample: &Sample<'_>) -> Result<(), Error> {
    let Sample { name, labels, .. } = sample;
    for (label, value) in labels {
        if !is_name(label) || label.starts_with("__") {
            return Err(Error::new(format!(
                "a sample of `{name}` has the label {label:?}: use at least one character, no control characters, and no `__` at the beginning"
            )));
        }
        if unescape_all(value).is_none() {
            return Err(Error::new(format!(
                "a sample of `{name}` has the label `{label}` with the value \"{value}\": only \\\\, \\\" and \\n are escapes"
            )));
        }
    }
    match labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        None => check_clashes(labels.iter().map(|(label, _)| &**label)),
        Some(twice) => Err(Error::new(format!(
            "a sample of `{name}` has the label `{}` twice: a metric's own label can't have the name of one of the layer's labels, or `le` in a histogram",
            twice[0].0
        ))),
    }
}

/// Checks the samples of one series against each other.
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
        // The label has the name of the family, in which a colon is escaped and in the family's is not.
        Kind::StateSet if family.contains(':') => Err(Error::new(format!(
            "the stateset `{family}` has a colon in its name, which its label can't have: rename it"
        ))),
        Kind::StateSet if series.iter().any(|sample| sample.label(family).is_none()) => {
            Err(Error::new(format!(
                "a sample of the stateset `{family}` has no label `{family}`: add it, with the name of the state"
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
            "the histogram `{family}` has no bucket with the bound `+Inf`: add it, with the count of all observations"
        )));
    }
    match count {
        Some(count) if count != last.1 => Err(Error::new(format!(
            "the histogram `{family}` has the count {count}, and its bucket with the bound `+Inf` has {}: they must be equal",
            last.1
        ))),
        _ => Ok(()),
    }
}

fn is_count(number: f64) -> bool {
    number >= 0.0 && number.fract() == 0.0
}

fn is_finite(text: &str) -> bool {
    text.parse().is_ok_and(f64::is_finite)
}

/// Returns whether the text is a decimal number such as `-12.5`, which every parser accepts as a timestamp.
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

    /// Returns the error for a text, or an empty string.
    fn error_of(text: &str) -> String {
        let families = parse(text).map(|families| {
            let mut families = families.into_iter();
            families.try_for_each(|(name, mut family)| family.sort_and_check(&name))
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
    fn valid_families_are_accepted() {
        for (kind, samples) in [
            ("counter", "a_total 1\na_created 2"),
            ("gauge", "a -1\na{x=\"1\"} nan\na{x=\"2\"} -inf"),
            ("gauge", "a{x=\"\\\\\\\"\\n\"} 1 2.5"),
            ("gauge", "a{quantile=\"0\"} 1 1\na{quantile=\"1\"} 1 2"),
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
            assert_eq!(error_of(&text), "", "{text}");
        }
    }

    #[test]
    fn invalid_families_are_refused() {
        for (kind, samples, named) in [
            ("counter", "a 1", "`a` is not a sample"),
            ("counter", "a_total -1", "value -1"),
            ("counter", "a_total nan", "value NaN"),
            (
                "counter",
                "a_total{x=\"1\"} 1\na_total{x=\"1\",y=\"\"} 1",
                "twice",
            ),
            ("gauge", "a_total 1", "`a_total`"),
            ("gauge", "b 1", "`b`"),
            ("gauge", "a{x-y=\"1\",x_y=\"1\"} 1", "`x_y`"),
            ("gauge", "a{x-y=\"1\"} 1\na{x_y=\"1\"} 1", "twice"),
            ("gauge", "a{x.y=\"1\"} 1\na{U__x_2e_y=\"1\"} 1", "twice"),
            ("gauge", "a{=\"1\"} 1", "\"\""),
            ("gauge", "a{__name__=\"1\"} 1", "\"__name__\""),
            ("gauge", "a{x=\"1\",x=\"2\"} 1", "`x`"),
            ("gauge", "a{x=\"\\t\"} 1", "escapes"),
            ("gauge", "a 1 soon", "\"soon\""),
            ("gauge", "a 1 1e3", "\"1e3\""),
            ("info", "a_info 2", "value 2"),
            ("stateset", "a{a=\"on\"} 2", "value 2"),
            ("stateset", "a{b=\"on\"} 1", "has no label `a`"),
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
                "the count 2",
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
            let error_of = error_of(&text);
            assert!(error_of.contains(named), "{text}{error_of}");
        }
        for (text, named) in [
            ("# TYPE \"a\u{7f}\" gauge\n", "\"a\\u{7f}\""),
            ("# HELP a .\n# TYPE a gauge\n# UNIT a x\n", "\"x\""),
        ] {
            let error_of = error_of(text);
            assert!(error_of.contains(named), "{text}{error_of}");
        }
    }

    #[test]
    fn only_short_and_plain_exemplars_are_accepted() {
        let long = "x".repeat(MAX_EXEMPLAR_CHARS);
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
