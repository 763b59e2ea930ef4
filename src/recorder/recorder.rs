//! A recorder: all numbers of one layer, and how its key leads to it.

use super::error_types::{ErrorTypes, Outcome};
use super::label_sets::{LabelSet, LabelSets, SetIndex, Wanted};
use super::layout::Layout;
use super::series::Series;
use super::settings::Settings;
use crate::classify::Fault;
use crate::clock::{Moment as Time, Reader};
use crate::flags::Flags;
use crate::labels::Moment;
use foldhash::fast::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// All numbers of one layer.
///
/// The registry and the layers own it together. Services and calls only have its [`Key`].
#[derive(Debug)]
pub(crate) struct Recorder {
    key: Key,
    common: Arc<Common>,
    sets: LabelSets,
}

/// What threads share of a recorder, for as long as they have something of it.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) settings: Settings,
    pub(crate) layout: Layout,
    pub(super) asks: Asks,
    pub(crate) error_types: ErrorTypes,
    pub(super) hasher: RandomState,
    /// Calls for whose labels there was no room.
    pub(super) overflowed: AtomicU64,
    /// How often label sets have left.
    pub(super) sweeps: AtomicU64,
    pub(crate) clock: Reader,
    began: Time,
}

/// What a recorder has to do beyond counting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asks {
    /// Calls have to be looked at when they begin.
    pub(super) requests: bool,
    /// Requests bring labels, at some moment.
    pub(super) labels: bool,
    /// Responses bring some.
    pub(super) head_labels: bool,
    /// Calls say which label sets they use.
    pub(super) idle: bool,
    /// Calls say whether the server has what their labels name.
    pub(super) proves: bool,
    /// What each call has to ask.
    pub(super) of_calls: Flags,
}

/// Leads to a recorder, if that is still there.
///
/// Keys are copied freely: with every service, call and body.
// A slot, and above it a generation: which of the recorders that have had the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

/// The recorders of the process.
///
/// A slot is used again by the next recorder after its own has gone, so there are no more than there have been recorders
/// at a time.
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    recorder: Weak<Recorder>,
}

static SLOTS: Mutex<Slots> = Mutex::new(Slots {
    slots: Vec::new(),
    free: Vec::new(),
});

/// How many recorders have gone.
static GONE: AtomicU64 = AtomicU64::new(0);

// === impl Recorder ===

impl Recorder {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let layout = Layout::new(&settings);
        let clock = settings.clock.reader();
        let hasher = RandomState::default();
        let sets = LabelSets::new((&settings, &layout), &hasher);
        let common = Arc::new(Common {
            error_types: ErrorTypes::new(settings.error_types.clone()),
            began: clock.now(),
            clock,
            asks: Asks::of(&settings),
            layout,
            settings,
            hasher,
            overflowed: AtomicU64::new(0),
            sweeps: AtomicU64::new(0),
        });
        let mut slots = Slots::lock();
        let slot = slots.free.pop().unwrap_or_else(|| slots.add());
        let place = &mut slots.slots[slot as usize];
        let key = Key::new(slot, place.generation);
        let recorder = Arc::new(Self { key, common, sets });
        place.recorder = Arc::downgrade(&recorder);
        recorder
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    pub(crate) fn common(&self) -> &Arc<Common> {
        &self.common
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.common.settings
    }

    /// The series of a group that are on the page, in its order.
    pub(crate) fn series(&self, group: usize) -> Vec<Arc<Series>> {
        self.sets.series(group)
    }

    pub(super) fn set(&self, index: SetIndex) -> Option<Arc<LabelSet>> {
        self.sets.get(index)
    }

    /// The set that is wanted, or the one of calls for whose labels there is no room.
    pub(super) fn get_or_make(&self, wanted: Wanted<'_>) -> Option<(SetIndex, Arc<LabelSet>)> {
        let Common {
            settings,
            layout,
            hasher,
            sweeps,
            ..
        } = &*self.common;
        let (plan, shared) = ((settings, layout), (hasher, sweeps));
        let now = self.common.now();
        let found = self.sets.get_or_make(plan, shared, wanted, now)?;
        let is_due = || {
            let idle = self.common.idle();
            idle.is_some_and(|idle| self.sets.is_sweep_due(idle, now))
        };
        if found.1.is_overflow && is_due() && self.sweep() {
            return self.sets.get_or_make(plan, shared, wanted, now);
        }
        Some(found)
    }

    /// The server has what the labels of this set name.
    pub(super) fn prove(&self, begin: SetIndex) {
        let stays = self.common.settings.series_idle_timeout.is_none();
        self.sets.prove(begin, stays);
    }

    /// Lets go of idle label sets, where they are to leave. Returns whether there were any.
    pub(crate) fn sweep(&self) -> bool {
        let Some(idle) = self.common.idle() else {
            return false;
        };
        self.sets.sweep(idle, self.common.now(), || {
            // Threads look at it before they use the place of a set, which another one may have by now.
            self.common.sweeps.fetch_add(1, Ordering::Release);
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let slot = self.key.slot();
        let mut slots = Slots::lock();
        let place = &mut slots.slots[slot];
        place.recorder = Weak::new();
        // One whose generations are used up is not used again.
        if let Some(next) = self.key.generation().checked_add(1) {
            place.generation = next;
            slots.free.push(slot as u32);
        }
        GONE.fetch_add(1, Ordering::Relaxed);
    }
}

// === impl Asks ===

impl Asks {
    fn of(settings: &Settings) -> Self {
        let Settings {
            schema,
            filter,
            filter_messages,
            streams,
            exemplars,
            sizes,
            response_head,
            first_byte,
            series_idle_timeout,
            ..
        } = settings;
        let labels = !schema.is_empty();
        let of_requests = streams.as_ref().is_some_and(|of| of.of_requests.is_some());
        let of_responses = streams.as_ref().is_some_and(|of| of.of_responses.is_some());
        let heads = response_head.is_some() || of_responses || schema.asks(Moment::Head);
        let of_calls = [
            Flags::ASKS_HEAD.given(heads),
            Flags::ASKS_FIRST_BYTE.given(first_byte.is_some()),
            Flags::ASKS_SIZES.given(sizes.is_some()),
            Flags::ASKS_END.given(schema.asks(Moment::End)),
        ];
        let filters = filter.is_some() || filter_messages.is_some();
        let looks = filters || exemplars.is_some() || of_requests;
        let proves = schema.has_to_be_proven();
        Self {
            requests: labels || sizes.is_some() || looks,
            labels,
            head_labels: schema.asks(Moment::Head),
            idle: series_idle_timeout.is_some() || proves,
            proves,
            of_calls: of_calls.into_iter().fold(Flags::NONE, Flags::with),
        }
    }
}

// === impl Common ===

impl Common {
    /// The outcome that a fault leads to.
    pub(crate) fn outcome(&self, fault: Fault) -> Outcome {
        match fault {
            Fault::Failed(error_type) => Outcome::failed(self.error_types.index(error_type)),
            Fault::Cancelled => Outcome::CANCELLED,
        }
    }

    /// What a call that ended so is called where its end is a label; nothing, if it ended well.
    pub(crate) fn failure(&self, outcome: Outcome) -> Option<&'static str> {
        match outcome.failure() {
            Some(index) => Some(self.error_types.name(index).as_str()),
            None => (outcome == Outcome::CANCELLED).then_some("cancelled"),
        }
    }

    /// Whether calls are counted in one block, and nothing else is to be seen to.
    pub(super) fn is_plain(&self) -> bool {
        let Asks { labels, idle, .. } = self.asks;
        self.layout.groups().len() == 1 && !labels && !idle
    }

    /// Calls for whose labels there was no room.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Nanoseconds since the recorder was made.
    pub(super) fn now(&self) -> u64 {
        self.clock.nanos_since(self.began)
    }

    /// After how many nanoseconds without a call a label set leaves.
    fn idle(&self) -> Option<u64> {
        let idle = self.settings.series_idle_timeout?;
        Some(u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX))
    }
}

// === impl Key ===

impl Key {
    /// Leads nowhere: what is counted there nobody sees.
    pub(crate) const NONE: Self = Self(u32::MAX as u64);

    fn new(slot: u32, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(slot))
    }

    #[inline]
    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) fn slot(self) -> usize {
        self.0 as u32 as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The recorder, unless it has gone.
    pub(super) fn recorder(self) -> Option<Arc<Recorder>> {
        let slots = Slots::lock();
        let slot = slots.slots.get(self.slot())?;
        // Another one must not be held, not even briefly: it would be dropped here if everyone else has let go of it
        // meanwhile, and that takes the lock.
        let is_own = slot.generation == self.generation();
        is_own.then(|| slot.recorder.upgrade()).flatten()
    }
}

/// How many recorders have gone by now: whoever has seen another number may have something to let go.
pub(super) fn gone() -> u64 {
    GONE.load(Ordering::Relaxed)
}

// === impl Slots ===

impl Slots {
    fn add(&mut self) -> u32 {
        self.slots.push(Slot {
            generation: 0,
            recorder: Weak::new(),
        });
        (self.slots.len() - 1) as u32
    }

    fn lock() -> MutexGuard<'static, Self> {
        SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
