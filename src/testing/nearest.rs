//! Finds the series that was meant.

use super::expectations::Pattern;
use super::snapshot::Series;
use std::collections::BTreeMap;

/// Returns the series that takes the fewest edits to match.
pub(super) fn nearest<'a, T>(
    pattern: &Pattern,
    all: &'a BTreeMap<Series, T>,
) -> Option<(&'a Series, &'a T)> {
    all.iter()
        .min_by_key(|(series, _)| distance(&pattern.series, series))
}

fn distance(wanted: &Series, series: &Series) -> usize {
    let labels = wanted.labels.iter().map(|(name, value)| {
        let found = series.labels.iter();
        let edits = found.map(|(other, found)| edits(name, other) + edits(value, found));
        edits.min().unwrap_or(name.len() + value.len())
    });
    let others = series.labels.len().abs_diff(wanted.labels.len());
    edits(&wanted.name, &series.name) + labels.sum::<usize>() + others
}

/// Returns how many characters must be inserted, removed or replaced to get from one text to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, c) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("timeuot", "timeout", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edits(from, to), expected, "{from} {to}");
        }
    }
}
