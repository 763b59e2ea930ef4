//! A recorder: all numbers of one layer. Its key leads to it.

use super::label_set::{LabelSet, Lookup, SetIndex};
use super::label_sets::LabelSets;
use super::series::Series;
use super::shared::Shared;
use crate::labels::Carrier;
use crate::settings::Settings;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};

/// All numbers of one layer.
///
/// The registry and the layers own it together. Services and calls only have its [`Key`].
#[derive(Debug)]
pub(crate) struct Recorder {
    key: Key,
    shared: Arc<Shared>,
    /// Only written where a label set is new, or leaves.
    sets: RwLock<LabelSets>,
}

/// Leads to a recorder, as long as that exists.
///
/// Keys are copied freely: with every service, call and body.
// The low half is a slot. The high half is a generation: it tells the recorders of one slot apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

/// The recorders of the process.
///
/// A new recorder takes the slot of a dropped one, so there are at most as many slots as recorders at one time.
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    recorder: Weak<Recorder>,
}

static SLOTS: Mutex<Slots> = Mutex::new(Slots {
    slots: Vec::new(),
    free: Vec::new(),
});

static DROPPED: AtomicU64 = AtomicU64::new(0);

// === impl Recorder ===

impl Recorder {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let shared = Arc::new(Shared::new(settings));
        let sets = RwLock::new(LabelSets::new(shared.clone()));
        let mut slots = Slots::lock();
        let slot = slots.free.pop().unwrap_or_else(|| slots.add());
        let place = &mut slots.slots[slot as usize];
        let key = Key::new(slot, place.generation);
        let recorder = Arc::new(Self { key, shared, sets });
        place.recorder = Arc::downgrade(&recorder);
        recorder
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The series of a group, in the order of the page.
    pub(crate) fn series(&self, group: usize) -> Vec<Arc<Series>> {
        self.read().series(group)
    }

    /// The series of a carrier's metrics of a label set, if there is one.
    pub(crate) fn series_of(&self, set: SetIndex, carrier: Carrier) -> Option<Arc<Series>> {
        self.set(set)?.series[self.shared.layout.group_of(carrier)].clone()
    }

    pub(super) fn set(&self, index: SetIndex) -> Option<Arc<LabelSet>> {
        self.read().get(index)
    }

    /// Finds or makes a label set, which the call uses from now on. Beyond the cardinality limit it is `_OTHER`.
    pub(super) fn get_or_make(&self, lookup: Lookup<'_>) -> Option<(SetIndex, Arc<LabelSet>)> {
        let now = self.shared.now();
        // Releases the lock before it is taken for writing.
        let found = self.read().find(lookup, now);
        found.or_else(|| self.write().find_or_make(lookup, now))
    }

    /// The server has what the labels of this set name.
    pub(super) fn prove(&self, begin: SetIndex) {
        self.write().prove(begin);
    }

    /// Removes idle label sets.
    pub(crate) fn sweep(&self) {
        let now = self.shared.now();
        let has_idle = self.read().has_idle(now);
        if has_idle {
            self.write().remove_idle(now);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, LabelSets> {
        self.sets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, LabelSets> {
        self.sets.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let slot = self.key.slot();
        let mut slots = Slots::lock();
        let place = &mut slots.slots[slot];
        place.recorder = Weak::new();
        // A slot without further generations is not used again.
        if let Some(next) = self.key.generation().checked_add(1) {
            place.generation = next;
            slots.free.push(slot as u32);
        }
        // Release: a thread that sees the new count sees that this recorder is gone.
        DROPPED.fetch_add(1, Ordering::Release);
    }
}

// === impl Key ===

impl Key {
    /// Leads to no recorder. Calls with this key are not counted.
    pub(crate) const NONE: Self = Self(u32::MAX as u64);

    fn new(slot: u32, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(slot))
    }

    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) fn slot(self) -> usize {
        self.0 as u32 as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The recorder, unless it has been dropped.
    pub(super) fn recorder(self) -> Option<Arc<Recorder>> {
        let slots = Slots::lock();
        let slot = slots.slots.get(self.slot())?;
        // The recorder of another generation must not be upgraded: if that were its last reference, it would be dropped
        // here, and its drop takes this lock.
        let is_own = slot.generation == self.generation();
        is_own.then(|| slot.recorder.upgrade()).flatten()
    }
}

/// How many recorders have been dropped.
pub(super) fn dropped() -> u64 {
    DROPPED.load(Ordering::Acquire)
}

// === impl Slots ===

impl Slots {
    fn add(&mut self) -> u32 {
        self.slots.push(Slot::default());
        (self.slots.len() - 1) as u32
    }

    fn lock() -> MutexGuard<'static, Self> {
        SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
