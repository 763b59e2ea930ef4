//! Label sets, found by their places and by their values.

use super::label_set::{LabelSet, Lookup, SetIndex};
use hashbrown::HashTable;

/// Label sets, found by their places and by their values.
#[derive(Debug)]
pub(super) struct SetTable<T> {
    sets: Vec<Option<T>>,
    by_values: HashTable<SetIndex>,
}

// === impl SetTable ===

impl<T: AsRef<LabelSet>> SetTable<T> {
    pub(super) const fn new() -> Self {
        Self {
            sets: Vec::new(),
            by_values: HashTable::new(),
        }
    }

    #[inline(always)]
    pub(super) fn get(&self, index: SetIndex) -> Option<&T> {
        self.sets.get(index as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: SetIndex) -> Option<&mut T> {
        self.sets.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn find(&self, lookup: Lookup<'_>) -> Option<SetIndex> {
        let is = |index: &SetIndex| self.get(*index).is_some_and(|set| lookup.is(set.as_ref()));
        self.by_values.find(lookup.hash, is).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LabelSet> {
        self.sets.iter().flatten().map(AsRef::as_ref)
    }

    /// The places, used or not.
    pub(super) fn places(&self) -> impl DoubleEndedIterator<Item = SetIndex> + use<T> {
        0..self.sets.len() as SetIndex
    }

    pub(super) fn put(&mut self, index: SetIndex, set: T) {
        let place = index as usize;
        grow(&mut self.sets, place + 1);
        self.sets[place] = Some(set);
    }

    /// Makes a set known by its values.
    pub(super) fn make_known(&mut self, index: SetIndex, hash: u64) {
        let sets = &self.sets;
        let hash_of = |index: &SetIndex| {
            let set = sets.get(*index as usize).and_then(Option::as_ref);
            set.map_or(0, |set| set.as_ref().hash)
        };
        self.by_values.insert_unique(hash, index, hash_of);
    }

    pub(super) fn take(&mut self, index: SetIndex) -> Option<T> {
        let set = self.sets.get_mut(index as usize)?.take()?;
        let is = |other: &SetIndex| *other == index;
        if let Ok(entry) = self.by_values.find_entry(set.as_ref().hash, is) {
            entry.remove();
        }
        Some(set)
    }
}

/// Makes sure that there are so many places.
pub(super) fn grow<T>(places: &mut Vec<Option<T>>, count: usize) {
    if places.capacity() < count {
        // In small steps: a thread may have thousands of label sets.
        let more = count - places.len();
        places.reserve_exact(more.max(count / 8));
    }
    places.resize_with(count.max(places.len()), || None);
}
