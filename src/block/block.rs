//! Counters and sums.

use crate::sync::{AtomicU64, Ordering, fence};
use std::fmt;
use std::hint;
use std::sync::Arc;

/// One thread's numbers of one series, in cells.
///
/// Clones are handles to the same numbers. One thread writes at a time: the one that the block was made for, and after
/// that has ended the holder of the series' lock.
#[derive(Clone)]
pub(crate) struct Block {
    cells: Arc<[AtomicU64]>,
}

/// A sum takes two cells: its low half, and twice the number of times that the low half has overflowed.
pub(crate) const SUM_CELLS: usize = 2;

// === impl Block ===

impl Block {
    pub(crate) fn new(cells: usize) -> Self {
        let cells = (0..cells).map(|_| AtomicU64::new(0));
        Self {
            cells: cells.collect(),
        }
    }

    #[inline]
    pub(crate) fn cell(&self, cell: usize) -> &AtomicU64 {
        &self.cells[cell]
    }

    #[inline]
    pub(crate) fn add(&self, cell: usize, amount: u64) {
        self.add_with(cell, amount, Ordering::Relaxed);
    }

    /// Adds one to a cell. A reader that sees it by [`get_published`](Self::get_published) sees all that was counted before.
    #[inline]
    pub(crate) fn publish(&self, cell: usize) {
        self.add_with(cell, 1, Ordering::Release);
    }

    #[inline]
    fn add_with(&self, cell: usize, amount: u64, order: Ordering) {
        let cell = self.cell(cell);
        let value = cell.load(Ordering::Relaxed);
        cell.store(value.wrapping_add(amount), order);
    }

    pub(crate) fn get(&self, cell: usize) -> u64 {
        self.cell(cell).load(Ordering::Relaxed)
    }

    pub(crate) fn get_published(&self, cell: usize) -> u64 {
        self.cell(cell).load(Ordering::Acquire)
    }

    /// Adds cell by cell to `numbers`.
    pub(crate) fn add_to(&self, numbers: &mut [u64]) {
        for (number, cell) in numbers.iter_mut().zip(&*self.cells) {
            *number = number.wrapping_add(cell.load(Ordering::Relaxed));
        }
    }

    /// Adds to the sum that begins at `cell`. It never wraps: 2^64 nanoseconds are 21 days of 10,000 open streams.
    #[inline]
    pub(crate) fn add_to_sum(&self, cell: usize, amount: u64) {
        let low = self.cell(cell);
        let (sum, overflows) = low.load(Ordering::Relaxed).overflowing_add(amount);
        if overflows {
            self.carry(cell, sum, 1);
        } else {
            low.store(sum, Ordering::Relaxed);
        }
    }

    /// A seqlock: the high half is odd while the halves do not belong together.
    #[cold]
    fn carry(&self, cell: usize, low: u64, carried: u64) {
        let high = self.cell(cell + 1);
        let before = high.load(Ordering::Relaxed);
        high.store(before + 1, Ordering::Relaxed);
        // A reader that sees the new low half sees that the high half is odd, or has changed.
        fence(Ordering::Release);
        self.cell(cell).store(low, Ordering::Relaxed);
        high.store(before + 2 * carried, Ordering::Release);
    }

    /// Adds the sum of an ended thread's block.
    pub(super) fn take_in_sum(&self, cell: usize, ended: &Self) {
        let sum = self.sum(cell) + ended.sum(cell);
        let carried = (sum >> 64) as u64 - self.get(cell + 1) / 2;
        self.carry(cell, sum as u64, carried);
    }

    /// The sum that begins at `cell`.
    pub(crate) fn sum(&self, cell: usize) -> u128 {
        let [low, high] = [0, 1].map(|half| self.cell(cell + half));
        loop {
            let before = high.load(Ordering::Acquire);
            let sum = u128::from(before / 2) << 64 | u128::from(low.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before % 2 == 0 && high.load(Ordering::Relaxed) == before {
                return sum;
            }
            hint::spin_loop();
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cells, &other.cells)
    }

    /// Whether its thread holds no other handle: the series holds one.
    pub(crate) fn is_last_of_thread(&self) -> bool {
        Arc::strong_count(&self.cells) <= 2
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").finish_non_exhaustive()
    }
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    /// The halves of a sum belong together even while it overflows.
    #[test]
    fn loom_a_sum_is_whole() {
        loom::model(|| {
            let block = Block::new(SUM_CELLS);
            block.add_to_sum(0, u64::MAX);
            let written = block.clone();
            let writer = thread::spawn(move || {
                written.add_to_sum(0, 2);
                written.add_to_sum(0, 3);
            });
            let max = u128::from(u64::MAX);
            let (first, second) = (block.sum(0), block.sum(0));
            assert!([0, 2, 5].map(|more| max + more).contains(&first), "{first}");
            assert!(first <= second, "{first}, then {second}");
            writer.join().unwrap();
            assert_eq!(block.sum(0), max + 5);
        });
    }
}
