//! The longest durations of late.

use super::block::Block;
use crate::sync::{AtomicU64, Ordering};

/// The longest durations of late take two cells for each of [`WINDOWS`]: the window, from 1 on, and its longest duration.
pub(crate) const LONGEST_CELLS: usize = 2 * WINDOWS as usize;
/// A page shows two windows while calls end in the third.
const WINDOWS: u64 = 3;

impl Block {
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
    pub(crate) fn longest(&self, at: usize, window: u64) -> u64 {
        let [begun, longest] = self.longest_cells(at, window);
        match begun.load(Ordering::Acquire) == window {
            true => longest.load(Ordering::Relaxed),
            false => 0,
        }
    }

    /// Keeps those of an ended thread's block.
    pub(super) fn take_in_longest(&self, at: usize, ended: &Self) {
        for cell in (at..at + LONGEST_CELLS).step_by(2) {
            let window = ended.get(cell);
            if window > 0 && window >= self.get(cell) {
                self.keep_longest(at, window, ended.longest(at, window));
            }
        }
    }

    fn longest_cells(&self, at: usize, window: u64) -> [&AtomicU64; 2] {
        let first = at + 2 * (window % WINDOWS) as usize;
        [self.cell(first), self.cell(first + 1)]
    }
}
