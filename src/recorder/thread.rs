//! What a thread holds of each recorder.
//!
//! A call comes here at each of its moments, with a key and the place of a label set, and finds the block to count in. All
//! else is done once for each thread, recorder and label set.

use super::block::Block;
use super::call_slot::{CallSlot, FreeSlots};
use super::error_types::{LAST, Outcome};
use super::exemplars;
use super::histogram::Histogram;
use super::label_sets::{LabelSet, ROOT, SetIndex, Wanted};
use super::layout::{
    BEGUN, CANCELLATIONS, ENDED, Measured, REQUESTS, RESPONSE_BYTES, RESPONSE_MESSAGES,
};
use super::recorder::{Asks, Common, Key, Recorder, gone};
use super::series::Series;
use crate::classify::GrpcCode;
use crate::clock::{Moment as Time, Reader};
use crate::flags::Flags;
use crate::labels::{Carrier, MOMENTS, Moment, Values};
use hashbrown::HashTable;
use std::cell::{OnceCell, RefCell};
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What a thread holds of one recorder. Where it is dropped, what it has counted stays with the series.
pub(crate) struct Own {
    key: Key,
    /// Where all is counted, if that is one block and nothing else is to be seen to: few loads away. (80 instructions of a call
    /// with constant labels.)
    plain: Option<Block>,
    asks: Asks,
    clock: Reader,
    common: Arc<Common>,
    /// Lent to calls while users' functions run: a reference count of the thread's own.
    lent: Rc<Lent>,
    /// The blocks of all groups of a label set in a row, set by set.
    blocks: Vec<Option<Block>>,
    groups: usize,
    /// By their places.
    sets: Vec<Option<Arc<LabelSet>>>,
    by_values: HashTable<SetIndex>,
    /// The set that was last found after each.
    next: Vec<SetIndex>,
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

/// What threads share of a recorder, lent to one call of the thread.
pub(crate) struct Lent(Arc<Common>);

/// What a thread holds.
struct Local {
    /// By the slots of their keys.
    recorders: Vec<Option<Box<Own>>>,
    /// Which thread this is; 0 if nobody has asked.
    thread: u64,
    /// How many recorders had gone when it last looked.
    gone: u64,
    /// Keys that lead nowhere any more, by their slots: services may go on without their layer.
    dead: Vec<Key>,
    free: FreeSlots,
}

thread_local! {
    // One without a destructor, which is cheaper to get at, and one that is nothing else.
    static LOCAL: RefCell<ManuallyDrop<Local>> = const {
        RefCell::new(ManuallyDrop::new(Local {
            recorders: Vec::new(),
            thread: 0,
            gone: 0,
            dead: Vec::new(),
            free: FreeSlots::new(),
        }))
    };
    static AT_EXIT: AtExit = const { AtExit };
}

struct AtExit;

/// Calls `count` with what the running thread holds of a recorder, if that is still there.
///
/// `count` must not run users' code, dropping included: that could come here, too.
#[inline(always)]
pub(crate) fn with<R>(key: Key, count: impl FnOnce(&mut Own) -> R) -> Option<R> {
    with_slots(key, move |own, _| count(own))
}

/// As [`with`], for calls that begin or end.
// `count` is called in one place, so that it is compiled once, into the caller: 60 instructions a call.
#[inline(always)]
pub(crate) fn with_slots<R>(
    key: Key,
    count: impl FnOnce(&mut Own, &mut FreeSlots) -> R,
) -> Option<R> {
    LOCAL.with(|local| {
        let mut borrowed = local.try_borrow_mut().ok()?;
        let mut lasts = true;
        let (own, free) = match borrowed.get(key) {
            Some(held) => held,
            None => {
                drop(borrowed);
                lasts = attach(local, key)?;
                borrowed = local.try_borrow_mut().ok()?;
                borrowed.get(key)?
            }
        };
        let counted = count(own, free);
        drop(borrowed);
        if !lasts {
            let_go_of_all(local);
        }
        Some(counted)
    })
}

/// Makes what the thread is to hold of a recorder, if that is still there. Returns whether the thread holds it until it ends: if
/// not, it is ending already, and has to let go of it right after.
#[cold]
#[inline(never)]
fn attach(local: &RefCell<ManuallyDrop<Local>>, key: Key) -> Option<bool> {
    if key == Key::NONE {
        return None;
    }
    // What goes is dropped in the end: users' functions may be among it.
    let mut gone = Vec::new();
    let mut borrowed = local.try_borrow_mut().ok()?;
    if borrowed.dead.get(key.slot()) == Some(&key) {
        return None;
    }
    borrowed.let_go(&mut gone);
    drop(borrowed);
    // It must be there before there is something to drop: once it has run, nothing would.
    let lasts = AT_EXIT.try_with(|_| ()).is_ok();
    let recorder = key.recorder();
    let mut borrowed = local.try_borrow_mut().ok()?;
    match &recorder {
        Some(recorder) => borrowed.hold(recorder, &mut gone),
        None if lasts => borrowed.bury(key),
        None => {}
    }
    drop(borrowed);
    recorder.map(|_| lasts)
}

/// The thread ends: what it has counted stays with the series.
#[cold]
fn let_go_of_all(local: &RefCell<ManuallyDrop<Local>>) {
    let held = local.try_borrow_mut().ok().map(|mut local| {
        let free = mem::replace(&mut local.free, FreeSlots::new());
        let dead = mem::take(&mut local.dead);
        (mem::take(&mut local.recorders), dead, free)
    });
    // Not while it is borrowed: users' functions may be among it.
    drop(held);
}

/// For calls that are counted nowhere.
pub(crate) fn with_free_slots<R>(count: impl FnOnce(&mut FreeSlots) -> R) -> R {
    LOCAL.with(|local| match local.try_borrow_mut() {
        Ok(mut local) if AT_EXIT.try_with(|_| ()).is_ok() => count(&mut local.free),
        _ => count(&mut FreeSlots::new()),
    })
}

fn next_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

// === impl Local ===

impl Local {
    #[inline(always)]
    fn get(&mut self, key: Key) -> Option<(&mut Own, &mut FreeSlots)> {
        let own = self.recorders.get_mut(key.slot())?.as_deref_mut();
        let own = own.filter(|own| own.key == key)?;
        if own.asks.idle {
            own.catch_up();
        }
        Some((own, &mut self.free))
    }

    /// Moves what is held of recorders that have gone to `gone`.
    fn let_go(&mut self, gone_now: &mut Vec<Own>) {
        let count = gone();
        if mem::replace(&mut self.gone, count) != count {
            let held = self.recorders.iter_mut();
            let of_gone =
                held.filter_map(|own| own.take_if(|own| own.recorder.strong_count() == 0));
            gone_now.extend(of_gone.map(|own| *own));
        }
    }

    fn bury(&mut self, key: Key) {
        if self.dead.len() <= key.slot() {
            self.dead.resize(key.slot() + 1, Key::NONE);
        }
        self.dead[key.slot()] = key;
    }

    fn hold(&mut self, recorder: &Arc<Recorder>, gone: &mut Vec<Own>) {
        if self.thread == 0 {
            self.thread = next_thread();
        }
        let slot = recorder.key().slot();
        if self.recorders.len() <= slot {
            self.recorders.resize_with(slot + 1, || None);
        }
        let new = Box::new(Own::new(recorder, self.thread));
        gone.extend(self.recorders[slot].replace(new).map(|own| *own));
    }
}

impl Drop for AtExit {
    fn drop(&mut self) {
        LOCAL.with(let_go_of_all);
    }
}

// === impl Own ===

impl Own {
    fn new(recorder: &Arc<Recorder>, thread: u64) -> Self {
        let common = recorder.common();
        let mut own = Self {
            key: recorder.key(),
            plain: None,
            asks: common.asks,
            clock: common.clock,
            common: common.clone(),
            lent: Rc::new(Lent(common.clone())),
            blocks: Vec::new(),
            groups: common.layout.groups().len(),
            sets: Vec::new(),
            by_values: HashTable::new(),
            next: vec![ROOT],
            recorder: Arc::downgrade(recorder),
            thread,
            sweeps: common.sweeps.load(Ordering::Acquire),
            left_over: Vec::new(),
            nowhere: OnceCell::new(),
        };
        if common.is_plain() {
            let place = own.ready(ROOT, Carrier::Begin);
            own.plain = own.blocks.get(place).cloned().flatten();
        }
        own
    }

    /// Whether calls have to be looked at when they begin.
    #[inline]
    pub(crate) fn asks_requests(&self) -> bool {
        self.asks.requests
    }

    /// What each call has to ask.
    #[inline]
    pub(crate) fn asks(&self) -> Flags {
        self.asks.of_calls
    }

    /// Whether responses bring labels.
    #[inline]
    pub(crate) fn asks_head_labels(&self) -> bool {
        self.asks.head_labels
    }

    /// Whether label sets leave that no call uses.
    #[inline]
    pub(crate) fn asks_idle(&self) -> bool {
        self.asks.idle
    }

    #[inline]
    pub(crate) fn common(&self) -> &Common {
        &self.common
    }

    /// For users' functions, which must not be called while the thread's own is borrowed.
    #[inline]
    pub(crate) fn lend(&self) -> Rc<Lent> {
        self.lent.clone()
    }

    /// A call begins.
    #[inline(always)]
    pub(crate) fn begin(&mut self, set: SetIndex) -> Time {
        self.block(set, Carrier::Begin).add(BEGUN, 1);
        self.clock.now()
    }

    /// Where the metrics of a carrier are counted under a label set.
    #[inline(always)]
    pub(crate) fn block(&mut self, set: SetIndex, carrier: Carrier) -> &Block {
        if self.plain.is_none() {
            let at = self.ready(set, carrier);
            return self.at(at);
        }
        self.plain.as_ref().unwrap_or_else(|| self.nowhere())
    }

    /// Counts a time, and keeps the trace that the call belongs to, if it does to one.
    pub(crate) fn observe(
        &mut self,
        set: SetIndex,
        measured: Measured,
        value: u64,
        traced: Option<&CallSlot>,
    ) {
        let at = self.ready(set, measured.carrier());
        if let Some(histogram) = self.common.layout.histogram(measured) {
            let block = self.at(at);
            let bucket = histogram.observe(block, value);
            if let Some(call) = traced
                && let Some(first) = histogram.exemplar_at(bucket)
            {
                exemplars::keep(block, first, call.trace(), value);
            }
        }
    }

    /// Whether a call that ends well is counted in one block and nowhere else.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.is_some()
    }

    /// A call ends well, where that [is all](Self::is_plain). These are its last messages and bytes.
    #[inline(always)]
    pub(crate) fn end_plainly(&self, last: [u64; 2], began: Time) {
        if let Some(block) = &self.plain {
            let nanos = self.clock.nanos_since(began);
            count_end(self.common.layout.duration(), [block; 4], last, Some(nanos));
        }
    }

    /// A call ends, whose label sets at its three moments and whose last messages and bytes these are.
    #[inline]
    pub(crate) fn end(
        &mut self,
        sets: [SetIndex; MOMENTS],
        last: [u64; 2],
        outcome: Outcome,
        call: &CallSlot,
    ) {
        const RARE: Flags = Flags::STREAM
            .with(Flags::UNTIMED)
            .with(Flags::TRACED)
            .with(Flags::ASKS_SIZES);
        let [begin, head, end] = sets;
        let mut nanos = Some(self.clock.nanos_since(call.began()));
        if outcome != Outcome::COMPLETED {
            self.end_otherwise(end, outcome);
        }
        if call.flags().has(RARE) {
            self.observe_rare(end, nanos.take(), call);
        }
        let asks = self.asks;
        if asks.proves {
            self.prove(sets, outcome, call);
        }
        let places = [
            self.ready(begin, Carrier::Begin),
            self.ready(head, Carrier::Head),
            self.ready(end, Carrier::End),
            self.ready(end, Carrier::Duration),
        ];
        // By now the thread knows the set, wherever the call has begun.
        if asks.labels {
            self.count_overflow(end);
        }
        let blocks = places.map(|place| self.at(place));
        count_end(self.common.layout.duration(), blocks, last, nanos);
        if asks.idle {
            self.exit(sets);
        }
    }

    /// What is timed elsewhere than most, traced, or measured besides.
    #[cold]
    fn observe_rare(&mut self, set: SetIndex, nanos: Option<u64>, call: &CallSlot) {
        let flags = call.flags();
        let timed = match flags.has(Flags::STREAM) {
            true => Measured::StreamDuration,
            false => Measured::Duration,
        };
        if let Some(nanos) = nanos
            && !flags.has(Flags::UNTIMED)
        {
            self.observe(
                set,
                timed,
                nanos,
                Some(call).filter(|_| flags.has(Flags::TRACED)),
            );
        }
        if flags.has(Flags::ASKS_SIZES) {
            let (request, response) = call.sizes();
            self.observe(set, Measured::RequestSize, request, None);
            self.observe(set, Measured::ResponseSize, response, None);
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
                if let Some(series) = self.series(set, group) {
                    series.count_undeclared(error_type);
                }
                return;
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
        // Most calls go on as the one before did: not to be hashed. (250 instructions of a call by method, route and status.)
        if let Some(&next) = self.next.get(before as usize)
            && let Some(set) = self.known(next)
            && set.is(moment, before, values.as_slice())
            && !self.asks.idle
        {
            return next;
        }
        let found = self.find_otherwise(moment, before, values);
        if let Some(next) = self.next.get_mut(before as usize) {
            *next = found;
        }
        found
    }

    #[inline(never)]
    fn find_otherwise(
        &mut self,
        moment: Moment,
        before: SetIndex,
        values: &Values<'_>,
    ) -> SetIndex {
        let wanted = Wanted::new(&self.common.hasher, moment, before, values);
        loop {
            let is = |place: &SetIndex| self.known(*place).is_some_and(|set| wanted.is(set));
            let found = self.by_values.find(wanted.hash, is).copied();
            let index = found.unwrap_or_else(|| self.learn(wanted));
            if !self.asks.idle || self.enter(index) {
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
    #[inline(always)]
    fn ready(&mut self, set: SetIndex, carrier: Carrier) -> usize {
        let group = self.common.layout.group_of(carrier);
        let at = (set as usize).wrapping_mul(self.groups) + group;
        if !matches!(self.blocks.get(at), Some(Some(_))) {
            self.meet(set, group, at);
        }
        at
    }

    #[inline(always)]
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
            self.next.resize(place + 1, ROOT);
            let blocks = self.sets.len() * self.groups;
            // A little at a time: a thread may have thousands of label sets.
            self.blocks
                .reserve_exact((blocks - self.blocks.len()).max(blocks / 8));
            self.blocks.resize_with(blocks, || None);
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
        self.left_over.retain(|(series, ..)| !series.has_left());
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

    /// A call ends: the server has what its labels name, unless it said that it has not, or never got to say anything.
    #[cold]
    fn prove(&mut self, [begin, ..]: [SetIndex; MOMENTS], outcome: Outcome, call: &CallSlot) {
        let is_there = match call.code() {
            Some(code) => code != GrpcCode::Unimplemented as u8,
            None => outcome != Outcome::CANCELLED,
        };
        if is_there
            && self.set(begin).is_some_and(|set| !set.is_proven())
            && let Some(recorder) = self.recorder.upgrade()
        {
            recorder.prove(begin);
        }
    }
}

/// Counts the end of a call in the blocks of what it began with, of its head, of its end, and of its duration.
#[inline(always)]
fn count_end(
    duration: &Histogram,
    [begin, head, end, timed]: [&Block; 4],
    [messages, bytes]: [u64; 2],
    nanos: Option<u64>,
) {
    head.add(RESPONSE_BYTES, bytes);
    if messages > 0 {
        head.add(RESPONSE_MESSAGES, messages);
    }
    end.add(REQUESTS, 1);
    if let Some(nanos) = nanos {
        duration.observe(timed, nanos);
    }
    // Last: whoever sees it sees all the rest.
    begin.publish(ENDED);
}

impl Deref for Lent {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.0
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
