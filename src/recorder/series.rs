//! The numbers of one label set: how threads write them, and how a scrape reads them.

use super::layout::{BEGUN, ENDED, Group, Layout, Optional, WAITS_BEGUN, WAITS_ENDED};
use crate::block::{Block, EXEMPLAR_CELLS, Exemplar};
use crate::clock::{Clock, WallTime};
use crate::labels::LabelText;
use crate::sync::{Mutex, MutexGuard};
use std::cmp;
use std::sync::{OnceLock, PoisonError};

/// The numbers of one label set.
///
/// Each thread that writes has a block of its own. `rest` has the counts of threads that have ended.
#[derive(Debug)]
pub(crate) struct Series {
    values: Box<[Box<str>]>,
    text: OnceLock<LabelText>,
    clock: Clock,
    created: WallTime,
    /// Locked when a thread begins or ends and by scrapes, never by an ordinary call.
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    blocks: Vec<ThreadBlock>,
    rest: Option<Block>,
    undeclared: Vec<UndeclaredFailures>,
}

/// A block, and the thread that writes it.
#[derive(Debug)]
struct ThreadBlock {
    thread: u64,
    block: Block,
}

/// What few series have beside their numbers.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// The latest traced call of each bucket of the group. Empty if calls are not traced.
    pub(crate) exemplars: Vec<Option<Exemplar>>,
    pub(crate) undeclared: Vec<UndeclaredFailures>,
}

/// Failures by an undeclared error type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UndeclaredFailures {
    /// The index of the error type.
    pub(crate) index: usize,
    pub(crate) count: u64,
    /// When the first one was counted.
    pub(crate) created: WallTime,
}

// === impl Rare ===

impl Rare {
    pub(crate) fn is_empty(&self) -> bool {
        self.exemplars.is_empty() && self.undeclared.is_empty()
    }
}

// === impl Series ===

impl Series {
    pub(super) fn new(values: Box<[Box<str>]>, clock: Clock) -> Self {
        Self {
            values,
            text: OnceLock::new(),
            created: clock.wall_time(),
            clock,
            counts: Mutex::new(Counts::default()),
        }
    }

    /// The values of the labels that are not constant, in the order of their names.
    pub(crate) fn values(&self) -> &[Box<str>] {
        &self.values
    }

    /// When it began to count.
    pub(crate) fn created(&self) -> WallTime {
        self.created
    }

    /// The text of all labels. `write` is called the first time.
    pub(crate) fn text(&self, write: impl FnOnce() -> LabelText) -> &LabelText {
        self.text.get_or_init(write)
    }

    /// The block of a thread. It is made the first time.
    pub(super) fn block_of(&self, thread: u64, group: &Group) -> Block {
        let mut counts = self.lock();
        let mut blocks = counts.blocks.iter();
        if let Some(own) = blocks.find(|own| own.thread == thread) {
            return own.block.clone();
        }
        let block = Block::new(group.cells.all());
        let own = block.clone();
        counts.blocks.push(ThreadBlock { thread, block });
        own
    }

    /// Keeps the counts of a block that its thread no longer writes. Does nothing the second time.
    pub(super) fn let_go(&self, block: &Block, group: &Group) {
        let mut counts = self.lock();
        let mut blocks = counts.blocks.iter();
        if let Some(place) = blocks.position(|own| own.block.is(block)) {
            let ThreadBlock { block, .. } = counts.blocks.swap_remove(place);
            match &counts.rest {
                Some(rest) => group.cells.take_in(rest, &block),
                None => counts.rest = Some(block),
            }
        }
    }

    /// Adds the counts of a series that no thread writes any more. It keeps them: a page that has begun may still read it, and
    /// no counter of it goes back.
    pub(super) fn take_in(&self, left: &Self, group: &Group) {
        let (left, mut counts) = (left.lock(), self.lock());
        let new = || Block::new(group.cells.all());
        let rest = counts.rest.get_or_insert_with(new);
        for block in left.blocks() {
            group.cells.take_in(rest, block);
        }
        for failures in &left.undeclared {
            counts.count_undeclared(*failures);
        }
    }

    /// Counts a failure by an undeclared error type.
    #[cold]
    pub(crate) fn count_undeclared(&self, error_type: usize) {
        self.lock().count_undeclared(UndeclaredFailures {
            index: error_type,
            count: 1,
            created: self.clock.wall_time(),
        });
    }

    /// Appends the sums of all threads to `numbers`, cell by cell. Buckets are cumulative. [`ENDED`] has the calls in flight,
    /// and [`WAITS_ENDED`] those that wait. [`Optional::Longest`] has the longest of this window and the one before.
    pub(crate) fn read(
        &self,
        layout: &Layout,
        group: usize,
        window: u64,
        numbers: &mut Vec<u64>,
    ) -> Rare {
        let cells = &layout.groups()[group].cells;
        let waits = layout.optional(Optional::Waits);
        let waits = waits.filter(|_| layout.group_of(Optional::Waits.carrier()) == group);
        let first = numbers.len();
        numbers.resize(first + cells.numbers(), 0);
        let numbers = &mut numbers[first..];
        let counts = self.lock();
        let in_flight = counts.open([BEGUN, ENDED]);
        let waiting = waits.map(|at| counts.open([at + WAITS_BEGUN, at + WAITS_ENDED]));
        for block in counts.blocks() {
            block.add_to(numbers);
        }
        numbers[ENDED] = in_flight;
        if let (Some(at), Some(waiting)) = (waits, waiting) {
            numbers[at + WAITS_ENDED] = waiting;
        }
        if let Some(at) = cells.longest {
            let of_block = |block: &Block| {
                let windows = [window - 1, window].into_iter();
                windows.map(|window| block.longest(at, window)).max()
            };
            numbers[at] = counts.blocks().filter_map(of_block).max().unwrap_or(0);
        }
        for &at in &cells.sums {
            let sum: u128 = counts.blocks().map(|block| block.sum(at)).sum();
            numbers[at] = sum as u64;
            numbers[at + 1] = (sum >> 64) as u64;
        }
        for histogram in layout.histograms_of(group) {
            histogram.cumulate(numbers);
        }
        let mut exemplars = Vec::new();
        for first in cells.exemplars.clone().step_by(EXEMPLAR_CELLS) {
            exemplars.push(Exemplar::latest(counts.blocks(), first));
        }
        Rare {
            exemplars,
            undeclared: counts.undeclared.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// A group orders its series by their values, as the page does.
impl Ord for Series {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        self.values.cmp(&other.values)
    }
}

impl PartialOrd for Series {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Eq for Series {}

// === impl Counts ===

impl Counts {
    fn blocks(&self) -> impl Iterator<Item = &Block> {
        let own = self.blocks.iter().map(|own| &own.block);
        own.chain(&self.rest)
    }

    fn count_undeclared(&mut self, failures: UndeclaredFailures) {
        let mut counted = self.undeclared.iter_mut();
        match counted.find(|counted| counted.index == failures.index) {
            Some(counted) => counted.count += failures.count,
            None => self.undeclared.push(failures),
        }
    }

    /// Calls or waits that have begun and not ended. Never negative: the second sum has the beginning of each call whose end is in
    /// the first.
    ///
    /// A call that begins and ends between the two sums looks as if it were in flight. If calls have ended meanwhile, both
    /// are taken again, and the lowest difference counts.
    fn open(&self, [begun, ended]: [usize; 2]) -> u64 {
        const ATTEMPTS: usize = 8;
        let ended = || -> u64 { self.blocks().map(|block| block.get_published(ended)).sum() };
        let mut lowest = u64::MAX;
        for _ in 0..ATTEMPTS {
            let before = ended();
            let begun: u64 = self.blocks().map(|block| block.get(begun)).sum();
            lowest = lowest.min(begun.saturating_sub(before));
            if ended() == before {
                break;
            }
        }
        lowest
    }
}

/// Run with `RUSTFLAGS="--cfg openmetrics_loom" cargo test --release --lib loom`.
#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use crate::recorder::REQUESTS;
    use crate::settings::Settings;
    use crate::sync::{AtomicU64, Ordering};
    use loom::sync::Arc;
    use loom::thread;

    struct World {
        layout: Layout,
        series: Series,
        /// Set by one thread, read by another.
        signal: AtomicU64,
    }

    impl World {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                layout: Layout::new(&Settings::default()),
                series: Series::new(Box::default(), Clock::real()),
                signal: AtomicU64::new(0),
            })
        }

        /// A thread counts, and ends.
        fn thread_life(&self, thread: u64, count: impl FnOnce(&Block)) {
            let group = &self.layout.groups()[0];
            let block = self.series.block_of(thread, group);
            count(&block);
            self.series.let_go(&block, group);
        }

        fn read(&self) -> Vec<u64> {
            let mut numbers = Vec::new();
            self.series.read(&self.layout, 0, 1, &mut numbers);
            numbers
        }
    }

    /// Threads count and end during two scrapes: no number goes back, and none is lost.
    #[test]
    fn loom_an_ended_threads_counts_stay() {
        loom::model(|| {
            let world = World::new();
            let threads = [1, 2].map(|thread| {
                let world = world.clone();
                thread::spawn(move || world.thread_life(thread, |block| block.add(REQUESTS, 1)))
            });
            let (first, second) = (world.read()[REQUESTS], world.read()[REQUESTS]);
            assert!(first <= second, "{first}, then {second}");
            let _ = threads.map(|thread| thread.join().unwrap());
            assert_eq!(world.read()[REQUESTS], 2);
        });
    }

    /// A call begins on one thread and ends on another while a third reads, and threads end: no scrape sees an end without
    /// its beginning.
    #[test]
    fn loom_no_scrape_sees_an_end_without_its_beginning() {
        loom::model(|| {
            let world = World::new();
            let ender = {
                let world = world.clone();
                thread::spawn(move || {
                    if world.signal.load(Ordering::Acquire) == 1 {
                        world.thread_life(2, |block| block.publish(ENDED));
                    }
                })
            };
            let scraper = {
                let world = world.clone();
                thread::spawn(move || {
                    let counts = world.series.lock();
                    let ended: u64 = counts
                        .blocks()
                        .map(|block| block.get_published(ENDED))
                        .sum();
                    let begun: u64 = counts.blocks().map(|block| block.get(BEGUN)).sum();
                    assert!(ended <= begun, "{ended} ended of {begun}");
                })
            };
            world.thread_life(1, |block| {
                block.add(BEGUN, 1);
                world.signal.store(1, Ordering::Release);
            });
            ender.join().unwrap();
            scraper.join().unwrap();
        });
    }
}
