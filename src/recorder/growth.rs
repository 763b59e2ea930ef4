//! How many label sets a layer may have, and how they come to be.
//!
//! Whoever brings a label set that was not there makes it, under a lock that no other call needs. Where there is no room
//! for one more, the call goes to the rows that say `_OTHER` in every label of a request; it learns of that
//! without the lock, for those who send ever new labels must not make others wait either.

use super::aside::Aside;
use super::families::Families;
use super::rows::{Row, Shelf, Texts};
use super::series::Series;
use super::sets::{Begin, BeginSet, Chain, End, EndSet, Head, HeadSet, Set};
use super::settings::Settings;
use crate::labels::{Carrier, Declared, Known, Values};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many label sets there are, and whether there is room for more.
#[derive(Debug)]
pub(super) struct Budget {
    counts: Mutex<Counts>,
    full: [AtomicBool; LEVELS],
}

/// How many sets there are on each level.
#[derive(Debug, Default)]
struct Counts {
    /// Of the present user.
    active: [usize; LEVELS],
    /// Of all users.
    made: [usize; LEVELS],
}

const BEGIN: usize = 0;
const HEAD: usize = 1;
const END: usize = 2;
const LEVELS: usize = 3;

const NO_VALUES: &[Box<str>] = &[];

// === impl Budget ===

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            counts: Mutex::default(),
            full: Default::default(),
        }
    }

    /// Whether there is room for another user's sets beside those of the ones before.
    pub(super) fn is_reusable(&self, settings: &Settings) -> bool {
        let made = self.lock().made;
        made.iter().all(|made| *made <= settings.label_sets)
    }

    /// All room is there again.
    pub(super) fn reset(&self) {
        self.lock().active = [0; LEVELS];
        for full in &self.full {
            full.store(false, Ordering::Relaxed);
        }
    }

    /// The set of these values: one that another thread has added meanwhile, one of a former user, or a new one, with what `then`
    /// makes of them. None if there is no room.
    #[cold]
    fn grow<T>(
        &self,
        (level, room): (usize, usize),
        chain: &Chain<T>,
        (hash, values): (u64, &[&str]),
        then: impl FnOnce(&[Box<str>]) -> T,
        show: impl FnOnce(&T),
    ) -> Option<&'static Set<T>> {
        if self.full[level].load(Ordering::Relaxed) {
            return None;
        }
        let mut counts = self.lock();
        let found = chain.find(hash, values);
        if let Some(set) = found.filter(|set| set.is_active()) {
            return Some(set);
        }
        if counts.active[level] >= room {
            self.full[level].store(true, Ordering::Relaxed);
            return None;
        }
        counts.active[level] += 1;
        let set = match found {
            Some(set) => {
                show(set);
                set.set_active(true);
                set
            }
            None => {
                counts.made[level] += 1;
                let values: Texts = values.iter().map(|value| (*value).into()).collect();
                let then = then(&values);
                let set = Set::leak(hash, values, then);
                chain.append(set);
                set
            }
        };
        Some(set)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Families ===

impl Families {
    /// Makes what is to be on the page from the start.
    pub(super) fn stand_ready(&'static self) {
        if self.settings.schema.is_empty() {
            let all = self.declare(&Values::NONE, &Values::NONE, &Values::NONE);
            self.sets.asides.set_constant(all);
        }
        for Declared { begin, head, end } in &self.settings.declared {
            let [begin, head, end] = [begin, head, end].map(|values| Declared::values(values));
            self.declare(&begin, &head, &end);
        }
        if self.settings.filter.is_some() {
            self.left_out();
        }
    }

    fn declare(&'static self, begin: &Values<'_>, head: &Values<'_>, end: &Values<'_>) -> Aside {
        let begin = self.begin_set(begin);
        let head = self.head_set(begin, head);
        let end = self.end_set(begin, head, end);
        end.row.declare();
        Aside { begin, head, end }
    }

    #[cold]
    pub(super) fn new_begin_set(&'static self, hash: u64, values: &[&str]) -> &'static BeginSet {
        let chain = self.sets.chain(hash);
        let then = |values: &[Box<str>]| Begin {
            families: self,
            row: self.row(
                &self.rows.begin,
                Carrier::Begin,
                [values, NO_VALUES, NO_VALUES],
            ),
            heads: Chain::new(),
        };
        let room = (BEGIN, self.settings.label_sets);
        let show = |begin: &Begin| begin.row.show();
        let budget = &self.sets.budget;
        let made = budget.grow(room, chain, (hash, values), then, show);
        let Some(begin) = made else {
            return self.overflow().begin;
        };
        if !self.settings.schema.asks_response() {
            self.head_set(begin, &Values::NONE);
        }
        begin
    }

    #[cold]
    pub(super) fn new_head_set(
        &'static self,
        begin: &'static BeginSet,
        hash: u64,
        values: &[&str],
    ) -> &'static HeadSet {
        let then = |values: &[Box<str>]| Head {
            row: self.row(
                &self.rows.head,
                Carrier::Head,
                [begin.values(), values, NO_VALUES],
            ),
            ends: Chain::new(),
        };
        let room = (HEAD, self.settings.label_sets);
        let show = |head: &Head| head.row.show();
        let budget = &self.sets.budget;
        let made = budget.grow(room, &begin.heads, (hash, values), then, show);
        let Some(head) = made else {
            return self.overflow().head;
        };
        if !self.settings.schema.asks_end() {
            self.end_set(begin, head, &Values::NONE);
        }
        head
    }

    #[cold]
    pub(super) fn new_end_set(
        &'static self,
        begin: &'static BeginSet,
        head: &'static HeadSet,
        hash: u64,
        values: &[&str],
    ) -> &'static EndSet {
        let then = |values: &[Box<str>]| {
            let all = [begin.values(), head.values(), values];
            End {
                row: self.row(&self.rows.end, Carrier::End, all),
                duration: self.row(&self.rows.duration, Carrier::Duration, all),
                overflow: false,
            }
        };
        let show = |end: &End| {
            end.row.show();
            end.duration.show();
        };
        let room = (END, self.settings.label_sets);
        let budget = &self.sets.budget;
        match budget.grow(room, &head.ends, (hash, values), then, show) {
            Some(end) => end,
            None => self.overflow().end,
        }
    }

    /// The row that shows these values, as far as its metrics carry them.
    pub(super) fn row<S: Series>(
        &'static self,
        shelf: &'static Shelf<S>,
        carrier: Carrier,
        [begin, head, end]: [&[Box<str>]; LEVELS],
    ) -> &'static Row<S> {
        let known = Known { begin, head, end };
        shelf.row(self.settings.schema.project(carrier, known), self.settings)
    }
}
