//! The numbers of all layers for one page.
//!
//! A snapshot reads all numbers of a series at once, because they are adjacent in the recorder. All families of a page are
//! written from one snapshot, so they never disagree.

use super::series_snapshot::{ErrorCounts, HistogramSnapshot, SeriesSnapshot, SeriesValue};
use crate::error_types::IndexedType;
use crate::escaping::Escaping;
use crate::labels::{Carrier, LabelText, LabelTexts, Span};
use crate::measured::Measured;
use crate::open_call::OpenCalls;
use crate::recorder::{
    CANCELLATIONS, ENDED, Layout, Optional, REQUEST_BYTES, REQUEST_MESSAGES, REQUESTS,
    RESPONSE_BYTES, RESPONSE_MESSAGES, Rare, Series, WAITS_ENDED, WAITS_GIVEN_UP,
};
use crate::registry::{Endpoint, Metric, ShownMetrics};
use std::borrow::Cow;
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

/// Which numbers of a series a metric shows.
enum MetricNumbers {
    Gauge(Carrier, usize),
    Counter(Carrier, usize),
    /// A gauge, by its cell among these numbers.
    OptionalGauge(Optional, usize),
    /// A counter, by its cell among these numbers.
    OptionalCounter(Optional, usize),
    /// A gauge in seconds.
    Time(Optional),
    Durations(Measured),
    Sizes(Measured),
    Errors,
    Overflow,
}

// === impl Snapshot ===

impl<'a> Snapshot<'a> {
    /// Labels are written with names in this escaping.
    pub(super) fn take(endpoints: &[&'a Endpoint], escaping: Escaping) -> Self {
        let mut snapshot = Self {
            layers: Vec::with_capacity(endpoints.len()),
            series: Vec::with_capacity(endpoints.len()),
            numbers: Vec::new(),
            texts: LabelTexts::default(),
        };
        let shows_oldest = |endpoint: &&Endpoint| endpoint.recorder.settings().oldest;
        let open = match endpoints.iter().any(shows_oldest) {
            true => OpenCalls::now(),
            false => OpenCalls::default(),
        };
        for endpoint in endpoints {
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
        let mut ages = endpoint.recorder.ages(open.of(endpoint.recorder.key()));
        // The text that is kept has the names as they are.
        let renames = escaping == Escaping::Dots || !endpoint.has_plain_labels;
        let text = match renames {
            true => texts.push(&escaped(escaping, endpoint.labels.iter())),
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
                            true => texts.push(&escaped(escaping, pairs().into_iter())),
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
        metric: Metric,
        write: &mut dyn FnMut(&SeriesSnapshot<'_>),
    ) {
        let numbers = MetricNumbers::of(metric);
        for layer in self.layers.iter().filter(|layer| layer.has(metric)) {
            if let MetricNumbers::Overflow = numbers {
                write(&SeriesSnapshot {
                    labels: self.texts.get(&layer.text),
                    value: SeriesValue::Counter(layer.overflowed),
                    created: layer.endpoint.created,
                    endpoint: layer.endpoint,
                    label_values: (Carrier::Begin, &[]),
                });
                continue;
            }
            let carrier = numbers.carrier();
            for read in &self.series[layer.series[carrier as usize].clone()] {
                if let Some(value) = self.value(&numbers, layer, read) {
                    write(&SeriesSnapshot {
                        labels: self.texts.get(&read.text),
                        value,
                        created: read.series.created(),
                        endpoint: layer.endpoint,
                        label_values: (carrier, read.series.values()),
                    });
                }
            }
        }
    }

    fn value<'r>(
        &'r self,
        metric: &MetricNumbers,
        layer: &'r LayerSnapshot<'_>,
        read: &'r SeriesNumbers,
    ) -> Option<SeriesValue<'r>> {
        let numbers = &self.numbers[read.numbers.clone()];
        Some(match *metric {
            MetricNumbers::Gauge(_, cell) => SeriesValue::Gauge(numbers[cell]),
            MetricNumbers::Counter(_, cell) => SeriesValue::Counter(numbers[cell]),
            MetricNumbers::OptionalGauge(optional, cell) => {
                SeriesValue::Gauge(numbers[layer.layout().optional(optional)? + cell])
            }
            MetricNumbers::OptionalCounter(optional, cell) => {
                SeriesValue::Counter(numbers[layer.layout().optional(optional)? + cell])
            }
            MetricNumbers::Time(optional) => {
                SeriesValue::Time(numbers[layer.layout().optional(optional)?])
            }
            MetricNumbers::Durations(measured) => {
                let histogram = layer.histogram(measured, numbers, read)?;
                // Few label sets ever have streams. The others have no histogram of streams.
                let labels = !layer.endpoint.recorder.settings().schema.is_empty();
                if measured == Measured::StreamDuration && labels && histogram.count() == 0 {
                    return None;
                }
                SeriesValue::Durations(histogram)
            }
            MetricNumbers::Sizes(measured) => {
                SeriesValue::Sizes(layer.histogram(measured, numbers, read)?)
            }
            MetricNumbers::Errors => SeriesValue::Errors(ErrorCounts {
                types: &layer.error_types,
                counts: &numbers[layer.layout().optional(Optional::Errors)?..],
                undeclared: read.rare.as_ref().map_or(&[], |rare| &rare.undeclared),
                created: read.series.created(),
            }),
            MetricNumbers::Overflow => return None,
        })
    }
}

fn escaped<'a>(escaping: Escaping, labels: impl Iterator<Item = (&'a str, &'a str)>) -> LabelText {
    LabelText::new(escaping.labels_in_text(labels))
}

// === impl LayerSnapshot ===

impl LayerSnapshot<'_> {
    fn layout(&self) -> &Layout {
        &self.endpoint.recorder.shared().layout
    }

    fn has(&self, metric: Metric) -> bool {
        self.shown[metric as usize]
    }

    fn histogram<'r>(
        &'r self,
        measured: Measured,
        numbers: &'r [u64],
        read: &'r SeriesNumbers,
    ) -> Option<HistogramSnapshot<'r>> {
        let layout = self.layout().histogram(measured)?;
        let exemplars = read
            .rare
            .as_ref()
            .map(|rare| layout.exemplars(&rare.exemplars));
        Some(HistogramSnapshot {
            layout,
            numbers,
            exemplars: exemplars.unwrap_or_default(),
        })
    }
}

// === impl MetricNumbers ===

impl MetricNumbers {
    fn of(metric: Metric) -> Self {
        match metric {
            Metric::ActiveRequests | Metric::ConcurrentRequests | Metric::RequestsPending => {
                Self::Gauge(Carrier::Begin, ENDED)
            }
            Metric::RequestBytes => Self::Counter(Carrier::Begin, REQUEST_BYTES),
            Metric::RequestMessages => Self::Counter(Carrier::Begin, REQUEST_MESSAGES),

            Metric::OldestRequestAgeSeconds => Self::Time(Optional::Oldest),
            Metric::QueueWaitSeconds => Self::Durations(Measured::QueueWait),
            Metric::SlowPolls => Self::OptionalCounter(Optional::SlowPolls, 0),

            Metric::AbandonedWaits => Self::OptionalCounter(Optional::Waits, WAITS_GIVEN_UP),
            Metric::ReadyWaitSeconds => Self::Durations(Measured::ReadyWait),
            Metric::WaitingRequests => Self::OptionalGauge(Optional::Waits, WAITS_ENDED),

            Metric::FirstByteSeconds => Self::Durations(Measured::FirstByte),
            Metric::FirstItemSeconds | Metric::TimeToFirstTokenSeconds => {
                Self::Durations(Measured::FirstItem)
            }
            Metric::ItemGapSeconds => Self::Durations(Measured::ItemGap),
            Metric::Items => Self::OptionalCounter(Optional::Items, 0),
            Metric::ResponseBytes => Self::Counter(Carrier::Head, RESPONSE_BYTES),
            Metric::ResponseHeadSeconds => Self::Durations(Measured::ResponseHead),
            Metric::ResponseMessages => Self::Counter(Carrier::Head, RESPONSE_MESSAGES),

            Metric::Cancellations => Self::Counter(Carrier::End, CANCELLATIONS),
            Metric::Errors => Self::Errors,
            Metric::Requests => Self::Counter(Carrier::End, REQUESTS),

            Metric::HandlerPollSeconds => Self::Durations(Measured::HandlerPoll),
            Metric::RequestBodySizeBytes => Self::Sizes(Measured::RequestSize),
            Metric::CallDurationSeconds
            | Metric::RequestDurationSeconds
            | Metric::RequestsDurationSeconds => Self::Durations(Measured::Duration),
            Metric::ResponseBodySizeBytes => Self::Sizes(Measured::ResponseSize),
            Metric::RequestsLongestSeconds => Self::Time(Optional::Longest),
            Metric::StreamDurationSeconds => Self::Durations(Measured::StreamDuration),
            Metric::TimePerItemSeconds | Metric::TimePerOutputTokenSeconds => {
                Self::Durations(Measured::TimePerItem)
            }

            Metric::LabelOverflow => Self::Overflow,
        }
    }

    fn carrier(&self) -> Carrier {
        match *self {
            Self::Gauge(carrier, _) | Self::Counter(carrier, _) => carrier,
            Self::OptionalGauge(optional, _)
            | Self::OptionalCounter(optional, _)
            | Self::Time(optional) => optional.carrier(),
            Self::Durations(measured) | Self::Sizes(measured) => measured.carrier(),
            Self::Errors => Carrier::Errors,
            Self::Overflow => Carrier::Begin,
        }
    }
}
