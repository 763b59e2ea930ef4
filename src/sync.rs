//! The primitives that the recorder is built on: the standard library's, or
//! loom's when its tests run.

#[cfg(not(all(openmetrics_loom, test)))]
mod imp {
    pub(crate) use std::sync::atomic::{
        AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence,
    };
    pub(crate) use std::sync::{Mutex, MutexGuard};

    /// Stores, relaxed, to a word that others change by compare-and-exchange.
    #[inline]
    pub(crate) fn overwrite(word: &AtomicU64, value: u64) {
        word.store(value, Ordering::Relaxed);
    }
}

#[cfg(all(openmetrics_loom, test))]
mod imp {
    pub(crate) use loom::sync::atomic::{
        AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence,
    };
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    /// A swap, because loom 0.7 would let a plain store come between what a
    /// compare-and-exchange has read and what it writes, which no machine does.
    pub(crate) fn overwrite(word: &AtomicU64, value: u64) {
        word.swap(value, Ordering::Relaxed);
    }
}

pub(crate) use self::imp::{
    AtomicU8, AtomicU16, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, fence, overwrite,
};
