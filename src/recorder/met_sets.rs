//! The label sets that a thread has met, and its blocks of their series.

use super::label_set::{LabelSet, ROOT, SetIndex};
use super::set_table::{SetTable, grow};
use super::shared::Shared;
use crate::block::Block;
use crate::labels::{Carrier, MOMENTS};
use std::sync::Arc;

/// The label sets that a thread has met, and its blocks of their series.
pub(super) struct MetSets {
    shared: Arc<Shared>,
    pub(super) table: SetTable<Met>,
    /// One for each group, set by set, once a call has counted in it.
    blocks: Vec<Option<Block>>,
}

/// A label set that a thread has met.
pub(super) struct Met {
    pub(super) set: Arc<LabelSet>,
    /// The set that was last found after it.
    last_after: SetIndex,
}

// === impl MetSets ===

impl MetSets {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            table: SetTable::new(),
            blocks: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn last_after(&self, before: SetIndex) -> Option<(SetIndex, &LabelSet)> {
        let last = self.table.get(before)?.last_after;
        Some((last, &self.table.get(last)?.set))
    }

    pub(super) fn set_last_after(&mut self, before: SetIndex, set: SetIndex) {
        if let Some(met) = self.table.get_mut(before) {
            met.last_after = set;
        }
    }

    #[inline(always)]
    pub(super) fn block(&self, set: SetIndex, carrier: Carrier) -> Option<&Block> {
        let layout = &self.shared.layout;
        let place = (set as usize).wrapping_mul(layout.groups().len());
        let place = place + layout.group_of(carrier);
        self.blocks.get(place)?.as_ref()
    }

    /// The blocks of a call's begin, head, end and duration, if the thread has all of them.
    #[inline(always)]
    pub(super) fn blocks_of_end(
        &self,
        [begin, head, end]: [SetIndex; MOMENTS],
    ) -> Option<[&Block; 4]> {
        Some([
            self.block(begin, Carrier::Begin)?,
            self.block(head, Carrier::Head)?,
            self.block(end, Carrier::End)?,
            self.block(end, Carrier::Duration)?,
        ])
    }

    /// Sets a block of a set that is kept.
    pub(super) fn set_block(&mut self, set: SetIndex, group: usize, block: Block) {
        let place = set as usize * self.shared.layout.groups().len() + group;
        self.blocks[place] = Some(block);
    }

    pub(super) fn keep(&mut self, index: SetIndex, set: Arc<LabelSet>) {
        let there = self.table.get(index);
        if there.is_none_or(|met| !Arc::ptr_eq(&met.set, &set)) {
            self.forget(index);
            let last_after = ROOT;
            self.table.put(index, Met { set, last_after });
            let groups = self.shared.layout.groups().len();
            grow(&mut self.blocks, self.table.places().count() * groups);
        }
    }

    #[cold]
    pub(super) fn forget_if(&mut self, forgets: impl Fn(&LabelSet) -> bool) {
        for index in self.table.places() {
            let met = self.table.get(index);
            if met.is_some_and(|met| forgets(&met.set)) {
                self.forget(index);
            }
        }
    }

    /// Forgets a set. The series keep what this thread has counted.
    pub(super) fn forget(&mut self, index: SetIndex) {
        let Some(Met { set, .. }) = self.table.take(index) else {
            return;
        };
        let groups = self.shared.layout.groups();
        let blocks = &mut self.blocks[index as usize * groups.len()..][..groups.len()];
        for ((series, block), group) in set.series.iter().zip(blocks).zip(groups) {
            // Another set of this thread may have the same series.
            if let (Some(series), Some(block)) = (series, block.take())
                && block.is_last_of_thread()
            {
                series.let_go(&block, group);
            }
        }
    }
}

// === impl Met ===

impl AsRef<LabelSet> for Met {
    fn as_ref(&self) -> &LabelSet {
        &self.set
    }
}
