//! How a call finds its label sets.
//!
//! It reads its way down the tree of [`sets`](super::sets). Where it meets labels that were not there before,
//! [`growth`](super::growth) makes what is missing.

use super::aside::{Aside, Asides};
use super::families::Families;
use super::growth::Budget;
use super::sets::{Begin, BeginSet, Chain, EndSet, HeadSet};
use super::settings::Settings;
use crate::labels::Values;
use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};

/// All label sets of a layer.
#[derive(Debug)]
pub(crate) struct Sets {
    hasher: RandomState,
    /// By hash. A power of two.
    begins: Box<[Chain<Begin>]>,
    pub(super) asides: Asides,
    pub(super) budget: Budget,
}

// === impl Sets ===

impl Sets {
    pub(super) fn new(settings: &Settings) -> Self {
        let chains = match settings.schema.asks_request() {
            true => (settings.label_sets / 2)
                .clamp(1, 1 << 16)
                .next_power_of_two(),
            false => 1,
        };
        Self {
            hasher: RandomState::default(),
            begins: (0..chains).map(|_| Chain::new()).collect(),
            asides: Asides::new(),
            budget: Budget::new(),
        }
    }

    /// No set has been met.
    pub(super) fn reset(&self) {
        let Self {
            hasher: _,
            begins,
            asides,
            budget,
        } = self;
        for begin in begins.iter().flat_map(Chain::iter) {
            begin.set_active(false);
            for head in begin.heads.iter() {
                head.set_active(false);
                for end in head.ends.iter() {
                    end.set_active(false);
                }
            }
        }
        asides.reset();
        budget.reset();
    }

    #[inline]
    fn hash(&self, values: &[&str]) -> u64 {
        if values.is_empty() {
            return 0;
        }
        let mut hasher = self.hasher.build_hasher();
        for value in values {
            hasher.write(value.as_bytes());
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    #[inline]
    pub(super) fn chain(&self, hash: u64) -> &Chain<Begin> {
        &self.begins[hash as usize & (self.begins.len() - 1)]
    }
}

// === impl Families ===

impl Families {
    /// The only sets, where requests bring no labels.
    #[inline]
    pub(crate) fn constant(&'static self) -> Option<&'static Aside> {
        self.sets.asides.constant()
    }

    /// Where a call begins whose request has these labels.
    #[inline]
    pub(crate) fn begin_set(&'static self, values: &Values<'_>) -> &'static BeginSet {
        let values = values.as_slice();
        let hash = self.sets.hash(values);
        let found = self.sets.chain(hash).find(hash, values);
        match found.filter(|set| set.is_active()) {
            Some(set) => set,
            None => self.new_begin_set(hash, values),
        }
    }

    /// Where a call goes on whose response has these labels.
    #[inline]
    pub(crate) fn head_set(
        &'static self,
        begin: &'static BeginSet,
        values: &Values<'_>,
    ) -> &'static HeadSet {
        let values = values.as_slice();
        let hash = self.sets.hash(values);
        let found = begin.heads.find(hash, values);
        match found.filter(|set| set.is_active()) {
            Some(set) => set,
            None => self.new_head_set(begin, hash, values),
        }
    }

    /// Where a call ends that has these labels in the end.
    #[inline]
    pub(crate) fn end_set(
        &'static self,
        begin: &'static BeginSet,
        head: &'static HeadSet,
        values: &Values<'_>,
    ) -> &'static EndSet {
        let values = values.as_slice();
        let hash = self.sets.hash(values);
        let found = head.ends.find(hash, values);
        match found.filter(|set| set.is_active()) {
            Some(set) => set,
            None => self.new_end_set(begin, head, hash, values),
        }
    }
}
