//! What the cells of a block are.

use super::block::{Block, SUM_CELLS};
use super::exemplar::{EXEMPLAR_CELLS, Exemplar};
use super::longest::LONGEST_CELLS;
use std::ops::Range;

/// The cells of a block that are not plain counters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cells {
    /// The first cell of each sum.
    pub(crate) sums: Vec<usize>,
    /// The first cell of the longest durations of late, if they are kept.
    pub(crate) longest: Option<usize>,
    /// After all numbers.
    pub(crate) exemplars: Range<usize>,
}

// === impl Cells ===

impl Cells {
    /// So many counters.
    pub(crate) fn new(counters: usize) -> Self {
        Self {
            sums: Vec::new(),
            longest: None,
            exemplars: counters..counters,
        }
    }

    /// Adds counters. Returns the first one.
    pub(crate) fn add(&mut self, counters: usize) -> usize {
        let first = self.numbers();
        self.exemplars = first + counters..first + counters;
        first
    }

    pub(crate) fn add_sum(&mut self) -> usize {
        let first = self.add(SUM_CELLS);
        self.sums.push(first);
        first
    }

    /// Adds so many exemplars. No numbers can be added after that.
    pub(crate) fn add_exemplars(&mut self, count: usize) -> usize {
        let first = self.all();
        self.exemplars.end += EXEMPLAR_CELLS * count;
        first
    }

    pub(crate) fn all(&self) -> usize {
        self.exemplars.end
    }

    /// The number of cells before the exemplars.
    pub(crate) fn numbers(&self) -> usize {
        self.exemplars.start
    }

    fn counters(&self) -> impl Iterator<Item = usize> {
        let is_of_sum = |cell| {
            self.sums
                .iter()
                .any(|at| (*at..at + SUM_CELLS).contains(&cell))
        };
        let longest = self.longest.map(|at| at..at + LONGEST_CELLS);
        let is_of_longest = move |cell| longest.as_ref().is_some_and(|of| of.contains(&cell));
        (0..self.numbers()).filter(move |cell| !is_of_sum(*cell) && !is_of_longest(*cell))
    }

    /// Adds to a block the numbers of an ended thread's block. No other thread writes to either.
    pub(crate) fn take_in(&self, block: &Block, ended: &Block) {
        for cell in self.counters() {
            block.add(cell, ended.get(cell));
        }
        for &at in &self.sums {
            block.take_in_sum(at, ended);
        }
        if let Some(at) = self.longest {
            block.take_in_longest(at, ended);
        }
        for first in self.exemplars.clone().step_by(EXEMPLAR_CELLS) {
            if let Some(exemplar) = Exemplar::latest([block, ended].into_iter(), first) {
                block.keep_exemplar(first, exemplar);
            }
        }
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn sums_go_beyond_64_bits() {
        let mut cells = Cells::new(1);
        assert_eq!(cells.add_sum(), 1);
        let [block, ended] = [(); 2].map(|()| Block::new(cells.all()));
        let max = u128::from(u64::MAX);
        for times in 1..=3 {
            block.add_to_sum(1, u64::MAX);
            assert_eq!(block.sum(1), times * max);
        }
        ended.add_to_sum(1, u64::MAX);
        ended.add_to_sum(1, 5);
        ended.add(0, 7);
        cells.take_in(&block, &ended);
        assert_eq!((block.get(0), block.sum(1)), (7, 4 * max + 5));
        cells.take_in(&block, &ended);
        assert_eq!((block.get(0), block.sum(1)), (14, 5 * max + 10));
    }
}
