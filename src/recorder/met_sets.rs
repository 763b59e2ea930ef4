//! The label sets that a thread has met, and its blocks of their series.

use super::block::Block;
use super::label_set::{LabelSet, Lookup, ROOT, SetIndex};
use super::layout::Layout;
use hashbrown::HashTable;
use std::sync::Arc;

/// The label sets that a thread has met, and its blocks of their series.
pub(super) struct MetSets {
    /// By their places.
    sets: Vec<Option<Arc<LabelSet>>>,
    by_values: HashTable<SetIndex>,
    /// The set that was last found after each.
    last_after: Vec<SetIndex>,
    /// The blocks of each set, one for each group, set by set.
    blocks: Vec<Option<Block>>,
    groups: usize,
}

// === impl MetSets ===

impl MetSets {
    pub(super) fn new(groups: usize) -> Self {
        Self {
            sets: Vec::new(),
            by_values: HashTable::new(),
            last_after: vec![ROOT],
            blocks: Vec::new(),
            groups,
        }
    }

    #[inline]
    pub(super) fn get(&self, index: SetIndex) -> Option<&Arc<LabelSet>> {
        self.sets.get(index as usize)?.as_ref()
    }

    pub(super) fn find(&self, lookup: Lookup<'_>) -> Option<SetIndex> {
        let is = |index: &SetIndex| self.get(*index).is_some_and(|set| lookup.is(set));
        self.by_values.find(lookup.hash, is).copied()
    }

    #[inline]
    pub(super) fn last_after(&self, before: SetIndex) -> Option<(SetIndex, &Arc<LabelSet>)> {
        let last = *self.last_after.get(before as usize)?;
        Some((last, self.get(last)?))
    }

    #[inline]
    pub(super) fn set_last_after(&mut self, before: SetIndex, set: SetIndex) {
        if let Some(last) = self.last_after.get_mut(before as usize) {
            *last = set;
        }
    }

    /// The place of a block, whether there is one or not.
    #[inline(always)]
    pub(super) fn place(&self, set: SetIndex, group: usize) -> usize {
        (set as usize).wrapping_mul(self.groups) + group
    }

    #[inline(always)]
    pub(super) fn block(&self, place: usize) -> Option<&Block> {
        self.blocks.get(place)?.as_ref()
    }

    pub(super) fn set_block(&mut self, place: usize, block: Block) {
        if let Some(place) = self.blocks.get_mut(place) {
            *place = Some(block);
        }
    }

    pub(super) fn keep(&mut self, index: SetIndex, set: Arc<LabelSet>, layout: &Layout) {
        let place = index as usize;
        if self.sets.len() <= place {
            self.sets.resize_with(place + 1, || None);
            self.last_after.resize(place + 1, ROOT);
            let blocks = self.sets.len() * self.groups;
            // In small steps: a thread may have thousands of label sets.
            self.blocks
                .reserve_exact((blocks - self.blocks.len()).max(blocks / 8));
            self.blocks.resize_with(blocks, || None);
        }
        if self
            .get(index)
            .is_some_and(|there| !Arc::ptr_eq(there, &set))
        {
            self.forget(index, layout);
        }
        self.sets[place] = Some(set);
    }

    /// Makes a set that is kept known by its values.
    pub(super) fn index(&mut self, index: SetIndex, hash: u64) {
        let sets = &self.sets;
        let hash_of = |index: &SetIndex| {
            let set = sets.get(*index as usize).and_then(Option::as_ref);
            set.map_or(0, |set| set.hash)
        };
        self.by_values.insert_unique(hash, index, hash_of);
    }

    #[cold]
    pub(super) fn forget_gone(&mut self, layout: &Layout) {
        for index in 0..self.sets.len() as SetIndex {
            if self.get(index).is_some_and(|set| set.uses.is_gone()) {
                self.forget(index, layout);
            }
        }
    }

    pub(super) fn forget(&mut self, index: SetIndex, layout: &Layout) {
        let Some(set) = self.sets[index as usize].take() else {
            return;
        };
        if let Ok(entry) = self.by_values.find_entry(set.hash, |other| *other == index) {
            entry.remove();
        }
        let first = self.place(index, 0);
        let blocks = &mut self.blocks[first..][..self.groups];
        for ((series, block), group) in set.series.iter().zip(blocks).zip(layout.groups()) {
            // Another set of this thread may have the same series.
            if let (Some(series), Some(block)) = (series, block.take())
                && block.is_last_of_thread()
            {
                series.let_go(&block, group);
            }
        }
    }

    /// The thread writes no more. The series keep its counts.
    pub(super) fn let_go(&self, layout: &Layout) {
        for (set, blocks) in self.sets.iter().zip(self.blocks.chunks(self.groups)) {
            let series = set.iter().flat_map(|set| &set.series);
            for ((series, block), group) in series.zip(blocks).zip(layout.groups()) {
                if let (Some(series), Some(block)) = (series, block) {
                    series.let_go(block, group);
                }
            }
        }
    }
}
