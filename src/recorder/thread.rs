//! What a thread holds of each recorder.
//!
//! A call comes here at each of its moments, with a key and the place of a label set, and finds the block to count in. All
//! else is done once for each thread, recorder and label set.

use super::block::Block;
use super::body_report::Report;
use super::error_types::{LAST, Outcome};
use super::exemplars;
use super::label_sets::{LabelSet, ROOT, SetIndex, Wanted};
use super::layout::{BEGUN, CANCELLATIONS, ENDED, Measured, REQUESTS};
use super::recorder::{Asks, Common, Key, Recorder, gone};
use super::series::Series;
use crate::clock::Moment as Time;
use crate::labels::{Carrier, MOMENTS, Moment, Values};
use hashbrown::HashTable;
use std::cell::{OnceCell, RefCell};
use std::mem::{self, ManuallyDrop};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What a thread holds of one recorder. Where it is dropped, what it has counted stays with the series.
pub(crate) struct Own {
    key: Key,
    common: Arc<Common>,
    /// Lent to calls while users' functions run: a reference count of the thread's own.
    lent: Rc<Arc<Common>>,
    /// The blocks of all groups of a label set in a row, set by set.
    blocks: Vec<Option<Block>>,
    groups: usize,
    /// By their places.
    sets: Vec<Option<Arc<LabelSet>>>,
    by_values: HashTable<SetIndex>,
    recorder: Weak<Recorder>,
    /// Which thread this is, to the series.
    thread: u64,
    /// How often label sets had left when it last looked.
    sweeps: u64,
    /// What label sets have left behind whose series others use too.
    left_over: Vec<(Arc<Series>, Block, usize)>,
    /// Where calls count that nobody sees any more.
    nowhere: OnceCell<Block>,
}

/// A call has begun.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Begun {
    pub(crate) began: Time,
    pub(crate) asks: Asks,
}

/// What a thread holds.
struct Local {
    /// By the slots of their keys.
    recorders: Vec<Option<Own>>,
    /// Which thread this is; 0 if nobody has asked.
    thread: u64,
    /// How many recorders had gone when it last looked.
    gone: u64,
    /// Keys that lead nowhere any more, by their slots: services may go on without their layer.
    dead: Vec<Key>,
}

thread_local! {
    // One without a destructor, which is cheaper to get at, and one that is nothing else.
    static LOCAL: RefCell<ManuallyDrop<Local>> = const {
        RefCell::new(ManuallyDrop::new(Local {
            recorders: Vec::new(),
            thread: 0,
            gone: 0,
            dead: Vec::new(),
        }))
    };
    static AT_EXIT: AtExit = const { AtExit };
}

struct AtExit;

/// Calls `count` with what the running thread holds of a recorder, if that is still there.
///
/// `count` must not run users' code, dropping included: that could come here, too.
#[inline]
pub(crate) fn with<R>(key: Key, count: impl FnOnce(&mut Own) -> R) -> Option<R> {
    LOCAL.with(|local| {
        if let Ok(mut local) = local.try_borrow_mut()
            && let Some(Some(own)) = local.recorders.get_mut(key.slot())
            && own.key == key
        {
            if own.common.asks.idle {
                own.catch_up();
            }
            return Some(count(own));
        }
        attach(local, key, count)
    })
}

/// As [`with`], where the thread does not hold anything yet.
#[cold]
#[inline(never)]
fn attach<R>(
    local: &RefCell<ManuallyDrop<Local>>,
    key: Key,
    count: impl FnOnce(&mut Own) -> R,
) -> Option<R> {
    if key == Key::NONE {
        return None;
    }
    // What goes is dropped in the end: users' functions may be among it.
    let mut gone = Vec::new();
    if let Ok(mut local) = local.try_borrow_mut() {
        if local.dead.get(key.slot()) == Some(&key) {
            return None;
        }
        local.let_go(&mut gone);
    }
    let Some(recorder) = key.recorder() else {
        if let Ok(mut local) = local.try_borrow_mut() {
            local.bury(key);
        }
        return None;
    };
    // It must be there before there is something to drop: once it has run, nothing would.
    let lasts = AT_EXIT.try_with(|_| ()).is_ok();
    let counted = match local.try_borrow_mut() {
        Ok(mut local) if lasts => count(local.hold(&recorder, &mut gone)),
        // The thread ends, or is here already: counted all the same, by a thread of this one call.
        _ => count(&mut Own::new(&recorder, next_thread())),
    };
    Some(counted)
}

fn next_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

// === impl Local ===

impl Local {
    /// Moves what is held of recorders that have gone to `gone`.
    fn let_go(&mut self, gone_now: &mut Vec<Own>) {
        let count = gone();
        if mem::replace(&mut self.gone, count) != count {
            let held = self.recorders.iter_mut();
            let of_gone =
                held.filter_map(|own| own.take_if(|own| own.recorder.strong_count() == 0));
            gone_now.extend(of_gone);
        }
    }

    fn bury(&mut self, key: Key) {
        if self.dead.len() <= key.slot() {
            self.dead.resize(key.slot() + 1, Key::NONE);
        }
        self.dead[key.slot()] = key;
    }

    fn hold(&mut self, recorder: &Arc<Recorder>, gone: &mut Vec<Own>) -> &mut Own {
        if self.thread == 0 {
            self.thread = next_thread();
        }
        let slot = recorder.key().slot();
        if self.recorders.len() <= slot {
            self.recorders.resize_with(slot + 1, || None);
        }
        let place = &mut self.recorders[slot];
        gone.extend(place.take());
        place.insert(Own::new(recorder, self.thread))
    }
}

impl Drop for AtExit {
    fn drop(&mut self) {
        let held = LOCAL.with(|local| {
            let mut local = local.try_borrow_mut().ok()?;
            Some(mem::take(&mut local.recorders))
        });
        drop(held);
    }
}

// === impl Own ===

impl Own {
    fn new(recorder: &Arc<Recorder>, thread: u64) -> Self {
        let common = recorder.common();
        Self {
            key: recorder.key(),
            common: common.clone(),
            lent: Rc::new(common.clone()),
            blocks: Vec::new(),
            groups: common.layout.groups().len(),
            sets: Vec::new(),
            by_values: HashTable::new(),
            recorder: Arc::downgrade(recorder),
            thread,
            sweeps: common.sweeps.load(Ordering::Acquire),
            left_over: Vec::new(),
            nowhere: OnceCell::new(),
        }
    }

    /// What its calls ask.
    #[inline]
    pub(crate) fn asks(&self) -> Asks {
        self.common.asks
    }

    #[inline]
    pub(crate) fn common(&self) -> &Common {
        &self.common
    }

    /// For users' functions, which must not be called while the thread's own is borrowed.
    #[inline]
    pub(crate) fn lend(&self) -> Rc<Arc<Common>> {
        self.lent.clone()
    }

    /// A call begins.
    #[inline]
    pub(crate) fn begin(&mut self, set: SetIndex) -> Begun {
        self.block(set, Carrier::Begin).add(BEGUN, 1);
        Begun {
            began: self.common.settings.clock.now(),
            asks: self.common.asks,
        }
    }

    /// Where the metrics of a carrier are counted under a label set.
    #[inline]
    pub(crate) fn block(&mut self, set: SetIndex, carrier: Carrier) -> &Block {
        let at = self.ready(set, carrier);
        self.at(at)
    }

    /// Counts a time, and keeps the trace that the call belongs to, if it does to one.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        set: SetIndex,
        measured: Measured,
        value: u64,
        traced: Option<&Report>,
    ) {
        let at = self.ready(set, measured.carrier());
        if let Some(histogram) = self.common.layout.histogram(measured) {
            let block = self.at(at);
            let bucket = histogram.observe(block, value);
            if let Some(report) = traced
                && let Some(first) = histogram.exemplar_at(bucket)
            {
                exemplars::keep(block, first, report.trace(), value);
            }
        }
    }

    /// Counts the sizes of a request and of its response.
    #[cold]
    pub(crate) fn observe_sizes(&mut self, set: SetIndex, (request, response): (u64, u64)) {
        self.observe(set, Measured::RequestSize, request, None);
        self.observe(set, Measured::ResponseSize, response, None);
    }

    /// A call ends, whose label sets at its three moments these are.
    #[inline]
    pub(crate) fn end(&mut self, sets: [SetIndex; MOMENTS], outcome: Outcome) {
        let [begin, _, end] = sets;
        self.block(end, Carrier::End).add(REQUESTS, 1);
        if outcome != Outcome::COMPLETED {
            self.end_otherwise(end, outcome);
        }
        if self.common.asks.labels {
            self.count_overflow(end);
        }
        // Last: whoever sees it sees all the rest.
        self.block(begin, Carrier::Begin).publish(ENDED);
        if self.common.asks.idle {
            self.exit(sets);
        }
    }

    #[cold]
    fn end_otherwise(&mut self, set: SetIndex, outcome: Outcome) {
        match outcome.failure() {
            Some(error_type) => self.fail(set, error_type),
            None => self.block(set, Carrier::End).add(CANCELLATIONS, 1),
        }
    }

    fn fail(&mut self, set: SetIndex, error_type: usize) {
        let Common {
            settings, layout, ..
        } = &*self.common;
        let Some(first) = layout.errors_at else {
            return;
        };
        let declared = settings.error_types.len();
        let place = match error_type {
            LAST => declared,
            _ if error_type < declared => error_type,
            _ => {
                let group = layout.group_of(Carrier::Errors);
                return match self.series(set, group) {
                    Some(series) => series.count_undeclared(error_type),
                    None => {}
                };
            }
        };
        self.block(set, Carrier::Errors).add(first + place, 1);
    }

    #[inline]
    fn count_overflow(&self, set: SetIndex) {
        if self.known(set).is_some_and(|set| set.is_overflow) {
            self.common.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The label set of a call at this moment: of those that come `before`, the one with these values. Where idle ones leave,
    /// the call uses it from now on.
    #[inline]
    pub(crate) fn find(
        &mut self,
        moment: Moment,
        before: SetIndex,
        values: &Values<'_>,
    ) -> SetIndex {
        if values.as_slice().is_empty() {
            return before;
        }
        let wanted = Wanted::new(&self.common.hasher, moment, before, values);
        loop {
            let is = |place: &SetIndex| self.known(*place).is_some_and(|set| set.is(wanted));
            let found = self.by_values.find(wanted.hash, is).copied();
            let index = found.unwrap_or_else(|| self.learn(wanted));
            if !self.common.asks.idle || self.enter(index) {
                return index;
            }
        }
    }

    /// Asks the recorder for a label set.
    #[cold]
    fn learn(&mut self, wanted: Wanted<'_>) -> SetIndex {
        let recorder = self.recorder.upgrade();
        let Some((index, set)) = recorder.and_then(|recorder| recorder.get_or_make(wanted)) else {
            // The recorder has gone, and nobody sees what is counted.
            return ROOT;
        };
        let is_overflow = set.is_overflow;
        self.keep(index, set);
        // What has no room is found by that, whatever its values are.
        if !is_overflow {
            let sets = &self.sets;
            let hash = |place: &SetIndex| {
                let set = sets.get(*place as usize).and_then(Option::as_ref);
                set.map_or(0, |set| set.hash())
            };
            self.by_values.insert_unique(wanted.hash, index, hash);
        }
        index
    }

    /// Makes sure that the block is there, and returns its place.
    #[inline]
    fn ready(&mut self, set: SetIndex, carrier: Carrier) -> usize {
        let group = self.common.layout.group_of(carrier);
        let at = (set as usize).wrapping_mul(self.groups) + group;
        if !matches!(self.blocks.get(at), Some(Some(_))) {
            self.meet(set, group, at);
        }
        at
    }

    #[inline]
    fn at(&self, at: usize) -> &Block {
        match self.blocks.get(at) {
            Some(Some(block)) => block,
            _ => self.nowhere(),
        }
    }

    #[cold]
    fn nowhere(&self) -> &Block {
        self.nowhere.get_or_init(|| {
            let groups = self.common.layout.groups().iter();
            Block::new(groups.map(|group| group.cells.all()).max().unwrap_or(0))
        })
    }

    #[cold]
    fn meet(&mut self, set: SetIndex, group: usize, at: usize) {
        if let Some(series) = self.series(set, group)
            && let Some(place) = self.blocks.get_mut(at)
        {
            let group = &self.common.layout.groups()[group];
            *place = Some(series.block_of(self.thread, group));
        }
    }

    /// The series of a group under a label set.
    fn series(&mut self, set: SetIndex, group: usize) -> Option<Arc<Series>> {
        self.set(set)?.series[group].clone()
    }

    /// A label set, which it asks the recorder for if need be.
    fn set(&mut self, index: SetIndex) -> Option<&Arc<LabelSet>> {
        if self.known(index).is_none() {
            let found = self.recorder.upgrade()?.set(index)?;
            self.keep(index, found);
        }
        self.known(index)
    }

    #[inline]
    fn known(&self, index: SetIndex) -> Option<&Arc<LabelSet>> {
        self.sets.get(index as usize)?.as_ref()
    }

    fn keep(&mut self, index: SetIndex, set: Arc<LabelSet>) {
        let place = index as usize;
        if self.sets.len() <= place {
            self.sets.resize_with(place + 1, || None);
            self.blocks
                .resize_with(self.sets.len() * self.groups, || None);
        }
        let is_other = |there: &Arc<LabelSet>| !Arc::ptr_eq(there, &set);
        if self.sets[place].as_ref().is_some_and(is_other) {
            self.forget(place);
        }
        self.sets[place] = Some(set);
    }

    // --- where idle label sets leave ---

    /// Forgets the sets that have left since it last looked, for others may have their places by now.
    #[inline]
    fn catch_up(&mut self) {
        // Acquire: a call that has come here from another thread has a set that was made after this.
        if self.common.sweeps.load(Ordering::Acquire) != self.sweeps {
            self.forget_gone();
        }
    }

    #[cold]
    fn forget_gone(&mut self) {
        self.sweeps = self.common.sweeps.load(Ordering::Acquire);
        for place in 0..self.sets.len() {
            if self.sets[place]
                .as_ref()
                .is_some_and(|set| set.in_use.is_gone())
            {
                self.forget(place);
            }
        }
    }

    fn forget(&mut self, place: usize) {
        let Some(set) = self.sets[place].take() else {
            return;
        };
        if let Ok(entry) = self
            .by_values
            .find_entry(set.hash(), |of| *of as usize == place)
        {
            entry.remove();
        }
        let blocks = &mut self.blocks[place * self.groups..][..self.groups];
        for (group, (series, block)) in set.series.iter().zip(blocks).enumerate() {
            // What has left the page nobody asks for any more.
            if let (Some(series), Some(block)) = (series, block.take())
                && !series.has_left()
                && !self
                    .left_over
                    .iter()
                    .any(|(there, ..)| Arc::ptr_eq(there, series))
            {
                self.left_over.push((series.clone(), block, group));
            }
        }
    }

    fn enter(&mut self, index: SetIndex) -> bool {
        let set = self.known(index);
        let entered =
            set.is_none_or(|set| set.in_use.is_to_stay() || set.in_use.enter(self.common.now()));
        if !entered {
            self.forget(index as usize);
        }
        entered
    }

    #[cold]
    fn exit(&mut self, sets: [SetIndex; MOMENTS]) {
        let common = self.lend();
        // The first set last: while it is in use, so are those that come after it.
        for (index, moment) in sets.into_iter().zip(Moment::ALL).rev() {
            if common.settings.schema.asks(moment)
                && let Some(set) = self.set(index)
                && !set.in_use.is_to_stay()
            {
                set.in_use.exit(common.now());
            }
        }
    }

    /// Whether calls may count under the set even when they have ended.
    pub(crate) fn is_to_stay(&mut self, set: SetIndex) -> bool {
        self.set(set).is_some_and(|set| set.in_use.is_to_stay())
    }

    /// The server has what the labels of a call name that is about to end.
    pub(crate) fn prove(&mut self, begin: SetIndex) {
        if self.set(begin).is_some_and(|set| !set.is_proven())
            && let Some(recorder) = self.recorder.upgrade()
        {
            recorder.prove(begin);
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let groups = self.common.layout.groups();
        let sets = self.sets.iter().zip(self.blocks.chunks(self.groups));
        for (set, blocks) in sets {
            let series = set.iter().flat_map(|set| &set.series);
            for ((series, block), group) in series.zip(blocks).zip(groups) {
                if let (Some(series), Some(block)) = (series, block) {
                    series.let_go(block, group);
                }
            }
        }
        for (series, block, group) in &self.left_over {
            series.let_go(block, &groups[*group]);
        }
    }
}
