use crate::clock::Time;
use crate::error_types::Outcome;
use crate::flags::Flags;
use crate::recorder::{Key, SetIndex};
use crate::sync::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence, overwrite};
use crate::trace::TraceContext;
use std::array;

/// What is known of an open call.
///
/// Only the call itself reads and writes it, except `state` and `request_bytes`. A page that shows the age of calls
/// [reads](Self::age_of) some of it.
// Two cache lines. Only calls that are measured or traced need the second. Neighbouring slots may be with other threads.
// In this order: what all calls need comes first. (7 of 176 ns with cold caches.)
#[repr(C, align(64))]
pub(crate) struct OpenCall {
    /// The generation, above [`OUTCOME_BITS`] of the [`Outcome`] that the request's body has reported.
    pub(super) state: AtomicU64,
    key: AtomicU64,
    began: AtomicU64,
    begin: AtomicU32,
    head: AtomicU32,
    flags: AtomicU32,
    /// If the protocol has [set](Flags::HAS_CODE) one.
    code: AtomicU8,
    /// If there was [one](Flags::HAS_FAULT): the [`Outcome`] of the first fault.
    fault: AtomicU8,
    /// If sizes are measured: the low bits of the generation, above [`BYTE_BITS`] of bytes.
    pub(super) request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    trace: [AtomicU64; 3],
    /// If there are [items](Flags::HAS_ITEM): how many, and when the first and the last of them came.
    items: AtomicU64,
    first_item: AtomicU64,
    last_item: AtomicU64,
    /// If polls are [timed](Flags::HAS_POLL): the nanoseconds of all of them.
    polled: AtomicU64,
    poll_began: AtomicU64,
}

pub(super) const OUTCOME_BITS: u32 = 8;

/// The size of a request is counted up to a TiB less one byte.
///
/// That leaves 24 bits of generation. A late report would be taken for the next call's only if it pauses between reading
/// the generation and adding, for exactly as many calls in this slot as there are such numbers.
pub(super) const BYTE_BITS: u32 = 40;
pub(super) const MAX_BYTES: u64 = (1 << BYTE_BITS) - 1;

// === impl OpenCall ===

impl OpenCall {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            key: AtomicU64::new(0),
            began: AtomicU64::new(0),
            begin: AtomicU32::new(0),
            head: AtomicU32::new(0),
            flags: AtomicU32::new(0),
            code: AtomicU8::new(0),
            fault: AtomicU8::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            trace: array::from_fn(|_| AtomicU64::new(0)),
            items: AtomicU64::new(0),
            first_item: AtomicU64::new(0),
            last_item: AtomicU64::new(0),
            polled: AtomicU64::new(0),
            poll_began: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(super) fn begin(&self, key: Key, sets: [SetIndex; 2], began: Time, flags: Flags) {
        let [begin, head] = sets;
        // A reader that sees one of the stores below sees that the generation before has ended.
        fence(Ordering::Release);
        self.key.store(key.to_bits(), Ordering::Relaxed);
        self.began.store(began.to_bits(), Ordering::Relaxed);
        self.begin.store(begin, Ordering::Relaxed);
        self.head.store(head, Ordering::Relaxed);
        self.set_flags(flags);
    }

    /// The recorder, the label set and the beginning of the call, if pages show its [age](Flags::AGE) and it is open.
    // Any thread may ask. A seqlock: the generation changes before another call writes.
    pub(super) fn age_of(&self) -> Option<(Key, SetIndex, Time)> {
        let generation = self.state.load(Ordering::Acquire) >> OUTCOME_BITS;
        let is_shown = Flags::from_bits(self.flags.load(Ordering::Acquire)).has(Flags::AGE);
        let call = (self.key(), self.begin_set(), self.began());
        fence(Ordering::Acquire);
        (is_shown && self.generation() == generation).then_some(call)
    }

    /// Ends the generation.
    #[inline]
    pub(super) fn end(&self) {
        // A reader of the next generation sees that the age is not shown any more.
        fence(Ordering::Release);
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

    /// The protocol's own code of the outcome, if there is one.
    pub(crate) fn code(&self) -> Option<u8> {
        let has_code = self.flags().has(Flags::HAS_CODE);
        has_code.then(|| self.code.load(Ordering::Relaxed))
    }

    pub(crate) fn set_code(&self, code: u8) {
        self.code.store(code, Ordering::Relaxed);
        self.set_flags(self.flags().with(Flags::HAS_CODE));
    }

    #[inline]
    pub(crate) fn flags(&self) -> Flags {
        Flags::from_bits(self.flags.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn set_flags(&self, flags: Flags) {
        // Release: a reader that sees `Flags::AGE` sees what the call began with.
        self.flags.store(flags.to_bits(), Ordering::Release);
    }

    pub(crate) fn set_fault(&self, fault: Outcome) {
        self.fault.store(fault.code(), Ordering::Relaxed);
        self.set_flags(self.flags().with(Flags::HAS_FAULT));
    }

    /// The outcome of the first fault, or else what the request's body has reported.
    #[inline]
    pub(crate) fn fault(&self) -> Option<Outcome> {
        match self.flags().has(Flags::HAS_FAULT) {
            true => Outcome::from_code(self.fault.load(Ordering::Relaxed)),
            false => self.reported(),
        }
    }

    /// What the request's body has reported.
    #[inline]
    pub(crate) fn reported(&self) -> Option<Outcome> {
        // Relaxed: nothing else is read through it. If the handler saw the body fail, the report was made before.
        Outcome::from_code((self.state.load(Ordering::Relaxed) & 0xff) as u8)
    }

    pub(crate) fn set_trace(&self, trace: TraceContext) {
        for (word, value) in self.trace.iter().zip(trace.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The trace of the call, if it has [one](Flags::TRACED), with the time of what is observed `now`.
    pub(crate) fn traced(&self, now: Time) -> Option<(TraceContext, Time)> {
        let words = || array::from_fn(|i| self.trace[i].load(Ordering::Relaxed));
        let is_traced = self.flags().has(Flags::TRACED);
        is_traced.then(|| (TraceContext::from_words(words()), now))
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

    /// Counts items that come `now`. Returns when the last one before came.
    pub(crate) fn add_items(&self, items: u64, now: Time) -> Option<Time> {
        let last = self.last_item();
        let before = match last {
            Some(_) => self.items.load(Ordering::Relaxed),
            None => {
                self.first_item.store(now.to_bits(), Ordering::Relaxed);
                self.set_flags(self.flags().with(Flags::HAS_ITEM));
                0
            }
        };
        self.items
            .store(before.saturating_add(items), Ordering::Relaxed);
        self.last_item.store(now.to_bits(), Ordering::Relaxed);
        last
    }

    fn last_item(&self) -> Option<Time> {
        let has_item = self.flags().has(Flags::HAS_ITEM);
        has_item.then(|| Time::from_bits(self.last_item.load(Ordering::Relaxed)))
    }

    /// How many items there were, and when the first one came. `None` without items.
    pub(crate) fn items(&self) -> Option<(u64, Time)> {
        let first = Time::from_bits(self.first_item.load(Ordering::Relaxed));
        let has_item = self.flags().has(Flags::HAS_ITEM);
        has_item.then(|| (self.items.load(Ordering::Relaxed), first))
    }

    pub(crate) fn set_poll_began(&self, now: Time) {
        self.poll_began.store(now.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn poll_began(&self) -> Time {
        Time::from_bits(self.poll_began.load(Ordering::Relaxed))
    }

    /// Adds to the time that polls take.
    pub(crate) fn add_polled(&self, nanos: u64) {
        let flags = self.flags();
        let sum = self.polled().saturating_add(nanos);
        self.polled.store(sum, Ordering::Relaxed);
        self.set_flags(flags.with(Flags::HAS_POLL));
    }

    /// The nanoseconds that polls took.
    pub(crate) fn polled(&self) -> u64 {
        match self.flags().has(Flags::HAS_POLL) {
            true => self.polled.load(Ordering::Relaxed),
            false => 0,
        }
    }

    /// The sizes of the request and of the response.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        (
            self.request_bytes.load(Ordering::Relaxed) & MAX_BYTES,
            self.response_bytes.load(Ordering::Relaxed),
        )
    }
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use crate::recorder::ROOT;
    use loom::thread;

    /// A page looks at a slot while its call ends and the next one begins. It sees one of the two, or none.
    #[test]
    fn loom_an_age_is_that_of_one_call() {
        loom::model(|| {
            let slot: &'static OpenCall = Box::leak(Box::new(OpenCall::new()));
            let begin = |call: u64| {
                let (key, began) = (Key::from_bits(call), Time::from_bits(call));
                slot.begin(key, [call as SetIndex, ROOT], began, Flags::AGE);
            };
            begin(1);
            let calls = thread::spawn(move || {
                slot.set_flags(Flags::NONE);
                slot.end();
                begin(2);
            });
            // On a thread of its own: loom does not move the main thread's loads behind the end.
            let page = thread::spawn(move || {
                if let Some((key, set, began)) = slot.age_of() {
                    let call = began.to_bits();
                    assert_eq!((key.to_bits(), u64::from(set)), (call, call));
                }
            });
            calls.join().unwrap();
            page.join().unwrap();
            assert!(
                slot.age_of()
                    .is_some_and(|(.., began)| began.to_bits() == 2)
            );
        });
    }
}
