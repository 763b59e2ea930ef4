//! Which block of numbers the running thread may write.
//!
//! A thread that records gets an index of its own, and with it is the only
//! writer of the blocks at that index. When it ends, a later thread inherits
//! index and blocks; the mutex around the free indices orders the two. Threads
//! beyond the number of indices, and destructors that run after a thread has
//! given its index back, write to a shared block instead.

use crate::sync::Mutex;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{LazyLock, PoisonError};
use std::thread;

/// The right to write, as a type: there is one per thread and it can be neither
/// sent nor cloned, so two threads never write one block.
pub(crate) struct Writer {
    index: Cell<usize>,
    /// Uses left until a thread that got no index asks again.
    patience: Cell<u32>,
    bound_to_thread: PhantomData<*const ()>,
}

/// The indices that no thread has.
pub(crate) struct Indices {
    free: Mutex<BTreeSet<usize>>,
}

/// Not an index: this thread has not asked yet, or got none.
const NONE: usize = usize::MAX;
/// Not an index: this thread is ending and won't ask again.
const RETIRED: usize = usize::MAX - 1;
const PATIENCE: u32 = 1024;

static INDICES: LazyLock<Indices> = LazyLock::new(|| Indices::new(index_count()));

thread_local! {
    // Without a destructor, so that it can be read until the thread is gone.
    static WRITER: Writer = const { Writer::new() };
    static GUARD: Guard = const { Guard };
}

/// Calls `record` with the running thread's right to write.
#[inline]
pub(crate) fn with_writer<R>(record: impl FnOnce(&Writer) -> R) -> R {
    WRITER.with(|writer| {
        if writer.index.get() >= RETIRED {
            settle(writer);
        }
        record(writer)
    })
}

/// How many threads can write without sharing: twice the cores, for the
/// threads of a runtime and those beside it.
pub(crate) fn index_count() -> usize {
    static COUNT: LazyLock<usize> = LazyLock::new(|| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        (2 * cores).clamp(16, 256)
    });
    *COUNT
}

#[cold]
fn settle(writer: &Writer) {
    // The guard must be there before the index: once its destructor has run
    // there is nothing left that would give an index back.
    if GUARD.try_with(|_| ()).is_err() {
        writer.index.set(RETIRED);
    }
    writer.ask(&INDICES);
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        WRITER.with(|writer| writer.retire(&INDICES));
    }
}

// === impl Writer ===

impl Writer {
    pub(crate) const fn new() -> Self {
        Self {
            index: Cell::new(NONE),
            patience: Cell::new(0),
            bound_to_thread: PhantomData,
        }
    }

    /// The index of the blocks to write, past every block if there is none.
    #[inline]
    pub(crate) fn index(&self) -> usize {
        self.index.get()
    }

    /// Takes an index if one is free, and now and then looks again if not.
    pub(crate) fn ask(&self, indices: &Indices) {
        if self.index.get() != NONE {
            return;
        }
        if let Some(patience) = self.patience.get().checked_sub(1) {
            self.patience.set(patience);
            return;
        }
        match indices.take() {
            Some(index) => self.index.set(index),
            None => self.patience.set(PATIENCE),
        }
    }

    /// Gives the index back, for good.
    pub(crate) fn retire(&self, indices: &Indices) {
        // First the own view, then the pool: a destructor that records later
        // must not be a second writer beside the heir.
        let index = self.index.replace(RETIRED);
        if index < RETIRED {
            indices.give_back(index);
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Writer").field(&self.index.get()).finish()
    }
}

// === impl Indices ===

impl Indices {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            free: Mutex::new((0..count).collect()),
        }
    }

    /// The lowest free one, so that few blocks are ever touched.
    fn take(&self) -> Option<usize> {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_first()
    }

    fn give_back(&self, index: usize) {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(index);
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_one_owner_and_is_inherited() {
        let indices = Indices::new(1);
        let (first, second) = (Writer::new(), Writer::new());
        first.ask(&indices);
        second.ask(&indices);
        assert_eq!((first.index(), second.index()), (0, NONE));

        first.retire(&indices);
        for _ in 0..=PATIENCE {
            second.ask(&indices);
        }
        first.ask(&indices);
        assert_eq!((first.index(), second.index()), (RETIRED, 0));
    }
}
