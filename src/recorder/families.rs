//! All the numbers of one layer.

use super::arena;
use super::block::Blocks;
use super::errors::ErrorTypes;
use super::histogram::Bounds;
use super::outcome::Outcome;
use super::series::{BeginSeries, EndSeries, HeadSeries};
use super::thread::with_writer;
use crate::classify::{ErrorType, Fault};
use crate::clock::Clock;
use std::fmt;
use std::ops::Deref;

/// What a layer is set to record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) buckets: Bounds,
    pub(crate) response_head: bool,
    pub(crate) first_byte: bool,
    pub(crate) messages: bool,
    /// Those that stand at 0 from the start.
    pub(crate) error_types: Vec<ErrorType>,
}

/// The table of a layer's series: one of each kind, for its constant labels.
///
/// It lives as long as the process, and is used again by a later layer once
/// nobody can write to it any more: whoever can holds a [`Lease`] or has a call open.
#[derive(Debug)]
pub(crate) struct Families {
    pub(crate) settings: Settings,
    pub(crate) error_types: ErrorTypes,
    pub(crate) begin: BeginSeries,
    pub(crate) head: HeadSeries,
    pub(crate) end: EndSeries,
    leases: Blocks,
}

/// The registry's hold on a table: where it is dropped the table retires.
#[derive(Debug)]
pub(crate) struct OwnedFamilies(&'static Families);

/// Keeps a table from being used for another layer. Counted as calls are, in
/// the thread's own block, for services are cloned for every request.
pub(crate) struct Lease(&'static Families);

const TAKEN: usize = 0;
const RETURNED: usize = 1;
const LEASE_CELLS: usize = 2;

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Clock::real(),
            buckets: Bounds::default(),
            response_head: false,
            first_byte: false,
            messages: false,
            error_types: ErrorType::BUILT_IN.to_vec(),
        }
    }
}

// === impl Families ===

impl Families {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            error_types: ErrorTypes::new(&settings.error_types),
            begin: BeginSeries::new(),
            head: HeadSeries::new(&settings),
            end: EndSeries::new(&settings),
            leases: Blocks::new(LEASE_CELLS),
            settings,
        }
    }

    /// The outcome that a fault leads to.
    pub(crate) fn outcome(&self, fault: Fault) -> Outcome {
        match fault {
            Fault::Failed(error_type) => Outcome::failed(self.error_types.index(error_type)),
            Fault::Cancelled => Outcome::CANCELLED,
        }
    }

    /// Whether nobody can write here any more, if no owner is left either.
    ///
    /// A lease is taken, and a call begun, only by whoever holds a lease or owns
    /// the table. So if every one that is seen to begin is seen to have ended,
    /// there is none that is not seen.
    pub(super) fn is_quiet(&self) -> bool {
        let returned = self.leases.sum_published(RETURNED);
        let ended = self.begin.ended();
        self.leases.sum(TAKEN) == returned && self.begin.begun() == ended
    }

    /// Back to zero, for another layer with the same settings.
    pub(super) fn reset(&self) {
        let Self {
            settings: _,
            error_types,
            begin,
            head,
            end,
            leases,
        } = self;
        error_types.reset();
        begin.reset();
        head.reset();
        end.reset();
        leases.reset();
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
        with_writer(|writer| families.leases.cells(writer).add(TAKEN, 1));
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
        with_writer(|writer| self.0.leases.cells(writer).publish(RETURNED));
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}
