//! Collects automatic families and writes them as text.

use super::Format;
use super::number::canonical;
use super::series_snapshot::{ErrorCount, ErrorCounts, HistogramSnapshot, SeriesValue};
use super::snapshot::Snapshot;
use super::text::{TextWriter, ValueWriter};
use crate::escaping::{Escaping, push_escaped};
use crate::labels::{ExtraLabel, LabelStr};
use crate::registry::{AUTOMATIC_METRICS, AutomaticMetric, Endpoint, Table};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A family and the snapshot of all layers that share its name.
pub(super) type AutomaticFamily<'a> = (&'static AutomaticMetric, Rc<Snapshot<'a>>);

/// Takes a snapshot of all layers and returns their families by name.
pub(super) fn families(table: &Table, escaping: Escaping) -> BTreeMap<String, AutomaticFamily<'_>> {
    let mut families = BTreeMap::new();
    for (prefix, layers) in &*table.layers {
        let endpoints: Vec<&Endpoint> = layers
            .endpoints
            .values()
            .map(|endpoint| &**endpoint)
            .collect();
        let snapshot = Rc::new(Snapshot::take(&endpoints, escaping));
        for automatic in AUTOMATIC_METRICS
            .iter()
            .filter(|automatic| snapshot.has(automatic.metric))
        {
            families.insert(automatic.full_name(prefix), (automatic, snapshot.clone()));
        }
    }
    families
}

/// Writes a family with all its series.
pub(super) fn write(
    text: &mut TextWriter,
    name: &str,
    (automatic, snapshot): &AutomaticFamily<'_>,
) {
    let AutomaticMetric {
        metric,
        kind,
        unit,
        help,
        ..
    } = automatic;
    text.family(name, *kind, *unit, help);
    let mut bound_texts = BoundTexts::default();
    snapshot.for_each_series(*metric, &mut |series| {
        let labels = series.labels;
        match &series.value {
            SeriesValue::Counter(count) => {
                text.sample("_total", labels.as_str(), |value| value.integer(*count));
                text.created(labels.as_str(), series.created);
            }
            SeriesValue::Gauge(count) => {
                text.sample("", labels.as_str(), |value| value.integer(*count));
            }
            SeriesValue::Time(nanos) => {
                text.sample("", labels.as_str(), |value| value.seconds((*nanos).into()));
            }
            SeriesValue::Durations(durations) => {
                let bounds = bound_texts.get(durations.layout.buckets.shown());
                write_histogram(text, labels, bounds, durations, |sum| {
                    sum.seconds(durations.sum());
                });
                text.created(labels.as_str(), series.created);
            }
            SeriesValue::Sizes(sizes) => {
                let bounds = bound_texts.get(sizes.layout.buckets.shown());
                write_histogram(text, labels, bounds, sizes, |sum| {
                    // No process moves more than 2^64 bytes.
                    sum.integer(sizes.sum() as u64);
                });
                text.created(labels.as_str(), series.created);
            }
            SeriesValue::Errors(errors) => write_errors(text, labels, errors),
        }
    });
}

/// Returns about how many bytes a family takes as text. It rarely takes more.
pub(super) fn size(
    name: &str,
    (automatic, snapshot): &AutomaticFamily<'_>,
    shows_created: bool,
) -> usize {
    /// The bytes of HELP, TYPE and UNIT, apart from the help text and the name, which is there three
    /// times.
    const METADATA: usize = 64;
    /// The bytes of a sample apart from its name and labels: its value, the extra label, separators.
    const SAMPLE: usize = 48;
    let mut size = METADATA + automatic.help.len() + 3 * name.len();
    snapshot.for_each_series(automatic.metric, &mut |series| {
        let created = usize::from(shows_created);
        let samples = match &series.value {
            SeriesValue::Gauge(_) | SeriesValue::Time(_) => 1,
            SeriesValue::Counter(_) => 1 + created,
            SeriesValue::Durations(histogram) | SeriesValue::Sizes(histogram) => {
                histogram.cumulative().len() + 2 + created
            }
            SeriesValue::Errors(errors) => errors.iter().count() * (1 + created),
        };
        size += samples * (name.len() + series.labels.as_str().len() + SAMPLE);
    });
    size
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
    let mut escaped = String::new();
    for ErrorCount {
        error_type,
        count,
        created,
    } in errors.iter()
    {
        escaped.clear();
        push_escaped(&mut escaped, error_type.as_str());
        samples.sample(&escaped, |value| value.integer(count));
        samples.created(&escaped, created);
    }
}

fn write_histogram(
    text: &mut TextWriter,
    labels: LabelStr<'_>,
    bounds: &[String],
    histogram: &HistogramSnapshot<'_>,
    sum: impl FnOnce(&mut ValueWriter<'_>),
) {
    let shows_exemplars = text.format() == Format::OpenMetrics;
    let exemplars = histogram.exemplars.iter().filter(|_| shows_exemplars);
    let mut exemplars = exemplars.map(Option::as_ref);
    let mut samples = text.samples_with("_bucket", labels, ExtraLabel::Le);
    for (bound, count) in bounds.iter().zip(histogram.cumulative()) {
        let exemplar = exemplars.next().flatten();
        samples.sample(bound, |value| {
            value.integer(*count);
            if let Some(exemplar) = exemplar {
                value.exemplar(exemplar);
            }
        });
    }
    text.sample("_sum", labels.as_str(), sum);
    text.sample("_count", labels.as_str(), |value| {
        value.integer(histogram.count());
    });
}
