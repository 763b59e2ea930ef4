//! What of an endpoint a page shows: the label sets that there are when it is begun, and their numbers.
//!
//! All numbers of a label set are read at once, not family by family: they lie beside each other, and there are many
//! label sets.

use super::automatic::{Reading, SampleLabels};
use crate::labels::{Carrier, LabelText};
use crate::recorder::{
    BeginSeries, Detail, Distribution, DurationSeries, EndSeries, HeadSeries, Place, Row, Series,
    Settings, Shelf,
};
use crate::registry::{AUTOMATIC, Endpoint};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

/// An endpoint, and its rows as the page shows them.
pub(super) struct Shown<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) begin: Rows<'a, BeginSeries, Begin>,
    pub(super) head: Rows<'a, HeadSeries, Head>,
    pub(super) end: Rows<'a, EndSeries, End>,
    pub(super) duration: Rows<'a, DurationSeries, Durations>,
    pub(super) error_types: Cow<'a, [Place]>,
    /// Which it has, by their numbers.
    pub(super) metrics: [bool; AUTOMATIC.len()],
    /// The bounds of most histograms as they are spelt, `+Inf` included.
    pub(super) bounds: Rc<[String]>,
}

/// The rows of metrics that carry the same labels, each with the text of all its labels and with what was read.
pub(super) struct Rows<'a, S: 'static, R> {
    endpoint: &'a Endpoint,
    carrier: Carrier,
    rows: Vec<(Arc<LabelText>, &'static Row<S>, R)>,
}

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
    pub(super) head: Option<Distribution>,
    pub(super) first_byte: Option<Distribution>,
}

/// What was read of an [`EndSeries`].
pub(super) struct End {
    pub(super) requests: u64,
    pub(super) cancellations: u64,
    /// By the places of their types; nothing, if there were none.
    pub(super) errors: Option<Vec<u64>>,
    /// Whether its error types stand there from the start.
    pub(super) is_declared: bool,
}

/// What was read of a [`DurationSeries`].
pub(super) struct Durations {
    pub(super) calls: Distribution,
    pub(super) streams: Option<Distribution>,
    /// Of requests, and of responses.
    pub(super) sizes: Option<[Distribution; 2]>,
}

// === impl Shown ===

impl<'a> Shown<'a> {
    pub(super) fn read(endpoint: &'a Endpoint, detail: Detail, bounds: Rc<[String]>) -> Self {
        let families = &endpoint.families;
        let (settings, rows) = (&families.settings, &families.rows);
        let mut metrics = [false; AUTOMATIC.len()];
        for automatic in &AUTOMATIC {
            metrics[automatic.metric as usize] = automatic.is_on(settings);
        }
        Self {
            metrics,
            bounds,
            endpoint,
            begin: Rows::read(endpoint, Carrier::Begin, &rows.begin, |row| Begin {
                in_flight: row.series.in_flight(),
                bytes: row.series.request_bytes(),
                messages: row.series.request_messages(),
            }),
            head: Rows::read(endpoint, Carrier::Head, &rows.head, |row| {
                read_head(&row.series, settings, detail)
            }),
            end: Rows::read(endpoint, Carrier::End, &rows.end, |row| End {
                requests: row.series.requests(),
                cancellations: row.series.cancellations(),
                errors: row.series.errors(),
                is_declared: row.is_declared(),
            }),
            duration: Rows::read(endpoint, Carrier::Duration, &rows.duration, |row| {
                read_durations(&row.series, settings, detail)
            }),
            error_types: families.error_types.by_name(),
        }
    }

    pub(super) fn settings(&self) -> &'a Settings {
        &self.endpoint.families.settings
    }
}

fn read_head(series: &HeadSeries, settings: &Settings, detail: Detail) -> Head {
    let head = settings.response_head;
    let first_byte = settings.first_byte;
    Head {
        bytes: series.response_bytes(),
        messages: series.response_messages(),
        head: head.then(|| series.response_head(settings, detail)),
        first_byte: first_byte.then(|| series.first_byte(settings, detail)),
    }
}

fn read_durations(series: &DurationSeries, settings: &Settings, detail: Detail) -> Durations {
    let streams = settings.streams.as_ref();
    let sizes = settings.sizes.as_ref();
    Durations {
        calls: series.duration(settings, detail),
        streams: streams.map(|_| series.stream_duration(settings, detail)),
        sizes: sizes.map(|_| {
            [
                series.request_sizes(settings),
                series.response_sizes(settings),
            ]
        }),
    }
}

// === impl Rows ===

impl<'a, S: Series, R> Rows<'a, S, R> {
    fn read(
        endpoint: &'a Endpoint,
        carrier: Carrier,
        shelf: &Shelf<S>,
        read: impl Fn(&'static Row<S>) -> R,
    ) -> Self {
        let rows = shelf.shown().into_iter();
        let rows = rows.map(|row| {
            let text = row.text(|| LabelText::new(endpoint.pairs(carrier, row)));
            (text, row, read(row))
        });
        Self {
            endpoint,
            carrier,
            rows: rows.collect(),
        }
    }

    /// Shows what `of` takes of each row, if it takes something.
    pub(super) fn each<'r, I: Into<Option<Reading<'r>>>>(
        &'r self,
        show: &mut dyn FnMut(&SampleLabels<'_>, Reading<'r>),
        of: impl Fn(&'r R) -> I,
    ) {
        for (text, row, read) in &self.rows {
            let pairs = || self.endpoint.pairs(self.carrier, row);
            let labels = SampleLabels {
                text,
                pairs: &pairs,
            };
            if let Some(reading) = of(read).into() {
                show(&labels, reading);
            }
        }
    }
}
