//! What keeps a table from being used for another layer.

use super::block::Blocks;
use super::families::Families;
use super::sets::BeginSet;
use super::thread::with_writer;
use std::fmt;
use std::ops::Deref;

/// Keeps a table from being used for another layer.
pub(crate) struct Lease(&'static Families);

/// A [`Lease`] of the table that a set is in.
pub(crate) struct Leased(&'static BeginSet);

/// The leases of a table. Counted as calls are, in the thread's own block, for services are cloned for every request.
#[derive(Debug)]
pub(super) struct Leases {
    counts: Blocks,
}

const TAKEN: usize = 0;
const RETURNED: usize = 1;
const LEASE_CELLS: usize = 2;

// === impl Lease ===

impl Lease {
    /// For whoever owns the table, or has a lease or an open call.
    #[inline]
    pub(super) fn take(families: &'static Families) -> Self {
        families.leases.take();
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
        self.0.leases.give_back();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

// === impl Leased ===

impl Leased {
    /// For whoever has a lease or an open call.
    #[inline]
    pub(crate) fn new(set: &'static BeginSet) -> Self {
        set.families.leases.take();
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
        self.0.families.leases.give_back();
    }
}

// === impl Leases ===

impl Leases {
    pub(super) fn new() -> Self {
        Self {
            counts: Blocks::new(LEASE_CELLS),
        }
    }

    #[inline]
    fn take(&self) {
        with_writer(|writer| self.counts.cells(writer).add(TAKEN, 1));
    }

    #[inline]
    fn give_back(&self) {
        with_writer(|writer| self.counts.cells(writer).publish(RETURNED));
    }

    pub(super) fn taken(&self) -> u64 {
        self.counts.sum(TAKEN)
    }

    /// Who sees a lease returned, by asking this first, sees it taken.
    pub(super) fn returned(&self) -> u64 {
        self.counts.sum_published(RETURNED)
    }

    pub(super) fn reset(&self) {
        let Self { counts } = self;
        counts.reset();
    }
}
