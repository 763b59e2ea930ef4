//! From the labels of a call to its series.
//!
//! A label set is known moment by moment: by the labels of the request when a call begins, then by those of the response, then
//! by those of the end. Each set knows the one before it, so that all are found in one table by what is new. Threads
//! remember the sets that they have met, and come here for others only.

use super::layout::Layout;
use super::series::Series;
use super::settings::Settings;
use crate::labels::{Declared, KeptValue, Known, MOMENTS, Moment, Value, Values};
use crate::sync::{AtomicU64, Ordering};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::borrow::Borrow;
use std::cmp;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{self, AtomicBool};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The place of a label set among those of its recorder.
pub(crate) type SetIndex = u32;

/// What comes before the first labels of a call; and the set of calls whose requests bring no labels.
pub(crate) const ROOT: SetIndex = 0;

/// The labels of a call, as far as they are known at one moment.
#[derive(Debug)]
pub(super) struct LabelSet {
    moment: Moment,
    before: SetIndex,
    values: Box<[KeptValue]>,
    hash: u64,
    /// By group; of those groups whose labels are all known.
    pub(super) series: Box<[Option<Arc<Series>>]>,
    /// Whether calls are here because there was no room for their labels.
    pub(super) is_overflow: bool,
    pub(super) in_use: InUse,
    /// Whether it may not make room for others. A set that names what the server does not have may.
    is_proven: AtomicBool,
}

/// Which calls a label set is in use by, where idle ones leave.
///
/// Threads share these numbers, for a set may only leave while no call of any thread has it.
#[derive(Debug)]
pub(super) struct InUse {
    /// Calls that have begun and not ended, and [`STAYS`] or [`GONE`].
    calls: AtomicU64,
    /// When a call last began or ended, in nanoseconds of the recorder's clock.
    touched: AtomicU64,
}

/// The set never leaves.
const STAYS: u64 = 1 << 63;
/// The set has left.
const GONE: u64 = 1 << 62;

/// All label sets of a recorder.
#[derive(Debug)]
pub(super) struct LabelSets {
    /// Only written where a label set is new, or leaves.
    table: RwLock<Table>,
    /// When idle sets were last looked for.
    swept: AtomicU64,
}

#[derive(Debug)]
struct Table {
    sets: Vec<Option<Arc<LabelSet>>>,
    by_values: HashTable<SetIndex>,
    free: Vec<SetIndex>,
    /// How many there are of each moment.
    counts: [usize; MOMENTS],
    overflow: Option<[SetIndex; MOMENTS]>,
    /// How many there are that are not proven.
    unproven: usize,
    /// The series of each group in the order of the page, and how many sets use each.
    series: Vec<BTreeMap<ByValues, usize>>,
}

/// A series, found by its values.
#[derive(Debug)]
struct ByValues(Arc<Series>);

/// What a label set is looked for by: the set before it, and the values that come to it.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) moment: Moment,
    before: SetIndex,
    values: &'a [Value<'a>],
    pub(super) hash: u64,
}

/// What a layer is set to record, and where. Borrowed for whoever makes sets.
pub(super) type Plan<'a> = (&'a Settings, &'a Layout);

// === impl LabelSets ===

impl LabelSets {
    /// With those that stand on the page from the start.
    pub(super) fn new(plan: Plan<'_>, hasher: &RandomState) -> Self {
        let (settings, layout) = plan;
        let mut table = Table {
            sets: Vec::new(),
            by_values: HashTable::new(),
            free: Vec::new(),
            counts: [0; MOMENTS],
            overflow: None,
            unproven: 0,
            series: layout.groups().iter().map(|_| BTreeMap::new()).collect(),
        };
        let root = Wanted::new(hasher, Moment::Begin, ROOT, &Values::NONE);
        // If requests bring labels nothing is known yet, and the root has no series.
        let has_series = !settings.schema.asks(Moment::Begin);
        table.make(
            plan,
            root,
            Making {
                has_series,
                ..Making::TO_STAY
            },
        );
        for declared in &settings.declared {
            table.declare(plan, hasher, declared);
        }
        Self {
            table: RwLock::new(table),
            swept: AtomicU64::new(0),
        }
    }

    pub(super) fn get(&self, index: SetIndex) -> Option<Arc<LabelSet>> {
        self.read().sets.get(index as usize)?.clone()
    }

    /// The set that is wanted, which is made if there is room for it; else the one of all calls for which there is none.
    ///
    /// Takes the same time however many there are, unless there is no room and some of them may make it.
    pub(super) fn get_or_make(
        &self,
        plan: Plan<'_>,
        (hasher, sweeps): (&RandomState, &atomic::AtomicU64),
        wanted: Wanted<'_>,
        now: u64,
    ) -> Option<(SetIndex, Arc<LabelSet>)> {
        let table = self.read();
        if let Some(index) = table.find(plan, wanted)
            && let Some(found) = table.entry(index)
            && (!found.1.is_overflow || !table.can_make_room(wanted))
        {
            return Some(found);
        }
        drop(table);
        let mut table = self.write();
        if table.is_full(plan, wanted.moment)
            && table.get(wanted).is_none()
            && table.can_make_room(wanted)
            && table.release_unproven(plan, hasher)
        {
            // Before others can have the places of those that have left: threads look at it before they use one.
            sweeps.fetch_add(1, Ordering::Release);
        }
        let is_unproven = wanted.moment == Moment::Begin && plan.0.schema.has_to_be_proven();
        let index = match table.find(plan, wanted) {
            Some(index) => index,
            None if table.is_full(plan, wanted.moment) => {
                table.overflow(plan)[wanted.moment as usize]
            }
            None => table.make(
                plan,
                wanted,
                Making {
                    stays: plan.0.series_idle_timeout.is_none() && !is_unproven,
                    is_proven: !is_unproven,
                    now,
                    ..Making::TO_STAY
                },
            ),
        };
        table.entry(index)
    }

    /// The server has what the labels of this set name.
    pub(super) fn prove(&self, begin: SetIndex, stays: bool) {
        let mut table = self.write();
        if let Some(Some(set)) = table.sets.get(begin as usize)
            && !set.is_proven.swap(true, Ordering::Relaxed)
        {
            if stays {
                set.in_use.stay();
            }
            table.unproven -= 1;
        }
    }

    /// The series of a group that are on the page, in its order.
    pub(super) fn series(&self, group: usize) -> Vec<Arc<Series>> {
        let table = self.read();
        let series = table.series.get(group).into_iter().flat_map(BTreeMap::keys);
        series.map(|ByValues(series)| series.clone()).collect()
    }

    /// Whether to look for idle sets before there is said to be no room: not for each call that finds none.
    pub(super) fn is_sweep_due(&self, idle: u64, now: u64) -> bool {
        now.saturating_sub(self.swept.load(Ordering::Relaxed)) > idle / 4
    }

    /// Lets go of the sets that no call has used for so long. Returns whether there were any, and calls `left` before another set
    /// can have the place of one of them.
    pub(super) fn sweep(&self, idle: u64, now: u64, left: impl FnOnce()) -> bool {
        self.swept.store(now, Ordering::Relaxed);
        let is_idle = |set: &Arc<LabelSet>| set.in_use.is_idle(idle, now);
        if !self.read().sets.iter().flatten().any(is_idle) {
            return false;
        }
        let mut table = self.write();
        let mut any = false;
        // A set stays as long as one after it, which is found by its place. A call that ends touches them one by one.
        let mut after = vec![0_usize; table.sets.len()];
        for set in table.sets.iter().flatten() {
            after[set.before as usize] += 1;
        }
        for moment in [Moment::End, Moment::Head, Moment::Begin] {
            for index in 0..table.sets.len() {
                let set = table.sets[index].as_ref();
                let set = set.filter(|set| set.moment == moment && is_idle(set));
                let set = set.filter(|set| after[index] == 0 && set.in_use.leave());
                if let Some(before) = set.map(|set| set.before) {
                    after[before as usize] -= 1;
                    table.remove(index, None);
                    any = true;
                }
            }
        }
        if any {
            left();
        }
        any
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Table ===

/// How a set is made.
struct Making {
    has_series: bool,
    stays: bool,
    is_proven: bool,
    is_overflow: bool,
    now: u64,
}

impl Making {
    const TO_STAY: Self = Self {
        has_series: true,
        stays: true,
        is_proven: true,
        is_overflow: false,
        now: 0,
    };
}

impl Table {
    fn entry(&self, index: SetIndex) -> Option<(SetIndex, Arc<LabelSet>)> {
        let set = self.sets.get(index as usize)?.clone()?;
        Some((index, set))
    }

    fn get(&self, wanted: Wanted<'_>) -> Option<SetIndex> {
        let is = |index: &SetIndex| {
            let set = self.sets[*index as usize].as_ref();
            set.is_some_and(|set| wanted.is(set))
        };
        self.by_values.find(wanted.hash, is).copied()
    }

    /// The set that is wanted; or, if it is known that there is no room for it, the one of those for which there is none.
    fn find(&self, plan: Plan<'_>, wanted: Wanted<'_>) -> Option<SetIndex> {
        self.get(wanted).or_else(|| {
            let before = self.sets[wanted.before as usize].as_ref();
            let is_full =
                self.is_full(plan, wanted.moment) || before.is_some_and(|set| set.is_overflow);
            let overflow = self.overflow.filter(|_| is_full);
            overflow.map(|overflow| overflow[wanted.moment as usize])
        })
    }

    fn is_full(&self, (settings, _): Plan<'_>, moment: Moment) -> bool {
        self.counts[moment as usize] >= settings.cardinality_limit
    }

    fn make(&mut self, plan: Plan<'_>, wanted: Wanted<'_>, making: Making) -> SetIndex {
        let Making {
            has_series,
            stays,
            is_proven,
            is_overflow,
            now,
        } = making;
        let values: Box<[KeptValue]> = wanted.values.iter().map(|value| value.keep()).collect();
        let series = self.series_of(plan, wanted, &values, has_series);
        let set = Arc::new(LabelSet {
            moment: wanted.moment,
            before: wanted.before,
            values,
            hash: wanted.hash,
            series,
            is_overflow,
            in_use: InUse::new(if stays { STAYS } else { 0 }),
            is_proven: AtomicBool::new(is_proven),
        });
        self.unproven += usize::from(!is_proven);
        let index = self.free.pop().unwrap_or_else(|| {
            self.sets.push(None);
            (self.sets.len() - 1) as SetIndex
        });
        set.in_use.touched.store(now, Ordering::Relaxed);
        self.sets[index as usize] = Some(set);
        // What has no room is found by that, whatever its values are.
        if !is_overflow {
            let sets = &self.sets;
            let hash = |index: &SetIndex| sets[*index as usize].as_ref().map_or(0, |set| set.hash);
            self.by_values.insert_unique(wanted.hash, index, hash);
            self.counts[wanted.moment as usize] += usize::from(!wanted.values.is_empty());
        }
        index
    }

    /// The series of a new set: of each group whose labels are all known by now.
    fn series_of(
        &mut self,
        (settings, layout): Plan<'_>,
        wanted: Wanted<'_>,
        values: &[KeptValue],
        has_series: bool,
    ) -> Box<[Option<Arc<Series>>]> {
        let Self { sets, series, .. } = self;
        let mut known: Known<'_> = [&[]; MOMENTS];
        let mut before = wanted.before;
        while before != ROOT
            && let Some(Some(set)) = sets.get(before as usize)
        {
            known[set.moment as usize] = &set.values;
            before = set.before;
        }
        known[wanted.moment as usize] = values;
        let groups = layout.groups().iter().zip(series);
        let of_groups = groups.map(|(group, series)| {
            let is_known = has_series && group.known_at <= wanted.moment;
            is_known.then(|| {
                let texts = settings.schema.project(group.carrier, known);
                if let Some((there, _)) = series.get_key_value(&*texts) {
                    let there = there.0.clone();
                    *series.entry(ByValues(there.clone())).or_default() += 1;
                    return there;
                }
                let new = Arc::new(Series::new(texts));
                series.insert(ByValues(new.clone()), 1);
                new
            })
        });
        of_groups.collect()
    }

    fn declare(&mut self, plan: Plan<'_>, hasher: &RandomState, declared: &Declared) {
        let mut before = ROOT;
        for (moment, values) in Moment::ALL.into_iter().zip(declared) {
            if plan.0.schema.asks(moment) {
                let values = Values::of(values);
                let wanted = Wanted::new(hasher, moment, before, &values);
                let there = self.find(plan, wanted);
                before = there.unwrap_or_else(|| self.make(plan, wanted, Making::TO_STAY));
            }
        }
    }

    /// The sets of calls for whose labels there is no room, at each moment.
    fn overflow(&mut self, plan: Plan<'_>) -> [SetIndex; MOMENTS] {
        if let Some(overflow) = self.overflow {
            return overflow;
        }
        let mut before = ROOT;
        let values = plan.0.schema.overflow();
        let overflow = Moment::ALL.map(|moment| {
            if plan.0.schema.asks(moment) {
                let values = Values::of(&values[moment as usize]);
                let wanted = Wanted {
                    moment,
                    before,
                    values: values.as_slice(),
                    hash: 0,
                };
                before = self.make(
                    plan,
                    wanted,
                    Making {
                        is_overflow: true,
                        ..Making::TO_STAY
                    },
                );
            }
            before
        });
        self.overflow = Some(overflow);
        overflow
    }

    /// What no call uses of what is not proven leaves, with all that comes after it. Its numbers go where those of others go.
    fn release_unproven(&mut self, plan: Plan<'_>, hasher: &RandomState) -> bool {
        let values = plan.0.schema.overflow();
        let others = Values::of(&values[Moment::Begin as usize]);
        let others = Wanted::new(hasher, Moment::Begin, ROOT, &others);
        // For each that leaves the one that takes its numbers in.
        let mut into: Vec<Option<SetIndex>> = vec![None; self.sets.len()];
        for moment in Moment::ALL {
            for index in 0..into.len() {
                let set = self.sets[index].clone();
                let Some(set) = set.filter(|set| set.moment == moment) else {
                    continue;
                };
                if moment == Moment::Begin {
                    if !set.is_proven() && set.in_use.leave() {
                        self.unproven -= 1;
                        into[index] = Some(self.find_or_make(plan, others));
                    }
                } else if let Some(Some(before)) = into.get(set.before as usize).copied() {
                    set.in_use.go();
                    let values = Values::of(&set.values);
                    let wanted = Wanted::new(hasher, moment, before, &values);
                    into[index] = Some(self.find_or_make(plan, wanted));
                }
            }
        }
        let mut any = false;
        for (index, into) in into.into_iter().enumerate() {
            if let Some(into) = into {
                let into = self.sets[into as usize].clone();
                self.remove(index, into.map(|into| (into, plan.1)));
                any = true;
            }
        }
        any
    }

    fn find_or_make(&mut self, plan: Plan<'_>, wanted: Wanted<'_>) -> SetIndex {
        let found = self.get(wanted);
        found.unwrap_or_else(|| self.make(plan, wanted, Making::TO_STAY))
    }

    /// Whether there is something that the server does not have and no call uses.
    fn can_make_room(&self, wanted: Wanted<'_>) -> bool {
        let before = self.sets[wanted.before as usize].as_ref();
        let is_unused = |set: &Arc<LabelSet>| !set.is_proven() && set.in_use.is_unused();
        self.unproven > 0
            && before.is_none_or(|set| !set.is_overflow)
            && self.sets.iter().flatten().any(is_unused)
    }

    /// It leaves the page, and gives its room back. Another one may take its numbers in.
    fn remove(&mut self, index: usize, into: Option<(Arc<LabelSet>, &Layout)>) {
        let Some(set) = self.sets[index].take() else {
            return;
        };
        if let Ok(entry) = self
            .by_values
            .find_entry(set.hash, |of| *of as usize == index)
        {
            entry.remove();
        }
        self.free.push(index as SetIndex);
        self.counts[set.moment as usize] -= 1;
        for (group, (of_group, series)) in self.series.iter_mut().zip(&set.series).enumerate() {
            let Some(series) = series else { continue };
            if let Some(users) = of_group.get_mut(series.values()) {
                *users -= 1;
                if *users == 0 {
                    of_group.remove(series.values());
                    series.leave();
                    if let Some((set, layout)) = &into
                        && let Some(into) = &set.series[group]
                    {
                        into.take_in(series, &layout.groups()[group]);
                    }
                }
            }
        }
    }
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

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether the server has what its labels name, as far as that has to be shown.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    #[inline]
    pub(super) fn is(&self, set: &LabelSet) -> bool {
        set.is(self.moment, self.before, self.values)
    }

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
}

// === impl InUse ===

impl InUse {
    fn new(calls: u64) -> Self {
        Self {
            calls: AtomicU64::new(calls),
            touched: AtomicU64::new(0),
        }
    }

    /// A call begins to use the set. Returns false if it has left.
    pub(super) fn enter(&self, now: u64) -> bool {
        // Acquire and Release, here and below: whoever makes the set leave sees all that its calls have counted.
        let before = self.calls.fetch_add(1, Ordering::Acquire);
        if before & GONE != 0 {
            self.calls.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.touched.fetch_max(now, Ordering::Relaxed);
        true
    }

    /// A call has ended that used the set.
    pub(super) fn exit(&self, now: u64) {
        self.touched.fetch_max(now, Ordering::Relaxed);
        self.calls.fetch_sub(1, Ordering::Release);
    }

    /// From now on it never leaves.
    fn stay(&self) {
        self.calls.fetch_or(STAYS, Ordering::Relaxed);
    }

    /// Whether it never leaves, so that nobody needs to know which calls use it.
    #[inline]
    pub(super) fn is_to_stay(&self) -> bool {
        self.calls.load(Ordering::Relaxed) & STAYS != 0
    }

    fn is_unused(&self) -> bool {
        self.calls.load(Ordering::Relaxed) == 0
    }

    pub(super) fn is_gone(&self) -> bool {
        self.calls.load(Ordering::Relaxed) & GONE != 0
    }

    fn is_idle(&self, idle: u64, now: u64) -> bool {
        self.calls.load(Ordering::Acquire) == 0
            && now.saturating_sub(self.touched.load(Ordering::Relaxed)) >= idle
    }

    /// The set leaves. None of the calls that use it is left.
    fn go(&self) {
        self.calls.store(GONE, Ordering::Relaxed);
    }

    /// The set leaves, if no call uses it.
    fn leave(&self) -> bool {
        let left = self
            .calls
            .compare_exchange(0, GONE, Ordering::Acquire, Ordering::Relaxed);
        left.is_ok()
    }
}

// === impl ByValues ===

impl Borrow<[Box<str>]> for ByValues {
    fn borrow(&self) -> &[Box<str>] {
        self.0.values()
    }
}

impl Ord for ByValues {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        self.0.values().cmp(other.0.values())
    }
}

impl PartialOrd for ByValues {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByValues {
    fn eq(&self, other: &Self) -> bool {
        self.0.values() == other.0.values()
    }
}

impl Eq for ByValues {}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    /// A set leaves while a call comes and goes: it never leaves with a call in it, and what leaves has all that its
    /// calls have counted.
    #[test]
    fn loom_a_set_in_use_does_not_leave() {
        loom::model(|| {
            let world = loom::sync::Arc::new((InUse::new(0), AtomicU64::new(0)));
            let call = {
                let world = world.clone();
                thread::spawn(move || {
                    let (set, counted) = &*world;
                    let entered = set.enter(7);
                    if entered {
                        counted.store(1, Ordering::Relaxed);
                        assert!(!set.is_gone());
                        set.exit(8);
                    }
                    entered
                })
            };
            let (set, counted) = &*world;
            let seen = set.leave().then(|| counted.load(Ordering::Relaxed));
            let entered = call.join().unwrap();
            match seen {
                Some(seen) => assert_eq!(seen, u64::from(entered), "it left after the call"),
                None => assert!(entered, "only a call keeps it"),
            }
        });
    }
}
