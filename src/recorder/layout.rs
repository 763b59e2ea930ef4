//! Which numbers there are, and their cells in a block.
//!
//! Metrics with the same labels share their series, so that one block has all of them. With constant labels alone there is
//! one series for all metrics. By method, route and status there are two, with and without the status.

use super::block::{Cells, EXEMPLAR_CELLS};
use super::histogram::Histogram;
use crate::buckets::Buckets;
use crate::labels::{Carrier, Moment};
use crate::settings::Settings;

/// The cells of a layer's numbers.
#[derive(Debug)]
pub(crate) struct Layout {
    groups: Vec<Group>,
    /// The group of each carrier.
    of: [usize; Carrier::ALL.len()],
    histograms: [Option<Histogram>; Measured::ALL.len()],
    /// The histogram of [`Measured::Duration`], which every layer has.
    duration: Histogram,
    /// The first cell of `errors_total`, if there is one: declared types first, then `_OTHER`.
    pub(crate) errors_at: Option<usize>,
}

/// Metrics with the same labels.
#[derive(Debug)]
pub(crate) struct Group {
    /// One of the group's carriers.
    pub(crate) carrier: Carrier,
    /// When all labels are known.
    pub(super) known_at: Moment,
    pub(super) cells: Cells,
}

/// What can have a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measured {
    ResponseHead,
    FirstByte,
    Duration,
    StreamDuration,
    RequestSize,
    ResponseSize,
}

// The first cells of all blocks. They fill one cache line, and each group uses those of its metrics.
pub(crate) const BEGUN: usize = 0;
pub(crate) const ENDED: usize = 1;
pub(crate) const REQUEST_BYTES: usize = 2;
pub(crate) const REQUEST_MESSAGES: usize = 3;
pub(crate) const RESPONSE_BYTES: usize = 4;
pub(crate) const RESPONSE_MESSAGES: usize = 5;
pub(crate) const REQUESTS: usize = 6;
pub(crate) const CANCELLATIONS: usize = 7;
const COUNTERS: usize = 8;

// === impl Measured ===

impl Measured {
    const ALL: [Self; 6] = [
        Self::ResponseHead,
        Self::FirstByte,
        Self::Duration,
        Self::StreamDuration,
        Self::RequestSize,
        Self::ResponseSize,
    ];

    pub(crate) fn carrier(self) -> Carrier {
        match self {
            Self::ResponseHead | Self::FirstByte => Carrier::Head,
            _ => Carrier::Duration,
        }
    }

    fn buckets(self, settings: &Settings) -> Option<&Buckets> {
        let sizes = settings.sizes.as_ref();
        match self {
            Self::ResponseHead => settings.response_head.as_ref(),
            Self::FirstByte => settings.first_byte.as_ref(),
            Self::Duration => Some(&settings.buckets),
            Self::StreamDuration => settings.streams.as_ref().map(|streams| &streams.buckets),
            Self::RequestSize => sizes.map(|[request, _]| request),
            Self::ResponseSize => sizes.map(|[_, response]| response),
        }
    }

    /// Whether it is a time. Only times have exemplars.
    fn is_timed(self) -> bool {
        !matches!(self, Self::RequestSize | Self::ResponseSize)
    }
}

// === impl Layout ===

impl Layout {
    pub(super) fn new(settings: &Settings) -> Self {
        let schema = &settings.schema;
        let mut groups: Vec<Group> = Vec::new();
        let of = Carrier::ALL.map(|carrier| {
            // OpenTelemetry's conventions have no metric for errors.
            let carrier = match carrier {
                Carrier::Errors if settings.naming.is_open_telemetry() => Carrier::End,
                carrier => carrier,
            };
            let same = |group: &Group| schema.names(group.carrier).eq(schema.names(carrier));
            groups.iter().position(same).unwrap_or_else(|| {
                groups.push(Group {
                    carrier,
                    known_at: schema.known_at(carrier),
                    cells: Cells {
                        sums: Vec::new(),
                        exemplars: COUNTERS..COUNTERS,
                    },
                });
                groups.len() - 1
            })
        });
        let mut layout = Self {
            groups,
            of,
            histograms: Default::default(),
            duration: Histogram::new(&settings.buckets, COUNTERS).0,
            errors_at: None,
        };
        for measured in Measured::ALL {
            if let Some(buckets) = measured.buckets(settings) {
                let cells = &mut layout.groups[of[measured.carrier() as usize]].cells;
                let (histogram, end) = Histogram::new(buckets, cells.all());
                cells.sums.push(histogram.at);
                cells.exemplars = end..end;
                layout.histograms[measured as usize] = Some(histogram);
            }
        }
        if !settings.naming.is_open_telemetry() {
            let cells = &mut layout.groups[of[Carrier::Errors as usize]].cells;
            let at = cells.all();
            layout.errors_at = Some(at);
            let end = at + settings.error_types.len() + 1;
            cells.exemplars = end..end;
        }
        if settings.exemplars.is_some() {
            for measured in Measured::ALL.into_iter().filter(|of| of.is_timed()) {
                if let Some(histogram) = &mut layout.histograms[measured as usize] {
                    let group = of[measured.carrier() as usize];
                    let cells = &mut layout.groups[group].cells.exemplars;
                    histogram.exemplars_at = Some((cells.end, cells.start));
                    cells.end += EXEMPLAR_CELLS * histogram.buckets.count();
                }
            }
        }
        if let Some(duration) = layout.histogram(Measured::Duration) {
            layout.duration = duration.clone();
        }
        layout
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The group of a carrier's metrics.
    #[inline]
    pub(crate) fn group_of(&self, carrier: Carrier) -> usize {
        self.of[carrier as usize]
    }

    #[inline]
    pub(super) fn duration(&self) -> &Histogram {
        &self.duration
    }

    #[inline]
    pub(crate) fn histogram(&self, measured: Measured) -> Option<&Histogram> {
        self.histograms[measured as usize].as_ref()
    }

    /// The histograms of a group.
    pub(super) fn histograms_of(&self, group: usize) -> impl Iterator<Item = &Histogram> {
        let all = Measured::ALL.into_iter();
        let of_group = all.filter(move |of| self.group_of(of.carrier()) == group);
        of_group.filter_map(|of| self.histogram(of))
    }
}
