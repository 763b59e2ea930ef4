//! The numbers of all layers for one page.
//!
//! A snapshot reads all numbers of a series at once, because they are adjacent in the recorder. All families of a page are
//! written from one snapshot, so they never disagree.

use super::ages::oldest_ages;
use super::series_snapshot::{ErrorCounts, HistogramSnapshot, SeriesSnapshot, SeriesValue};
use crate::error_types::IndexedType;
use crate::escaping::Escaping;
use crate::labels::{Carrier, LabelText, LabelTexts, Labels, Span};
use crate::measured::Measured;
use crate::open_call::OpenCalls;
use crate::recorder::{Layout, Optional, Rare, Series};
use crate::registry::{AutomaticMetric, Endpoint, Kind, Metric, Place, ShownMetrics};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The numbers of all layers with the same prefix.
pub(super) struct Snapshot<'a> {
    layers: Vec<LayerSnapshot<'a>>,
    /// The series of all layers, ordered by layer and group.
    series: Vec<SeriesNumbers>,
    /// The numbers of all series.
    numbers: Vec<u64>,
    /// The labels of all series.
    texts: LabelTexts,
}

struct LayerSnapshot<'a> {
    endpoint: &'a Endpoint,
    error_types: Cow<'a, [IndexedType]>,
    /// Calls beyond the cardinality limit.
    overflowed: u64,
    /// The span of its constant labels in `texts`.
    text: Span,
    /// The series of each carrier.
    series: [Range<usize>; Carrier::ALL.len()],
    /// Copied: the endpoint of each layer is elsewhere in memory.
    shown: ShownMetrics,
}

/// The numbers of one series.
struct SeriesNumbers {
    series: Arc<Series>,
    /// The span of its labels in `texts`.
    text: Span,
    numbers: Range<usize>,
    rare: Option<Box<Rare>>,
}

// === impl Snapshot ===

impl<'a> Snapshot<'a> {
    /// Labels are written with names in this escaping.
    pub(super) fn take(endpoints: &'a BTreeMap<Labels, Arc<Endpoint>>, escaping: Escaping) -> Self {
        let mut snapshot = Self {
            layers: Vec::with_capacity(endpoints.len()),
            series: Vec::with_capacity(endpoints.len()),
            numbers: Vec::new(),
            texts: LabelTexts::default(),
        };
        let mut all = endpoints.values();
        let open = match all.any(|endpoint| endpoint.recorder.settings().oldest) {
            true => OpenCalls::now(),
            false => OpenCalls::default(),
        };
        for endpoint in endpoints.values() {
            snapshot.add(endpoint, &open, escaping);
        }
        snapshot
    }

    /// Adds the numbers of one layer.
    fn add(&mut self, endpoint: &'a Endpoint, open: &OpenCalls, escaping: Escaping) {
        let Self {
            layers,
            series: all,
            numbers,
            texts,
        } = self;
        endpoint.recorder.sweep();
        let shared = endpoint.recorder.shared();
        let layout = &shared.layout;
        let window = match shared.settings.longest {
            true => shared.end_window(),
            false => shared.window(),
        };
        let open = open.of(endpoint.recorder.key());
        let mut ages = oldest_ages(&endpoint.recorder, open);
        // The text that is kept has the names as they are.
        let renames = escaping == Escaping::Dots || !endpoint.has_plain_labels;
        let renamed = |pairs: Vec<(&str, &str)>| LabelText::new(escaping.labels_in_text(pairs));
        let text = match renames {
            true => texts.push(&renamed(endpoint.pairs(Carrier::Begin, &[]))),
            false => texts.push(&endpoint.label_text),
        };
        let groups = layout.groups().iter().enumerate();
        let groups = groups.map(|(number, group)| {
            let first = all.len();
            for series in endpoint.recorder.series(number) {
                let start = numbers.len();
                let rare = series.read(layout, number, window, numbers);
                if let Some(at) = layout.optional(Optional::Oldest)
                    && let Some((_, age)) = ages.remove(&Arc::as_ptr(&series))
                {
                    numbers[start + at] = age;
                }
                let text = match series.values() {
                    [] => text.clone(),
                    values => {
                        let pairs = || endpoint.pairs(group.carrier, values);
                        match renames {
                            true => texts.push(&renamed(pairs())),
                            false => texts.push(series.text(|| LabelText::new(pairs()))),
                        }
                    }
                };
                all.push(SeriesNumbers {
                    text,
                    numbers: start..numbers.len(),
                    rare: (!rare.is_empty()).then(|| Box::new(rare)),
                    series,
                });
            }
            first..all.len()
        });
        let groups: Vec<_> = groups.collect();
        layers.push(LayerSnapshot {
            series: Carrier::ALL.map(|carrier| groups[layout.group_of(carrier)].clone()),
            shown: endpoint.shown,
            endpoint,
            // Read after the counts, so that each error type that has a count is known.
            error_types: shared.error_types.by_name(),
            overflowed: shared.overflowed(),
            text,
        });
    }

    /// Returns whether any of the layers has the metric.
    pub(super) fn has(&self, metric: Metric) -> bool {
        self.layers.iter().any(|layer| layer.has(metric))
    }

    /// Calls `write` with each series of a metric, sorted by labels.
    pub(super) fn for_each_series(
        &self,
        metric: &AutomaticMetric,
        write: &mut dyn FnMut(&SeriesSnapshot<'_>),
    ) {
        let place = metric.place;
        let carrier = place.carrier();
        let in_seconds = metric.unit() == Some("seconds");
        let layers = self.layers.iter();
        for layer in layers.filter(|layer| layer.has(metric.metric)) {
            let mut show = |text, value, created, values| {
                write(&SeriesSnapshot {
                    labels: self.texts.get(text),
                    value,
                    in_seconds,
                    created,
                    endpoint: layer.endpoint,
                    label_values: (carrier, values),
                });
            };
            if let Place::Overflow = place {
                let value = SeriesValue::Counter(layer.overflowed);
                show(&layer.text, value, layer.endpoint.created, &[]);
                continue;
            }
            for read in &self.series[layer.series[carrier as usize].clone()] {
                if let Some(value) = self.value(metric.kind, place, layer, read) {
                    let SeriesNumbers { series, text, .. } = read;
                    show(text, value, series.created(), series.values());
                }
            }
        }
    }

    /// Returns what the metric shows of a series, if the series has it.
    fn value<'r>(
        &'r self,
        kind: Kind,
        place: Place,
        layer: &'r LayerSnapshot<'_>,
        read: &'r SeriesNumbers,
    ) -> Option<SeriesValue<'r>> {
        let numbers = &self.numbers[read.numbers.clone()];
        let cell = match place {
            Place::Cell(_, cell) => cell,
            Place::Optional(optional, cell) => layer.layout().optional(optional)? + cell,
            Place::Histogram(measured) => {
                let layout = layer.layout().histogram(measured)?;
                let rare = read.rare.as_ref();
                let histogram = HistogramSnapshot {
                    layout,
                    numbers,
                    exemplars: rare.map_or(&[], |rare| layout.exemplars(&rare.exemplars)),
                };
                // Few label sets ever have streams. The others have no histogram of streams.
                if measured == Measured::StreamDuration
                    && !layer.endpoint.recorder.settings().schema.is_empty()
                    && histogram.count() == 0
                {
                    return None;
                }
                return Some(SeriesValue::Histogram(histogram));
            }
            Place::Errors => {
                return Some(SeriesValue::Errors(ErrorCounts {
                    types: &layer.error_types,
                    counts: &numbers[layer.layout().optional(Optional::Errors)?..],
                    undeclared: read.rare.as_ref().map_or(&[], |rare| &rare.undeclared),
                    created: read.series.created(),
                }));
            }
            Place::Overflow => return None,
        };
        let number = numbers[cell];
        Some(match kind {
            Kind::Counter => SeriesValue::Counter(number),
            _ => SeriesValue::Gauge(number),
        })
    }
}

// === impl LayerSnapshot ===

impl LayerSnapshot<'_> {
    fn layout(&self) -> &Layout {
        &self.endpoint.recorder.shared().layout
    }

    fn has(&self, metric: Metric) -> bool {
        self.shown[metric as usize]
    }
}
