//! The labels of a call at one moment, and the calls that use them.

use super::series::Series;
use crate::labels::{KeptValue, Moment, Value, Values};
use crate::sync::{AtomicU64, Ordering};
use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// The place of a label set in its recorder.
pub(crate) type SetIndex = u32;

/// The set before the first labels of a call. Calls whose requests have no labels use it, too.
pub(crate) const ROOT: SetIndex = 0;

/// The labels of a call, as far as they are known at one moment.
#[derive(Debug)]
pub(super) struct LabelSet {
    pub(super) moment: Moment,
    /// The set of the moment before.
    pub(super) before: SetIndex,
    /// The values that this moment adds.
    pub(super) values: Box<[KeptValue]>,
    pub(super) hash: u64,
    /// By group. `None` for groups with labels that are not known yet.
    pub(super) series: Box<[Option<Arc<Series>>]>,
    /// Whether it stands for label sets beyond the cardinality limit.
    pub(super) is_overflow: bool,
    pub(super) uses: Uses,
}

/// The calls that use a label set which can leave.
///
/// All threads share these numbers: a set leaves only if no call of any thread uses it.
#[derive(Debug)]
pub(super) struct Uses {
    /// Open calls, and the flags [`STAYS`], [`GONE`] and [`UNPROVEN`].
    calls: AtomicU64,
    /// When a call last began or ended, in nanoseconds of the recorder's clock.
    touched: AtomicU64,
}

/// The set never leaves, and its calls are not counted.
pub(super) const STAYS: u64 = 1 << 63;
/// The set has left.
const GONE: u64 = 1 << 62;
/// No call has shown that the server has what the labels name. The set leaves if room is short.
pub(super) const UNPROVEN: u64 = 1 << 61;

/// What finds a label set: the set before it, and the values that it adds.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'a> {
    pub(super) moment: Moment,
    pub(super) before: SetIndex,
    pub(super) values: &'a [Value<'a>],
    pub(super) hash: u64,
}

// === impl LabelSet ===

impl LabelSet {
    #[inline]
    pub(super) fn is(&self, moment: Moment, before: SetIndex, values: &[Value<'_>]) -> bool {
        self.before == before
            && self.moment == moment
            && self.values.len() == values.len()
            && self.values.iter().zip(values).all(|(a, b)| a == b)
    }
}

// === impl Lookup ===

impl<'a> Lookup<'a> {
    #[inline]
    pub(super) fn new(
        hasher: &RandomState,
        moment: Moment,
        before: SetIndex,
        values: &'a Values<'a>,
    ) -> Self {
        let values = values.as_slice();
        let mut hash = hasher.build_hasher();
        hash.write_u32(before);
        for value in values {
            match value {
                Value::Code(code) => hash.write_u16(*code),
                Value::Text(text) => {
                    hash.write(text.as_bytes());
                    hash.write_u8(0xff);
                }
            }
        }
        Self {
            moment,
            before,
            values,
            hash: hash.finish(),
        }
    }

    #[inline]
    pub(super) fn is(&self, set: &LabelSet) -> bool {
        set.is(self.moment, self.before, self.values)
    }
}

// === impl Uses ===

impl Uses {
    /// No call, and these flags.
    pub(super) fn new(flags: u64) -> Self {
        Self {
            calls: AtomicU64::new(flags),
            touched: AtomicU64::new(0),
        }
    }

    /// A call begins to use the set. Returns false if the set has left.
    pub(super) fn enter(&self, now: impl FnOnce() -> u64) -> bool {
        if self.stays() {
            return true;
        }
        // Acquire and Release, here and below: what a call has counted is visible to the thread that removes the set.
        let before = self.calls.fetch_add(1, Ordering::Acquire);
        if before & GONE != 0 {
            self.calls.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.touched.fetch_max(now(), Ordering::Relaxed);
        true
    }

    /// A call that used the set has ended.
    pub(super) fn exit(&self, now: impl FnOnce() -> u64) {
        if self.stays() {
            return;
        }
        self.touched.fetch_max(now(), Ordering::Relaxed);
        self.calls.fetch_sub(1, Ordering::Release);
    }

    #[inline]
    pub(super) fn stays(&self) -> bool {
        self.has(STAYS)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.has(GONE)
    }

    pub(super) fn is_unproven(&self) -> bool {
        self.has(UNPROVEN)
    }

    #[inline]
    fn has(&self, flag: u64) -> bool {
        self.calls.load(Ordering::Relaxed) & flag != 0
    }

    /// Clears [`UNPROVEN`] and sets `flags`. Returns whether the set was unproven.
    pub(super) fn prove(&self, flags: u64) -> bool {
        self.calls.fetch_or(flags, Ordering::Relaxed);
        self.calls.fetch_and(!UNPROVEN, Ordering::Relaxed) & UNPROVEN != 0
    }

    pub(super) fn is_unused(&self) -> bool {
        self.calls.load(Ordering::Relaxed) & !UNPROVEN == 0
    }

    pub(super) fn is_idle(&self, idle: u64, now: u64) -> bool {
        // Acquire: `touched` is at least what the last call has left.
        self.calls.load(Ordering::Acquire) & !UNPROVEN == 0
            && now.saturating_sub(self.touched.load(Ordering::Relaxed)) >= idle
    }

    /// Removes the set if no call uses it. Returns whether it did.
    pub(super) fn leave(&self) -> bool {
        let unused = self.calls.load(Ordering::Relaxed) & UNPROVEN;
        let left = self
            .calls
            .compare_exchange(unused, GONE, Ordering::Acquire, Ordering::Relaxed);
        left.is_ok()
    }

    /// Removes the set if no call has used it for so long. Returns whether it did.
    pub(super) fn leave_if_idle(&self, idle: u64, now: u64) -> bool {
        let unproven = self.calls.load(Ordering::Relaxed) & UNPROVEN;
        if !self.is_idle(idle, now) || !self.leave() {
            return false;
        }
        // A call may have come and gone in between. Who has met the set meanwhile waits for the lock, and finds it again.
        let is_idle = now.saturating_sub(self.touched.load(Ordering::Relaxed)) >= idle;
        if !is_idle {
            self.calls.fetch_sub(GONE - unproven, Ordering::Release);
        }
        is_idle
    }

    /// Removes a set that follows one that has left, and so has no calls.
    pub(super) fn leave_with_before(&self) {
        self.calls.store(GONE, Ordering::Relaxed);
    }
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    /// A set never leaves with a call in it. Once it has left, all that its calls have counted is visible.
    #[test]
    fn loom_a_set_in_use_does_not_leave() {
        for flags in [0, UNPROVEN] {
            loom::model(move || {
                let world = loom::sync::Arc::new((Uses::new(flags), AtomicU64::new(0)));
                let call = {
                    let world = world.clone();
                    thread::spawn(move || {
                        let (uses, counted) = &*world;
                        let entered = uses.enter(|| 7);
                        if entered {
                            counted.store(1, Ordering::Relaxed);
                            assert!(!uses.is_gone());
                            uses.exit(|| 8);
                        }
                        entered
                    })
                };
                let (uses, counted) = &*world;
                let seen = uses.leave().then(|| counted.load(Ordering::Relaxed));
                let entered = call.join().unwrap();
                match seen {
                    Some(seen) => assert_eq!(seen, u64::from(entered), "it left after the call"),
                    None => assert!(entered, "only a call keeps it"),
                }
            });
        }
    }
}
