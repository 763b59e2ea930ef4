//! The families that layers fill.

use super::super::automatic;
use super::super::number::push_seconds;
use super::super::shown::{self, Errors, Reading, Shown};
use super::Count;
use super::messages::{Exemplar, Family, Metric, Page, Timestamp};
use super::native::NativeBuckets;
use crate::buckets::{SCHEMA, ZERO_THRESHOLD};
use crate::recorder;

/// Adds a family: all of its series, in the order given.
pub(super) fn write(page: &mut Page, name: &str, (metric, snapshot): &automatic::Family<'_>) {
    page.family(name, metric.kind, metric.unit, metric.help, |family| {
        snapshot.each(metric.metric, &mut |shown| {
            write_reading(family, shown);
        });
    });
}

/// Nanoseconds as seconds: the number that who reads the text reads there.
pub(super) fn seconds(nanos: u128) -> f64 {
    let mut text = String::new();
    push_seconds(&mut text, nanos);
    text.parse().unwrap_or(f64::NAN)
}

/// Adds what was read under a label set.
fn write_reading(family: &mut Family<'_>, shown: &Shown<'_>) {
    let labels = shown.pairs();
    match &shown.reading {
        Reading::Counter(count) => family.metric(labels, |metric| {
            metric.counter(*count as f64, None, None);
        }),
        Reading::Gauge(count) => family.metric(labels, |metric| metric.gauge(*count as f64)),
        Reading::Histogram(durations) => family.metric(labels, |metric| {
            write_histogram(metric, durations, seconds(durations.sum()));
        }),
        Reading::Sizes(sizes) => family.metric(labels, |metric| {
            write_histogram(metric, sizes, sizes.sum() as f64);
        }),
        Reading::Errors(errors) => write_errors(family, labels, errors),
    }
}

fn write_errors<'a>(
    family: &mut Family<'_>,
    mut labels: Vec<(&'a str, &'a str)>,
    errors: &Errors<'_>,
) {
    const ERROR_TYPE: &str = "error_type";
    let place = labels.partition_point(|(name, _)| *name < ERROR_TYPE);
    labels.insert(place, (ERROR_TYPE, ""));
    for (error_type, count) in errors.iter() {
        labels[place].1 = error_type.as_str();
        family.metric(labels.iter().copied(), |metric| {
            metric.counter(count as f64, None, None);
        });
    }
}

fn write_histogram(metric: &mut Metric<'_>, shown: &shown::Histogram<'_>, sum: f64) {
    let count = Count::Integer(shown.count());
    metric.histogram(count, Some(sum), |histogram| {
        let exemplars = shown.exemplars.iter();
        let exemplars: Vec<_> = exemplars
            .map(|exemplar| exemplar.as_ref().map(traced))
            .collect();
        let bounds = shown.of.buckets.shown().iter().copied();
        let bounds = bounds.chain([f64::INFINITY]);
        for (place, (bound, cumulative)) in bounds.zip(shown.cumulative()).enumerate() {
            // There are none at all where calls aren't traced.
            let exemplar = exemplars.get(place).and_then(Option::as_ref);
            // That of `+Inf` is the count, and only there for its exemplar.
            if bound.is_finite() || exemplar.is_some() {
                histogram.bucket(Count::Integer(*cumulative), bound, exemplar);
            }
        }
        if let Some(native) = shown.of.native_of(shown.numbers) {
            histogram.native(&NativeBuckets {
                schema: SCHEMA,
                zero_threshold: ZERO_THRESHOLD,
                zero_count: native.zero,
                buckets: &native.buckets,
            });
            // Where native histograms have them. Who doesn't know of that place takes those of the buckets.
            for exemplar in exemplars.iter().flatten() {
                histogram.exemplar(exemplar);
            }
        }
    });
}

fn traced(exemplar: &recorder::Exemplar) -> Exemplar<'static> {
    let recorder::Exemplar { trace, nanos, at } = exemplar;
    Exemplar {
        labels: vec![
            ("span_id", format!("{:016x}", trace.span_id()).into()),
            ("trace_id", format!("{:032x}", trace.trace_id()).into()),
        ],
        value: seconds((*nanos).into()),
        timestamp: Some(Timestamp::new(at.as_secs_f64())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_those_of_the_text() {
        for (nanos, expected) in [
            (0, 0.0),
            (250_000_000, 0.25),
            (1, 1e-9),
            // What a division would round twice: 2^53 + 1 nanoseconds.
            (9_007_199_254_740_993, 9_007_199.254_740_993),
        ] {
            assert_eq!(seconds(nanos), expected);
        }
    }
}
