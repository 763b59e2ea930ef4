//! What differs between a snapshot and what was expected, line by line.

use super::expectations::{Expectations, Expected, Kind, Pattern};
use super::histogram;
use super::nearest::nearest;
use super::snapshot::{Series, Snapshot, is_of_part};

/// How many series a line is the sum of, at most, for each to be shown.
const MOST_PARTS: usize = 8;

impl Expectations {
    /// Compares a snapshot with all that is expected.
    ///
    /// # Panics
    ///
    /// Panics with all differences, line by line.
    #[track_caller]
    pub fn assert(&self, found: &Snapshot) {
        let differences = differences(self, found);
        assert!(
            differences.is_empty(),
            "the metrics differ:\n{}",
            differences.join("\n")
        );
    }
}

fn differences(expectations: &Expectations, found: &Snapshot) -> Vec<String> {
    let Expectations {
        listed,
        nothing_else,
    } = expectations;
    let listed_differences = listed
        .iter()
        .filter_map(|(pattern, expected)| difference(pattern, expected, found));
    let others = found.samples.iter().filter(|(series, sample)| {
        let is_listed =
            |(pattern, _): &(Pattern, Expected)| covers(pattern, series, &sample.family);
        *nothing_else && sample.has_counted() && !listed.iter().any(is_listed)
    });
    let others =
        others.map(|(series, sample)| format!("  {series}: not listed, found {}", sample.value));
    listed_differences.chain(others).collect()
}

/// Whether a pattern is about this series, or about another part of the same histogram.
fn covers(pattern: &Pattern, series: &Series, family: &str) -> bool {
    let is_part = pattern
        .name
        .strip_prefix(family)
        .is_some_and(|suffix| matches!(suffix, "" | "_bucket" | "_count" | "_sum"));
    if !is_part {
        return pattern.matches_sample(series);
    }
    let labels = pattern.labels.iter();
    let of_metric = Pattern {
        name: family.to_owned(),
        labels: labels
            .filter(|(name, _)| !is_of_part(name))
            .cloned()
            .collect(),
        and_others: pattern.and_others,
    };
    of_metric.matches(series.metric_labels())
}

fn difference(pattern: &Pattern, expected: &Expected, found: &Snapshot) -> Option<String> {
    let expected = match &expected.0 {
        Kind::Observations(observations) => {
            return histogram::difference(pattern, observations, found);
        }
        Kind::Number(number) => Some(*number),
        Kind::Absent => None,
    };
    let samples = found.samples.iter();
    let matching: Vec<_> = samples
        .filter(|(series, _)| pattern.matches_sample(series))
        .map(|(series, sample)| (series, sample.value))
        .collect();
    let sum: f64 = matching.iter().map(|(_, value)| value).sum();
    let mut lines = match expected {
        None if matching.is_empty() => return None,
        None => format!("  {pattern}: expected no such series, found {sum}"),
        Some(number) if matching.is_empty() => {
            let nearest = nearest(pattern, found.samples.keys());
            let nearest = nearest.and_then(|series| found.samples.get_key_value(series));
            let nearest =
                nearest.map(|(series, sample)| format!("\n    nearest: {series} {}", sample.value));
            return Some(format!(
                "  {pattern}: expected {number}, found no such series{}",
                nearest.unwrap_or_default()
            ));
        }
        Some(number) if are_equal(sum, number) => return None,
        Some(number) => format!("  {pattern}: expected {number}, found {sum}"),
    };
    if matching.len() > 1 {
        for (series, value) in matching.iter().take(MOST_PARTS) {
            lines += &format!("\n    {series} {value}");
        }
        if let Some(more @ 1..) = matching.len().checked_sub(MOST_PARTS) {
            lines += &format!("\n    and {more} more");
        }
    }
    Some(lines)
}

/// Whether two numbers are equal, but for what adding up fractions may have rounded: less than a nanosecond.
fn are_equal(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() < 0.5e-9
}
