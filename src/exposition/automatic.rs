//! The families that layers fill: what they hold, and how that is written.

use super::Format;
use super::number::canonical;
use super::shown::{Errors, Histogram, Reading};
use super::snapshot::Snapshot;
use super::text::{TextWriter, Value};
use crate::labels::{Added, LabelStr, push_escaped};
use crate::registry::{AUTOMATIC, Automatic, Endpoint, Table};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A family, and what the layers have recorded that share its name.
pub(super) type Family<'a> = (&'static Automatic, Rc<Snapshot<'a>>);

/// The families of all layers, by name, with what they have recorded by now.
pub(super) fn families(table: &Table) -> BTreeMap<String, Family<'_>> {
    let mut families = BTreeMap::new();
    for (prefix, layers) in &*table.layers {
        let endpoints: Vec<&Endpoint> = layers.endpoints.values().map(|of| &**of).collect();
        let snapshot = Rc::new(Snapshot::take(&endpoints));
        for automatic in AUTOMATIC.iter().filter(|of| snapshot.has(of.metric)) {
            families.insert(automatic.full_name(prefix), (automatic, snapshot.clone()));
        }
    }
    families
}

/// Writes a family: all of its series, in their order.
pub(super) fn write(text: &mut TextWriter, name: &str, (automatic, snapshot): &Family<'_>) {
    let Automatic {
        metric,
        kind,
        unit,
        help,
        ..
    } = automatic;
    text.family(name, *kind, *unit, help);
    let mut spelt = Spelt::default();
    snapshot.each(*metric, &mut |shown| {
        let labels = shown.labels;
        match &shown.reading {
            Reading::Counter(count) => {
                text.sample("_total", labels.as_str(), |value| value.integer(*count));
            }
            Reading::Gauge(count) => {
                text.sample("", labels.as_str(), |value| value.integer(*count));
            }
            Reading::Histogram(durations) => {
                let bounds = spelt.of(durations.of.buckets.shown());
                write_histogram(text, labels, bounds, durations, |sum| {
                    sum.seconds(durations.sum());
                });
            }
            Reading::Sizes(sizes) => {
                let bounds = spelt.of(sizes.of.buckets.shown());
                write_histogram(text, labels, bounds, sizes, |sum| {
                    // Bytes of 64 bits: no process moves more.
                    sum.integer(sizes.sum() as u64);
                });
            }
            Reading::Errors(errors) => write_errors(text, labels, errors),
        }
    });
}

/// About how many bytes a family takes as text, and hardly more.
pub(super) fn size(name: &str, (automatic, snapshot): &Family<'_>) -> usize {
    /// Of its own lines, beside HELP, its name, and that three times.
    const HEAD: usize = 64;
    /// What a line has beside its name and labels: a number, another label, and what stands between.
    const REST: usize = 48;
    let mut size = HEAD + automatic.help.len() + 3 * name.len();
    snapshot.each(automatic.metric, &mut |shown| {
        let samples = match &shown.reading {
            Reading::Counter(_) | Reading::Gauge(_) => 1,
            Reading::Histogram(histogram) | Reading::Sizes(histogram) => {
                histogram.cumulative().len() + 2
            }
            Reading::Errors(errors) => errors.iter().count(),
        };
        size += samples * (name.len() + shown.labels.as_str().len() + REST);
    });
    size
}

/// The bounds of buckets as they are spelt, `+Inf` included. Layers mostly share a few.
#[derive(Default)]
struct Spelt {
    met: Vec<(Vec<f64>, Vec<String>)>,
}

// === impl Spelt ===

impl Spelt {
    /// How many are kept: looking for one among very many would take longer than to spell it.
    const MOST: usize = 16;

    fn of(&mut self, bounds: &[f64]) -> &[String] {
        let mut met = self.met.iter();
        let place = met.position(|(of, _)| of == bounds);
        let place = place.unwrap_or_else(|| {
            if self.met.len() == Self::MOST {
                self.met.clear();
            }
            let texts = bounds.iter().map(|bound| canonical(*bound));
            let texts = texts.chain(["+Inf".to_owned()]);
            self.met.push((bounds.to_vec(), texts.collect()));
            self.met.len() - 1
        });
        &self.met[place].1
    }
}

fn write_errors(text: &mut TextWriter, labels: LabelStr<'_>, errors: &Errors<'_>) {
    let mut samples = text.samples_with("_total", labels, Added::ErrorType);
    let mut escaped = String::new();
    for (name, count) in errors.iter() {
        escaped.clear();
        push_escaped(&mut escaped, name.as_str());
        samples.sample(&escaped, |value| value.integer(count));
    }
}

fn write_histogram(
    text: &mut TextWriter,
    labels: LabelStr<'_>,
    bounds: &[String],
    histogram: &Histogram<'_>,
    sum: impl FnOnce(&mut Value<'_>),
) {
    let shows_exemplars = text.format() == Format::OpenMetrics;
    let exemplars = histogram.exemplars.iter().filter(|_| shows_exemplars);
    let mut exemplars = exemplars.map(Option::as_ref);
    let mut samples = text.samples_with("_bucket", labels, Added::Le);
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
