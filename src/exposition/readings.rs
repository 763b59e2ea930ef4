//! What is read of the numbers of one label set, all at once: in the recorder they lie beside each other.
//!
//! What stands in a row, as the buckets of a histogram do, comes to the end of the page's `numbers`.

use crate::recorder::{
    BeginSeries, Detail, Distribution, DurationSeries, EndSeries, HeadSeries, Row, Settings,
};
use std::ops::Range;

/// What was read of a [`BeginSeries`].
pub(super) struct Begin {
    pub(super) in_flight: u64,
    pub(super) bytes: u64,
    pub(super) messages: u64,
}

/// What was read of a [`HeadSeries`].
pub(super) struct Head {
    pub(super) bytes: u64,
    pub(super) messages: u64,
    pub(super) head: Rare<Distribution>,
    pub(super) first_byte: Rare<Distribution>,
}

/// What was read of an [`EndSeries`].
pub(super) struct End {
    pub(super) requests: u64,
    pub(super) cancellations: u64,
    /// Where their numbers are; nothing, if there were none.
    pub(super) errors: Option<Range<usize>>,
    /// Whether its error types stand there from the start.
    pub(super) is_declared: bool,
}

/// What was read of a [`DurationSeries`].
pub(super) struct Durations {
    pub(super) calls: Distribution,
    pub(super) streams: Rare<Distribution>,
    /// Of requests, and of responses.
    pub(super) sizes: Rare<[Distribution; 2]>,
}

/// What few layers have. It is not to lie between what all have.
pub(super) type Rare<T> = Option<Box<T>>;

// === impl Begin, Head, End, Durations ===

impl Begin {
    pub(super) fn read(series: &BeginSeries) -> Self {
        Self {
            in_flight: series.in_flight(),
            bytes: series.request_bytes(),
            messages: series.request_messages(),
        }
    }
}

impl Head {
    pub(super) fn read(
        series: &HeadSeries,
        settings: &Settings,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Self {
        let has_head = settings.response_head;
        let has_first_byte = settings.first_byte;
        Self {
            bytes: series.response_bytes(),
            messages: series.response_messages(),
            head: has_head.then(|| Box::new(series.response_head(settings, detail, numbers))),
            first_byte: has_first_byte
                .then(|| Box::new(series.first_byte(settings, detail, numbers))),
        }
    }
}

impl End {
    pub(super) fn read(row: &Row<EndSeries>, numbers: &mut Vec<u64>) -> Self {
        Self {
            requests: row.series.requests(),
            cancellations: row.series.cancellations(),
            errors: row.series.errors(numbers),
            is_declared: row.is_declared(),
        }
    }
}

impl Durations {
    pub(super) fn read(
        series: &DurationSeries,
        settings: &Settings,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Self {
        let calls = series.duration(settings, detail, numbers);
        let streams = settings.streams.as_ref();
        let streams = streams.map(|_| Box::new(series.stream_duration(settings, detail, numbers)));
        let sizes = settings.sizes.as_ref().map(|_| {
            Box::new([
                series.request_sizes(settings, numbers),
                series.response_sizes(settings, numbers),
            ])
        });
        Self {
            calls,
            streams,
            sizes,
        }
    }
}
