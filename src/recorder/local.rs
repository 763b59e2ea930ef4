//! What one thread holds of one recorder.
//!
//! A call comes here with the place of a label set, and finds the block to count in. All else is done once for each thread
//! and label set.

use super::block::Block;
use super::exemplars;
use super::histogram::Histogram;
use super::label_set::{LabelSet, Lookup, ROOT, SetIndex};
use super::layout::{
    BEGUN, CANCELLATIONS, ENDED, Measured, REQUESTS, RESPONSE_BYTES, RESPONSE_MESSAGES,
};
use super::recorder::{Key, Recorder};
use super::series::Series;
use super::shared::{Needs, Shared};
use crate::clock::{Moment as Time, Reader};
use crate::error_types::{OTHER_INDEX, Outcome};
use crate::flags::Flags;
use crate::labels::{Carrier, MOMENTS, Moment, Values};
use crate::trace::TraceContext;
use hashbrown::HashTable;
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// What one thread holds of one recorder. When it is dropped, the series keep what it has counted.
pub(crate) struct LocalRecorder {
    /// Finds this recorder. [`Key::NONE`] sends the next call to `thread::attach`, once.
    key: Key,
    own_key: Key,
    /// The one block, if there is no other: few loads away. (80 instructions of a call with constant labels.)
    plain: Option<Block>,
    needs: Needs,
    clock: Reader,
    shared: Arc<Shared>,
    /// Counts references of this thread only, for calls that run users' functions.
    lent: Rc<Arc<Shared>>,
    /// The blocks of each set, one for each group, set by set.
    blocks: Vec<Option<Block>>,
    groups: usize,
    /// By their places.
    sets: Vec<Option<Arc<LabelSet>>>,
    by_values: HashTable<SetIndex>,
    /// The set that was last found after each.
    next: Vec<SetIndex>,
    recorder: Weak<Recorder>,
    thread: u64,
    /// How many label sets had left when this thread last looked.
    removals: u64,
    /// Counts calls whose recorder has been dropped.
    detached: OnceCell<Block>,
}

// === impl LocalRecorder ===

impl LocalRecorder {
    pub(super) fn new(recorder: &Arc<Recorder>, thread: u64) -> Self {
        let shared = recorder.shared();
        let mut local = Self {
            key: recorder.key(),
            own_key: recorder.key(),
            plain: None,
            needs: shared.needs,
            clock: shared.clock,
            shared: shared.clone(),
            lent: Rc::new(shared.clone()),
            blocks: Vec::new(),
            groups: shared.layout.groups().len(),
            sets: Vec::new(),
            by_values: HashTable::new(),
            next: vec![ROOT],
            recorder: Arc::downgrade(recorder),
            thread,
            removals: shared.removals.load(Ordering::Acquire),
            detached: OnceCell::new(),
        };
        if shared.is_plain() {
            let place = local.ready(ROOT, Carrier::Begin);
            local.plain = local.blocks.get(place).cloned().flatten();
        }
        local.key = local.own_key;
        local
    }

    /// Whether `key` leads here without a detour.
    #[inline(always)]
    pub(super) fn has_key(&self, key: Key) -> bool {
        self.key == key
    }

    /// Whether `key` leads here. If so, it does without a detour from now on.
    pub(super) fn attach(&mut self, key: Key) -> bool {
        let is_own = self.own_key == key;
        if is_own {
            self.key = key;
        }
        is_own
    }

    pub(super) fn is_detached(&self) -> bool {
        self.recorder.strong_count() == 0
    }

    /// Whether users' functions read the request before a call begins.
    #[inline]
    pub(crate) fn needs_request(&self) -> bool {
        self.needs.request
    }

    /// The flags that each call begins with.
    #[inline]
    pub(crate) fn flags(&self) -> Flags {
        self.needs.flags
    }

    /// Whether responses have labels.
    #[inline]
    pub(crate) fn has_head_labels(&self) -> bool {
        self.needs.head_labels
    }

    /// Whether label sets can leave.
    #[inline]
    pub(crate) fn needs_uses(&self) -> bool {
        self.needs.uses
    }

    /// Whether the end of a call can prove its label set.
    #[inline]
    pub(crate) fn needs_proof(&self) -> bool {
        self.needs.proof
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What users' functions are called with, which must not run while the thread is borrowed.
    #[inline]
    pub(crate) fn lend(&self) -> Rc<Arc<Shared>> {
        self.lent.clone()
    }

    // --- counting ---

    /// A call begins.
    #[inline(always)]
    pub(crate) fn begin(&mut self, set: SetIndex) -> Time {
        self.block(set, Carrier::Begin).add(BEGUN, 1);
        self.clock.now()
    }

    /// The block that counts a carrier's metrics of a label set.
    #[inline(always)]
    pub(crate) fn block(&mut self, set: SetIndex, carrier: Carrier) -> &Block {
        if self.plain.is_none() {
            let at = self.ready(set, carrier);
            return self.at(at);
        }
        self.plain.as_ref().unwrap_or_else(|| self.detached())
    }

    /// Counts a time or a size, and keeps its trace if there is one.
    pub(crate) fn observe(
        &mut self,
        set: SetIndex,
        measured: Measured,
        value: u64,
        trace: Option<TraceContext>,
    ) {
        let at = self.ready(set, measured.carrier());
        if let Some(histogram) = self.shared.layout.histogram(measured) {
            let block = self.at(at);
            let bucket = histogram.observe(block, value);
            if let Some(trace) = trace
                && let Some(first) = histogram.exemplar_at(bucket)
            {
                exemplars::keep(block, first, trace, value);
            }
        }
    }

    /// Whether one block counts all of a call that completes.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.is_some()
    }

    /// Counts the end of a call that completes, where that is [plain](Self::is_plain). `last` has its last messages and bytes.
    #[inline(always)]
    pub(crate) fn end_plainly(&self, last: [u64; 2], began: Time) {
        if let Some(block) = &self.plain {
            let nanos = self.clock.nanos_since(began);
            count_end(self.shared.layout.duration(), [block; 4], last, Some(nanos));
        }
    }

    /// Counts the end of a call with these label sets at its three moments. `last` has its last messages and bytes.
    #[inline(always)]
    pub(crate) fn end(&mut self, sets: [SetIndex; MOMENTS], last: [u64; 2], nanos: Option<u64>) {
        let [begin, head, end] = sets;
        let places = [
            self.ready(begin, Carrier::Begin),
            self.ready(head, Carrier::Head),
            self.ready(end, Carrier::End),
            self.ready(end, Carrier::Duration),
        ];
        // By now the thread knows the set, even if the call began elsewhere.
        if self.needs.labels && self.known(end).is_some_and(|set| set.is_overflow) {
            self.shared.count_overflow();
        }
        let blocks = places.map(|place| self.at(place));
        count_end(self.shared.layout.duration(), blocks, last, nanos);
        if self.needs.uses {
            self.exit(sets);
        }
    }

    /// Counts an outcome other than completed.
    #[cold]
    pub(crate) fn count_outcome(&mut self, set: SetIndex, outcome: Outcome) {
        let Some(error_type) = outcome.failure() else {
            self.block(set, Carrier::End).add(CANCELLATIONS, 1);
            return;
        };
        let Shared {
            settings, layout, ..
        } = &*self.shared;
        let Some(first) = layout.errors_at else {
            return;
        };
        let declared = settings.error_types.len();
        let place = match error_type {
            OTHER_INDEX => declared,
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

    // --- label sets ---

    /// The label set of a call at this moment: the one after `before` with these values. The call uses it from now on.
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
        // Most calls go on as the last one did, and need no hash. (250 instructions of a call by method, route and status.)
        if let Some(&next) = self.next.get(before as usize)
            && let Some(set) = self.known(next)
            && set.is(moment, before, values.as_slice())
            && !self.needs.uses
        {
            return next;
        }
        let found = self.find_by_hash(moment, before, values);
        if let Some(next) = self.next.get_mut(before as usize) {
            *next = found;
        }
        found
    }

    #[inline(never)]
    fn find_by_hash(&mut self, moment: Moment, before: SetIndex, values: &Values<'_>) -> SetIndex {
        let lookup = Lookup::new(&self.shared.hasher, moment, before, values);
        let is = |place: &SetIndex| self.known(*place).is_some_and(|set| lookup.is(set));
        match self.by_values.find(lookup.hash, is).copied() {
            Some(index) if !self.needs.uses || self.enter(index) => index,
            _ => self.learn(lookup),
        }
    }

    /// Gets a label set from the recorder.
    #[cold]
    fn learn(&mut self, lookup: Lookup<'_>) -> SetIndex {
        let recorder = self.recorder.upgrade();
        let Some((index, set)) = recorder.and_then(|recorder| recorder.get_or_make(lookup)) else {
            // The recorder has been dropped, and nothing shows the numbers.
            return ROOT;
        };
        let is_overflow = set.is_overflow;
        self.keep(index, set);
        // Calls beyond the cardinality limit have any values.
        if !is_overflow {
            let sets = &self.sets;
            let hash = |place: &SetIndex| {
                let set = sets.get(*place as usize).and_then(Option::as_ref);
                set.map_or(0, |set| set.hash)
            };
            self.by_values.insert_unique(lookup.hash, index, hash);
        }
        index
    }

    /// Makes sure that there is a block, and returns its place.
    #[inline(always)]
    fn ready(&mut self, set: SetIndex, carrier: Carrier) -> usize {
        let group = self.shared.layout.group_of(carrier);
        let at = (set as usize).wrapping_mul(self.groups) + group;
        if !matches!(self.blocks.get(at), Some(Some(_))) {
            self.make_block(set, group, at);
        }
        at
    }

    #[inline(always)]
    fn at(&self, at: usize) -> &Block {
        match self.blocks.get(at) {
            Some(Some(block)) => block,
            _ => self.detached(),
        }
    }

    #[cold]
    fn detached(&self) -> &Block {
        self.detached.get_or_init(|| {
            let groups = self.shared.layout.groups().iter();
            Block::new(groups.map(|group| group.cells.all()).max().unwrap_or(0))
        })
    }

    #[cold]
    fn make_block(&mut self, set: SetIndex, group: usize, at: usize) {
        if let Some(series) = self.series(set, group)
            && let Some(place) = self.blocks.get_mut(at)
        {
            let group = &self.shared.layout.groups()[group];
            *place = Some(series.block_of(self.thread, group));
        }
    }

    fn series(&mut self, set: SetIndex, group: usize) -> Option<Arc<Series>> {
        self.set(set)?.series[group].clone()
    }

    /// A label set by its place. The recorder has it if this thread does not.
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
            // In small steps: a thread may have thousands of label sets.
            self.blocks
                .reserve_exact((blocks - self.blocks.len()).max(blocks / 8));
            self.blocks.resize_with(blocks, || None);
        }
        let is_other = |there: &Arc<LabelSet>| !Arc::ptr_eq(there, &set);
        if self.sets[place].as_ref().is_some_and(is_other) {
            self.forget(place);
        }
        self.sets[place] = Some(set);
        // The thread lets go of dropped recorders now and then, but not here: users' functions would run while it is borrowed.
        self.key = Key::NONE;
    }

    // --- label sets that leave ---

    /// Forgets the sets that have left, as others may have their places.
    #[inline]
    pub(super) fn catch_up(&mut self) {
        if !self.needs.uses {
            return;
        }
        // Acquire: a call from another thread may have a set that was made after these have left.
        let removals = self.shared.removals.load(Ordering::Acquire);
        if removals != self.removals {
            self.removals = removals;
            self.forget_gone();
        }
    }

    #[cold]
    fn forget_gone(&mut self) {
        for place in 0..self.sets.len() {
            let set = self.sets[place].as_ref();
            if set.is_some_and(|set| set.uses.is_gone()) {
                self.forget(place);
            }
        }
    }

    fn forget(&mut self, place: usize) {
        let Some(set) = self.sets[place].take() else {
            return;
        };
        let is = |of: &SetIndex| *of as usize == place;
        if let Ok(entry) = self.by_values.find_entry(set.hash, is) {
            entry.remove();
        }
        let groups = self.shared.layout.groups().iter();
        let blocks = &mut self.blocks[place * self.groups..][..self.groups];
        for ((series, block), group) in set.series.iter().zip(blocks).zip(groups) {
            // Other sets of this thread may have the same series.
            if let (Some(series), Some(block)) = (series, block.take())
                && block.is_last_of_thread()
            {
                series.let_go(&block, group);
            }
        }
    }

    fn enter(&mut self, index: SetIndex) -> bool {
        let is_here = |set: &Arc<LabelSet>| set.uses.stays() || set.uses.enter(self.shared.now());
        let entered = self.known(index).is_none_or(is_here);
        if !entered {
            self.forget(index as usize);
        }
        entered
    }

    #[cold]
    fn exit(&mut self, sets: [SetIndex; MOMENTS]) {
        let shared = self.lend();
        // The first set last: as long as a call uses it, the sets after it stay.
        for (index, moment) in sets.into_iter().zip(Moment::ALL).rev() {
            if shared.settings.schema.asks(moment)
                && let Some(set) = self.set(index)
                && !set.uses.stays()
            {
                set.uses.exit(shared.now());
            }
        }
    }

    /// Whether the set never leaves, so that even calls that have ended may count in it.
    pub(crate) fn stays(&mut self, set: SetIndex) -> bool {
        self.set(set).is_some_and(|set| set.uses.stays())
    }

    /// The server has what the labels of this set name.
    #[cold]
    pub(crate) fn prove(&mut self, begin: SetIndex) {
        if self.set(begin).is_some_and(|set| set.uses.is_unproven())
            && let Some(recorder) = self.recorder.upgrade()
        {
            recorder.prove(begin);
        }
    }
}

/// Counts the end of a call: in the blocks of its begin, its head, its end and its duration.
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
    // Last: a scrape that sees it sees all the rest.
    begin.publish(ENDED);
}

impl Drop for LocalRecorder {
    fn drop(&mut self) {
        let groups = self.shared.layout.groups();
        let sets = self.sets.iter().zip(self.blocks.chunks(self.groups));
        for (set, blocks) in sets {
            let series = set.iter().flat_map(|set| &set.series);
            for ((series, block), group) in series.zip(blocks).zip(groups) {
                if let (Some(series), Some(block)) = (series, block) {
                    series.let_go(block, group);
                }
            }
        }
    }
}
