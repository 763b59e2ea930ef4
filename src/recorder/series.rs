//! The numbers of one label set.
//!
//! A metric carries the labels that are known at its moment, so there are several kinds of
//! series: one is resolved when a call begins, one at the response's head, two at its end.
//! With constant labels alone they all have the same.

use super::block::Blocks;
use super::errors::MOST_ERROR_TYPES;
use super::families::Settings;
use super::histogram::{Bounds, Distribution, Histogram};
use super::outcome::Outcome;
use super::rows::Series;
use super::thread::Writer;

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
const DURATION: Histogram = Histogram::at(0);

// === impl BeginSeries ===

impl Series for BeginSeries {
    fn new(_: &Settings) -> Self {
        Self {
            blocks: Blocks::new(BEGIN_CELLS),
        }
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
    pub(crate) fn add_request_message(&self, writer: &Writer, settings: &Settings, bytes: u64) {
        let cells = self.blocks.cells(writer);
        cells.add(REQUEST_BYTES, bytes);
        if settings.messages {
            cells.add(REQUEST_MESSAGES, 1);
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
        let one = settings.buckets.cells();
        let (head, first_byte) = (
            HEAD_CELLS,
            HEAD_CELLS + usize::from(settings.response_head) * one,
        );
        let cells = first_byte + usize::from(settings.first_byte) * one;
        Self {
            blocks: Blocks::new(cells),
            head: Histogram::at(head),
            first_byte: Histogram::at(first_byte),
        }
    }

    fn reset(&self) {
        let Self { blocks, .. } = self;
        blocks.reset();
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
    pub(crate) fn observe_head(&self, writer: &Writer, settings: &Settings, nanos: u64) {
        self.head
            .observe(&self.blocks.cells(writer), &settings.buckets, nanos);
    }

    /// Only where [`Settings::first_byte`] is on.
    pub(crate) fn observe_first_byte(&self, writer: &Writer, settings: &Settings, nanos: u64) {
        self.first_byte
            .observe(&self.blocks.cells(writer), &settings.buckets, nanos);
    }

    pub(crate) fn response_bytes(&self) -> u64 {
        self.blocks.sum(RESPONSE_BYTES)
    }

    pub(crate) fn response_messages(&self) -> u64 {
        self.blocks.sum(RESPONSE_MESSAGES)
    }

    pub(crate) fn response_head(&self, settings: &Settings) -> Distribution {
        self.head.read(&self.blocks, &settings.buckets)
    }

    pub(crate) fn first_byte(&self, settings: &Settings) -> Distribution {
        self.first_byte.read(&self.blocks, &settings.buckets)
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

    pub(crate) fn errors(&self, error_type: usize) -> u64 {
        self.errors.sum(error_type)
    }
}

// === impl DurationSeries ===

impl Series for DurationSeries {
    fn new(settings: &Settings) -> Self {
        let sizes = settings.sizes.as_ref().map_or(0, Bounds::cells);
        Self {
            blocks: Blocks::new(first_of_sizes(settings) + 2 * sizes),
        }
    }

    fn reset(&self) {
        let Self { blocks } = self;
        blocks.reset();
    }
}

impl DurationSeries {
    #[inline]
    pub(crate) fn observe(&self, writer: &Writer, settings: &Settings, nanos: u64) {
        DURATION.observe(&self.blocks.cells(writer), &settings.buckets, nanos);
    }

    /// Only where [`Settings::streams`] are told apart.
    pub(crate) fn observe_stream(&self, writer: &Writer, settings: &Settings, nanos: u64) {
        if let Some(streams) = &settings.streams {
            stream_duration(settings).observe(&self.blocks.cells(writer), &streams.buckets, nanos);
        }
    }

    pub(crate) fn duration(&self, settings: &Settings) -> Distribution {
        DURATION.read(&self.blocks, &settings.buckets)
    }

    /// Only where [`Settings::streams`] are told apart.
    pub(crate) fn stream_duration(&self, settings: &Settings) -> Distribution {
        let buckets = settings
            .streams
            .as_ref()
            .map_or(&settings.buckets, |streams| &streams.buckets);
        stream_duration(settings).read(&self.blocks, buckets)
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
    pub(crate) fn request_sizes(&self, settings: &Settings) -> Distribution {
        let bounds = settings.sizes.as_ref().unwrap_or(&settings.buckets);
        sizes(settings, bounds)[0].read(&self.blocks, bounds)
    }

    /// Only where [`Settings::sizes`] are kept count of.
    pub(crate) fn response_sizes(&self, settings: &Settings) -> Distribution {
        let bounds = settings.sizes.as_ref().unwrap_or(&settings.buckets);
        sizes(settings, bounds)[1].read(&self.blocks, bounds)
    }
}

fn stream_duration(settings: &Settings) -> Histogram {
    Histogram::at(settings.buckets.cells())
}

/// Those of requests and of responses.
fn sizes(settings: &Settings, bounds: &Bounds) -> [Histogram; 2] {
    let first = first_of_sizes(settings);
    [first, first + bounds.cells()].map(Histogram::at)
}

fn first_of_sizes(settings: &Settings) -> usize {
    let streams = settings.streams.as_ref();
    settings.buckets.cells() + streams.map_or(0, |streams| streams.buckets.cells())
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
