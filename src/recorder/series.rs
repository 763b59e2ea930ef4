//! The numbers of one label set.
//!
//! A metric carries the labels that are known at its moment, so there are several kinds of
//! series: one is resolved when a call begins, one at the response's head, two at its end.
//! With constant labels alone they all have the same.

use super::block::Blocks;
use super::errors::MOST_ERROR_TYPES;
use super::exemplars::Exemplars;
use super::histogram::{Bounds, Detail, Distribution, Histogram};
use super::outcome::Outcome;
use super::report::Report;
use super::rows::Series;
use super::settings::Settings;
use super::thread::Writer;
use std::ops::Range;

/// What is known from the request on: `concurrent_requests`, `request_bytes_total`,
/// `request_messages_total`.
#[derive(Debug)]
pub(crate) struct BeginSeries {
    blocks: Blocks,
}

/// What is known from the response's head on: `response_bytes_total`,
/// `response_messages_total`, `response_head_seconds`, `first_byte_seconds`.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    blocks: Blocks,
    exemplars: Exemplars,
    head: Histogram,
    first_byte: Histogram,
}

/// What is known at the end: `requests_total`, `errors_total`,
/// `cancellations_total`.
#[derive(Debug)]
pub(crate) struct EndSeries {
    blocks: Blocks,
    /// Apart, for errors are rare: a thread that meets none has no block of these.
    errors: Blocks,
}

/// What is known at the end too, but may leave labels out: `request_duration_seconds`,
/// `stream_duration_seconds`, and the sizes of bodies.
#[derive(Debug)]
pub(crate) struct DurationSeries {
    blocks: Blocks,
    exemplars: Exemplars,
}

/// How long something took, and what keeps the trace that it belongs to, if it does to one: few calls
/// do, so the trace itself is not carried along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed<'a> {
    pub(crate) nanos: u64,
    pub(crate) traced: Option<&'a Report>,
}

// The cells of a begin series.
const BEGUN: usize = 0;
const ENDED: usize = 1;
const REQUEST_BYTES: usize = 2;
const REQUEST_MESSAGES: usize = 3;
const BEGIN_CELLS: usize = 4;

// The cells of a head series; its histograms follow.
const RESPONSE_BYTES: usize = 0;
const RESPONSE_MESSAGES: usize = 1;
const HEAD_CELLS: usize = 2;

// The cells of an end series.
const REQUESTS: usize = 0;
const CANCELLATIONS: usize = 1;
const END_CELLS: usize = 2;

// The cells of a duration series begin with this histogram; that of streams follows, then those of
// the sizes of requests and of responses.
const DURATION: Histogram = Histogram::at(0, 0);

// === impl BeginSeries ===

impl Series for BeginSeries {
    fn new(_: &Settings) -> Self {
        Self {
            blocks: Blocks::new(BEGIN_CELLS),
        }
    }

    fn prefetch(&self) {
        self.blocks.prefetch();
    }

    fn reset(&self) {
        let Self { blocks } = self;
        blocks.reset();
    }
}

impl BeginSeries {
    #[inline]
    pub(crate) fn begin(&self, writer: &Writer) {
        self.blocks.cells(writer).add(BEGUN, 1);
    }

    /// The last thing that a call records: who sees it sees all the rest.
    #[inline]
    pub(crate) fn end(&self, writer: &Writer) {
        self.blocks.cells(writer).publish(ENDED);
    }

    #[inline]
    pub(crate) fn add_request_bytes(&self, writer: &Writer, bytes: u64) {
        self.blocks.cells(writer).add(REQUEST_BYTES, bytes);
    }

    #[inline]
    pub(crate) fn add_request_messages(
        &self,
        writer: &Writer,
        settings: &Settings,
        messages: u64,
        bytes: u64,
    ) {
        let cells = self.blocks.cells(writer);
        cells.add(REQUEST_BYTES, bytes);
        if settings.messages {
            cells.add(REQUEST_MESSAGES, messages);
        }
    }

    pub(crate) fn request_messages(&self) -> u64 {
        self.blocks.sum(REQUEST_MESSAGES)
    }

    pub(crate) fn request_bytes(&self) -> u64 {
        self.blocks.sum(REQUEST_BYTES)
    }

    /// Calls begun and not ended, never negative.
    ///
    /// What begins and ends between the two sums looks as if it were in flight. So they are taken
    /// again where calls have ended meanwhile, and the lowest difference counts.
    pub(crate) fn in_flight(&self) -> u64 {
        const ATTEMPTS: usize = 8;
        let mut lowest = u64::MAX;
        for _ in 0..ATTEMPTS {
            let (begun, ended) = self.begun_and_ended();
            lowest = lowest.min(begun.saturating_sub(ended));
            if self.ended() == ended {
                break;
            }
        }
        lowest
    }

    /// A call whose end is seen, in the first sum, has its beginning seen in
    /// the second: there are never more ended than begun.
    fn begun_and_ended(&self) -> (u64, u64) {
        let ended = self.ended();
        (self.begun(), ended)
    }

    pub(super) fn ended(&self) -> u64 {
        self.blocks.sum_published(ENDED)
    }

    pub(super) fn begun(&self) -> u64 {
        self.blocks.sum(BEGUN)
    }
}

// === impl HeadSeries ===

impl Series for HeadSeries {
    fn new(settings: &Settings) -> Self {
        let Settings {
            buckets,
            response_head,
            first_byte,
            ..
        } = settings;
        let [head, first_byte] = [*response_head, *first_byte].map(usize::from);
        let both = head + first_byte;
        Self {
            blocks: Blocks::new(HEAD_CELLS + both * buckets.cells()),
            exemplars: Exemplars::new(settings.exemplars.is_some(), both * buckets.buckets()),
            head: Histogram::at(HEAD_CELLS, 0),
            first_byte: Histogram::at(
                HEAD_CELLS + head * buckets.cells(),
                head * buckets.buckets(),
            ),
        }
    }

    fn prefetch(&self) {
        self.blocks.prefetch();
    }

    fn reset(&self) {
        let Self {
            blocks, exemplars, ..
        } = self;
        blocks.reset();
        exemplars.reset();
    }
}

impl HeadSeries {
    #[inline]
    pub(crate) fn add_response_bytes(&self, writer: &Writer, bytes: u64) {
        self.blocks.cells(writer).add(RESPONSE_BYTES, bytes);
    }

    #[inline]
    pub(crate) fn add_response_messages(
        &self,
        writer: &Writer,
        settings: &Settings,
        messages: u64,
        bytes: u64,
    ) {
        let cells = self.blocks.cells(writer);
        cells.add(RESPONSE_BYTES, bytes);
        if settings.messages {
            cells.add(RESPONSE_MESSAGES, messages);
        }
    }

    /// Only where [`Settings::response_head`] is on.
    pub(crate) fn observe_head(&self, writer: &Writer, settings: &Settings, timed: Timed<'_>) {
        let Self {
            blocks, exemplars, ..
        } = self;
        observe(
            self.head,
            (blocks, exemplars),
            writer,
            &settings.buckets,
            timed,
        );
    }

    /// Only where [`Settings::first_byte`] is on.
    pub(crate) fn observe_first_byte(
        &self,
        writer: &Writer,
        settings: &Settings,
        timed: Timed<'_>,
    ) {
        let Self {
            blocks, exemplars, ..
        } = self;
        observe(
            self.first_byte,
            (blocks, exemplars),
            writer,
            &settings.buckets,
            timed,
        );
    }

    pub(crate) fn response_bytes(&self) -> u64 {
        self.blocks.sum(RESPONSE_BYTES)
    }

    pub(crate) fn response_messages(&self) -> u64 {
        self.blocks.sum(RESPONSE_MESSAGES)
    }

    pub(crate) fn response_head(
        &self,
        settings: &Settings,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let Self {
            blocks, exemplars, ..
        } = self;
        self.head
            .read(blocks, &settings.buckets, exemplars, detail, numbers)
    }

    pub(crate) fn first_byte(
        &self,
        settings: &Settings,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let Self {
            blocks, exemplars, ..
        } = self;
        self.first_byte
            .read(blocks, &settings.buckets, exemplars, detail, numbers)
    }
}

// === impl EndSeries ===

impl Series for EndSeries {
    fn new(_: &Settings) -> Self {
        Self {
            blocks: Blocks::new(END_CELLS),
            errors: Blocks::new(MOST_ERROR_TYPES),
        }
    }

    fn prefetch(&self) {
        self.blocks.prefetch();
    }

    fn reset(&self) {
        let Self { blocks, errors } = self;
        blocks.reset();
        errors.reset();
    }
}

impl EndSeries {
    /// A call ends.
    #[inline]
    pub(crate) fn record(&self, writer: &Writer, outcome: Outcome) {
        let cells = self.blocks.cells(writer);
        cells.add(REQUESTS, 1);
        if outcome == Outcome::CANCELLED {
            cells.add(CANCELLATIONS, 1);
        } else if let Some(error_type) = outcome.failure() {
            self.errors.cells(writer).add(error_type, 1);
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.blocks.sum(REQUESTS)
    }

    pub(crate) fn cancellations(&self) -> u64 {
        self.blocks.sum(CANCELLATIONS)
    }

    /// By the places of their types; nothing, if there were none.
    pub(crate) fn errors(&self, numbers: &mut Vec<u64>) -> Option<Range<usize>> {
        self.errors.is_written().then(|| {
            let first = numbers.len();
            self.errors.push_sums(0..MOST_ERROR_TYPES, numbers);
            first..numbers.len()
        })
    }
}

// === impl DurationSeries ===

impl Series for DurationSeries {
    fn new(settings: &Settings) -> Self {
        let streams = settings.streams.as_ref().map(|streams| &streams.buckets);
        let sizes = settings.sizes.as_ref();
        let all = [Some(&settings.buckets), streams, sizes, sizes];
        let sum = |of: fn(&Bounds) -> usize| all.iter().flatten().map(|bounds| of(bounds)).sum();
        Self {
            blocks: Blocks::new(sum(Bounds::cells)),
            exemplars: Exemplars::new(settings.exemplars.is_some(), sum(Bounds::buckets)),
        }
    }

    fn prefetch(&self) {
        self.blocks.prefetch();
    }

    fn reset(&self) {
        let Self { blocks, exemplars } = self;
        blocks.reset();
        exemplars.reset();
    }
}

impl DurationSeries {
    #[inline]
    pub(crate) fn observe(&self, writer: &Writer, settings: &Settings, timed: Timed<'_>) {
        let Self { blocks, exemplars } = self;
        observe(
            DURATION,
            (blocks, exemplars),
            writer,
            &settings.buckets,
            timed,
        );
    }

    /// Only where [`Settings::streams`] are told apart.
    pub(crate) fn observe_stream(&self, writer: &Writer, settings: &Settings, timed: Timed<'_>) {
        if let Some(streams) = &settings.streams {
            let Self { blocks, exemplars } = self;
            let histogram = stream_duration(settings);
            observe(
                histogram,
                (blocks, exemplars),
                writer,
                &streams.buckets,
                timed,
            );
        }
    }

    pub(crate) fn duration(
        &self,
        settings: &Settings,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        DURATION.read(
            &self.blocks,
            &settings.buckets,
            &self.exemplars,
            detail,
            numbers,
        )
    }

    /// Only where [`Settings::streams`] are told apart.
    pub(crate) fn stream_duration(
        &self,
        settings: &Settings,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let streams = settings.streams.as_ref();
        let buckets = streams.map_or(&settings.buckets, |streams| &streams.buckets);
        stream_duration(settings).read(&self.blocks, buckets, &self.exemplars, detail, numbers)
    }

    /// Only where [`Settings::sizes`] are kept count of.
    #[inline]
    pub(crate) fn observe_sizes(
        &self,
        writer: &Writer,
        settings: &Settings,
        (request, response): (u64, u64),
    ) {
        if let Some(bounds) = &settings.sizes {
            let cells = self.blocks.cells(writer);
            let [of_requests, of_responses] = sizes(settings, bounds);
            of_requests.observe(&cells, bounds, request);
            of_responses.observe(&cells, bounds, response);
        }
    }

    /// Only where [`Settings::sizes`] are kept count of.
    pub(crate) fn request_sizes(
        &self,
        settings: &Settings,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let bounds = settings.sizes.as_ref().unwrap_or(&settings.buckets);
        sizes(settings, bounds)[0].read(
            &self.blocks,
            bounds,
            &self.exemplars,
            Detail::Classic,
            numbers,
        )
    }

    /// Only where [`Settings::sizes`] are kept count of.
    pub(crate) fn response_sizes(
        &self,
        settings: &Settings,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let bounds = settings.sizes.as_ref().unwrap_or(&settings.buckets);
        sizes(settings, bounds)[1].read(
            &self.blocks,
            bounds,
            &self.exemplars,
            Detail::Classic,
            numbers,
        )
    }
}

#[inline]
fn observe(
    histogram: Histogram,
    (blocks, exemplars): (&Blocks, &Exemplars),
    writer: &Writer,
    bounds: &Bounds,
    timed: Timed<'_>,
) {
    let Timed { nanos, traced } = timed;
    let bucket = histogram.observe(&blocks.cells(writer), bounds, nanos);
    if let Some(report) = traced {
        exemplars.keep(writer, bucket, report.trace(), nanos);
    }
}

fn stream_duration(settings: &Settings) -> Histogram {
    Histogram::at(settings.buckets.cells(), settings.buckets.buckets())
}

/// Those of requests and of responses.
fn sizes(settings: &Settings, bounds: &Bounds) -> [Histogram; 2] {
    let streams = settings.streams.as_ref().map(|streams| &streams.buckets);
    let before = [Some(&settings.buckets), streams];
    let sum = |of: fn(&Bounds) -> usize| before.iter().flatten().map(|bounds| of(bounds)).sum();
    let (first, kept): (usize, usize) = (sum(Bounds::cells), sum(Bounds::buckets));
    [
        Histogram::at(first, kept),
        Histogram::at(first + bounds.cells(), kept + bounds.buckets()),
    ]
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::super::thread::Indices;
    use super::*;
    use crate::sync::{AtomicU64, Ordering};
    use loom::sync::Arc;
    use loom::thread;

    fn writer(indices: &Indices) -> Writer {
        let writer = Writer::new();
        writer.ask(indices);
        writer
    }

    /// A call begins on one thread and ends on another while a third reads.
    #[test]
    fn loom_no_scrape_sees_an_end_without_its_beginning() {
        loom::model(|| {
            let series = Arc::new(BeginSeries {
                blocks: Blocks::made(BEGIN_CELLS, 2),
            });
            let indices = Arc::new(Indices::new(2));
            let handed_over = Arc::new(AtomicU64::new(0));
            let ender = {
                let (series, indices) = (series.clone(), indices.clone());
                let handed_over = handed_over.clone();
                thread::spawn(move || {
                    let writer = writer(&indices);
                    if handed_over.load(Ordering::Acquire) == 1 {
                        series.end(&writer);
                    }
                })
            };
            let scraper = {
                let series = series.clone();
                thread::spawn(move || {
                    let (begun, ended) = series.begun_and_ended();
                    assert!(ended <= begun, "{ended} ended of {begun}");
                })
            };
            series.begin(&writer(&indices));
            handed_over.store(1, Ordering::Release);
            ender.join().unwrap();
            scraper.join().unwrap();
        });
    }
}
