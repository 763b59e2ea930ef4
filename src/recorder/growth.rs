//! How many label sets a layer may have, and what is done with the rest.
//!
//! Whoever brings a label set that was not there makes it, under a lock that no other call needs. Where there is no room
//! for one more, the call goes to the rows that say `_OTHER` in every label of a request; it learns of that
//! without the lock, for those who send ever new labels must not make others wait either.

use super::block::Blocks;
use super::families::Families;
use super::rows::{Row, Shelf, Texts};
use super::series::{BeginSeries, DurationSeries, EndSeries, HeadSeries, Series};
use super::sets::{Begin, BeginSet, Chain, End, EndSet, Head, HeadSet, Set};
use super::settings::Settings;
use super::thread::Writer;
use crate::labels::{Carrier, Declared, Known, Values};
use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// All label sets of a layer.
#[derive(Debug)]
pub(crate) struct Sets {
    hasher: RandomState,
    /// By hash. A power of two.
    begins: Box<[Chain<Begin>]>,
    /// The only ones, where requests bring no labels.
    constant: OnceLock<Aside>,
    /// Where calls go for whose labels there is no room.
    overflow: OnceLock<Aside>,
    /// Where calls go that are left out. Nobody sees their rows.
    left_out: OnceLock<Aside>,
    overflowed: Blocks,
    counts: Mutex<Counts>,
    full: [AtomicBool; LEVELS],
}

/// Sets that calls go to whatever their labels are.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) begin: &'static BeginSet,
    pub(crate) head: &'static HeadSet,
    pub(crate) end: &'static EndSet,
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

// === impl Sets ===

impl Sets {
    pub(super) fn new(settings: &Settings) -> Self {
        let chains = match settings.schema.asks_request() {
            true => (settings.label_sets / 2)
                .clamp(1, 1 << 16)
                .next_power_of_two(),
            false => 1,
        };
        Self {
            hasher: RandomState::default(),
            begins: (0..chains).map(|_| Chain::new()).collect(),
            constant: OnceLock::new(),
            overflow: OnceLock::new(),
            left_out: OnceLock::new(),
            overflowed: Blocks::new(1),
            counts: Mutex::default(),
            full: Default::default(),
        }
    }

    /// Calls for whose labels there was no room.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.sum(0)
    }

    /// Counts a call for whose labels there was no room.
    #[inline]
    pub(crate) fn count_overflow(&self, writer: &Writer, end: &EndSet) {
        if end.overflow {
            self.overflowed.cells(writer).add(0, 1);
        }
    }

    /// Whether there is room for another user's sets beside those of the ones before.
    pub(super) fn is_reusable(&self, settings: &Settings) -> bool {
        let made = self.lock().made;
        made.iter().all(|made| *made <= settings.label_sets)
    }

    /// The row of calls that are left out, which is on no shelf.
    pub(super) fn left_out_row(&self) -> Option<&'static Row<BeginSeries>> {
        self.left_out.get().map(|aside| aside.begin.row)
    }

    /// No set has been met.
    pub(super) fn reset(&self) {
        for begin in self.begins.iter().flat_map(Chain::iter) {
            begin.set_active(false);
            for head in begin.heads.iter() {
                head.set_active(false);
                for end in head.ends.iter() {
                    end.set_active(false);
                }
            }
        }
        if let Some(aside) = self.overflow.get() {
            aside.set_active(false);
        }
        if let Some(aside) = self.left_out.get() {
            aside.reset_rows();
        }
        self.overflowed.reset();
        self.lock().active = [0; LEVELS];
        for full in &self.full {
            full.store(false, Ordering::Relaxed);
        }
    }

    #[inline]
    fn hash(&self, values: &[&str]) -> u64 {
        if values.is_empty() {
            return 0;
        }
        let mut hasher = self.hasher.build_hasher();
        for value in values {
            hasher.write(value.as_bytes());
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    #[inline]
    fn chain(&self, hash: u64) -> &Chain<Begin> {
        &self.begins[hash as usize & (self.begins.len() - 1)]
    }

    /// The set of these values: one that another thread has added meanwhile, one of a former user, or one that `make` makes.
    /// None if there is no room.
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

// === impl Aside ===

impl Aside {
    fn new(
        families: &'static Families,
        (begin_row, begin): (&'static Row<BeginSeries>, Texts),
        (head_row, head): (&'static Row<HeadSeries>, Texts),
        (row, duration, end): (&'static Row<EndSeries>, &'static Row<DurationSeries>, Texts),
        overflow: bool,
    ) -> Self {
        let end = Set::leak_for_any(
            end,
            End {
                row,
                duration,
                overflow,
            },
        );
        let ends = Chain::of(end);
        let head = Set::leak_for_any(
            head,
            Head {
                row: head_row,
                ends,
            },
        );
        let heads = Chain::of(head);
        let begin = Set::leak_for_any(
            begin,
            Begin {
                families,
                row: begin_row,
                heads,
            },
        );
        Self { begin, head, end }
    }

    fn set_active(&self, active: bool) {
        let Self { begin, head, end } = self;
        begin.set_active(active);
        head.set_active(active);
        end.set_active(active);
    }

    fn show(&self) {
        let Self { begin, head, end } = self;
        begin.row.show();
        head.row.show();
        end.row.show();
        end.duration.show();
    }

    fn reset_rows(&self) {
        let Self { begin, head, end } = self;
        begin.row.reset();
        head.row.reset();
        end.row.reset();
        end.duration.reset();
    }
}

// === impl Families ===

impl Families {
    /// The only sets, where requests bring no labels.
    #[inline]
    pub(crate) fn constant(&'static self) -> Option<&'static Aside> {
        self.sets.constant.get()
    }

    /// Where a call begins whose request has these labels.
    #[inline]
    pub(crate) fn begin_set(&'static self, values: &Values<'_>) -> &'static BeginSet {
        let values = values.as_slice();
        let hash = self.sets.hash(values);
        let found = self.sets.chain(hash).find(hash, values);
        match found.filter(|set| set.is_active()) {
            Some(set) => set,
            None => self.new_begin_set(hash, values),
        }
    }

    /// Where a call goes on whose response has these labels.
    #[inline]
    pub(crate) fn head_set(
        &'static self,
        begin: &'static BeginSet,
        values: &Values<'_>,
    ) -> &'static HeadSet {
        let values = values.as_slice();
        let hash = self.sets.hash(values);
        let found = begin.heads.find(hash, values);
        match found.filter(|set| set.is_active()) {
            Some(set) => set,
            None => self.new_head_set(begin, hash, values),
        }
    }

    /// Where a call ends that has these labels in the end.
    #[inline]
    pub(crate) fn end_set(
        &'static self,
        begin: &'static BeginSet,
        head: &'static HeadSet,
        values: &Values<'_>,
    ) -> &'static EndSet {
        let values = values.as_slice();
        let hash = self.sets.hash(values);
        let found = head.ends.find(hash, values);
        match found.filter(|set| set.is_active()) {
            Some(set) => set,
            None => self.new_end_set(begin, head, hash, values),
        }
    }

    /// Where a call begins that is left out.
    pub(crate) fn left_out(&'static self) -> &'static BeginSet {
        let settings = self.settings;
        let unseen = || {
            Aside::new(
                self,
                (Row::leak(Box::default(), settings), Box::default()),
                (Row::leak(Box::default(), settings), Box::default()),
                (
                    Row::leak(Box::default(), settings),
                    Row::leak(Box::default(), settings),
                    Box::default(),
                ),
                false,
            )
        };
        self.sets.left_out.get_or_init(unseen).begin
    }

    /// Makes what is to be on the page from the start.
    pub(super) fn stand_ready(&'static self) {
        if self.settings.schema.is_empty() {
            let all = self.declare(&Values::NONE, &Values::NONE, &Values::NONE);
            let _same_as_before = self.sets.constant.set(all);
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
    fn new_begin_set(&'static self, hash: u64, values: &[&str]) -> &'static BeginSet {
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
        let made = self
            .sets
            .grow(room, chain, (hash, values), then, |set| set.row.show());
        let Some(begin) = made else {
            return self.overflow().begin;
        };
        if !self.settings.schema.asks_response() {
            self.head_set(begin, &Values::NONE);
        }
        begin
    }

    #[cold]
    fn new_head_set(
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
        let made = self
            .sets
            .grow(room, &begin.heads, (hash, values), then, |set| {
                set.row.show();
            });
        let Some(head) = made else {
            return self.overflow().head;
        };
        if !self.settings.schema.asks_end() {
            self.end_set(begin, head, &Values::NONE);
        }
        head
    }

    #[cold]
    fn new_end_set(
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
        match self.sets.grow(room, &head.ends, (hash, values), then, show) {
            Some(end) => end,
            None => self.overflow().end,
        }
    }

    /// Where calls go for whose labels there is no room; on the page from the first of them on.
    #[cold]
    fn overflow(&'static self) -> &'static Aside {
        let aside = self.sets.overflow.get_or_init(|| {
            let [begin, head, end] = self.settings.schema.overflow();
            let all = [&*begin, &*head, &*end];
            Aside::new(
                self,
                (
                    self.row(&self.rows.begin, Carrier::Begin, all),
                    begin.clone(),
                ),
                (self.row(&self.rows.head, Carrier::Head, all), head.clone()),
                (
                    self.row(&self.rows.end, Carrier::End, all),
                    self.row(&self.rows.duration, Carrier::Duration, all),
                    end.clone(),
                ),
                true,
            )
        });
        if !aside.begin.is_active() {
            aside.show();
            aside.set_active(true);
        }
        aside
    }

    fn row<S: Series>(
        &'static self,
        shelf: &'static Shelf<S>,
        carrier: Carrier,
        [begin, head, end]: [&[Box<str>]; LEVELS],
    ) -> &'static Row<S> {
        let known = Known { begin, head, end };
        shelf.row(self.settings.schema.project(carrier, known), self.settings)
    }
}
