//! Collects automatic families and writes them as text.

use super::Format;
use super::number::{Number, canonical, push_integer, push_seconds};
use super::series_snapshot::{ErrorCounts, HistogramSnapshot, SeriesValue};
use super::snapshot::Snapshot;
use super::text::TextWriter;
use crate::block::Exemplar;
use crate::escaping::{Escaping, escaped};
use crate::labels::{ExtraLabel, LabelStr};
use crate::registry::{AUTOMATIC_METRICS, AutomaticMetric, Table};
use std::rc::Rc;

/// A family and the snapshot of all layers that share its name.
pub(super) type AutomaticFamily<'a> = (&'static AutomaticMetric, Rc<Snapshot<'a>>);

/// Takes a snapshot of all layers and returns their families, each with its name.
pub(super) fn families(table: &Table, escaping: Escaping) -> Vec<(String, AutomaticFamily<'_>)> {
    let mut families = Vec::new();
    for (prefix, layers) in &*table.layers {
        let snapshot = Rc::new(Snapshot::take(&layers.endpoints, escaping));
        let automatic = AUTOMATIC_METRICS.iter();
        for automatic in automatic.filter(|automatic| snapshot.has(automatic.metric)) {
            families.push((automatic.full_name(prefix), (automatic, snapshot.clone())));
        }
    }
    families
}

/// Writes a family with all its series.
pub(super) fn write(text: &mut TextWriter, name: &str, (metric, snapshot): &AutomaticFamily<'_>) {
    text.family(name, metric.kind, metric.unit(), metric.help);
    let mut bound_texts = BoundTexts::default();
    snapshot.for_each_series(metric, &mut |series| {
        let labels = series.labels;
        match &series.value {
            SeriesValue::Counter(count) => {
                text.sample("_total", labels.as_str(), |page| push_integer(page, *count));
                text.created(labels.as_str(), series.created);
            }
            SeriesValue::Gauge(number) => {
                let number = series.number(*number);
                text.sample("", labels.as_str(), |page| number.push(page));
            }
            SeriesValue::Histogram(histogram) => {
                let bounds = bound_texts.get(histogram.layout.buckets.shown());
                let sum = series.number(histogram.sum());
                write_histogram(text, labels, bounds, histogram, sum);
                text.created(labels.as_str(), series.created);
            }
            SeriesValue::Errors(errors) => write_errors(text, labels, errors),
        }
    });
}

/// Caches the text of bucket bounds, including `+Inf`. Most layers share the same bounds.
#[derive(Default)]
struct BoundTexts {
    known: Vec<(Vec<f64>, Vec<String>)>,
}

// === impl BoundTexts ===

impl BoundTexts {
    /// The most entries. A search among many would take longer than formatting.
    const CAPACITY: usize = 16;

    fn get(&mut self, bounds: &[f64]) -> &[String] {
        let mut known = self.known.iter();
        let index = known.position(|(known, _)| known == bounds);
        let index = index.unwrap_or_else(|| {
            if self.known.len() == Self::CAPACITY {
                self.known.clear();
            }
            let texts = bounds.iter().map(|bound| canonical(*bound));
            let texts = texts.chain(["+Inf".to_owned()]);
            self.known.push((bounds.to_vec(), texts.collect()));
            self.known.len() - 1
        });
        &self.known[index].1
    }
}

fn write_errors(text: &mut TextWriter, labels: LabelStr<'_>, errors: &ErrorCounts<'_>) {
    let mut samples = text.samples_with("_total", labels, ExtraLabel::ErrorType);
    for error in errors.iter() {
        let escaped = escaped(error.error_type.as_str());
        samples.sample(&escaped, |page| push_integer(page, error.count));
        samples.created(&escaped, error.created);
    }
}

fn write_histogram(
    text: &mut TextWriter,
    labels: LabelStr<'_>,
    bounds: &[String],
    histogram: &HistogramSnapshot<'_>,
    sum: Number,
) {
    let exemplars = match text.encoding.format {
        Format::OpenMetrics => histogram.exemplars,
        Format::Prometheus => &[],
    };
    let mut exemplars = exemplars.iter().map(Option::as_ref);
    let mut samples = text.samples_with("_bucket", labels, ExtraLabel::Le);
    for (bound, count) in bounds.iter().zip(histogram.cumulative()) {
        let exemplar = exemplars.next().flatten();
        samples.sample(bound, |page| {
            push_integer(page, *count);
            if let Some(exemplar) = exemplar {
                push_exemplar(page, exemplar);
            }
        });
    }
    text.sample("_sum", labels.as_str(), |page| sum.push(page));
    text.sample("_count", labels.as_str(), |page| {
        push_integer(page, histogram.count());
    });
}

/// Appends an exemplar to a bucket's value, which only OpenMetrics allows. Its labels have 63 characters. The limit is 128
/// (OpenMetrics 1.0, "Exemplars").
fn push_exemplar(page: &mut String, exemplar: &Exemplar) {
    let Exemplar { trace, nanos, at } = exemplar;
    let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
    let labels = format!(" # {{span_id=\"{span_id:016x}\",trace_id=\"{trace_id:032x}\"}} ");
    page.push_str(&labels);
    push_seconds(page, (*nanos).into());
    page.push(' ');
    push_seconds(page, (*at).into());
}
