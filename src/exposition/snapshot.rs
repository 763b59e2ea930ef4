//! What a page shows of layers: the label sets that there are when it is begun, and their numbers.
//!
//! All numbers of a series are read at once, not family by family, for in the recorder they lie beside each other. Families
//! are then written one after the other from what was read, and what they write never disagrees.

use super::shown::{Errors, Histogram, Reading, Shown};
use crate::error_types::IndexedType;
use crate::labels::{Carrier, LabelText, LabelTexts, Span};
use crate::recorder::{
    CANCELLATIONS, ENDED, Layout, Measured, REQUEST_BYTES, REQUEST_MESSAGES, REQUESTS,
    RESPONSE_BYTES, RESPONSE_MESSAGES, Rare, Series,
};
use crate::registry::{AUTOMATIC, Endpoint, Metric};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// What the layers of one prefix have recorded by now.
pub(super) struct Snapshot<'a> {
    layers: Vec<Layer<'a>>,
    /// Those of a layer's groups, group by group.
    series: Vec<Read>,
    /// Of all series.
    numbers: Vec<u64>,
    /// The labels of all series.
    texts: LabelTexts,
}

struct Layer<'a> {
    endpoint: &'a Endpoint,
    error_types: Cow<'a, [IndexedType]>,
    /// Calls for whose labels there was no room.
    overflowed: u64,
    /// Where the text of its constant labels is.
    text: Span,
    /// The series of each group.
    groups: Vec<Range<usize>>,
}

/// What was read of a series.
struct Read {
    series: Arc<Series>,
    /// Where the text of all its labels is.
    text: Span,
    numbers: Range<usize>,
    rare: Option<Box<Rare>>,
}

/// Which numbers a metric shows.
enum Numbers {
    Gauge(Carrier, usize),
    Counter(Carrier, usize),
    Times(Measured),
    Sizes(Measured),
    Errors,
    Overflow,
}

// === impl Snapshot ===

impl<'a> Snapshot<'a> {
    pub(super) fn take(endpoints: &[&'a Endpoint]) -> Self {
        let mut snapshot = Self {
            layers: Vec::with_capacity(endpoints.len()),
            series: Vec::with_capacity(endpoints.len()),
            numbers: Vec::new(),
            texts: LabelTexts::default(),
        };
        for endpoint in endpoints {
            snapshot.add(endpoint);
        }
        snapshot
    }

    /// Adds what one layer has recorded.
    fn add(&mut self, endpoint: &'a Endpoint) {
        let Self {
            layers,
            series: all,
            numbers,
            texts,
        } = self;
        endpoint.recorder.sweep();
        let shared = endpoint.recorder.shared();
        let layout = &shared.layout;
        let text = texts.push(&endpoint.label_text);
        let groups = layout.groups().iter().enumerate();
        let groups = groups.map(|(number, group)| {
            let first = all.len();
            for series in endpoint.recorder.series(number) {
                let start = numbers.len();
                let rare = series.read(layout, number, numbers);
                let text = match series.values() {
                    [] => text.clone(),
                    values => {
                        let pairs = || LabelText::new(endpoint.pairs(group.carrier, values));
                        texts.push(series.text(pairs))
                    }
                };
                all.push(Read {
                    text,
                    numbers: start..numbers.len(),
                    rare: (!rare.is_empty()).then(|| Box::new(rare)),
                    series,
                });
            }
            first..all.len()
        });
        layers.push(Layer {
            groups: groups.collect(),
            endpoint,
            // After the calls that failed with them.
            error_types: shared.error_types.by_name(),
            overflowed: shared.overflowed(),
            text,
        });
    }

    /// Whether any of the layers has it.
    pub(super) fn has(&self, metric: Metric) -> bool {
        self.layers.iter().any(|layer| layer.has(metric))
    }

    /// Shows all label sets of a metric, in their order.
    pub(super) fn each(&self, metric: Metric, show: &mut dyn FnMut(&Shown<'_>)) {
        let numbers = Numbers::of(metric);
        for layer in self.layers.iter().filter(|layer| layer.has(metric)) {
            if let Numbers::Overflow = numbers {
                show(&Shown {
                    labels: self.texts.get(&layer.text),
                    reading: Reading::Counter(layer.overflowed),
                    endpoint: layer.endpoint,
                    values: (Carrier::Begin, &[]),
                });
                continue;
            }
            let carrier = numbers.carrier();
            let group = layer.layout().group_of(carrier);
            for read in &self.series[layer.groups[group].clone()] {
                if let Some(reading) = self.reading(&numbers, layer, read) {
                    show(&Shown {
                        labels: self.texts.get(&read.text),
                        reading,
                        endpoint: layer.endpoint,
                        values: (carrier, read.series.values()),
                    });
                }
            }
        }
    }

    fn reading<'r>(
        &'r self,
        shown: &Numbers,
        layer: &'r Layer<'_>,
        read: &'r Read,
    ) -> Option<Reading<'r>> {
        let numbers = &self.numbers[read.numbers.clone()];
        Some(match *shown {
            Numbers::Gauge(_, cell) => Reading::Gauge(numbers[cell]),
            Numbers::Counter(_, cell) => Reading::Counter(numbers[cell]),
            Numbers::Times(measured) => {
                let histogram = layer.histogram(measured, numbers, read)?;
                // A histogram of streams stands where there has been one: few label sets have any.
                let labels = !layer.endpoint.recorder.settings().schema.is_empty();
                if measured == Measured::StreamDuration && labels && histogram.count() == 0 {
                    return None;
                }
                Reading::Histogram(histogram)
            }
            Numbers::Sizes(measured) => Reading::Sizes(layer.histogram(measured, numbers, read)?),
            Numbers::Errors => Reading::Errors(Errors {
                types: &layer.error_types,
                counts: &numbers[layer.layout().errors_at?..],
                undeclared: read.rare.as_ref().map_or(&[], |rare| &rare.undeclared),
            }),
            Numbers::Overflow => return None,
        })
    }
}

// === impl Layer ===

impl Layer<'_> {
    fn layout(&self) -> &Layout {
        &self.endpoint.recorder.shared().layout
    }

    fn has(&self, metric: Metric) -> bool {
        AUTOMATIC[metric as usize].is_on(self.endpoint.recorder.settings())
    }

    fn histogram<'r>(
        &'r self,
        measured: Measured,
        numbers: &'r [u64],
        read: &'r Read,
    ) -> Option<Histogram<'r>> {
        let of = self.layout().histogram(measured)?;
        let exemplars = read.rare.as_ref().map(|rare| of.exemplars(&rare.exemplars));
        Some(Histogram {
            of,
            numbers,
            exemplars: exemplars.unwrap_or_default(),
        })
    }
}

// === impl Numbers ===

impl Numbers {
    fn of(metric: Metric) -> Self {
        match metric {
            Metric::ActiveRequests | Metric::ConcurrentRequests => {
                Self::Gauge(Carrier::Begin, ENDED)
            }
            Metric::RequestBytes => Self::Counter(Carrier::Begin, REQUEST_BYTES),
            Metric::RequestMessages => Self::Counter(Carrier::Begin, REQUEST_MESSAGES),

            Metric::FirstByteSeconds => Self::Times(Measured::FirstByte),
            Metric::ResponseBytes => Self::Counter(Carrier::Head, RESPONSE_BYTES),
            Metric::ResponseHeadSeconds => Self::Times(Measured::ResponseHead),
            Metric::ResponseMessages => Self::Counter(Carrier::Head, RESPONSE_MESSAGES),

            Metric::Cancellations => Self::Counter(Carrier::End, CANCELLATIONS),
            Metric::Errors => Self::Errors,
            Metric::Requests => Self::Counter(Carrier::End, REQUESTS),

            Metric::RequestBodySizeBytes => Self::Sizes(Measured::RequestSize),
            Metric::RequestDurationSeconds => Self::Times(Measured::Duration),
            Metric::ResponseBodySizeBytes => Self::Sizes(Measured::ResponseSize),
            Metric::StreamDurationSeconds => Self::Times(Measured::StreamDuration),

            Metric::LabelOverflow => Self::Overflow,
        }
    }

    fn carrier(&self) -> Carrier {
        match *self {
            Self::Gauge(carrier, _) | Self::Counter(carrier, _) => carrier,
            Self::Times(measured) | Self::Sizes(measured) => measured.carrier(),
            Self::Errors => Carrier::Errors,
            Self::Overflow => Carrier::Begin,
        }
    }
}
