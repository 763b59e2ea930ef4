//! What a page shows of layers: the label sets that there are when it is begun, and their numbers.
//!
//! All numbers of a label set are read at once, not family by family, for in the recorder they lie beside each
//! other. Here they lie in rows of the same kind of all layers, for families are written one after the other, and
//! a large page takes as long as its way through memory.

use super::readings::{Begin, Durations, End, Head};
use super::shown::{Errors, Histogram, Reading, Shown};
use crate::labels::{Carrier, LabelText, LabelTexts, Span};
use crate::recorder::{
    BeginSeries, Detail, Distribution, DurationSeries, EndSeries, Families, HeadSeries, Place, Row,
    Series, Settings, Shelf,
};
use crate::registry::{AUTOMATIC, Endpoint, Metric};
use std::borrow::Cow;
use std::ptr;

/// What the layers of one prefix have recorded by now.
pub(super) struct Snapshot<'a> {
    layers: Vec<Layer<'a>>,
    begin: Taken<'a, BeginSeries, Begin>,
    head: Taken<'a, HeadSeries, Head>,
    end: Taken<'a, EndSeries, End>,
    duration: Taken<'a, DurationSeries, Durations>,
    /// The labels of all rows.
    texts: LabelTexts,
    /// The buckets of all histograms, and how often calls failed with each error type.
    numbers: Vec<u64>,
}

struct Layer<'a> {
    endpoint: &'a Endpoint,
    settings: &'static Settings,
    metrics: Metrics,
    error_types: Cow<'a, [Place]>,
    /// Calls for whose labels there was no room.
    overflowed: Option<u64>,
    /// Where the text of its constant labels is.
    text: Span,
}

/// Which metrics there are, by their numbers.
type Metrics = [bool; AUTOMATIC.len()];

/// The rows of metrics that carry the same labels, and what was read of each.
struct Taken<'a, S: 'static, R> {
    carrier: Carrier,
    /// Those of the layer that is being added.
    rows: Vec<&'a Row<S>>,
    labels: Vec<Labelled<'a>>,
    readings: Vec<R>,
}

/// The labels of a row.
struct Labelled<'a> {
    /// The layer's number.
    layer: usize,
    /// Where the text of all of them is.
    text: Span,
    /// Of those of a request.
    values: &'a [Box<str>],
}

/// How many label sets the processor is told of in advance: so many that it has always something to fetch, and
/// few enough to be still there when they are read.
const AT_A_TIME: usize = 16;

// === impl Snapshot ===

impl<'a> Snapshot<'a> {
    pub(super) fn take(endpoints: &[&'a Endpoint], detail: Detail) -> Self {
        let count = endpoints.len();
        let mut snapshot = Self {
            layers: Vec::with_capacity(count),
            begin: Taken::with_capacity(count, Carrier::Begin),
            head: Taken::with_capacity(count, Carrier::Head),
            end: Taken::with_capacity(count, Carrier::End),
            duration: Taken::with_capacity(count, Carrier::Duration),
            texts: LabelTexts::default(),
            numbers: Vec::new(),
        };
        for some in endpoints.chunks(AT_A_TIME) {
            some.iter().for_each(|endpoint| endpoint.prefetch());
            let families = some.iter().map(|endpoint| &endpoint.families);
            families.for_each(|families| families.prefetch_numbers());
            for endpoint in some {
                snapshot.add(endpoint, detail);
            }
        }
        snapshot
    }

    /// Adds what one layer has recorded.
    fn add(&mut self, endpoint: &'a Endpoint, detail: Detail) {
        let Self {
            layers,
            begin,
            head,
            end,
            duration,
            texts,
            numbers,
        } = self;
        let Families {
            settings,
            error_types,
            rows,
            ..
        } = &*endpoint.families;
        let number = layers.len();
        let mut layer = Layer::new(endpoint, layers.last(), texts);
        begin.add((number, &layer), texts, &rows.begin, |row| {
            Begin::read(&row.series)
        });
        head.add((number, &layer), texts, &rows.head, |row| {
            Head::read(&row.series, settings, detail, numbers)
        });
        end.add((number, &layer), texts, &rows.end, |row| {
            End::read(row, numbers)
        });
        duration.add((number, &layer), texts, &rows.duration, |row| {
            Durations::read(&row.series, settings, detail, numbers)
        });
        // After the calls that failed with them.
        layer.error_types = error_types.by_name();
        layers.push(layer);
    }

    /// Whether any of the layers has it.
    pub(super) fn has(&self, metric: Metric) -> bool {
        self.layers.iter().any(|layer| layer.has(metric))
    }

    /// Shows all label sets of a metric, in their order.
    pub(super) fn each(&self, metric: Metric, show: &mut dyn FnMut(&Shown<'_>)) {
        use Reading::{Counter, Gauge, Sizes};
        let Self {
            layers,
            begin,
            head,
            end,
            duration,
            texts,
            numbers: _,
        } = self;
        let of = |distribution| Reading::Histogram(self.histogram(distribution));
        let sizes = |distribution| Sizes(self.histogram(distribution));
        let own = (metric, &**layers, texts);
        match metric {
            Metric::ActiveRequests | Metric::ConcurrentRequests => {
                begin.each(own, show, |_, begin| Gauge(begin.in_flight));
            }
            Metric::RequestBytes => begin.each(own, show, |_, begin| Counter(begin.bytes)),
            Metric::RequestMessages => begin.each(own, show, |_, begin| Counter(begin.messages)),

            Metric::FirstByteSeconds => {
                head.each(own, show, |_, head| head.first_byte.as_deref().map(of));
            }
            Metric::ResponseBytes => head.each(own, show, |_, head| Counter(head.bytes)),
            Metric::ResponseHeadSeconds => {
                head.each(own, show, |_, head| head.head.as_deref().map(of));
            }
            Metric::ResponseMessages => head.each(own, show, |_, head| Counter(head.messages)),

            Metric::Cancellations => end.each(own, show, |_, end| Counter(end.cancellations)),
            Metric::Errors => end.each(own, show, |layer, end| {
                Reading::Errors(self.errors(layer, end))
            }),
            Metric::Requests => end.each(own, show, |_, end| Counter(end.requests)),

            Metric::RequestBodySizeBytes => duration.each(own, show, |_, read| {
                read.sizes.as_ref().map(|of| sizes(&of[0]))
            }),
            Metric::RequestDurationSeconds => duration.each(own, show, |_, read| of(&read.calls)),
            Metric::ResponseBodySizeBytes => duration.each(own, show, |_, read| {
                read.sizes.as_ref().map(|of| sizes(&of[1]))
            }),
            Metric::StreamDurationSeconds => {
                duration.each(own, show, |_, read| read.streams.as_deref().map(of));
            }

            Metric::LabelOverflow => self.overflow(show),
        }
    }

    fn overflow(&self, show: &mut dyn FnMut(&Shown<'_>)) {
        let layers = self.layers.iter();
        for (layer, overflowed) in layers.filter_map(|layer| Some((layer, layer.overflowed?))) {
            show(&Shown {
                labels: self.texts.get(&layer.text),
                reading: Reading::Counter(overflowed),
                settings: layer.settings,
                endpoint: layer.endpoint,
                values: (Carrier::Begin, &[]),
            });
        }
    }

    fn histogram<'r>(&'r self, distribution: &'r Distribution) -> Histogram<'r> {
        Histogram {
            cumulative: &self.numbers[distribution.cumulative.clone()],
            of: distribution,
        }
    }

    fn errors<'r>(&'r self, layer: &'r Layer<'_>, end: &'r End) -> Errors<'r> {
        Errors {
            types: &layer.error_types,
            counts: end.errors.clone().map(|counts| &self.numbers[counts]),
            is_declared: end.is_declared,
        }
    }
}

// === impl Layer ===

impl<'a> Layer<'a> {
    /// Most have the settings of the one before.
    fn new(endpoint: &'a Endpoint, before: Option<&Self>, texts: &mut LabelTexts) -> Self {
        let families = &endpoint.families;
        let settings = families.settings;
        let same = before.filter(|before| ptr::eq(before.settings, settings));
        let metrics = same.map_or_else(|| metrics(settings), |same| same.metrics);
        let has_overflow = metrics[Metric::LabelOverflow as usize];
        Self {
            endpoint,
            settings,
            metrics,
            error_types: Cow::default(),
            overflowed: has_overflow.then(|| families.sets.overflowed()),
            text: texts.push(&endpoint.label_text),
        }
    }

    /// Where the text of all labels of a row is.
    fn text<S: Series>(&self, carrier: Carrier, row: &Row<S>, texts: &mut LabelTexts) -> Span {
        match row.values() {
            [] => self.text.clone(),
            values => row.with_text(
                || LabelText::new(self.endpoint.pairs(carrier, values)),
                |text| texts.push(text),
            ),
        }
    }

    fn has(&self, metric: Metric) -> bool {
        self.metrics[metric as usize]
    }
}

/// Those that a layer with these settings has.
fn metrics(settings: &Settings) -> Metrics {
    let mut metrics = Metrics::default();
    for automatic in &AUTOMATIC {
        metrics[automatic.metric as usize] = automatic.is_on(settings);
    }
    metrics
}

// === impl Taken ===

impl<'a, S: Series, R> Taken<'a, S, R> {
    /// With room for one row of so many layers.
    fn with_capacity(layers: usize, carrier: Carrier) -> Self {
        Self {
            carrier,
            rows: Vec::new(),
            labels: Vec::with_capacity(layers),
            readings: Vec::with_capacity(layers),
        }
    }

    fn add(
        &mut self,
        (number, layer): (usize, &Layer<'_>),
        texts: &mut LabelTexts,
        shelf: &'a Shelf<S>,
        mut read: impl FnMut(&'a Row<S>) -> R,
    ) {
        shelf.push_shown(&mut self.rows);
        for some in self.rows.chunks(AT_A_TIME) {
            some.iter().skip(1).for_each(|row| row.series.prefetch());
            for row in some {
                self.readings.push(read(row));
                self.labels.push(Labelled {
                    layer: number,
                    text: layer.text(self.carrier, row, texts),
                    values: row.values(),
                });
            }
        }
        self.rows.clear();
    }

    /// Shows what `of` takes of each row of the layers that have the metric, if it takes something.
    fn each<'r, I: Into<Option<Reading<'r>>>>(
        &'r self,
        (metric, layers, texts): (Metric, &'r [Layer<'_>], &'r LabelTexts),
        show: &mut dyn FnMut(&Shown<'_>),
        of: impl Fn(&'r Layer<'_>, &'r R) -> I,
    ) {
        for (labels, read) in self.labels.iter().zip(&self.readings) {
            let layer = &layers[labels.layer];
            let reading = layer.has(metric).then(|| of(layer, read).into()).flatten();
            if let Some(reading) = reading {
                show(&Shown {
                    labels: texts.get(&labels.text),
                    reading,
                    settings: layer.settings,
                    endpoint: layer.endpoint,
                    values: (self.carrier, labels.values),
                });
            }
        }
    }
}
