//! What a thread holds, and how a call borrows it.

use super::local::LocalRecorder;
use super::recorder::{Key, Recorder, dropped};
use crate::open_call::FreeSlots;
use std::cell::RefCell;
use std::mem::{self, ManuallyDrop};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a thread holds.
struct Local {
    /// By the slots of their keys.
    recorders: Vec<Option<Box<LocalRecorder>>>,
    /// Identifies this thread. 0 until it is needed.
    thread: u64,
    /// How many recorders had been dropped when this thread last looked.
    dropped: u64,
    /// Keys of dropped recorders, by their slots: services may go on without their layer.
    dead_keys: Vec<Key>,
    free: FreeSlots,
    /// Whether the thread is ending, so that it must let go right after each call.
    is_ending: bool,
}

thread_local! {
    // Two are cheaper than one: this has no destructor, and `AT_EXIT` has nothing else.
    static LOCAL: RefCell<ManuallyDrop<Local>> = const { RefCell::new(Local::NEW) };
    static AT_EXIT: AtExit = const { AtExit };
}

struct AtExit;

/// Calls `count` with what this thread holds of a recorder. Returns `None` if the recorder has been dropped.
///
/// `count` must not run users' code, drops included: that may come here, too.
#[inline(always)]
pub(crate) fn with_recorder<R>(key: Key, count: impl FnOnce(&mut LocalRecorder) -> R) -> Option<R> {
    with_recorder_and_slots(key, move |local, _| count(local))
}

/// As [`with_recorder`], for calls that begin or end.
// `count` is called in one place, so that it is compiled once, into the caller: 60 instructions a call.
#[inline(always)]
pub(crate) fn with_recorder_and_slots<R>(
    key: Key,
    count: impl FnOnce(&mut LocalRecorder, &mut FreeSlots) -> R,
) -> Option<R> {
    LOCAL.with(|local| {
        let mut borrowed = local.try_borrow_mut().ok()?;
        let (recorder, free) = match borrowed.get(key) {
            Some(held) => held,
            None => {
                drop(borrowed);
                attach(local, key)?;
                borrowed = local.try_borrow_mut().ok()?;
                borrowed.get_attached(key)?
            }
        };
        let counted = count(recorder, free);
        let is_ending = borrowed.is_ending;
        drop(borrowed);
        if is_ending {
            let_go_of_all(local);
        }
        Some(counted)
    })
}

/// Makes what the thread holds of a recorder, and lets go of recorders that have been dropped.
///
/// Returns `None` if this recorder has been dropped.
#[cold]
#[inline(never)]
fn attach(local: &RefCell<ManuallyDrop<Local>>, key: Key) -> Option<()> {
    if key == Key::NONE {
        return None;
    }
    // Dropped when nothing is borrowed any more, as users' functions may be dropped with it.
    let mut gone = Gone::default();
    let mut borrowed = local.try_borrow_mut().ok()?;
    if borrowed.dead_keys.get(key.slot()) == Some(&key) {
        return None;
    }
    borrowed.let_go_of_dropped(&mut gone);
    if borrowed.get_attached(key).is_some() {
        return Some(());
    }
    drop(borrowed);
    // Registers the destructor before there is anything to drop.
    let lasts = AT_EXIT.try_with(|_| ()).is_ok();
    let recorder = key.recorder();
    let mut borrowed = local.try_borrow_mut().ok()?;
    borrowed.is_ending = !lasts;
    match &recorder {
        Some(recorder) => borrowed.hold(recorder, &mut gone),
        None if lasts => borrowed.bury(key),
        None => {}
    }
    drop(borrowed);
    recorder.map(drop)
}

/// The thread ends. The series keep what it has counted.
#[cold]
fn let_go_of_all(local: &RefCell<ManuallyDrop<Local>>) {
    let Ok(mut borrowed) = local.try_borrow_mut() else {
        return;
    };
    let all = mem::replace(&mut *borrowed, Local::NEW);
    // What follows is dropped when nothing is borrowed any more, as users' functions may be dropped with it.
    drop(borrowed);
    let Local { recorders, .. } = ManuallyDrop::into_inner(all);
    drop(Gone(recorders));
}

/// What a thread lets go of.
#[derive(Default)]
struct Gone(Vec<Option<Box<LocalRecorder>>>);

impl Drop for Gone {
    fn drop(&mut self) {
        // A user's function that panics when it is dropped must not keep the call at hand from being counted.
        for held in self.0.drain(..) {
            let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(held)));
        }
    }
}

/// For calls that are not counted.
pub(crate) fn with_slots<R>(count: impl FnOnce(&mut FreeSlots) -> R) -> R {
    LOCAL.with(|local| match local.try_borrow_mut() {
        Ok(mut local) if AT_EXIT.try_with(|_| ()).is_ok() => count(&mut local.free),
        _ => count(&mut FreeSlots::new()),
    })
}

// === impl Local ===

impl Local {
    const NEW: ManuallyDrop<Self> = ManuallyDrop::new(Self {
        recorders: Vec::new(),
        thread: 0,
        dropped: 0,
        dead_keys: Vec::new(),
        free: FreeSlots::new(),
        is_ending: false,
    });

    #[inline(always)]
    fn get(&mut self, key: Key) -> Option<(&mut LocalRecorder, &mut FreeSlots)> {
        let recorder = self.recorders.get_mut(key.slot())?.as_deref_mut();
        let recorder = recorder.filter(|recorder| recorder.has_key(key))?;
        recorder.catch_up();
        Some((recorder, &mut self.free))
    }

    /// As [`get`](Self::get), after [`attach`].
    #[cold]
    fn get_attached(&mut self, key: Key) -> Option<(&mut LocalRecorder, &mut FreeSlots)> {
        let recorder = self.recorders.get_mut(key.slot())?.as_deref_mut()?;
        recorder.attach();
        self.get(key)
    }

    /// Moves what is held of dropped recorders to `gone`.
    fn let_go_of_dropped(&mut self, gone: &mut Gone) {
        let count = dropped();
        if mem::replace(&mut self.dropped, count) != count {
            let held = self.recorders.iter_mut();
            gone.0
                .extend(held.map(|held| held.take_if(|held| held.is_detached())));
        }
    }

    fn bury(&mut self, key: Key) {
        let places = self.dead_keys.len().max(key.slot() + 1);
        self.dead_keys.resize(places, Key::NONE);
        self.dead_keys[key.slot()] = key;
    }

    fn hold(&mut self, recorder: &Arc<Recorder>, gone: &mut Gone) {
        if self.thread == 0 {
            static NEXT: AtomicU64 = AtomicU64::new(1);
            self.thread = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        let slot = recorder.key().slot();
        if self.recorders.len() <= slot {
            self.recorders.resize_with(slot + 1, || None);
        }
        let new = Box::new(LocalRecorder::new(recorder, self.thread));
        gone.0.push(self.recorders[slot].replace(new));
    }
}

impl Drop for AtExit {
    fn drop(&mut self) {
        LOCAL.with(let_go_of_all);
    }
}
