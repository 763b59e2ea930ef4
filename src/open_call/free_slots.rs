use super::slot::OpenCall;
use crate::clock::Time;
use crate::flags::Flags;
use crate::recorder::{Key, SetIndex};
use std::array;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The free slots of one thread.
pub(crate) struct FreeSlots(Vec<&'static OpenCall>);

/// The open calls whose age pages [show](Flags::AGE), by recorder.
#[derive(Debug, Default)]
pub(crate) struct OpenCalls(HashMap<Key, Vec<(SetIndex, Time)>>);

/// The free slots of no thread. In all there are at most as many slots as calls were ever open at once, and [`MAX_KEPT`]
/// for each thread.
static SHARED: Mutex<Vec<&'static OpenCall>> = Mutex::new(Vec::new());

/// All slots. The [`BATCH`]es are never freed, so that calls need no reference count.
static ALL: Mutex<Vec<&'static [OpenCall; BATCH]>> = Mutex::new(Vec::new());

/// Slots that a thread takes at once if its calls end elsewhere, and gives back at once if calls of others end here.
const BATCH: usize = 32;
const MAX_KEPT: usize = 2 * BATCH;

// === impl FreeSlots ===

impl FreeSlots {
    pub(crate) const fn new() -> Self {
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
    ) -> &'static OpenCall {
        let slot = self.0.pop().unwrap_or_else(|| self.refill());
        slot.begin(key, sets, began, flags);
        slot
    }

    /// Takes back the slot of a call that has ended.
    #[inline]
    pub(crate) fn close(&mut self, slot: &'static OpenCall) {
        slot.end();
        // Its capacity is 0 or `MAX_KEPT`.
        if self.0.len() < self.0.capacity() {
            self.0.push(slot);
        } else {
            self.keep(slot);
        }
    }

    #[cold]
    fn keep(&mut self, slot: &'static OpenCall) {
        if self.0.len() >= MAX_KEPT {
            shared().extend(self.0.drain(BATCH..));
        }
        self.0.reserve_exact(MAX_KEPT - self.0.len());
        self.0.push(slot);
    }

    #[cold]
    fn refill(&mut self) -> &'static OpenCall {
        let mut shared = shared();
        let left = shared.len().saturating_sub(BATCH);
        self.0.reserve_exact(MAX_KEPT);
        self.0.extend(shared.drain(left..));
        self.0.pop().unwrap_or_else(|| {
            let made: &'static [OpenCall; BATCH] =
                Box::leak(Box::new(array::from_fn(|_| OpenCall::new())));
            locked(&ALL).push(made);
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

// === impl OpenCalls ===

impl OpenCalls {
    /// Looks at all slots of the process.
    pub(crate) fn now() -> Self {
        let mut open = Self::default();
        // The lock is held for the copy only: a thread that makes slots waits for it.
        let all = locked(&ALL).clone();
        for (key, begin, began) in all.into_iter().flatten().filter_map(OpenCall::age_of) {
            open.0.entry(key).or_default().push((begin, began));
        }
        open
    }

    /// The label sets and the beginnings of a recorder's calls.
    pub(crate) fn of(&self, key: Key) -> &[(SetIndex, Time)] {
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }
}

fn shared() -> MutexGuard<'static, Vec<&'static OpenCall>> {
    locked(&SHARED)
}

fn locked<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
