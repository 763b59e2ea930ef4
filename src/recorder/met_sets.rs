//! The label sets that a thread has met, and its blocks of their series.

use super::block::Block;
use super::label_set::{LabelSet, Lookup, ROOT, SetIndex};
use super::layout::Layout;
use crate::labels::Carrier;
use hashbrown::HashTable;
use std::sync::Arc;

/// The label sets that a thread has met.
#[derive(Default)]
pub(super) struct MetSets {
    /// By their places.
    sets: Vec<Option<Met>>,
    by_values: HashTable<SetIndex>,
}

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
    #[inline(always)]
    pub(super) fn get(&self, index: SetIndex) -> Option<&Met> {
        self.sets.get(index as usize)?.as_ref()
    }

    fn get_mut(&mut self, index: SetIndex) -> Option<&mut Met> {
        self.sets.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn find(&self, lookup: Lookup<'_>) -> Option<SetIndex> {
        let is = |index: &SetIndex| self.get(*index).is_some_and(|met| lookup.is(&met.set));
        self.by_values.find(lookup.hash, is).copied()
    }

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

    pub(super) fn set_block(&mut self, set: SetIndex, carrier: Carrier, block: Block) {
        if let Some(met) = self.get_mut(set) {
            met.blocks[carrier as usize] = Some(block);
        }
    }

    pub(super) fn keep(&mut self, index: SetIndex, set: Arc<LabelSet>, layout: &Layout) {
        let place = index as usize;
        if self.sets.len() <= place {
            // In small steps: a thread may have thousands of label sets.
            let more = place + 1 - self.sets.len();
            self.sets.reserve_exact(more.max(place / 8));
            self.sets.resize_with(place + 1, || None);
        }
        match &self.sets[place] {
            Some(met) if Arc::ptr_eq(&met.set, &set) => return,
            Some(_) => self.forget(index, layout),
            None => {}
        }
        self.sets[place] = Some(Met {
            set,
            last_after: ROOT,
            blocks: Default::default(),
        });
    }

    /// Makes a set that is kept known by its values.
    pub(super) fn index(&mut self, index: SetIndex, hash: u64) {
        let sets = &self.sets;
        let hash_of = |index: &SetIndex| {
            let met = sets.get(*index as usize).and_then(Option::as_ref);
            met.map_or(0, |met| met.set.hash)
        };
        self.by_values.insert_unique(hash, index, hash_of);
    }

    /// Forgets the sets that have left.
    #[cold]
    pub(super) fn forget_gone(&mut self, layout: &Layout) {
        for index in 0..self.sets.len() as SetIndex {
            if self.get(index).is_some_and(|met| met.set.uses.is_gone()) {
                self.forget(index, layout);
            }
        }
    }

    /// The thread writes no more.
    pub(super) fn forget_all(&mut self, layout: &Layout) {
        for index in 0..self.sets.len() as SetIndex {
            self.forget(index, layout);
        }
    }

    /// Forgets a set. The series keep what this thread has counted.
    pub(super) fn forget(&mut self, index: SetIndex, layout: &Layout) {
        let Some(Met { set, blocks, .. }) = self.sets[index as usize].take() else {
            return;
        };
        if let Ok(entry) = self.by_values.find_entry(set.hash, |other| *other == index) {
            entry.remove();
        }
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
