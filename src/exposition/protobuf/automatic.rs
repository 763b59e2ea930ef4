//! Writes automatic families.

use super::super::automatic::AutomaticFamily;
use super::super::number::Number;
use super::super::series_snapshot::{HistogramSnapshot, SeriesSnapshot, SeriesValue};
use super::messages::{Exemplar, FamilyWriter, MetricWriter, PageWriter, Timestamp};
use crate::block;
use crate::labels::ERROR_TYPE;

/// Adds a family with all its series.
pub(super) fn write(page: &mut PageWriter, name: &str, (metric, snapshot): &AutomaticFamily<'_>) {
    page.family(name, metric.kind, metric.unit(), metric.help, |family| {
        snapshot.for_each_series(metric, &mut |series| write_series(family, series));
    });
}

/// Adds one series.
fn write_series(family: &mut FamilyWriter<'_>, series: &SeriesSnapshot<'_>) {
    let mut labels = series.pairs();
    let created = Timestamp::from(series.created);
    match &series.value {
        SeriesValue::Counter(count) => family.metric(labels, |metric| {
            metric.counter(*count as f64, None, Some(created));
        }),
        SeriesValue::Gauge(number) => family.metric(labels, |metric| {
            metric.gauge(series.number(*number).to_f64());
        }),
        SeriesValue::Histogram(histogram) => family.metric(labels, |metric| {
            let sum = series.number(histogram.sum()).to_f64();
            write_histogram(metric, histogram, sum, created);
        }),
        SeriesValue::Errors(errors) => {
            let place = labels.partition_point(|(name, _)| *name < ERROR_TYPE);
            labels.insert(place, (ERROR_TYPE, ""));
            for error in errors.iter() {
                labels[place].1 = error.error_type.as_str();
                family.metric(labels.iter().copied(), |metric| {
                    metric.counter(error.count as f64, None, Some(error.created.into()));
                });
            }
        }
    }
}

fn write_histogram(
    metric: &mut MetricWriter<'_>,
    snapshot: &HistogramSnapshot<'_>,
    sum: f64,
    created: Timestamp,
) {
    metric.histogram(snapshot.count(), Some(sum), |histogram| {
        let exemplars = snapshot.exemplars.iter();
        let exemplars: Vec<_> = exemplars
            .map(|exemplar| exemplar.as_ref().map(traced))
            .collect();
        let bounds = snapshot.layout.buckets.shown().iter().copied();
        let bounds = bounds.chain([f64::INFINITY]);
        for (index, (bound, cumulative)) in bounds.zip(snapshot.cumulative()).enumerate() {
            // The list is empty if calls aren't traced.
            let exemplar = exemplars.get(index).and_then(Option::as_ref);
            histogram.bucket(*cumulative, bound, exemplar);
        }
        histogram.created(Some(created));
        if let Some(native) = snapshot.layout.native_of(snapshot.numbers) {
            histogram.native(native.zero, &native.buckets);
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
    let span_id = format!("{:016x}", trace.span_id());
    let trace_id = format!("{:032x}", trace.trace_id());
    Exemplar {
        labels: vec![
            ("span_id".into(), span_id.into()),
            ("trace_id".into(), trace_id.into()),
        ],
        value: Number::Nanos((*nanos).into()).to_f64(),
        timestamp: Some(Timestamp::new(Number::Nanos((*at).into()).to_f64())),
    }
}
