use crate::clock::Moment as Time;
use crate::error_types::Outcome;
use crate::flags::Flags;
use crate::recorder::{Key, SetIndex};
use crate::sync::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, overwrite};
use crate::trace::TraceContext;
use std::array;

/// What is known of an open call.
///
/// Only the call itself reads and writes it, except `state` and `request_bytes`.
// Two cache lines. Only calls that are measured or traced need the second. Neighbouring slots may be with other threads.
#[repr(align(64))]
pub(crate) struct OpenCall {
    /// The generation, above [`OUTCOME_BITS`] of the [`Outcome`] that the request's body has reported.
    pub(super) state: AtomicU64,
    key: AtomicU64,
    began: AtomicU64,
    begin: AtomicU32,
    head: AtomicU32,
    note: AtomicU32,
    code: AtomicU16,
    /// The [`Outcome`] of the first fault.
    fault: AtomicU8,
    flags: AtomicU8,
    /// If sizes are measured: the low bits of the generation, above [`BYTE_BITS`] of bytes.
    pub(super) request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    trace: [AtomicU64; 3],
}

pub(super) const OUTCOME_BITS: u32 = 8;

/// The size of a request is counted up to a TiB less one byte.
///
/// That leaves 24 bits of generation. A late report would be taken for the next call's only if it pauses between reading
/// the generation and adding, for exactly as many calls in this slot as there are such numbers.
pub(super) const BYTE_BITS: u32 = 40;
pub(super) const MAX_BYTES: u64 = (1 << BYTE_BITS) - 1;

const NO_CODE: u16 = u16::MAX;

// === impl OpenCall ===

impl OpenCall {
    pub(super) fn new() -> Self {
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
    pub(super) fn begin(&self, key: Key, sets: [SetIndex; 2], began: Time, flags: Flags) {
        let [begin, head] = sets;
        self.key.store(key.to_bits(), Ordering::Relaxed);
        self.began.store(began.to_bits(), Ordering::Relaxed);
        self.begin.store(begin, Ordering::Relaxed);
        self.head.store(head, Ordering::Relaxed);
        self.note.store(0, Ordering::Relaxed);
        self.code.store(NO_CODE, Ordering::Relaxed);
        self.fault.store(0, Ordering::Relaxed);
        self.flags.store(flags.to_bits(), Ordering::Relaxed);
    }

    /// Ends the generation.
    #[inline]
    pub(super) fn end(&self) {
        // A report just before this store is lost, as it would be just after it.
        let next = (self.generation() + 1) << OUTCOME_BITS;
        overwrite(&self.state, next);
    }

    // Relaxed: a slot is handed from call to call through a thread or a lock.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
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

    /// The number that the protocol has kept.
    #[inline]
    pub(crate) fn note(&self) -> u32 {
        self.note.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_note(&self, note: u32) {
        self.note.store(note, Ordering::Relaxed);
    }

    /// The protocol's own code of the outcome, if there is one.
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

    /// The outcome of the first fault, or else what the request's body has reported.
    #[inline]
    pub(crate) fn fault(&self) -> Option<Outcome> {
        let fault = Outcome::from_code(self.fault.load(Ordering::Relaxed));
        // Relaxed: nothing else is read through it. If the handler saw the body fail, the report was made before.
        fault.or_else(|| Outcome::from_code((self.state.load(Ordering::Relaxed) & 0xff) as u8))
    }

    pub(crate) fn set_trace(&self, trace: TraceContext) {
        for (word, value) in self.trace.iter().zip(trace.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The trace of the call, if it has [one](Flags::TRACED).
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        let words = || array::from_fn(|i| self.trace[i].load(Ordering::Relaxed));
        let is_traced = self.flags().has(Flags::TRACED);
        is_traced.then(|| TraceContext::from_words(words()))
    }

    /// Counts the sizes of both bodies from 0 on.
    pub(crate) fn measure(&self) {
        overwrite(&self.request_bytes, self.generation() << BYTE_BITS);
        self.response_bytes.store(0, Ordering::Relaxed);
    }

    /// Adds to the size of the response.
    pub(crate) fn add_response_bytes(&self, bytes: u64) {
        let counted = self.response_bytes.load(Ordering::Relaxed);
        let sum = counted.saturating_add(bytes);
        self.response_bytes.store(sum, Ordering::Relaxed);
    }

    /// The sizes of the request and of the response.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        (
            self.request_bytes.load(Ordering::Relaxed) & MAX_BYTES,
            self.response_bytes.load(Ordering::Relaxed),
        )
    }
}
