//! Writes automatic families.

use super::super::automatic;
use super::super::number::push_seconds;
use super::super::series_snapshot::{
    ErrorCount, ErrorCounts, HistogramSnapshot, SeriesSnapshot, SeriesValue,
};
use super::Count;
use super::messages::{Exemplar, FamilyWriter, MetricWriter, PageWriter, Timestamp};
use super::native::NativeBuckets;
use crate::block;
use crate::buckets::{SCHEMA, ZERO_THRESHOLD};

/// Adds a family with all its series.
pub(super) fn write(
    page: &mut PageWriter,
    name: &str,
    (metric, snapshot): &automatic::AutomaticFamily<'_>,
) {
    page.family(name, metric.kind, metric.unit, metric.help, |family| {
        snapshot.for_each_series(metric.metric, &mut |series| {
            write_series(family, series);
        });
    });
}

/// Converts nanoseconds to seconds, to the same number that a reader of the text gets.
pub(super) fn seconds(nanos: u128) -> f64 {
    let mut text = String::new();
    push_seconds(&mut text, nanos);
    text.parse().unwrap_or(f64::NAN)
}

/// Adds one series.
fn write_series(family: &mut FamilyWriter<'_>, series: &SeriesSnapshot<'_>) {
    let labels = series.pairs();
    let created = series.created.into();
    match &series.value {
        SeriesValue::Counter(count) => family.metric(labels, |metric| {
            metric.counter(*count as f64, None, Some(created));
        }),
        SeriesValue::Gauge(count) => family.metric(labels, |metric| metric.gauge(*count as f64)),
        SeriesValue::Time(nanos) => family.metric(labels, |metric| {
            metric.gauge(seconds((*nanos).into()));
        }),
        SeriesValue::Durations(durations) => family.metric(labels, |metric| {
            write_histogram(metric, durations, seconds(durations.sum()), created);
        }),
        SeriesValue::Sizes(sizes) => family.metric(labels, |metric| {
            write_histogram(metric, sizes, sizes.sum() as f64, created);
        }),
        SeriesValue::Errors(errors) => write_errors(family, labels, errors),
    }
}

fn write_errors<'a>(
    family: &mut FamilyWriter<'_>,
    mut labels: Vec<(&'a str, &'a str)>,
    errors: &ErrorCounts<'_>,
) {
    const ERROR_TYPE: &str = "error_type";
    let index = labels.partition_point(|(name, _)| *name < ERROR_TYPE);
    labels.insert(index, (ERROR_TYPE, ""));
    for ErrorCount {
        error_type,
        count,
        created,
    } in errors.iter()
    {
        labels[index].1 = error_type.as_str();
        family.metric(labels.iter().copied(), |metric| {
            metric.counter(count as f64, None, Some(created.into()));
        });
    }
}

fn write_histogram(
    metric: &mut MetricWriter<'_>,
    snapshot: &HistogramSnapshot<'_>,
    sum: f64,
    created: Timestamp,
) {
    let count = Count::Integer(snapshot.count());
    metric.histogram(count, Some(sum), |histogram| {
        let exemplars = snapshot.exemplars.iter();
        let exemplars: Vec<_> = exemplars
            .map(|exemplar| exemplar.as_ref().map(traced))
            .collect();
        let bounds = snapshot.layout.buckets.shown().iter().copied();
        let bounds = bounds.chain([f64::INFINITY]);
        for (index, (bound, cumulative)) in bounds.zip(snapshot.cumulative()).enumerate() {
            // The list is empty if calls aren't traced.
            let exemplar = exemplars.get(index).and_then(Option::as_ref);
            // The bucket of `+Inf` equals the count. It is needed only for an exemplar.
            if bound.is_finite() || exemplar.is_some() {
                histogram.bucket(Count::Integer(*cumulative), bound, exemplar);
            }
        }
        histogram.created(created);
        if let Some(native) = snapshot.layout.native_of(snapshot.numbers) {
            histogram.native(&NativeBuckets {
                schema: SCHEMA,
                zero_threshold: ZERO_THRESHOLD,
                zero_count: native.zero,
                buckets: &native.buckets,
            });
            // Native histograms have a field of their own for exemplars. Older readers take the
            // exemplars of the classic buckets.
            for exemplar in exemplars.iter().flatten() {
                histogram.exemplar(exemplar);
            }
        }
    });
}

fn traced(exemplar: &block::Exemplar) -> Exemplar<'static> {
    let block::Exemplar { trace, nanos, at } = exemplar;
    Exemplar {
        labels: vec![
            ("span_id".into(), format!("{:016x}", trace.span_id()).into()),
            (
                "trace_id".into(),
                format!("{:032x}", trace.trace_id()).into(),
            ),
        ],
        value: seconds((*nanos).into()),
        timestamp: Some(Timestamp::new(seconds((*at).into()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_the_same_as_in_text() {
        for (nanos, expected) in [
            (0, 0.0),
            (250_000_000, 0.25),
            (1, 1e-9),
            // 2^53 + 1 nanoseconds, which a division would round twice.
            (9_007_199_254_740_993, 9_007_199.254_740_993),
        ] {
            assert_eq!(seconds(nanos), expected);
        }
    }
}
