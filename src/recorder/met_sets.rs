//! The label sets that a thread has met, and its blocks of their series.

use super::label_set::{LabelSet, ROOT, SetIndex};
use super::layout::Layout;
use super::set_table::SetTable;
use crate::block::Block;
use crate::labels::{Carrier, MOMENTS};
use std::sync::Arc;

/// The label sets that a thread has met.
pub(super) type MetSets = SetTable<Met>;

/// A label set, and this thread's blocks of its series.
pub(super) struct Met {
    pub(super) set: Arc<LabelSet>,
    /// The set that was last found after it.
    last_after: SetIndex,
    /// By carrier, once a call has counted in it. The carriers of one group have the same block.
    blocks: [Option<Block>; Carrier::ALL.len()],
}

// === impl MetSets ===

impl MetSets {
    #[inline]
    pub(super) fn last_after(&self, before: SetIndex) -> Option<(SetIndex, &LabelSet)> {
        let last = self.get(before)?.last_after;
        Some((last, &self.get(last)?.set))
    }

    pub(super) fn set_last_after(&mut self, before: SetIndex, set: SetIndex) {
        if let Some(met) = self.get_mut(before) {
            met.last_after = set;
        }
    }

    #[inline(always)]
    pub(super) fn block(&self, set: SetIndex, carrier: Carrier) -> Option<&Block> {
        self.get(set)?.block(carrier)
    }

    /// The blocks of a call's begin, head, end and duration, if the thread has all of them.
    #[inline(always)]
    pub(super) fn blocks_of_end(&self, sets: [SetIndex; MOMENTS]) -> Option<[&Block; 4]> {
        let [begin, head, end] = sets;
        let end = self.get(end)?;
        Some([
            self.block(begin, Carrier::Begin)?,
            self.block(head, Carrier::Head)?,
            end.block(Carrier::End)?,
            end.block(Carrier::Duration)?,
        ])
    }

    pub(super) fn set_block(&mut self, set: SetIndex, carrier: Carrier, block: Block) {
        if let Some(met) = self.get_mut(set) {
            met.blocks[carrier as usize] = Some(block);
        }
    }

    pub(super) fn keep(&mut self, index: SetIndex, set: Arc<LabelSet>, layout: &Layout) {
        if self
            .get(index)
            .is_none_or(|met| !Arc::ptr_eq(&met.set, &set))
        {
            self.forget(index, layout);
            let met = Met {
                set,
                last_after: ROOT,
                blocks: Default::default(),
            };
            self.put(index, met);
        }
    }

    #[cold]
    pub(super) fn forget_if(&mut self, forgets: impl Fn(&LabelSet) -> bool, layout: &Layout) {
        for index in self.places() {
            if self.get(index).is_some_and(|met| forgets(&met.set)) {
                self.forget(index, layout);
            }
        }
    }

    /// Forgets a set. The series keep what this thread has counted.
    pub(super) fn forget(&mut self, index: SetIndex, layout: &Layout) {
        let Some(Met { set, blocks, .. }) = self.take(index) else {
            return;
        };
        for (carrier, block) in Carrier::ALL.into_iter().zip(blocks) {
            let group = layout.group_of(carrier);
            // Another carrier, or another set of this thread, may have the same block.
            if let (Some(series), Some(block)) = (&set.series[group], block)
                && block.is_last_of_thread()
            {
                series.let_go(&block, &layout.groups()[group]);
            }
        }
    }
}

// === impl Met ===

impl Met {
    #[inline(always)]
    pub(super) fn block(&self, carrier: Carrier) -> Option<&Block> {
        self.blocks[carrier as usize].as_ref()
    }
}

impl AsRef<LabelSet> for Met {
    fn as_ref(&self) -> &LabelSet {
        &self.set
    }
}
