//! Compares the observations of a histogram, bucket by bucket.

use super::expectations::Pattern;
use super::nearest::nearest;
use super::snapshot::{Series, Snapshot};
use crate::buckets::{NATIVE_BELOW, native_bound, native_cell};
use std::collections::BTreeMap;

/// Upper bounds, and how many observations are in each bucket. Empty buckets are left out.
type Buckets = Vec<(f64, f64)>;

pub(super) fn difference(
    pattern: &Pattern,
    observations: &[f64],
    found: &Snapshot,
) -> Option<String> {
    let listed = format!("  {pattern}: expected {observations:?}");
    let histograms = histograms(found);
    let mut matching = histograms
        .iter()
        .filter(|(series, _)| pattern.matches(series));
    let (series, bounds) = match (matching.next(), 1 + matching.count()) {
        (Some(only), 1) => only,
        (Some(_), found) => {
            return Some(format!(
                "{listed}, found {found} histograms: list more labels"
            ));
        }
        (None, _) => {
            let nearest = nearest(pattern, &histograms);
            let nearest = nearest.map(|(series, _)| format!("\n    nearest: {series}"));
            let nearest = nearest.unwrap_or_default();
            return Some(format!("{listed}, found no such histogram{nearest}"));
        }
    };
    let classic = |observed: f64| {
        let mut above = bounds.iter().filter(|(bound, _)| observed <= *bound);
        above.next().map_or(f64::INFINITY, |(bound, _)| *bound)
    };
    let classic = (counted(observations, classic), apart(bounds));
    let native = found.native.get(series).map(|buckets| {
        let grown = buckets.iter().copied().filter(|(_, count)| *count != 0.0);
        (counted(observations, native), grown.collect())
    });
    // The finer buckets say more.
    let differing = native.into_iter().chain([classic]);
    let (expected, found) = differing
        .into_iter()
        .find(|(expected, found)| expected != found)?;
    Some(format!(
        "{listed}, {}\n    found {}",
        text(&expected),
        text(&found)
    ))
}

/// Returns the classic buckets of all histograms, cumulative, by the name of the family and the labels of the metric.
fn histograms(found: &Snapshot) -> BTreeMap<Series, Vec<(f64, f64)>> {
    let mut histograms: BTreeMap<Series, Vec<_>> = BTreeMap::new();
    for (series, sample) in &found.samples {
        let bound = series.labels.get("le").and_then(|le| le.parse().ok());
        if let Some(bound) = bound
            && series.name.strip_suffix("_bucket") == Some(&sample.family)
        {
            let buckets = histograms.entry(series.metric(&sample.family));
            buckets.or_default().push((bound, sample.value));
        }
    }
    for buckets in histograms.values_mut() {
        buckets.sort_by(|(a, _), (b, _): &(f64, f64)| a.total_cmp(b));
    }
    histograms
}

/// Returns the count of each bucket, from cumulative ones.
fn apart(cumulative: &[(f64, f64)]) -> Buckets {
    let mut below = 0.0;
    let apart = cumulative.iter().map(|&(bound, count)| {
        let own = count - below;
        below = count;
        (bound, own)
    });
    apart.filter(|(_, count)| *count != 0.0).collect()
}

/// Returns how many observations are in each bucket, by its upper bound.
fn counted(observations: &[f64], bound_of: impl Fn(f64) -> f64) -> Buckets {
    let mut bounds: Vec<f64> = observations.iter().copied().map(bound_of).collect();
    bounds.sort_by(f64::total_cmp);
    let buckets = bounds.chunk_by(|a, b| a == b);
    buckets.map(|same| (same[0], same.len() as f64)).collect()
}

/// Returns the upper bound of the native bucket for a time in seconds.
fn native(observed: f64) -> f64 {
    let cell = native_cell((observed * 1e9).round() as u64);
    native_bound(NATIVE_BELOW + cell as i32)
}

fn text(buckets: &Buckets) -> String {
    if buckets.is_empty() {
        return "nothing".to_owned();
    }
    let texts = buckets
        .iter()
        .map(|(bound, count)| match bound.is_finite() {
            true => format!("{count} up to {bound:?}"),
            false => format!("{count} above all bounds"),
        });
    texts.collect::<Vec<_>>().join(", ")
}
