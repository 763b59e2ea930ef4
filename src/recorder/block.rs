//! Numbers that each thread adds to in a block of its own.
//!
//! A cache line that two cores write costs more than all else a request does to
//! be counted. So a thread has its own block, and adds with a plain load and
//! store where a shared number would need a locked read-modify-write; who wants
//! to read sums the blocks.

use super::thread::{Writer, index_count};
use crate::sync::{AtomicU64, Ordering};
use std::array;
use std::fmt;
use std::hint::black_box;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::OnceLock;

/// A row of counters, in one block per thread that writes them.
///
/// Blocks are made when a thread first writes, and stay.
pub(crate) struct Blocks {
    lines: usize,
    own: Box<[OnceLock<Block>]>,
    shared: OnceLock<Block>,
    /// None of `own` is there from this one on. Raised before a block is, so that who has learnt of what
    /// was recorded in one finds it below.
    end: AtomicU64,
}

/// The running thread's counters, to add to.
pub(crate) struct Cells<'a> {
    block: &'a [Line],
    sole_writer: bool,
    bound_to_thread: PhantomData<*const ()>,
}

type Block = Box<[Line]>;

/// Two cache lines' worth of counters. Processors fetch lines in pairs, so that
/// smaller alignment would let neighbours disturb each other.
#[repr(align(128))]
struct Line([AtomicU64; LINE]);

const LINE: usize = 16;

// === impl Blocks ===

impl Blocks {
    /// Room for counters `0..cells`, all at zero.
    pub(crate) fn new(cells: usize) -> Self {
        Self::with_indices(cells, index_count())
    }

    fn with_indices(cells: usize, indices: usize) -> Self {
        Self {
            lines: cells.div_ceil(LINE),
            own: (0..indices).map(|_| OnceLock::new()).collect(),
            shared: OnceLock::new(),
            end: AtomicU64::new(0),
        }
    }

    /// The counters that `writer` may add to.
    #[inline]
    pub(crate) fn cells<'a>(&'a self, writer: &'a Writer) -> Cells<'a> {
        let (slot, sole_writer) = match self.own.get(writer.index()) {
            Some(own) => (own, true),
            None => (&self.shared, false),
        };
        Cells {
            block: slot.get_or_init(|| self.block_at(writer.index())),
            sole_writer,
            bound_to_thread: PhantomData,
        }
    }

    /// The sum of counter `cell` over all threads. Sums that are read one after
    /// the other never decrease.
    pub(crate) fn sum(&self, cell: usize) -> u64 {
        self.sum_with(cell, Ordering::Relaxed)
    }

    /// As [`sum`](Self::sum); and all that was recorded before a
    /// [`Cells::publish`] that it has seen is seen by sums read after it.
    pub(crate) fn sum_published(&self, cell: usize) -> u64 {
        self.sum_with(cell, Ordering::Acquire)
    }

    /// As [`sum`](Self::sum), of several counters in a row, block by block. The sums come to the end of `numbers`.
    pub(crate) fn push_sums(&self, cells: Range<usize>, numbers: &mut Vec<u64>) {
        let before = numbers.len();
        numbers.resize(before + cells.len(), 0);
        for block in self.written() {
            let lines = &block[cells.start / LINE..];
            let counters = lines.iter().flat_map(|line| &line.0);
            let counters = counters.skip(cells.start % LINE);
            for (sum, counter) in numbers[before..].iter_mut().zip(counters) {
                *sum = sum.wrapping_add(counter.load(Ordering::Relaxed));
            }
        }
    }

    /// Has the processor fetch what sums are made of. It fetches for several at a time where they are called on one
    /// after the other, and for one at a time where they are summed.
    pub(crate) fn prefetch(&self) {
        for block in self.written() {
            for Line(counters) in block {
                for half in counters.chunks(LINE / 2) {
                    black_box(half[0].load(Ordering::Relaxed));
                }
            }
        }
    }

    /// The cells of each thread that has written, `count` of them from `first` on, for what
    /// is not a sum.
    pub(super) fn of_threads<const COUNT: usize>(
        &self,
        first: usize,
    ) -> impl Iterator<Item = [&AtomicU64; COUNT]> {
        self.written()
            .map(move |block| array::from_fn(|i| counter(block, first + i)))
    }

    /// Back to zero. Nothing may be recorded meanwhile.
    pub(crate) fn reset(&self) {
        for block in self.written() {
            for counter in block.iter().flat_map(|line| &line.0) {
                counter.store(0, Ordering::Relaxed);
            }
        }
    }

    fn sum_with(&self, cell: usize, order: Ordering) -> u64 {
        self.written().fold(0, |sum: u64, block| {
            sum.wrapping_add(counter(block, cell).load(order))
        })
    }

    /// Whether there is anything to be summed.
    pub(crate) fn is_written(&self) -> bool {
        self.written().next().is_some()
    }

    fn written(&self) -> impl Iterator<Item = &Block> {
        let end = self.end.load(Ordering::Acquire) as usize;
        self.own
            .iter()
            .take(end)
            .chain([&self.shared])
            .filter_map(OnceLock::get)
    }

    /// The block of this index, or the shared one.
    #[cold]
    fn block_at(&self, index: usize) -> Block {
        if index < self.own.len() {
            self.end.fetch_max(index as u64 + 1, Ordering::Release);
        }
        self.block()
    }

    fn block(&self) -> Block {
        (0..self.lines)
            .map(|_| Line(array::from_fn(|_| AtomicU64::new(0))))
            .collect()
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("lines", &self.lines)
            .field("written", &self.written().count())
            .finish()
    }
}

// === impl Cells ===

impl Cells<'_> {
    /// Adds to counter `cell`.
    #[inline]
    pub(crate) fn add(&self, cell: usize, amount: u64) {
        self.add_with(cell, amount, Ordering::Relaxed);
    }

    /// Adds one to counter `cell`, and lets who sees it by
    /// [`Blocks::sum_published`] see all that this thread knew before.
    #[inline]
    pub(crate) fn publish(&self, cell: usize) {
        self.add_with(cell, 1, Ordering::Release);
    }

    /// Cells for what is not a sum, `COUNT` of them from `first` on, if this thread alone
    /// writes there.
    pub(super) fn own<const COUNT: usize>(&self, first: usize) -> Option<[&AtomicU64; COUNT]> {
        self.sole_writer
            .then(|| array::from_fn(|i| counter(self.block, first + i)))
    }

    #[inline]
    fn add_with(&self, cell: usize, amount: u64, order: Ordering) {
        let counter = counter(self.block, cell);
        if self.sole_writer {
            let value = counter.load(Ordering::Relaxed);
            counter.store(value.wrapping_add(amount), order);
        } else {
            counter.fetch_add(amount, order);
        }
    }
}

#[inline]
fn counter(block: &[Line], cell: usize) -> &AtomicU64 {
    &block[cell / LINE].0[cell % LINE]
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::super::thread::Indices;
    use super::*;

    #[test]
    fn sums_span_own_and_shared_blocks() {
        let blocks = Blocks::with_indices(20, 1);
        let indices = Indices::new(1);
        let (owner, guest) = (Writer::new(), Writer::new());
        owner.ask(&indices);
        guest.ask(&indices);
        blocks.cells(&owner).add(19, 3);
        blocks.cells(&guest).add(19, 4);
        assert_eq!((blocks.sum(0), blocks.sum(19)), (0, 7));
        blocks.reset();
        assert_eq!(blocks.sum(19), 0);
    }
}

/// Run with `RUSTFLAGS="--cfg openmetrics_loom" cargo test --release --lib loom`.
#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::super::thread::Indices;
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    const BEGUN: usize = 0;
    const ENDED: usize = 1;

    impl Blocks {
        /// With all blocks there: `OnceLock` is none of loom's business.
        pub(in super::super) fn made(cells: usize, indices: usize) -> Self {
            let blocks = Self::with_indices(cells, indices);
            for slot in blocks.own.iter().chain([&blocks.shared]) {
                slot.get_or_init(|| blocks.block());
            }
            blocks.end.store(indices as u64, Ordering::Release);
            blocks
        }
    }

    struct World {
        blocks: Blocks,
        indices: Indices,
    }

    impl World {
        fn new(indices: usize) -> Arc<Self> {
            Arc::new(Self {
                blocks: Blocks::made(2, indices),
                indices: Indices::new(indices),
            })
        }

        /// The right to write of a thread that has just started.
        fn writer(&self) -> Writer {
            let writer = Writer::new();
            writer.ask(&self.indices);
            writer
        }

        fn begin(&self, writer: &Writer) {
            self.blocks.cells(writer).add(BEGUN, 1);
        }

        fn end(&self, writer: &Writer) {
            self.blocks.cells(writer).publish(ENDED);
        }

        fn sums(&self) -> (u64, u64) {
            (self.blocks.sum(BEGUN), self.blocks.sum(ENDED))
        }

        /// A whole thread: a call, its guard's destructor, and a call in a
        /// destructor that runs after that one.
        fn thread_life(&self) {
            let writer = self.writer();
            self.begin(&writer);
            self.end(&writer);
            writer.retire(&self.indices);
            self.begin(&writer);
            self.end(&writer);
        }
    }

    /// Three threads over one index: its owner, heirs of it, guests of the shared
    /// block. Nothing is lost, whoever got the index when.
    #[test]
    fn loom_inheritance_loses_nothing() {
        loom::model(|| {
            let world = World::new(1);
            let threads = [(); 2].map(|()| {
                let world = world.clone();
                thread::spawn(move || world.thread_life())
            });
            let writer = world.writer();
            world.begin(&writer);
            world.end(&writer);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(world.sums(), (5, 5));
        });
    }

    /// Two scrapes in a row while a block goes from its owner to an heir: no sum
    /// goes back.
    #[test]
    fn loom_sums_never_decrease() {
        loom::model(|| {
            let world = World::new(1);
            let threads = [(); 2].map(|()| {
                let world = world.clone();
                thread::spawn(move || {
                    let writer = world.writer();
                    world.begin(&writer);
                    writer.retire(&world.indices);
                })
            });
            let first = world.blocks.sum(BEGUN);
            let second = world.blocks.sum(BEGUN);
            assert!(first <= second, "{first}, then {second}");
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(world.blocks.sum(BEGUN), 2);
        });
    }
}
