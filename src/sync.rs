//! The recorder's synchronization primitives: those of the standard library, or loom's in its
//! tests.

#[cfg(not(all(openmetrics_loom, test)))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use std::sync::{Mutex, MutexGuard};

    /// Stores `value` (relaxed) in a word that other threads change by compare-and-exchange.
    #[inline]
    pub(crate) fn overwrite(word: &AtomicU64, value: u64) {
        word.store(value, Ordering::Relaxed);
    }
}

#[cfg(all(openmetrics_loom, test))]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    /// Swaps, because loom 0.7 lets a plain store happen between the read and the write of a
    /// compare-and-exchange, which no machine does.
    pub(crate) fn overwrite(word: &AtomicU64, value: u64) {
        word.swap(value, Ordering::Relaxed);
    }
}

pub(crate) use self::imp::{
    AtomicU8, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, fence, overwrite,
};
