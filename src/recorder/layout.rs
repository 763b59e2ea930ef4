//! Which numbers there are, and their cells in a block.
//!
//! Metrics with the same labels share their series, so that one block has all of them. With constant labels alone there is
//! one series for all metrics. By method, route and status there are two, with and without the status.

use crate::block::{Block, Cells, Histogram, LONGEST_CELLS};
use crate::labels::{Carrier, Moment};
use crate::measured::Measured;
use crate::settings::Settings;

/// The cells of a layer's numbers.
#[derive(Debug)]
pub(crate) struct Layout {
    groups: Vec<Group>,
    /// The group of each carrier.
    of: [usize; Carrier::ALL.len()],
    histograms: [Option<Histogram>; Measured::ALL.len()],
    /// A copy of that of [`Measured::Duration`], without exemplars. Looking it up takes 13 instructions a call more.
    duration: Histogram,
    /// The first cell of each.
    optional: [Option<usize>; Optional::ALL.len()],
}

/// Metrics with the same labels.
#[derive(Debug)]
pub(crate) struct Group {
    /// One of the group's carriers.
    pub(crate) carrier: Carrier,
    /// When all labels are known.
    pub(super) known_at: Moment,
    /// Whether there are no labels.
    pub(super) is_unlabelled: bool,
    pub(super) cells: Cells,
}

/// Numbers that only some layers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Optional {
    /// `errors_total`: declared types first, then `_OTHER`.
    Errors,
    Items,
    SlowPolls,
    /// Waits for the service that have [begun](WAITS_BEGUN), [ended](WAITS_ENDED) and [been given up](WAITS_GIVEN_UP).
    Waits,
    /// Written by scrapes.
    Oldest,
    /// See [`Block::keep_longest`](super::block::Block::keep_longest).
    Longest,
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

// The cells of `Optional::Waits`.
pub(crate) const WAITS_BEGUN: usize = 0;
pub(crate) const WAITS_ENDED: usize = 1;
pub(crate) const WAITS_GIVEN_UP: usize = 2;

// === impl Optional ===

impl Optional {
    const ALL: [Self; 6] = [
        Self::Errors,
        Self::Items,
        Self::SlowPolls,
        Self::Waits,
        Self::Oldest,
        Self::Longest,
    ];

    pub(crate) fn carrier(self) -> Carrier {
        match self {
            Self::Errors => Carrier::Errors,
            Self::Items => Carrier::Head,
            Self::SlowPolls | Self::Oldest => Carrier::Begin,
            Self::Waits => Carrier::Ready,
            Self::Longest => Carrier::Duration,
        }
    }

    /// How many cells it has.
    fn cells(self, settings: &Settings) -> usize {
        let (is_on, cells) = match self {
            Self::Errors => (settings.errors, settings.error_types.len() + 1),
            Self::Items => (settings.items, 1),
            Self::SlowPolls => (settings.slow_polls.is_some(), 1),
            Self::Waits => (settings.histograms.has(Measured::ReadyWait), 3),
            Self::Oldest => (settings.oldest, 1),
            Self::Longest => (settings.longest, LONGEST_CELLS),
        };
        if is_on { cells } else { 0 }
    }
}

// === impl Layout ===

impl Layout {
    pub(super) fn new(settings: &Settings) -> Self {
        let (mut groups, of) = groups(settings);
        let group_of = |carrier: Carrier| of[carrier as usize];
        let mut histogram = |measured: Measured, buckets| {
            let cells = &mut groups[group_of(measured.carrier())].cells;
            Histogram::new(buckets, cells)
        };
        let duration = histogram(Measured::Duration, &settings.duration);
        let mut histograms = Measured::ALL.map(|measured| match measured {
            Measured::Duration => Some(duration.clone()),
            measured => Some(histogram(measured, settings.buckets(measured)?)),
        });
        let optional = Optional::ALL.map(|optional| {
            let cells = &mut groups[group_of(optional.carrier())].cells;
            let count = optional.cells(settings);
            let first = (count > 0).then(|| cells.add(count));
            if optional == Optional::Longest {
                cells.longest = first;
            }
            first
        });
        let is_traced =
            |measured: &Measured| settings.exemplars.is_some() && measured.has_exemplars();
        for measured in Measured::ALL.into_iter().filter(is_traced) {
            if let Some(histogram) = &mut histograms[measured as usize] {
                histogram.keep_exemplars(&mut groups[group_of(measured.carrier())].cells);
            }
        }
        Self {
            groups,
            of,
            histograms,
            duration,
            optional,
        }
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
    pub(crate) fn histogram(&self, measured: Measured) -> Option<&Histogram> {
        self.histograms[measured as usize].as_ref()
    }

    /// The first cell of these numbers, if the layer has them.
    #[inline]
    pub(crate) fn optional(&self, optional: Optional) -> Option<usize> {
        self.optional[optional as usize]
    }

    /// Counts the end of a call: in the blocks of its begin, its head, its end and its duration. `bytes` are its last ones.
    #[inline(always)]
    pub(super) fn count_end(
        &self,
        [begin, head, end, timed]: [&Block; 4],
        bytes: u64,
        nanos: Option<u64>,
    ) {
        head.add(RESPONSE_BYTES, bytes);
        end.add(REQUESTS, 1);
        if let Some(nanos) = nanos {
            self.duration.observe(timed, nanos);
        }
        // Last: a scrape that sees it sees all the rest.
        begin.publish(ENDED);
    }

    /// The histograms of a group.
    pub(super) fn histograms_of(&self, group: usize) -> impl Iterator<Item = &Histogram> {
        let all = Measured::ALL.into_iter();
        let of_group = all.filter(move |of| self.group_of(of.carrier()) == group);
        of_group.filter_map(|of| self.histogram(of))
    }
}

/// Puts carriers with the same labels into one group. Returns the group of each carrier, too.
fn groups(settings: &Settings) -> (Vec<Group>, [usize; Carrier::ALL.len()]) {
    let schema = &settings.schema;
    let mut groups: Vec<Group> = Vec::new();
    let of = Carrier::ALL.map(|carrier| {
        let carrier = match carrier {
            Carrier::Errors if !settings.errors => Carrier::End,
            Carrier::Ready if !settings.histograms.has(Measured::ReadyWait) => Carrier::Begin,
            carrier => carrier,
        };
        let same = |group: &Group| schema.names(group.carrier).eq(schema.names(carrier));
        groups.iter().position(same).unwrap_or_else(|| {
            groups.push(Group {
                carrier,
                known_at: schema.known_at(carrier),
                is_unlabelled: schema.names(carrier).next().is_none(),
                cells: Cells::new(COUNTERS),
            });
            groups.len() - 1
        })
    });
    (groups, of)
}
