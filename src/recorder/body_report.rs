//! What a request's body tells its call.
//!
//! The body of a request moves into the handler, and may outlive the call. The two share a word in memory: a generation, and
//! the outcome that the body has reported in it. A call that ends moves the word on to the next generation, so a report
//! that comes too late finds another one there and is dropped. Nothing is allocated or counted for a call: words that no call
//! has stay with a thread, or with the process.

use super::error_types::Outcome;
use crate::sync::{AtomicU64, Ordering, overwrite};
use crate::trace::TraceContext;
use std::array;
use std::cell::RefCell;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::sync::{Mutex, PoisonError};

/// The call's end: it sees what was reported, and closes.
pub(crate) struct Report {
    word: &'static Word,
}

/// The end of the request's body.
#[derive(Clone, Copy)]
pub(crate) struct Reporter {
    word: &'static Word,
    generation: u64,
}

/// Alone on its cache line, for the words of one batch end up with different threads.
#[repr(align(64))]
struct Word {
    /// A generation, above [`OUTCOME_BITS`] of an [`Outcome`].
    state: AtomicU64,
    /// Bytes of the request, where they are measured: the lowest bits of a generation, above [`BYTE_BITS`] of bytes.
    request_bytes: AtomicU64,
    /// Bytes of the response. This and the trace only the call itself reads and writes: there is room for them here, and not
    /// in what is copied with every future and body.
    response_bytes: AtomicU64,
    trace: [AtomicU64; 3],
}

const OUTCOME_BITS: u32 = 8;

/// Up to a TiB less one byte; there the count of a request stops.
///
/// That leaves 24 bits of generation. To be mistaken for another's, a count would have to pause, just after it has seen
/// its own generation in full, for exactly as many calls on this word as there are such numbers.
const BYTE_BITS: u32 = 40;
const MAX_BYTES: u64 = (1 << BYTE_BITS) - 1;

// === impl Report ===

impl Report {
    /// Takes a word that no call has.
    pub(crate) fn open() -> Self {
        Self { word: take() }
    }

    pub(crate) fn reporter(&self) -> Reporter {
        Reporter {
            word: self.word,
            generation: self.generation(),
        }
    }

    /// The call before this one has closed the word and handed it over.
    #[inline]
    fn generation(&self) -> u64 {
        self.word.state.load(Ordering::Relaxed) >> OUTCOME_BITS
    }

    /// What has been reported so far.
    #[inline]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        // Relaxed: nothing else is read through this word; and a report that had to come first, because the handler saw
        // the body fail, does.
        Outcome::from_code((self.word.state.load(Ordering::Relaxed) & 0xff) as u8)
    }

    /// Keeps the trace that the call belongs to.
    pub(crate) fn set_trace(&self, trace: TraceContext) {
        for (word, value) in self.word.trace.iter().zip(trace.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The trace that this call has kept; if it has kept none, that of one before it.
    pub(crate) fn trace(&self) -> TraceContext {
        let words = array::from_fn(|i| self.word.trace[i].load(Ordering::Relaxed));
        TraceContext::from_words(words)
    }

    /// Counts the bytes of both bodies from 0 on.
    pub(crate) fn measure(&self) {
        overwrite(&self.word.request_bytes, self.generation() << BYTE_BITS);
        self.word.response_bytes.store(0, Ordering::Relaxed);
    }

    /// Counts bytes of the response, where they are measured.
    pub(crate) fn add_response_bytes(&self, bytes: u64) {
        let counted = self.word.response_bytes.load(Ordering::Relaxed);
        let sum = counted.saturating_add(bytes);
        self.word.response_bytes.store(sum, Ordering::Relaxed);
    }

    /// The bytes of the request and of the response, where they are measured.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        (
            self.word.request_bytes.load(Ordering::Relaxed) & MAX_BYTES,
            self.word.response_bytes.load(Ordering::Relaxed),
        )
    }

    /// Stops listening: the word is for the next call.
    fn close(&self) {
        // A report that slips in before this store is lost, as it would be if it came a moment later; after it, the
        // generation is another.
        let next = (self.generation() + 1) << OUTCOME_BITS;
        overwrite(&self.word.state, next);
    }
}

impl Drop for Report {
    #[inline]
    fn drop(&mut self) {
        self.close();
        put(self.word);
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Report").field(&self.outcome()).finish()
    }
}

// === impl Reporter ===

impl Reporter {
    /// Says how the call is to end, unless something was reported before or the call has ended.
    #[cold]
    pub(crate) fn report(&self, outcome: Outcome) {
        let silent = self.generation << OUTCOME_BITS;
        let reported = silent | u64::from(outcome.code());
        // An `Err` is one of the two cases that are passed over.
        let _ = self.word.state.compare_exchange(
            silent,
            reported,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Whether the call has not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.word.state.load(Ordering::Relaxed) >> OUTCOME_BITS == self.generation
    }

    /// Counts bytes of the request, where they are measured, unless the call has ended.
    pub(crate) fn add_request_bytes(&self, bytes: u64) {
        if !self.is_open() {
            return;
        }
        let own = self.generation << BYTE_BITS;
        let add = |counted: u64| {
            // Another call's, by now.
            let before = counted.checked_sub(own).filter(|&n| n <= MAX_BYTES)?;
            Some(own | before.saturating_add(bytes).min(MAX_BYTES))
        };
        let counted = &self.word.request_bytes;
        let _ = counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reporter").field(&self.generation).finish()
    }
}

// === impl Word ===

impl Word {
    fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            trace: array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

// === words that no call has ===

/// A thread whose calls end elsewhere takes this many at once, and one on which others' calls end gives as many back.
const BATCH: usize = 32;
const MAX_KEPT: usize = 2 * BATCH;

static COMMON: Mutex<Vec<&'static Word>> = Mutex::new(Vec::new());

thread_local! {
    // One without a destructor, which is cheaper to get at, and one that is nothing else.
    static KEPT: RefCell<ManuallyDrop<Vec<&'static Word>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
    static AT_EXIT: AtExit = const { AtExit };
}

struct AtExit;

impl Drop for AtExit {
    fn drop(&mut self) {
        let mut kept = KEPT.with(|kept| mem::take(&mut **kept.borrow_mut()));
        give_back(&mut kept, 0);
    }
}

#[inline]
fn take() -> &'static Word {
    let kept = KEPT.with(|kept| kept.borrow_mut().pop());
    kept.unwrap_or_else(refill)
}

#[inline]
fn put(word: &'static Word) {
    KEPT.with(|kept| {
        let kept = &mut kept.borrow_mut();
        if kept.capacity() == 0 {
            return put_first(kept, word);
        }
        kept.push(word);
        if kept.len() > MAX_KEPT {
            give_back(kept, BATCH);
        }
    });
}

/// The first that a thread keeps, which it gives back at its end; that may have begun.
#[cold]
fn put_first(kept: &mut Vec<&'static Word>, word: &'static Word) {
    match AT_EXIT.try_with(|_| ()) {
        Ok(()) => kept.push(word),
        Err(_) => give_back(&mut vec![word], 0),
    }
}

/// Takes some from the process, which makes them if need be.
///
/// The process keeps them, for it will need as many again: it has at most one for each call that was ever open at once, and
/// a batch or two for each thread.
#[cold]
fn refill() -> &'static Word {
    let mut common = COMMON.lock().unwrap_or_else(PoisonError::into_inner);
    if common.is_empty() {
        let made: &'static [Word; BATCH] = Box::leak(Box::new(array::from_fn(|_| Word::new())));
        common.extend(made);
    }
    // A thread that is ending, and would give nothing back, takes one.
    let lasts = AT_EXIT.try_with(|_| ()).is_ok();
    let left = common.len().saturating_sub(if lasts { BATCH } else { 1 });
    let mut taken = common.drain(left..);
    let one = taken.next();
    KEPT.with(|kept| kept.borrow_mut().extend(taken));
    one.unwrap_or_else(|| Box::leak(Box::new(Word::new())))
}

/// Gives all but so many back to the process.
#[cold]
fn give_back(kept: &mut Vec<&'static Word>, left: usize) {
    let mut common = COMMON.lock().unwrap_or_else(PoisonError::into_inner);
    common.extend(kept.drain(left..));
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    fn on(word: &'static Word) -> Report {
        let report = Report { word };
        report.measure();
        report
    }

    fn word() -> &'static Word {
        Box::leak(Box::new(Word::new()))
    }

    #[test]
    fn the_first_report_stands() {
        let report = on(word());
        assert_eq!(report.outcome(), None);
        report.reporter().report(Outcome::CANCELLED);
        report.reporter().report(Outcome::failed(3));
        assert_eq!(report.outcome(), Some(Outcome::CANCELLED));
    }

    #[test]
    fn what_comes_too_late_does_not_reach_the_next_call() {
        let word = word();
        let report = on(word);
        let late = report.reporter();
        late.add_request_bytes(3);
        late.add_request_bytes(4);
        report.add_response_bytes(5);
        assert_eq!(report.sizes(), (7, 5));
        report.close();

        let next = on(word);
        assert!(!late.is_open() && next.reporter().is_open());
        late.report(Outcome::CANCELLED);
        late.add_request_bytes(8);
        assert_eq!((next.outcome(), next.sizes()), (None, (0, 0)));
        next.reporter().report(Outcome::failed(0));
        assert_eq!(next.outcome(), Some(Outcome::failed(0)));
        std::mem::forget((report, next));
    }

    /// As many calls later as the sizes tell generations apart.
    #[test]
    fn sizes_are_those_of_their_own_call_however_many_calls_later() {
        let word = word();
        let late = on(word).reporter();
        let later = (late.generation + (1 << 24)) << OUTCOME_BITS;
        word.state.store(later, Ordering::Relaxed);
        let report = on(word);
        late.add_request_bytes(8);
        assert_eq!(report.sizes(), (0, 0));
        report.reporter().add_request_bytes(1);
        assert_eq!(report.sizes(), (1, 0));
    }

    #[test]
    fn a_request_of_a_tebibyte_counts_no_further() {
        let word = word();
        // The lowest 24 bits are all set, so that a carry would show.
        word.state
            .store((u64::MAX >> 16) << OUTCOME_BITS, Ordering::Relaxed);
        let report = on(word);
        report.reporter().add_request_bytes(MAX_BYTES - 1);
        report.reporter().add_request_bytes(5);
        report.reporter().add_request_bytes(u64::MAX);
        report.add_response_bytes(u64::MAX - 1);
        report.add_response_bytes(5);
        assert_eq!(report.sizes(), ((1 << 40) - 1, u64::MAX));
        std::mem::forget(report);
    }
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    /// As words go from call to call, without the pool: that is none of loom's business.
    fn on(word: &'static Word) -> ManuallyDrop<Report> {
        let report = Report { word };
        report.measure();
        ManuallyDrop::new(report)
    }

    fn word() -> &'static Word {
        Box::leak(Box::new(Word::new()))
    }

    /// A body reports and is read while its call ends and another begins on the same word. The next call never hears of it.
    #[test]
    fn loom_reports_reach_their_own_call_only() {
        loom::model(|| {
            let word = word();
            let report = on(word);
            let reporter = report.reporter();
            let body = thread::spawn(move || {
                reporter.add_request_bytes(1);
                reporter.report(Outcome::CANCELLED);
            });
            let (outcome, (bytes, _)) = (report.outcome(), report.sizes());
            report.close();
            let next = on(word);
            next.reporter().add_request_bytes(8);
            body.join().unwrap();
            assert!(matches!(outcome, None | Some(Outcome::CANCELLED)));
            assert!(matches!(bytes, 0 | 1), "{bytes}");
            assert_eq!((next.outcome(), next.sizes()), (None, (8, 0)));
        });
    }

    /// Two bodies of one call: one of their reports is heard, and stays; their bytes add up.
    #[test]
    fn loom_the_first_report_stands() {
        loom::model(|| {
            let report = on(word());
            let reporter = report.reporter();
            let body = thread::spawn(move || {
                reporter.add_request_bytes(1);
                reporter.report(Outcome::CANCELLED);
            });
            report.reporter().add_request_bytes(2);
            report.reporter().report(Outcome::failed(0));
            let first = report.outcome();
            body.join().unwrap();
            assert!(first.is_some());
            assert_eq!((report.outcome(), report.sizes()), (first, (3, 0)));
        });
    }
}
