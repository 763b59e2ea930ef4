//! What a request body has to tell its call.
//!
//! The body of a request moves into the handler, and may outlive the call. The
//! two share a word in memory: a generation, and the fault that the body has
//! reported in it. A call that ends moves the word on to the next generation, so that
//! a report that comes too late finds another one there and is dropped. Words are
//! kept for the calls to come, in a [`pool`]: no allocation, and no
//! reference count.

use super::outcome::Outcome;
use super::pool;
use super::sizes::Sizes;
use crate::sync::{AtomicU64, Ordering, overwrite};
use crate::trace::TraceContext;
use std::array;
use std::fmt;

/// The call's end: it sees what was reported, and closes.
///
/// Nobody else moves the word on to another generation, so there is no need to keep it.
pub(crate) struct Report {
    word: &'static Word,
}

/// The request body's end.
#[derive(Clone, Copy)]
pub(crate) struct Reporter {
    word: &'static Word,
    generation: u64,
}

/// Alone on its cache line, for words of one batch end up with different threads.
#[repr(align(64))]
pub(super) struct Word {
    /// A generation, above [`OUTCOME_BITS`] of an [`Outcome`].
    state: AtomicU64,
    sizes: Sizes,
    /// Which trace the call belongs to. Only the call itself reads and writes it: there is room for it here,
    /// and not in what is copied with every future and body.
    trace: [AtomicU64; 3],
}

const OUTCOME_BITS: u32 = 8;

// === impl Report ===

impl Report {
    /// Takes a word nobody listens to.
    #[inline]
    pub(crate) fn open() -> Self {
        Self::on(pool::take())
    }

    /// As [`open`](Self::open), and the sizes of the call's bodies are kept count of.
    // In one place, so that the other stays small enough to be inlined.
    #[inline(never)]
    pub(crate) fn measured() -> Self {
        Self::measured_on(pool::take())
    }

    fn measured_on(word: &'static Word) -> Self {
        let report = Self::on(word);
        word.sizes.open(report.generation());
        report
    }

    #[inline]
    fn on(word: &'static Word) -> Self {
        Self { word }
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

    /// Keeps the trace that the call belongs to.
    pub(crate) fn set_trace(&self, trace: TraceContext) {
        for (word, value) in self.word.trace.iter().zip(trace.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The trace that was kept by this call; or by one before it, if this one has kept none.
    pub(crate) fn trace(&self) -> TraceContext {
        let words = array::from_fn(|i| self.word.trace[i].load(Ordering::Relaxed));
        TraceContext::from_words(words)
    }

    /// Counts bytes of the response, where they are measured.
    #[inline]
    pub(crate) fn add_response_bytes(&self, bytes: u64) {
        self.word.sizes.add_response_bytes(bytes);
    }

    /// The bytes of the request and of the response, where they are measured.
    #[inline]
    pub(crate) fn sizes(&self) -> (u64, u64) {
        self.word.sizes.read()
    }

    /// What has been reported so far.
    #[inline]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        // Nothing else is read through this word; and a report that had to
        // come first, because the handler saw the body fail, does.
        Outcome::from_code((self.word.state.load(Ordering::Relaxed) & 0xff) as u8)
    }

    #[inline(never)]
    fn give_back(&self) {
        self.close();
        pool::put(self.word);
    }

    /// Stops listening: the word is for the next call.
    #[inline]
    fn close(&self) {
        // A report that slips in before this store is lost, as it would be if it
        // came a moment later; after it, the generation is another.
        let next = (self.generation() + 1) << OUTCOME_BITS;
        overwrite(&self.word.state, next);
    }
}

impl Drop for Report {
    // Few calls have one, and those that have none are to pass by quickly.
    #[inline]
    fn drop(&mut self) {
        self.give_back();
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Report").field(&self.outcome()).finish()
    }
}

// === impl Reporter ===

impl Reporter {
    /// Says how the call is to end, unless something was reported before or the
    /// call has ended.
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

    /// Counts bytes of the request, where they are measured, unless the call has ended.
    #[inline]
    pub(crate) fn add_request_bytes(&self, bytes: u64) {
        let word = self.word.state.load(Ordering::Relaxed);
        if word >> OUTCOME_BITS == self.generation {
            self.word.sizes.add_request_bytes(self.generation, bytes);
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reporter").field(&self.generation).finish()
    }
}

// === impl Word ===

impl Word {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            trace: array::from_fn(|_| AtomicU64::new(0)),
            sizes: Sizes::new(),
        }
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    fn word() -> &'static Word {
        Box::leak(Box::new(Word::new()))
    }

    #[test]
    fn the_first_report_stands() {
        let report = Report::on(word());
        assert_eq!(report.outcome(), None);
        report.reporter().report(Outcome::CANCELLED);
        report.reporter().report(Outcome::failed(3));
        assert_eq!(report.outcome(), Some(Outcome::CANCELLED));
    }

    #[test]
    fn a_stale_report_does_not_reach_the_next_call() {
        let word = word();
        let stale = Report::on(word).reporter();
        let next = Report::on(word);
        stale.report(Outcome::CANCELLED);
        assert_eq!(next.outcome(), None);
        next.reporter().report(Outcome::failed(0));
        assert_eq!(next.outcome(), Some(Outcome::failed(0)));
    }

    #[test]
    fn sizes_are_those_of_their_own_call() {
        let word = word();
        let report = Report::measured_on(word);
        let stale = report.reporter();
        stale.add_request_bytes(3);
        stale.add_request_bytes(4);
        report.add_response_bytes(5);
        report.add_response_bytes(6);
        assert_eq!(report.sizes(), (7, 11));
        drop(report);
        let next = Report::measured_on(word);
        stale.add_request_bytes(8);
        assert_eq!(next.sizes(), (0, 0));
    }

    /// As many calls later as the sizes tell generations apart.
    #[test]
    fn sizes_are_those_of_their_own_call_however_many_calls_later() {
        let word = word();
        let stale = Report::on(word).reporter();
        let later = (stale.generation + (1 << 24)) << OUTCOME_BITS;
        word.state.store(later, Ordering::Relaxed);
        let report = Report::measured_on(word);
        stale.add_request_bytes(8);
        assert_eq!(report.sizes(), (0, 0));
        report.reporter().add_request_bytes(1);
        assert_eq!(report.sizes(), (1, 0));
    }
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use loom::thread;
    use std::mem;

    fn word() -> &'static Word {
        Box::leak(Box::new(Word::new()))
    }

    /// Closes without handing the word back: the pool is none of loom's business.
    fn end(report: Report) -> Option<Outcome> {
        let outcome = report.outcome();
        report.close();
        mem::forget(report);
        outcome
    }

    /// A body reports while its call ends and another begins on the same word.
    /// The next call never hears of it.
    #[test]
    fn loom_reports_reach_their_own_call_only() {
        loom::model(|| {
            let word = word();
            let report = Report::on(word);
            let reporter = report.reporter();
            let body = thread::spawn(move || reporter.report(Outcome::CANCELLED));
            let heard = end(report);
            let next = Report::on(word);
            body.join().unwrap();
            assert!(matches!(heard, None | Some(Outcome::CANCELLED)));
            assert_eq!(end(next), None);
        });
    }

    /// A body is read while its call ends and another begins on the same word. What was counted of it is its own
    /// call's or nobody's.
    #[test]
    fn loom_sizes_reach_their_own_call_only() {
        loom::model(|| {
            let word = word();
            let report = Report::measured_on(word);
            let reporter = report.reporter();
            let body = thread::spawn(move || {
                reporter.add_request_bytes(1);
                reporter.add_request_bytes(2);
            });
            let (heard, _) = report.sizes();
            end(report);
            let next = Report::measured_on(word);
            next.reporter().add_request_bytes(8);
            body.join().unwrap();
            assert!(matches!(heard, 0 | 1 | 3), "{heard}");
            assert_eq!(next.sizes(), (8, 0));
            mem::forget(next);
        });
    }

    /// Two readers of one call's request: nothing is lost.
    #[test]
    fn loom_sizes_are_whole() {
        loom::model(|| {
            let report = Report::measured_on(word());
            let reporter = report.reporter();
            let body = thread::spawn(move || reporter.add_request_bytes(1));
            report.reporter().add_request_bytes(2);
            body.join().unwrap();
            assert_eq!(report.sizes(), (3, 0));
            mem::forget(report);
        });
    }

    /// Two bodies of one call: one of their reports is heard, and stays.
    #[test]
    fn loom_the_first_report_stands() {
        loom::model(|| {
            let report = Report::on(word());
            let reporter = report.reporter();
            let body = thread::spawn(move || reporter.report(Outcome::CANCELLED));
            report.reporter().report(Outcome::failed(0));
            let first = report.outcome();
            body.join().unwrap();
            assert!(first.is_some());
            assert_eq!(end(report), first);
        });
    }
}
