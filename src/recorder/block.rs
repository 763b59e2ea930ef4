//! What one thread has counted of one series.
//!
//! A cache line that two cores write costs more than all else that counting a call does. So each thread has a block of its
//! own, and adds by a plain load and store instead of a locked read-modify-write. A scrape sums the blocks of all threads.

use crate::sync::{AtomicU64, Ordering, fence};
use crate::trace::TraceContext;
use std::array;
use std::fmt;
use std::hint;
use std::ops::Range;
use std::sync::Arc;

/// One thread's numbers of one series, in cells.
///
/// Clones are handles to the same numbers. One thread writes at a time: the one that the block was made for, and after
/// that has ended the holder of the series' lock.
#[derive(Clone)]
pub(crate) struct Block {
    cells: Arc<[AtomicU64]>,
}

/// The cells of a block that are not plain counters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cells {
    /// The first cell of each sum.
    pub(super) sums: Vec<usize>,
    /// The first cell of the longest durations of late.
    pub(super) longest: Option<usize>,
    /// After all numbers.
    pub(super) exemplars: Range<usize>,
}

/// A traced call in one bucket: the latest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exemplar {
    pub(crate) trace: TraceContext,
    pub(crate) nanos: u64,
    /// When it was observed, in nanoseconds since 1970.
    pub(crate) at: u64,
}

/// A sum takes two cells: its low half, and twice the number of times that the low half has overflowed.
pub(super) const SUM_CELLS: usize = 2;

/// The longest durations of late take two cells for each of [`WINDOWS`]: the window, from 1 on, and its longest duration.
pub(super) const LONGEST_CELLS: usize = 2 * WINDOWS as usize;
/// A page shows two windows while calls end in the third.
const WINDOWS: u64 = 3;

/// The cells of an exemplar: a version and five words.
pub(super) const EXEMPLAR_CELLS: usize = 6;

// === impl Block ===

impl Block {
    pub(super) fn new(cells: usize) -> Self {
        let cells = (0..cells).map(|_| AtomicU64::new(0));
        Self {
            cells: cells.collect(),
        }
    }

    #[inline]
    pub(super) fn cell(&self, cell: usize) -> &AtomicU64 {
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

    pub(super) fn get(&self, cell: usize) -> u64 {
        self.cell(cell).load(Ordering::Relaxed)
    }

    pub(super) fn get_published(&self, cell: usize) -> u64 {
        self.cell(cell).load(Ordering::Acquire)
    }

    /// Adds cell by cell to `numbers`.
    pub(super) fn add_to(&self, numbers: &mut [u64]) {
        for (number, cell) in numbers.iter_mut().zip(&*self.cells) {
            *number = number.wrapping_add(cell.load(Ordering::Relaxed));
        }
    }

    /// Adds to the sum that begins at `cell`. It never wraps: 2^64 nanoseconds are 21 days of 10,000 open streams.
    #[inline]
    pub(super) fn add_to_sum(&self, cell: usize, amount: u64) {
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

    /// The sum that begins at `cell`.
    pub(super) fn sum(&self, cell: usize) -> u128 {
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

    /// Keeps `nanos` if it is the longest duration of this window. `at` is the first of [`LONGEST_CELLS`].
    pub(crate) fn keep_longest(&self, at: usize, window: u64, nanos: u64) {
        let [begun, longest] = self.longest_cells(at, window);
        let before = match begun.load(Ordering::Relaxed) == window {
            true => longest.load(Ordering::Relaxed),
            false => 0,
        };
        longest.store(before.max(nanos), Ordering::Relaxed);
        // Release: whoever sees the window sees none of the durations that had the cell before.
        begun.store(window, Ordering::Release);
    }

    /// The longest duration of this window, or 0.
    pub(super) fn longest(&self, at: usize, window: u64) -> u64 {
        let [begun, longest] = self.longest_cells(at, window);
        match begun.load(Ordering::Acquire) == window {
            true => longest.load(Ordering::Relaxed),
            false => 0,
        }
    }

    fn longest_cells(&self, at: usize, window: u64) -> [&AtomicU64; 2] {
        let first = at + 2 * (window % WINDOWS) as usize;
        [self.cell(first), self.cell(first + 1)]
    }

    /// Adds the numbers of an ended thread's block. No other thread writes to either.
    pub(super) fn take_in(&self, ended: &Self, cells: &Cells) {
        let sums = &cells.sums;
        let sums = sums.iter().map(|at| *at..at + SUM_CELLS);
        let longest = cells.longest.map(|at| at..at + LONGEST_CELLS);
        let special: Vec<_> = sums.chain(longest).collect();
        let is_special = |cell| special.iter().any(|cells| cells.contains(&cell));
        for cell in (0..cells.numbers()).filter(|cell| !is_special(*cell)) {
            self.add(cell, ended.get(cell));
        }
        if let Some(at) = cells.longest {
            for window in (at..at + LONGEST_CELLS)
                .step_by(2)
                .map(|cell| ended.get(cell))
            {
                let [later, _] = self.longest_cells(at, window);
                if window > 0 && window >= later.load(Ordering::Relaxed) {
                    self.keep_longest(at, window, ended.longest(at, window));
                }
            }
        }
        for &at in &cells.sums {
            let sum = self.sum(at) + ended.sum(at);
            let carried = (sum >> 64) as u64 - self.get(at + 1) / 2;
            self.carry(at, sum as u64, carried);
        }
        for first in cells.exemplars.clone().step_by(EXEMPLAR_CELLS) {
            if let Some(exemplar) = Exemplar::latest([self, ended].into_iter(), first) {
                self.keep_exemplar(first, exemplar);
            }
        }
    }

    fn exemplar_cells(&self, first: usize) -> [&AtomicU64; EXEMPLAR_CELLS] {
        array::from_fn(|i| self.cell(first + i))
    }

    /// Writes an exemplar to the cells from `first` on.
    ///
    /// A seqlock: the version is odd while the words do not belong together.
    #[cold]
    pub(super) fn keep_exemplar(&self, first: usize, exemplar: Exemplar) {
        let [version, words @ ..] = self.exemplar_cells(first);
        let before = version.load(Ordering::Relaxed);
        version.store(before.wrapping_add(1), Ordering::Relaxed);
        // A reader that sees one of the words below sees that the version is odd, or has changed.
        fence(Ordering::Release);
        let Exemplar { trace, nanos, at } = exemplar;
        let [high, low, span] = trace.to_words();
        for (word, value) in words.iter().zip([high, low, span, nanos, at]) {
            word.store(value, Ordering::Relaxed);
        }
        version.store(before.wrapping_add(2), Ordering::Release);
    }

    /// The exemplar in the cells from `first` on. `None` if there is none, or it is being written: its thread waits for no
    /// reader.
    fn exemplar(&self, first: usize) -> Option<Exemplar> {
        let [version, words @ ..] = self.exemplar_cells(first);
        let before = version.load(Ordering::Acquire);
        if before == 0 || before % 2 == 1 {
            return None;
        }
        let [high, low, span, nanos, at] = words.map(|word| word.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        (version.load(Ordering::Relaxed) == before).then(|| Exemplar {
            trace: TraceContext::from_words([high, low, span]),
            nanos,
            at,
        })
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cells, &other.cells)
    }

    /// Whether its thread holds no other handle: the series holds one.
    pub(super) fn is_last_of_thread(&self) -> bool {
        Arc::strong_count(&self.cells) <= 2
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").finish_non_exhaustive()
    }
}

// === impl Cells ===

impl Cells {
    pub(super) fn all(&self) -> usize {
        self.exemplars.end
    }

    /// The number of cells before the exemplars.
    pub(super) fn numbers(&self) -> usize {
        self.exemplars.start
    }
}

// === impl Exemplar ===

impl Exemplar {
    /// The latest of all blocks, from the cells from `first` on.
    pub(super) fn latest<'a>(
        blocks: impl Iterator<Item = &'a Block>,
        first: usize,
    ) -> Option<Self> {
        let kept = blocks.filter_map(|block| block.exemplar(first));
        kept.max_by_key(|exemplar| exemplar.at)
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn sums_go_beyond_64_bits() {
        let cells = Cells {
            sums: vec![1],
            longest: None,
            exemplars: 3..3,
        };
        let [block, ended] = [(); 2].map(|()| Block::new(cells.all()));
        let max = u128::from(u64::MAX);
        for times in 1..=3 {
            block.add_to_sum(1, u64::MAX);
            assert_eq!(block.sum(1), times * max);
        }
        ended.add_to_sum(1, u64::MAX);
        ended.add_to_sum(1, 5);
        ended.add(0, 7);
        block.take_in(&ended, &cells);
        assert_eq!((block.get(0), block.sum(1)), (7, 4 * max + 5));
        block.take_in(&ended, &cells);
        assert_eq!((block.get(0), block.sum(1)), (14, 5 * max + 10));
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

    fn exemplar(id: u8) -> Exemplar {
        Exemplar {
            trace: TraceContext::new(id.into(), id.into()),
            nanos: id.into(),
            at: id.into(),
        }
    }

    /// A reader sees one exemplar, never parts of two.
    #[test]
    fn loom_an_exemplar_is_whole() {
        loom::model(|| {
            let block = Block::new(EXEMPLAR_CELLS);
            let written = block.clone();
            let writer = thread::spawn(move || {
                written.keep_exemplar(0, exemplar(1));
                written.keep_exemplar(0, exemplar(2));
            });
            if let Some(read) = block.exemplar(0) {
                assert!(read == exemplar(1) || read == exemplar(2), "{read:?}");
            }
            writer.join().unwrap();
            assert_eq!(block.exemplar(0), Some(exemplar(2)));
        });
    }
}
