//! The label sets of a layer: from the labels of a call to its rows.
//!
//! A call finds its label set when it begins, from there the one with the labels of its response, and from there the
//! one it ends under: a tree of three levels. All that calls do is read it, without a lock: sets are only ever
//! added, at the end of a chain, and by one thread at a time. How a call goes down the tree is
//! [`lookup`](super::lookup)'s business, and how the tree grows [`growth`](super::growth)'s.

use super::families::Families;
use super::rows::{Row, Texts};
use super::series::{BeginSeries, DurationSeries, EndSeries, HeadSeries};
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The values of the labels of one moment, and what goes with them.
pub(crate) struct Set<T: 'static> {
    hash: u64,
    values: Texts,
    /// Stands for all values there are: nothing is told apart any more.
    any: bool,
    /// Whether the table's present user has met it.
    active: AtomicBool,
    next: OnceLock<&'static Set<T>>,
    then: T,
}

/// Sets that are looked through one by one.
pub(crate) struct Chain<T: 'static> {
    first: OnceLock<&'static Set<T>>,
}

/// A call that has begun.
pub(crate) type BeginSet = Set<Begin>;
/// A call whose response is there.
pub(crate) type HeadSet = Set<Head>;
/// A call that ends.
pub(crate) type EndSet = Set<End>;

pub(crate) struct Begin {
    pub(crate) families: &'static Families,
    pub(super) row: &'static Row<BeginSeries>,
    pub(super) heads: Chain<Head>,
}

#[derive(Debug)]
pub(crate) struct Head {
    pub(super) row: &'static Row<HeadSeries>,
    pub(super) ends: Chain<End>,
}

#[derive(Debug)]
pub(crate) struct End {
    pub(super) row: &'static Row<EndSeries>,
    pub(super) duration: &'static Row<DurationSeries>,
    /// Whether calls are here because there was no room for their labels.
    pub(super) overflow: bool,
}

// === impl Set ===

impl<T> Set<T> {
    /// The process keeps it.
    pub(super) fn leak(hash: u64, values: Texts, then: T) -> &'static Self {
        Self::leak_with(hash, values, false, then)
    }

    /// One for all values there are.
    pub(super) fn leak_for_any(values: Texts, then: T) -> &'static Self {
        Self::leak_with(0, values, true, then)
    }

    fn leak_with(hash: u64, values: Texts, any: bool, then: T) -> &'static Self {
        Box::leak(Box::new(Self {
            hash,
            values,
            any,
            active: AtomicBool::new(true),
            next: OnceLock::new(),
            then,
        }))
    }

    pub(super) fn values(&self) -> &[Box<str>] {
        &self.values
    }

    #[inline]
    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    pub(super) fn set_active(&self, active: bool) {
        self.active.store(active, Ordering::Relaxed);
    }

    #[inline]
    fn is(&self, hash: u64, values: &[&str]) -> bool {
        self.any
            || self.hash == hash
                && self.values.len() == values.len()
                && self.values.iter().zip(values).all(|(a, b)| **a == **b)
    }
}

impl<T> Deref for Set<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.then
    }
}

impl<T> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Set").field(&self.values).finish()
    }
}

// === impl BeginSet, HeadSet, EndSet ===

impl Begin {
    #[inline]
    pub(crate) fn series(&self) -> &'static BeginSeries {
        &self.row.series
    }
}

impl Head {
    #[inline]
    pub(crate) fn series(&self) -> &'static HeadSeries {
        &self.row.series
    }
}

impl End {
    #[inline]
    pub(crate) fn series(&self) -> &'static EndSeries {
        &self.row.series
    }

    #[inline]
    pub(crate) fn duration(&self) -> &'static DurationSeries {
        &self.duration.series
    }
}

// === impl Chain ===

impl<T> Chain<T> {
    pub(super) fn new() -> Self {
        Self {
            first: OnceLock::new(),
        }
    }

    /// A chain of one.
    pub(super) fn of(only: &'static Set<T>) -> Self {
        let chain = Self::new();
        chain.append(only);
        chain
    }

    /// The set of these values, active or not.
    #[inline]
    pub(super) fn find(&self, hash: u64, values: &[&str]) -> Option<&'static Set<T>> {
        self.iter().find(|set| set.is(hash, values))
    }

    /// By one thread at a time, or else one of two sets is lost.
    pub(super) fn append(&self, set: &'static Set<T>) {
        let last = self.iter().last();
        let place = last.map_or(&self.first, |last| &last.next);
        let _lost = place.set(set);
        debug_assert!(_lost.is_ok(), "two threads append to one chain");
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = &'static Set<T>> {
        std::iter::successors(self.first.get().copied(), |set| set.next.get().copied())
    }
}

impl<T> fmt::Debug for Chain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chain").field(&self.iter().count()).finish()
    }
}
