//! What is known of an open call.
//!
//! It lies in a slot of memory, and a call is no more than a reference to that: it moves from the service to the future and on
//! to the response, and what is written in pieces and copied at once right after makes a processor wait. (Carried along, 40
//! bytes cost a call 400 instructions and 80 ns more: `cargo bench --bench overhead`.)
//!
//! The body of the request, which moves into the handler and may outlive the call, reaches its call there: by a generation. A
//! call that ends moves its slot on to the next one, so what a body reports too late finds another one and is dropped.
//!
//! Nothing is allocated for a call: slots that no call has stay with a thread, or with the process.

use super::error_types::Outcome;
use super::label_sets::SetIndex;
use super::recorder::Key;
use crate::clock::Moment as Time;
use crate::flags::Flags;
use crate::sync::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, overwrite};
use crate::trace::TraceContext;
use std::array;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of an open call.
///
/// Only the call itself reads and writes it, but for `state` and `request_bytes`.
// Two cache lines; calls that are measured or traced need the second. Slots end up with different threads.
#[repr(align(64))]
pub(crate) struct CallSlot {
    /// A generation, above [`OUTCOME_BITS`] of the [`Outcome`] that the request's body has reported.
    state: AtomicU64,
    key: AtomicU64,
    began: AtomicU64,
    begin: AtomicU32,
    head: AtomicU32,
    note: AtomicU32,
    code: AtomicU16,
    /// The [`Outcome`] that the call has been told of.
    fault: AtomicU8,
    flags: AtomicU8,
    /// Where they are measured: the lowest bits of a generation, above [`BYTE_BITS`] of bytes.
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    trace: [AtomicU64; 3],
}

/// The end of the request's body.
#[derive(Clone, Copy)]
pub(crate) struct Reporter {
    slot: &'static CallSlot,
    generation: u64,
}

/// Slots that no call has: those that a thread keeps for its next calls.
pub(crate) struct FreeSlots(Vec<&'static CallSlot>);

const OUTCOME_BITS: u32 = 8;

/// Up to a TiB less one byte; there the count of a request stops.
///
/// That leaves 24 bits of generation. To be mistaken for another's, a count would have to pause, just after it has seen
/// its own generation in full, for exactly as many calls on this slot as there are such numbers.
const BYTE_BITS: u32 = 40;
const MAX_BYTES: u64 = (1 << BYTE_BITS) - 1;

const NO_CODE: u16 = u16::MAX;

// === impl CallSlot ===

impl CallSlot {
    fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            key: AtomicU64::new(0),
            began: AtomicU64::new(0),
            begin: AtomicU32::new(0),
            head: AtomicU32::new(0),
            note: AtomicU32::new(0),
            code: AtomicU16::new(NO_CODE),
            fault: AtomicU8::new(0),
            flags: AtomicU8::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            trace: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    #[inline]
    fn begin(&self, key: Key, [begin, head]: [SetIndex; 2], began: Time, flags: Flags) {
        self.key.store(key.to_bits(), Ordering::Relaxed);
        self.began.store(began.to_bits(), Ordering::Relaxed);
        self.begin.store(begin, Ordering::Relaxed);
        self.head.store(head, Ordering::Relaxed);
        self.note.store(0, Ordering::Relaxed);
        self.code.store(NO_CODE, Ordering::Relaxed);
        self.fault.store(0, Ordering::Relaxed);
        self.flags.store(flags.to_bits(), Ordering::Relaxed);
    }

    #[inline]
    fn move_on(&self) {
        // A report that slips in before this store is lost, as it would be if it came a moment later; after it, the
        // generation is another.
        let next = (self.generation() + 1) << OUTCOME_BITS;
        overwrite(&self.state, next);
    }

    /// The call before this one has moved it on and handed it over.
    #[inline]
    fn generation(&self) -> u64 {
        self.state.load(Ordering::Relaxed) >> OUTCOME_BITS
    }

    #[inline]
    pub(crate) fn key(&self) -> Key {
        Key::from_bits(self.key.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn began(&self) -> Time {
        Time::from_bits(self.began.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn begin_set(&self) -> SetIndex {
        self.begin.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn head_set(&self) -> SetIndex {
        self.head.load(Ordering::Relaxed)
    }

    pub(crate) fn set_head_set(&self, head: SetIndex) {
        self.head.store(head, Ordering::Relaxed);
    }

    /// A number of the protocol's own.
    #[inline]
    pub(crate) fn note(&self) -> u32 {
        self.note.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_note(&self, note: u32) {
        self.note.store(note, Ordering::Relaxed);
    }

    /// What the protocol calls the outcome, if it has a name for it.
    pub(crate) fn code(&self) -> Option<u8> {
        u8::try_from(self.code.load(Ordering::Relaxed)).ok()
    }

    pub(crate) fn set_code(&self, code: u8) {
        self.code.store(code.into(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn flags(&self) -> Flags {
        Flags::from_bits(self.flags.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn set_flags(&self, flags: Flags) {
        self.flags.store(flags.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn set_fault(&self, fault: Outcome) {
        self.fault.store(fault.code(), Ordering::Relaxed);
    }

    /// The first fault that the call was told of; or else what its request's body has reported.
    #[inline]
    pub(crate) fn told(&self) -> Option<Outcome> {
        let fault = Outcome::from_code(self.fault.load(Ordering::Relaxed));
        // Relaxed: nothing else is read through this; and a report that had to come first, because the handler saw the
        // body fail, does.
        fault.or_else(|| Outcome::from_code((self.state.load(Ordering::Relaxed) & 0xff) as u8))
    }

    pub(crate) fn reporter(&'static self) -> Reporter {
        Reporter {
            slot: self,
            generation: self.generation(),
        }
    }

    /// Keeps the trace that the call belongs to.
    pub(crate) fn set_trace(&self, trace: TraceContext) {
        for (word, value) in self.trace.iter().zip(trace.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The trace that this call has kept; if it has kept none, that of one before it.
    pub(crate) fn trace(&self) -> TraceContext {
        TraceContext::from_words(array::from_fn(|i| self.trace[i].load(Ordering::Relaxed)))
    }

    /// Counts the bytes of both bodies from 0 on.
    pub(crate) fn measure(&self) {
        overwrite(&self.request_bytes, self.generation() << BYTE_BITS);
        self.response_bytes.store(0, Ordering::Relaxed);
    }

    /// Counts bytes of the response, where they are measured.
    pub(crate) fn add_response_bytes(&self, bytes: u64) {
        let counted = self.response_bytes.load(Ordering::Relaxed);
        let sum = counted.saturating_add(bytes);
        self.response_bytes.store(sum, Ordering::Relaxed);
    }

    /// The bytes of the request and of the response, where they are measured.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        (
            self.request_bytes.load(Ordering::Relaxed) & MAX_BYTES,
            self.response_bytes.load(Ordering::Relaxed),
        )
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
        let _ = self.slot.state.compare_exchange(
            silent,
            reported,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Whether the call has not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.slot.state.load(Ordering::Relaxed) >> OUTCOME_BITS == self.generation
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
        let counted = &self.slot.request_bytes;
        let _ = counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reporter").field(&self.generation).finish()
    }
}

// === impl FreeSlots ===

/// The slots of the process that no thread keeps. There are at most as many in all as calls were ever open at once, and
/// [`MAX_KEPT`] for each thread.
static SHARED: Mutex<Vec<&'static CallSlot>> = Mutex::new(Vec::new());

/// A thread whose calls end elsewhere takes this many at once, and one on which others' calls end gives as many back.
const BATCH: usize = 32;
const MAX_KEPT: usize = 2 * BATCH;

impl FreeSlots {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Opens a slot for a call that begins.
    #[inline]
    pub(crate) fn open(
        &mut self,
        key: Key,
        sets: [SetIndex; 2],
        began: Time,
        flags: Flags,
    ) -> &'static CallSlot {
        let slot = self.0.pop().unwrap_or_else(|| self.refill());
        slot.begin(key, sets, began, flags);
        slot
    }

    /// Takes back the slot of a call that has ended.
    #[inline]
    pub(crate) fn close(&mut self, slot: &'static CallSlot) {
        slot.move_on();
        if self.0.len() < self.0.capacity().min(MAX_KEPT) {
            self.0.push(slot);
        } else {
            self.keep(slot);
        }
    }

    #[cold]
    fn keep(&mut self, slot: &'static CallSlot) {
        if self.0.len() >= MAX_KEPT {
            shared().extend(self.0.drain(BATCH..));
        }
        self.0.push(slot);
    }

    #[cold]
    fn refill(&mut self) -> &'static CallSlot {
        let mut shared = shared();
        let left = shared.len().saturating_sub(BATCH);
        self.0.extend(shared.drain(left..));
        self.0.pop().unwrap_or_else(|| {
            let made: &'static [CallSlot; BATCH] =
                Box::leak(Box::new(array::from_fn(|_| CallSlot::new())));
            let [one, others @ ..] = made;
            self.0.extend(others);
            one
        })
    }
}

impl Drop for FreeSlots {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            shared().append(&mut self.0);
        }
    }
}

fn shared() -> MutexGuard<'static, Vec<&'static CallSlot>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    fn slot() -> &'static CallSlot {
        let slot = Box::leak(Box::new(CallSlot::new()));
        slot.measure();
        slot
    }

    #[test]
    fn the_first_report_stands() {
        let call = slot();
        assert_eq!(call.told(), None);
        call.reporter().report(Outcome::CANCELLED);
        call.reporter().report(Outcome::failed(3));
        assert_eq!(call.told(), Some(Outcome::CANCELLED));
        call.set_fault(Outcome::failed(4));
        assert_eq!(call.told(), Some(Outcome::failed(4)));
    }

    #[test]
    fn what_comes_too_late_does_not_reach_the_next_call() {
        let slot = slot();
        let late = slot.reporter();
        late.add_request_bytes(3);
        late.add_request_bytes(4);
        slot.add_response_bytes(5);
        assert_eq!(slot.sizes(), (7, 5));
        slot.move_on();

        slot.measure();
        assert!(!late.is_open() && slot.reporter().is_open());
        late.report(Outcome::CANCELLED);
        late.add_request_bytes(8);
        assert_eq!((slot.told(), slot.sizes()), (None, (0, 0)));
        slot.reporter().report(Outcome::failed(0));
        assert_eq!(slot.told(), Some(Outcome::failed(0)));
    }

    /// As many calls later as the sizes tell generations apart.
    #[test]
    fn sizes_are_those_of_their_own_call_however_many_calls_later() {
        let slot = slot();
        let late = slot.reporter();
        let later = (late.generation + (1 << 24)) << OUTCOME_BITS;
        slot.state.store(later, Ordering::Relaxed);
        slot.measure();
        late.add_request_bytes(8);
        assert_eq!(slot.sizes(), (0, 0));
        slot.reporter().add_request_bytes(1);
        assert_eq!(slot.sizes(), (1, 0));
    }

    #[test]
    fn a_request_of_a_tebibyte_counts_no_further() {
        let slot = slot();
        // The lowest 24 bits are all set, so that a carry would show.
        let generation = u64::MAX >> 16;
        slot.state
            .store(generation << OUTCOME_BITS, Ordering::Relaxed);
        slot.measure();
        slot.reporter().add_request_bytes(MAX_BYTES - 1);
        slot.reporter().add_request_bytes(5);
        slot.reporter().add_request_bytes(u64::MAX);
        slot.add_response_bytes(u64::MAX - 1);
        slot.add_response_bytes(5);
        assert_eq!(slot.sizes(), ((1 << 40) - 1, u64::MAX));
    }
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    fn slot() -> &'static CallSlot {
        let slot = Box::leak(Box::new(CallSlot::new()));
        slot.measure();
        slot
    }

    /// A body reports and is read while its call ends and another begins in the same slot. The next call never hears of it.
    #[test]
    fn loom_reports_reach_their_own_call_only() {
        loom::model(|| {
            let slot = slot();
            let reporter = slot.reporter();
            let body = thread::spawn(move || {
                reporter.add_request_bytes(1);
                reporter.report(Outcome::CANCELLED);
            });
            let (told, (bytes, _)) = (slot.told(), slot.sizes());
            slot.move_on();
            slot.measure();
            slot.reporter().add_request_bytes(8);
            body.join().unwrap();
            assert!(matches!(told, None | Some(Outcome::CANCELLED)));
            assert!(matches!(bytes, 0 | 1), "{bytes}");
            assert_eq!((slot.told(), slot.sizes()), (None, (8, 0)));
        });
    }

    /// Two bodies of one call: one of their reports is heard, and stays; their bytes add up.
    #[test]
    fn loom_the_first_report_stands() {
        loom::model(|| {
            let slot = slot();
            let reporter = slot.reporter();
            let body = thread::spawn(move || {
                reporter.add_request_bytes(1);
                reporter.report(Outcome::CANCELLED);
            });
            slot.reporter().add_request_bytes(2);
            slot.reporter().report(Outcome::failed(0));
            let first = slot.told();
            body.join().unwrap();
            assert!(first.is_some());
            assert_eq!((slot.told(), slot.sizes()), (first, (3, 0)));
        });
    }
}
