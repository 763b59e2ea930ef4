//! The latest traced call of each bucket.
//!
//! Each thread keeps those of its own calls, and a scrape takes the latest of all threads. Each begins with a version, which
//! is odd while the thread writes, and a new one afterwards (a seqlock). A reader skips an exemplar that is being written.

use super::block::Block;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::trace::TraceContext;
use std::array;
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// A traced call in one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exemplar {
    pub(crate) trace: TraceContext,
    pub(crate) nanos: u64,
    /// When it was observed: the time since 1970.
    pub(crate) at: Duration,
}

/// The cells of an exemplar: its version and five words.
pub(super) const EXEMPLAR_CELLS: usize = 6;

/// Writes an exemplar to the cells from `first` on.
#[cold]
pub(super) fn keep(block: &Block, first: usize, trace: TraceContext, nanos: u64) {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let at = since_1970.unwrap_or_default();
    write(&record(block, first), &Exemplar { trace, nanos, at });
}

/// The latest of all blocks, from the cells from `first` on.
pub(super) fn latest<'a>(
    blocks: impl Iterator<Item = &'a Block>,
    first: usize,
) -> Option<Exemplar> {
    let kept = blocks.filter_map(|block| read(&record(block, first)));
    kept.max_by_key(|exemplar| exemplar.at)
}

/// Keeps the later exemplar of each bucket.
pub(super) fn take_in(block: &Block, ended: &Block, cells: &Range<usize>) {
    for first in cells.clone().step_by(EXEMPLAR_CELLS) {
        if let Some(exemplar) = latest([block, ended].into_iter(), first) {
            write(&record(block, first), &exemplar);
        }
    }
}

fn record(block: &Block, first: usize) -> [&AtomicU64; EXEMPLAR_CELLS] {
    array::from_fn(|i| block.cell(first + i))
}

/// Only one thread at a time may call this.
fn write(record: &[&AtomicU64; EXEMPLAR_CELLS], exemplar: &Exemplar) {
    let [version, words @ ..] = record;
    let before = version.load(Ordering::Relaxed);
    version.store(before.wrapping_add(1), Ordering::Relaxed);
    // A reader that sees one of the words below sees that the version is odd, or has changed.
    fence(Ordering::Release);
    let Exemplar { trace, nanos, at } = exemplar;
    let [high, low, span] = trace.to_words();
    let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
    for (word, value) in words.iter().zip([high, low, span, *nanos, at]) {
        word.store(value, Ordering::Relaxed);
    }
    version.store(before.wrapping_add(2), Ordering::Release);
}

/// Returns `None` if there is no exemplar, or it is being written.
fn read(record: &[&AtomicU64; EXEMPLAR_CELLS]) -> Option<Exemplar> {
    let [version, words @ ..] = record;
    let before = version.load(Ordering::Acquire);
    if before == 0 || before % 2 == 1 {
        return None;
    }
    let [high, low, span, nanos, at] = words.map(|word| word.load(Ordering::Relaxed));
    fence(Ordering::Acquire);
    (version.load(Ordering::Relaxed) == before).then(|| Exemplar {
        trace: TraceContext::from_words([high, low, span]),
        nanos,
        at: Duration::from_nanos(at),
    })
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    fn exemplar(id: u8) -> Exemplar {
        Exemplar {
            trace: TraceContext::new(id.into(), id.into()),
            nanos: id.into(),
            at: Duration::from_nanos(id.into()),
        }
    }

    /// A reader sees one exemplar, never parts of two.
    #[test]
    fn loom_an_exemplar_is_whole() {
        loom::model(|| {
            let block = Block::new(EXEMPLAR_CELLS);
            let written = block.clone();
            let writer = thread::spawn(move || {
                write(&record(&written, 0), &exemplar(1));
                write(&record(&written, 0), &exemplar(2));
            });
            if let Some(read) = read(&record(&block, 0)) {
                assert!(read == exemplar(1) || read == exemplar(2), "{read:?}");
            }
            writer.join().unwrap();
            assert_eq!(read(&record(&block, 0)), Some(exemplar(2)));
        });
    }
}
