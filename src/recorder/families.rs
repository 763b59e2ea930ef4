//! All the numbers of one layer.

use super::arena;
use super::block::Blocks;
use super::errors::{DeclaredTypes, ErrorTypes};
use super::growth::{Rows, Sets};
use super::histogram::Bounds;
use super::outcome::Outcome;
use super::sets::BeginSet;
use super::thread::with_writer;
use crate::classify::{ErrorType, Fault, Head};
use crate::clock::Clock;
use crate::labels::{Declared, RequestHead, Schema};
use crate::open_telemetry::Naming;
use crate::trace::TraceContext;
use std::fmt;
use std::hint::black_box;
use std::ops::Deref;
use std::sync::Arc;

/// What a layer is set to record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// For those who show what is recorded.
    pub(crate) naming: Naming,
    pub(crate) clock: Clock,
    pub(crate) buckets: Bounds,
    pub(crate) response_head: bool,
    pub(crate) first_byte: bool,
    pub(crate) messages: bool,
    /// Those that stand at 0 from the start.
    pub(crate) error_types: DeclaredTypes,
    pub(crate) schema: Schema,
    /// How many label sets there may be.
    pub(crate) label_sets: usize,
    /// Those that stand on the page from the start.
    pub(crate) declared: Vec<Declared>,
    /// Which calls are measured; all, if there is none.
    pub(crate) filter: Option<Filter>,
    /// The calls whose duration is told apart.
    pub(crate) streams: Option<Streams>,
    /// Which trace a call belongs to.
    pub(crate) exemplars: Option<Traces>,
    /// The buckets of the sizes of bodies, where calls keep count of them.
    pub(crate) sizes: Option<Bounds>,
}

/// Says which calls are measured, by the heads of their requests.
#[derive(Clone)]
pub(crate) struct Filter(pub(crate) Arc<IsMeasured>);

type IsMeasured = dyn Fn(&RequestHead<'_>) -> bool + Send + Sync;

/// Says which trace a call belongs to, by the head of its request.
#[derive(Clone)]
pub(crate) struct Traces(pub(crate) Arc<TraceOf>);

type TraceOf = dyn Fn(&RequestHead<'_>) -> Option<TraceContext> + Send + Sync;

/// Says which calls last long by intent, by the heads of their responses.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) is_stream: Arc<IsStream>,
    pub(crate) buckets: Bounds,
}

type IsStream = dyn Fn(&Head<'_>) -> bool + Send + Sync;

/// The table of a layer's series, for its constant labels and for those that requests bring.
///
/// It lives as long as the process, and is used again by a later layer once
/// nobody can write to it any more: whoever can holds a [`Lease`] or has a call open.
#[derive(Debug)]
pub(crate) struct Families {
    /// Often those of other tables too.
    pub(crate) settings: &'static Settings,
    pub(crate) error_types: ErrorTypes,
    pub(crate) sets: Sets,
    pub(crate) rows: Rows,
    leases: Blocks,
}

/// The registry's hold on a table: where it is dropped the table retires.
#[derive(Debug)]
pub(crate) struct OwnedFamilies(&'static Families);

/// Keeps a table from being used for another layer. Counted as calls are, in
/// the thread's own block, for services are cloned for every request.
pub(crate) struct Lease(&'static Families);

/// How many label sets a layer may have, unless told otherwise.
pub(crate) const LABEL_SETS: usize = 2_000;

/// A [`Lease`] of the table that a set is in.
pub(crate) struct Leased(&'static BeginSet);

const TAKEN: usize = 0;
const RETURNED: usize = 1;
const LEASE_CELLS: usize = 2;

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            naming: Naming::Own,
            clock: Clock::real(),
            buckets: Bounds::default(),
            response_head: false,
            first_byte: false,
            messages: false,
            error_types: DeclaredTypes::new(&ErrorType::BUILT_IN),
            schema: Schema::default(),
            label_sets: LABEL_SETS,
            declared: Vec::new(),
            filter: None,
            streams: None,
            exemplars: None,
            sizes: None,
        }
    }
}

impl Settings {
    /// Whether requests have to be looked at for something else than labels.
    #[inline]
    pub(crate) fn asks_requests(&self) -> bool {
        self.filter.is_some() || self.exemplars.is_some()
    }
}

// === impl Filter, Traces, Streams ===

impl PartialEq for Traces {
    /// Closures are the same if they are clones of one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl PartialEq for Filter {
    /// Closures are the same if they are clones of one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

impl PartialEq for Streams {
    /// Closures are the same if they are clones of one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.is_stream, &other.is_stream) && self.buckets == other.buckets
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("buckets", &self.buckets)
            .finish_non_exhaustive()
    }
}

// === impl Families ===

impl Families {
    /// The process keeps it.
    pub(super) fn leak(settings: &'static Settings) -> &'static Self {
        let families = Box::leak(Box::new(Self {
            error_types: ErrorTypes::new(&settings.error_types),
            sets: Sets::new(settings),
            rows: Rows::new(),
            leases: Blocks::new(LEASE_CELLS),
            settings,
        }));
        families.stand_ready();
        families
    }

    #[inline]
    fn take_lease(&self) {
        with_writer(|writer| self.leases.cells(writer).add(TAKEN, 1));
    }

    #[inline]
    fn return_lease(&self) {
        with_writer(|writer| self.leases.cells(writer).publish(RETURNED));
    }

    /// The outcome that a fault leads to.
    pub(crate) fn outcome(&self, fault: Fault) -> Outcome {
        match fault {
            Fault::Failed(error_type) => Outcome::failed(self.error_types.index(error_type)),
            Fault::Cancelled => Outcome::CANCELLED,
        }
    }

    /// What a call that ended so is called where its end is a label; nothing, if it ended well.
    pub(crate) fn failure(&self, outcome: Outcome) -> Option<&'static str> {
        match outcome.failure() {
            Some(index) => Some(self.error_types.name(index).as_str()),
            None => (outcome == Outcome::CANCELLED).then_some("cancelled"),
        }
    }

    /// Has the processor fetch the table, for who will read many.
    pub(crate) fn prefetch(&self) {
        black_box(self.settings);
        let Rows {
            begin,
            head,
            end,
            duration,
        } = &self.rows;
        begin.prefetch();
        head.prefetch();
        end.prefetch();
        duration.prefetch();
    }

    /// The same for its numbers. It does not wait for the table if several others lie between the two.
    pub(crate) fn prefetch_numbers(&self) {
        let Rows {
            begin,
            head,
            end,
            duration,
        } = &self.rows;
        begin.prefetch_numbers();
        head.prefetch_numbers();
        end.prefetch_numbers();
        duration.prefetch_numbers();
    }

    /// Whether nobody can write here any more, if no owner is left either.
    ///
    /// A lease is taken, and a call begun, only by whoever holds a lease or owns
    /// the table. So if every one that is seen to begin is seen to have ended,
    /// there is none that is not seen.
    pub(super) fn is_quiet(&self) -> bool {
        let returned = self.leases.sum_published(RETURNED);
        let rows = self.rows.begin.all();
        let series = rows.iter().copied().chain(self.sets.left_out_row());
        let ended: Vec<_> = series.map(|row| (row, row.series.ended())).collect();
        self.leases.sum(TAKEN) == returned
            && ended
                .iter()
                .all(|(row, ended)| row.series.begun() == *ended)
    }

    /// Whether another layer with the same settings can have it: nobody writes
    /// here, and there is room for its label sets.
    pub(super) fn is_reusable(&self) -> bool {
        self.sets.is_reusable(self.settings) && self.is_quiet()
    }

    /// Back to zero, for another layer with the same settings.
    pub(super) fn reset(&'static self) {
        let Self {
            settings: _,
            error_types,
            sets,
            rows,
            leases,
        } = self;
        error_types.reset();
        sets.reset();
        rows.reset();
        leases.reset();
        self.stand_ready();
    }
}

// === impl OwnedFamilies ===

impl OwnedFamilies {
    pub(crate) fn new(settings: Settings) -> Self {
        Self(arena::take(settings))
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease::take(self.0)
    }
}

impl Deref for OwnedFamilies {
    type Target = Families;

    fn deref(&self) -> &Families {
        self.0
    }
}

impl Drop for OwnedFamilies {
    fn drop(&mut self) {
        arena::retire(self.0);
    }
}

// === impl Lease ===

impl Lease {
    /// For whoever owns the table, or has a lease or an open call.
    #[inline]
    pub(crate) fn take(families: &'static Families) -> Self {
        families.take_lease();
        Self(families)
    }

    #[inline]
    pub(crate) fn families(&self) -> &'static Families {
        self.0
    }
}

impl Clone for Lease {
    #[inline]
    fn clone(&self) -> Self {
        Self::take(self.0)
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        self.0.return_lease();
    }
}

// === impl Leased ===

impl Leased {
    /// For whoever has a lease or an open call.
    #[inline]
    pub(crate) fn new(set: &'static BeginSet) -> Self {
        set.families.take_lease();
        Self(set)
    }
}

impl Deref for Leased {
    type Target = BeginSet;

    #[inline]
    fn deref(&self) -> &BeginSet {
        self.0
    }
}

impl Clone for Leased {
    #[inline]
    fn clone(&self) -> Self {
        Self::new(self.0)
    }
}

impl Drop for Leased {
    #[inline]
    fn drop(&mut self) {
        self.0.families.return_lease();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}
