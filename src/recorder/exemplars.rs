//! The latest traced call of each bucket.
//!
//! A thread keeps those of its own calls, as it does its counters, and a scrape takes the latest of all threads. What
//! a thread writes while it is read is told by a number that is odd meanwhile and another one afterwards
//! (a seqlock): then that thread's is passed over, for the writer waits for nobody.

use super::block::Blocks;
use super::thread::Writer;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::trace::TraceContext;
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// A traced call, as one bucket has kept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exemplar {
    pub(crate) trace: TraceContext,
    pub(crate) nanos: u64,
    /// When it was observed, since 1970.
    pub(crate) at: Duration,
}

/// Room for an exemplar for each bucket of a series' histograms.
#[derive(Debug)]
pub(crate) struct Exemplars {
    records: Option<Blocks>,
}

/// A number that tells whether the rest is whole, and the exemplar.
const RECORD: usize = 6;

// === impl Exemplars ===

impl Exemplars {
    /// For so many buckets, if calls can be traced.
    pub(super) fn new(on: bool, buckets: usize) -> Self {
        Self {
            records: on.then(|| Blocks::new(RECORD * buckets)),
        }
    }

    /// Keeps a call for a bucket. Threads that share a block keep none.
    #[cold]
    pub(super) fn keep(&self, writer: &Writer, bucket: usize, trace: TraceContext, nanos: u64) {
        let Some(records) = &self.records else {
            return;
        };
        let cells = records.cells(writer);
        if let Some(record) = cells.own(RECORD * bucket) {
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let at = since_1970.unwrap_or_default();
            write(&record, &Exemplar { trace, nanos, at });
        }
    }

    /// The latest that was kept for this bucket.
    pub(super) fn latest(&self, bucket: usize) -> Option<Exemplar> {
        let records = self.records.as_ref()?.of_threads(RECORD * bucket);
        records
            .filter_map(|record| read(&record))
            .max_by_key(|exemplar| exemplar.at)
    }

    /// The latest of each of these buckets; none, if calls aren't traced.
    pub(super) fn all(&self, buckets: Range<usize>) -> Vec<Option<Exemplar>> {
        match self.records {
            Some(_) => buckets.map(|bucket| self.latest(bucket)).collect(),
            None => Vec::new(),
        }
    }

    pub(super) fn reset(&self) {
        if let Some(records) = &self.records {
            records.reset();
        }
    }
}

/// By one thread at a time.
fn write(record: &[&AtomicU64; RECORD], exemplar: &Exemplar) {
    let [version, words @ ..] = record;
    let before = version.load(Ordering::Relaxed);
    version.store(before.wrapping_add(1), Ordering::Relaxed);
    // Who sees any of the words below sees that they are being written.
    fence(Ordering::Release);
    for (word, value) in words.iter().zip(to_words(exemplar)) {
        word.store(value, Ordering::Relaxed);
    }
    version.store(before.wrapping_add(2), Ordering::Release);
}

/// None if nothing was written, or something is being written.
fn read(record: &[&AtomicU64; RECORD]) -> Option<Exemplar> {
    let [version, words @ ..] = record;
    let before = version.load(Ordering::Acquire);
    if before == 0 || before % 2 == 1 {
        return None;
    }
    let words = words.map(|word| word.load(Ordering::Relaxed));
    fence(Ordering::Acquire);
    (version.load(Ordering::Relaxed) == before).then(|| from_words(words))
}

fn to_words(exemplar: &Exemplar) -> [u64; RECORD - 1] {
    let Exemplar { trace, nanos, at } = exemplar;
    let [high, low, span] = trace.to_words();
    let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
    [high, low, span, *nanos, at]
}

fn from_words([high, low, span, nanos, at]: [u64; RECORD - 1]) -> Exemplar {
    Exemplar {
        trace: TraceContext::from_words([high, low, span]),
        nanos,
        at: Duration::from_nanos(at),
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::super::thread::with_writer;
    use super::*;

    #[test]
    fn the_latest_stands() {
        let exemplars = Exemplars::new(true, 3);
        let trace = |id| TraceContext::new(id, 7);
        with_writer(|writer| {
            exemplars.keep(writer, 1, trace(1), 10);
            exemplars.keep(writer, 2, trace(2), 20);
            exemplars.keep(writer, 1, trace(u128::MAX), 30);
        });
        let kept = [0, 1, 2].map(|bucket| exemplars.latest(bucket));
        let kept = kept.map(|kept| kept.map(|kept| (kept.trace, kept.nanos)));
        assert_eq!(
            kept,
            [None, Some((trace(u128::MAX), 30)), Some((trace(2), 20))]
        );
        exemplars.reset();
        assert_eq!(exemplars.latest(1), None);
    }
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use loom::thread;
    use std::array;

    fn exemplar(id: u8) -> Exemplar {
        Exemplar {
            trace: TraceContext::new(id.into(), id.into()),
            nanos: id.into(),
            at: Duration::from_nanos(id.into()),
        }
    }

    /// What is read is what was written at once, never halves of two.
    #[test]
    fn loom_an_exemplar_is_whole() {
        loom::model(|| {
            let record: &'static [AtomicU64; RECORD] =
                Box::leak(Box::new(array::from_fn(|_| AtomicU64::new(0))));
            let cells = || array::from_fn(|i| &record[i]);
            let (writers, readers) = (cells(), cells());
            let writer = thread::spawn(move || {
                write(&writers, &exemplar(1));
                write(&writers, &exemplar(2));
            });
            if let Some(read) = read(&readers) {
                assert!(read == exemplar(1) || read == exemplar(2), "{read:?}");
            }
            writer.join().unwrap();
            assert_eq!(read(&readers), Some(exemplar(2)));
        });
    }
}
