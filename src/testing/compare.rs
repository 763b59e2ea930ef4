//! What differs between a snapshot and what was expected, line by line.

use super::expectations::{Expectations, Expected, Kind, Pattern};
use super::histogram;
use super::nearest::nearest;
use super::snapshot::{Series, Snapshot};

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
    let mut differences: Vec<String> = listed
        .iter()
        .filter_map(|(pattern, expected)| difference(pattern, expected, found))
        .collect();
    for (series, sample) in &found.samples {
        let is_listed =
            |(pattern, _): &(Pattern, Expected)| covers(pattern, series, &sample.family);
        if *nothing_else && sample.has_counted() && !listed.iter().any(is_listed) {
            differences.push(format!("  {series}: not listed, found {}", sample.value));
        }
    }
    differences
}

/// Whether a pattern is about this series, or about another part of the same histogram.
fn covers(pattern: &Pattern, series: &Series, family: &str) -> bool {
    let is_part = |suffix| matches!(suffix, "" | "_bucket" | "_count" | "_sum");
    if !pattern
        .series
        .name
        .strip_prefix(family)
        .is_some_and(is_part)
    {
        return pattern.matches(series);
    }
    let of_metric = Pattern {
        series: pattern.series.metric(family),
        and_others: pattern.and_others,
    };
    of_metric.matches(&series.metric(family))
}

fn difference(pattern: &Pattern, expected: &Expected, found: &Snapshot) -> Option<String> {
    let samples = found.samples.iter();
    let matching: Vec<_> = samples
        .filter(|(series, _)| pattern.matches(series))
        .collect();
    let sum: f64 = matching.iter().map(|(_, sample)| sample.value).sum();
    let (expected, is_met) = match &expected.0 {
        Kind::Observations(observations) => {
            return histogram::difference(pattern, observations, found);
        }
        Kind::Number(number) => {
            let is_met = !matching.is_empty() && are_equal(sum, *number);
            (number.to_string(), is_met)
        }
        Kind::Absent => ("no such series".to_owned(), matching.is_empty()),
    };
    if is_met {
        return None;
    }
    let mut lines = format!("  {pattern}: expected {expected}, found ");
    if matching.is_empty() {
        lines += "no such series";
        if let Some((series, sample)) = nearest(pattern, &found.samples) {
            lines += &format!("\n    nearest: {series} {}", sample.value);
        }
        return Some(lines);
    }
    lines += &sum.to_string();
    if matching.len() > 1 {
        for (series, sample) in matching.iter().take(MOST_PARTS) {
            lines += &format!("\n    {series} {}", sample.value);
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
