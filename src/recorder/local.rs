//! What one thread holds of one recorder.
//!
//! A call comes here with the place of a label set, and finds the block to count in. All else is done once for each thread
//! and label set.

use super::label_set::{LabelSet, Lookup, ROOT, SetIndex};
use super::layout::{BEGUN, Optional};
use super::met_sets::MetSets;
use super::recorder::{Key, Recorder};
use super::series::Series;
use super::shared::{Lent, Shared};
use crate::block::{Block, Exemplar};
use crate::clock::{Calendar, Reader, Time};
use crate::labels::{Carrier, MOMENTS, Moment, Values};
use crate::measured::Measured;
use crate::settings::Needs;
use crate::trace::TraceContext;
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
    calendar: Calendar,
    shared: Arc<Shared>,
    lent: Lent,
    met: MetSets,
    recorder: Weak<Recorder>,
    thread: u64,
    /// How many label sets had left when this thread last looked.
    removals: u64,
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
            calendar: Calendar::default(),
            shared: shared.clone(),
            lent: Rc::new(shared.clone()),
            met: MetSets::new(shared.clone()),
            recorder: Arc::downgrade(recorder),
            thread,
            removals: shared.removals.load(Ordering::Acquire),
        };
        local.set(ROOT);
        if shared.layout.groups().len() == 1 && !local.needs.labels && !local.needs.uses {
            local.plain = local.block(ROOT, Carrier::Begin).cloned();
        }
        local.key = local.own_key;
        local
    }

    /// Whether `key` leads here without a detour.
    #[inline(always)]
    pub(super) fn has_key(&self, key: Key) -> bool {
        self.key == key
    }

    /// The key leads here without a detour from now on.
    pub(super) fn attach(&mut self) {
        self.key = self.own_key;
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.recorder.strong_count() == 0
    }

    #[inline]
    pub(crate) fn needs(&self) -> &Needs {
        &self.needs
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What users' functions are called with, which must not run while the thread is borrowed.
    #[inline]
    pub(crate) fn lend(&self) -> Lent {
        self.lent.clone()
    }

    /// A call begins.
    #[inline(always)]
    pub(crate) fn begin(&mut self, set: SetIndex) -> Time {
        self.count(set, Carrier::Begin, |block| block.add(BEGUN, 1));
        self.clock.now()
    }

    /// Calls `count` with the block of a carrier's metrics of a label set.
    ///
    /// Does nothing if the recorder has been dropped and this thread has no block.
    #[inline(always)]
    pub(crate) fn count(&mut self, set: SetIndex, carrier: Carrier, count: impl Fn(&Block)) {
        let plain = self.plain.as_ref();
        match plain.or_else(|| self.met.block(set, carrier)) {
            Some(block) => count(block),
            None => self.block(set, carrier).into_iter().for_each(count),
        }
    }

    /// The block that counts a carrier's metrics of a label set. `None` if the recorder has been dropped.
    #[inline]
    pub(crate) fn block(&mut self, set: SetIndex, carrier: Carrier) -> Option<&Block> {
        self.ready(set, carrier);
        self.met.block(set, carrier)
    }

    /// Makes sure that there is a block, unless the recorder has been dropped.
    #[inline(always)]
    fn ready(&mut self, set: SetIndex, carrier: Carrier) {
        if self.met.block(set, carrier).is_none() {
            self.make_block(set, carrier);
        }
    }

    /// Counts a time or a size, and keeps its trace if there is one.
    pub(crate) fn observe(
        &mut self,
        set: SetIndex,
        measured: Measured,
        value: u64,
        traced: Option<(TraceContext, Time)>,
    ) {
        let carrier = measured.carrier();
        self.ready(set, carrier);
        if let Some(histogram) = self.shared.layout.histogram(measured)
            && let Some(block) = self.met.block(set, carrier)
        {
            let bucket = histogram.observe(block, value);
            if let Some((trace, at)) = traced
                && let Some(first) = histogram.exemplar_at(bucket)
            {
                let at = self.calendar.date(&self.clock, at);
                let nanos = value;
                block.keep_exemplar(first, Exemplar { trace, nanos, at });
            }
        }
    }

    /// The block that counts these numbers of a label set, and their first cell. `None` if the layer does not have them.
    pub(crate) fn optional(
        &mut self,
        set: SetIndex,
        optional: Optional,
    ) -> Option<(&Block, usize)> {
        let at = self.shared.layout.optional(optional)?;
        Some((self.block(set, optional.carrier())?, at))
    }

    #[inline]
    pub(crate) fn clock(&self) -> Reader {
        self.clock
    }

    /// Whether one block counts all of a call that completes.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.is_some()
    }

    /// Counts the end of a call that completes, where that is [plain](Self::is_plain). `bytes` are its last ones.
    #[inline(always)]
    pub(crate) fn end_plainly(&self, bytes: u64, began: Time) {
        if let Some(block) = &self.plain {
            let nanos = self.clock.nanos_since(began);
            let blocks = [block; 4];
            self.shared.layout.count_end(blocks, bytes, Some(nanos));
        }
    }

    /// Counts the end of a call with these label sets at its three moments. `bytes` are its last ones.
    #[inline(always)]
    pub(crate) fn end(&mut self, sets: [SetIndex; MOMENTS], bytes: u64, nanos: Option<u64>) {
        if !self.count_end(sets, bytes, nanos) {
            self.end_first(sets, bytes, nanos);
        }
        if self.needs.uses {
            self.exit(sets);
        }
    }

    /// Returns false if the thread lacks a block.
    #[inline(always)]
    fn count_end(&self, sets: [SetIndex; MOMENTS], bytes: u64, nanos: Option<u64>) -> bool {
        let Some(blocks) = self.met.blocks_of_end(sets) else {
            return false;
        };
        let [.., end] = sets;
        if self
            .met
            .table
            .get(end)
            .is_some_and(|met| met.set.is_overflow)
        {
            self.shared.count_overflow();
        }
        self.shared.layout.count_end(blocks, bytes, nanos);
        true
    }

    /// Makes the blocks that the thread lacks, and counts. (Looking for each of them first takes 35 instructions.)
    #[cold]
    fn end_first(&mut self, sets: [SetIndex; MOMENTS], bytes: u64, nanos: Option<u64>) {
        let [begin, head, end] = sets;
        self.ready(begin, Carrier::Begin);
        self.ready(head, Carrier::Head);
        self.ready(end, Carrier::End);
        self.ready(end, Carrier::Duration);
        self.count_end(sets, bytes, nanos);
    }

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
        if let Some((next, set)) = self.met.last_after(before)
            && set.is(moment, before, values.as_slice())
            && !self.needs.uses
        {
            return next;
        }
        let found = self.find_by_hash(moment, before, values);
        // Not a set for calls beyond the limit: another call may have `_OTHER` as values of its own.
        if !self
            .met
            .table
            .get(found)
            .is_some_and(|met| met.set.is_overflow)
        {
            self.met.set_last_after(before, found);
        }
        found
    }

    #[inline(never)]
    fn find_by_hash(&mut self, moment: Moment, before: SetIndex, values: &Values<'_>) -> SetIndex {
        let lookup = Lookup::new(&self.shared.hasher, moment, before, values);
        match self.met.table.find(lookup) {
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
        // Calls beyond the cardinality limit have any values.
        let is_found_by_values = !set.is_overflow;
        self.keep(index, set);
        if is_found_by_values {
            self.met.table.make_known(index, lookup.hash);
        }
        index
    }

    #[cold]
    fn make_block(&mut self, set: SetIndex, carrier: Carrier) {
        if let Some(series) = self.series_of(set, carrier) {
            let layout = &self.shared.layout;
            let group = layout.group_of(carrier);
            let block = series.block_of(self.thread, &layout.groups()[group]);
            self.met.set_block(set, group, block);
        }
    }

    /// The series of a carrier's metrics. `None` if the recorder has been dropped.
    pub(crate) fn series_of(&mut self, set: SetIndex, carrier: Carrier) -> Option<Arc<Series>> {
        let group = self.shared.layout.group_of(carrier);
        self.set(set)?.series[group].clone()
    }

    /// A label set by its place. The recorder has it if this thread does not.
    fn set(&mut self, index: SetIndex) -> Option<&Arc<LabelSet>> {
        if self.met.table.get(index).is_none() {
            let found = self.recorder.upgrade()?.set(index)?;
            self.keep(index, found);
        }
        self.met.table.get(index).map(|met| &met.set)
    }

    fn keep(&mut self, index: SetIndex, set: Arc<LabelSet>) {
        self.met.keep(index, set);
        // Now and then the thread lets go of dropped recorders. Not here: users' functions would run while it is borrowed.
        self.key = Key::NONE;
    }

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
            self.met.forget_if(|set| set.uses.is_gone());
        }
    }

    fn enter(&mut self, index: SetIndex) -> bool {
        let met = self.met.table.get(index);
        let entered = met.is_none_or(|met| met.set.uses.enter(|| self.shared.now()));
        if !entered {
            self.met.forget(index);
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
            {
                set.uses.exit(|| shared.now());
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

impl Drop for LocalRecorder {
    fn drop(&mut self) {
        self.plain = None;
        self.met.forget_if(|_| true);
    }
}
