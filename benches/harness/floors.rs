//! The least that counting can cost: two readings of a clock and eight counters around a call, written inline.

use super::{Reading, call, post};
use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// The processor's own counter, as the crate reads it.
pub(crate) static CLOCK: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);

/// A thread's own counters, on cache lines of their own.
#[repr(align(128))]
struct Shard([AtomicU64; 8]);

/// Floor S, for counting in shared numbers: two `Instant::now` and eight read-modify-writes.
pub(crate) fn shared() {
    static SHARED: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
    let began = Instant::now();
    for counter in &SHARED[..4] {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    call(&Reading, post());
    let nanos = began.elapsed().as_nanos() as u64;
    for counter in &SHARED[4..] {
        counter.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Floor W, for counting in numbers with one writer: two readings of the processor's counter, and eight loads and
/// stores.
pub(crate) fn one_writer(clock: &quanta::Clock) {
    let began = clock.raw();
    let Shard(counters) = own();
    for counter in &counters[..4] {
        add(counter, 1);
    }
    call(&Reading, post());
    let ticks = clock.raw() - began;
    for counter in &counters[4..] {
        add(counter, ticks);
    }
}

#[inline]
fn add(counter: &AtomicU64, more: u64) {
    let sum = counter.load(Ordering::Relaxed) + more;
    counter.store(sum, Ordering::Relaxed);
}

/// Returns the thread's shard. Threads beyond the number of shards share them. Sums are wrong then, but nothing reads them.
#[inline]
fn own() -> &'static Shard {
    static SHARDS: [Shard; 64] = [const { Shard([const { AtomicU64::new(0) }; 8]) }; 64];
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let index = OWN.get();
    if index == usize::MAX {
        OWN.set(THREADS.fetch_add(1, Ordering::Relaxed));
    }
    &SHARDS[OWN.get() % SHARDS.len()]
}
