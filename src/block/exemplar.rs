//! The latest traced call of a bucket.

use super::block::Block;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::trace::TraceContext;
use std::array;

/// A traced call in one bucket: the latest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exemplar {
    pub(crate) trace: TraceContext,
    pub(crate) nanos: u64,
    /// When it was observed, in nanoseconds since 1970.
    pub(crate) at: u64,
}

/// The cells of an exemplar: a version and five words.
pub(crate) const EXEMPLAR_CELLS: usize = 6;

// === impl Exemplar ===

impl Exemplar {
    /// The latest of all blocks, from the cells from `first` on.
    pub(crate) fn latest<'a>(
        blocks: impl Iterator<Item = &'a Block>,
        first: usize,
    ) -> Option<Self> {
        let kept = blocks.filter_map(|block| block.exemplar(first));
        kept.max_by_key(|exemplar| exemplar.at)
    }
}

// === impl Block ===

impl Block {
    fn exemplar_cells(&self, first: usize) -> [&AtomicU64; EXEMPLAR_CELLS] {
        array::from_fn(|i| self.cell(first + i))
    }

    /// Writes an exemplar to the cells from `first` on.
    ///
    /// A seqlock: the version is odd while the words do not belong together.
    #[cold]
    pub(crate) fn keep_exemplar(&self, first: usize, exemplar: Exemplar) {
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
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

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
