//! What threads share of a recorder.

use super::label_set::STAYS;
use super::layout::Layout;
use crate::clock::{Reader, Time};
use crate::error_types::ErrorTypes;
use crate::settings::{Needs, Settings};
use foldhash::fast::RandomState;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What threads share of a recorder, for as long as one of them holds a part of it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) layout: Layout,
    pub(super) needs: Needs,
    pub(crate) error_types: ErrorTypes,
    pub(super) hasher: RandomState,
    /// Calls beyond the cardinality limit.
    overflowed: AtomicU64,
    /// How many label sets have left.
    pub(super) removals: AtomicU64,
    pub(crate) clock: Reader,
    began: Time,
    /// The time from one page to the next, from 1 on. The longest durations are kept for a window.
    window: AtomicU64,
}

/// What a thread lends to a call that runs users' functions.
///
/// The `Rc` has a count of this thread's own: all threads share the count of the `Arc`, and would contend for it.
pub(crate) type Lent = Rc<Arc<Shared>>;

// === impl Shared ===

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        let clock = settings.clock.reader();
        Self {
            layout: Layout::new(&settings),
            needs: Needs::of(&settings),
            error_types: ErrorTypes::new(settings.error_types.clone()),
            hasher: RandomState::default(),
            overflowed: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            began: clock.now(),
            clock,
            window: AtomicU64::new(1),
            settings,
        }
    }

    pub(super) fn count_overflow(&self) {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls were beyond the cardinality limit.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// The window of calls that end now.
    #[inline]
    pub(crate) fn window(&self) -> u64 {
        self.window.load(Ordering::Relaxed)
    }

    /// Returns the window that ends with this page.
    pub(crate) fn end_window(&self) -> u64 {
        self.window.fetch_add(1, Ordering::Relaxed)
    }

    /// Nanoseconds since the recorder was made.
    pub(super) fn now(&self) -> u64 {
        self.clock.nanos_since(self.began)
    }

    /// The flags of a label set that the server has.
    pub(super) fn flags_when_proven(&self) -> u64 {
        match self.settings.series_idle_timeout {
            Some(_) => 0,
            None => STAYS,
        }
    }

    /// How many nanoseconds a label set stays without a call. `None` if it stays forever.
    pub(super) fn idle(&self) -> Option<u64> {
        let idle = self.settings.series_idle_timeout?;
        Some(u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX))
    }
}
