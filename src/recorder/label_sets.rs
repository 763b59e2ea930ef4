//! From the labels of a call to its series.
//!
//! A label set is known moment by moment: by the labels of the request when a call begins, then by those of the response,
//! then by those of the end. Each set names the one before it, so that one table finds all of them by the values that
//! are new. Threads remember the sets that they have met, and look here for others only.

use super::label_set::{LabelSet, Lookup, ROOT, STAYS, SetIndex, UNPROVEN, Uses};
use super::series::Series;
use super::set_table::SetTable;
use super::shared::Shared;
use crate::labels::{Declared, KeptValue, Known, MOMENTS, Moment, Values};
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// All label sets of a recorder.
#[derive(Debug)]
pub(super) struct LabelSets {
    shared: Arc<Shared>,
    sets: SetTable<Arc<LabelSet>>,
    free: Vec<SetIndex>,
    /// The number of sets of each moment.
    counts: [usize; MOMENTS],
    /// `_OTHER` at each moment, once a call was beyond the cardinality limit.
    overflow: Option<[SetIndex; MOMENTS]>,
    unproven: usize,
    /// The series of each group, in the order of the page, and the number of sets that use each.
    series: Vec<BTreeMap<Arc<Series>, usize>>,
    /// When idle sets were last looked for.
    swept: AtomicU64,
}

type Found = (SetIndex, Arc<LabelSet>);

// === impl LabelSets ===

impl LabelSets {
    /// The root and the declared sets.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let mut sets = Self {
            sets: SetTable::new(),
            free: Vec::new(),
            counts: [0; MOMENTS],
            overflow: None,
            unproven: 0,
            series: vec![BTreeMap::new(); shared.layout.groups().len()],
            swept: AtomicU64::new(0),
            shared: shared.clone(),
        };
        let root = Lookup::new(&shared.hasher, Moment::Begin, ROOT, &Values::NONE);
        sets.make(root, STAYS, false);
        for declared in &shared.settings.declared {
            sets.get_all(declared, Self::get_or_keep);
        }
        sets
    }

    pub(super) fn get(&self, index: SetIndex) -> Option<Arc<LabelSet>> {
        self.sets.get(index).cloned()
    }

    /// The series of a group, in the order of the page.
    pub(super) fn series(&self, group: usize) -> Vec<Arc<Series>> {
        self.series[group].keys().cloned().collect()
    }

    /// Finds a set, which the call uses from now on. Returns `None` if a set has to be made, or others can make room.
    ///
    /// The time does not depend on the number of sets, unless some of them can make room.
    pub(super) fn find(&self, lookup: Lookup<'_>, now: u64) -> Option<Found> {
        let found = self.sets.find(lookup).or_else(|| {
            let is_settled = self.follows_overflow(lookup)
                || self.is_full(lookup.moment) && !self.can_make_room(now);
            let overflow = self.overflow.filter(|_| is_settled)?;
            Some(overflow[lookup.moment as usize])
        });
        self.enter(found?, now)
    }

    /// Finds or makes a set, which the call uses from now on.
    pub(super) fn find_or_make(&mut self, lookup: Lookup<'_>, now: u64) -> Option<Found> {
        let is_beyond = self.sets.find(lookup).is_none()
            && (self.follows_overflow(lookup) || !self.has_room(lookup.moment, now));
        // Sought again: sets that made room may have left their numbers to this one.
        let index = match self.sets.find(lookup) {
            Some(index) => index,
            None if is_beyond => self.overflow()[lookup.moment as usize],
            None => {
                let flags = match lookup.moment {
                    Moment::Begin if self.shared.needs.proof => UNPROVEN,
                    _ => self.shared.flags_when_proven(),
                };
                self.make(lookup, flags, false)
            }
        };
        self.enter(index, now)
    }

    /// A new set is entered under the lock: if it could leave before its first call, a page could show it at 0.
    fn enter(&self, index: SetIndex, now: u64) -> Option<Found> {
        let set = self.get(index)?;
        set.uses.enter(|| now).then_some((index, set))
    }

    /// A call beyond the cardinality limit stays there.
    fn follows_overflow(&self, lookup: Lookup<'_>) -> bool {
        let before = self.sets.get(lookup.before);
        before.is_some_and(|set| set.is_overflow)
    }

    fn is_full(&self, moment: Moment) -> bool {
        self.counts[moment as usize] >= self.shared.settings.cardinality_limit
    }

    /// Whether there is room, after others have made it if need be.
    fn has_room(&mut self, moment: Moment, now: u64) -> bool {
        if self.is_full(moment) && self.unproven > 0 {
            self.remove_unproven();
        }
        if self.is_full(moment) {
            self.remove_idle(now);
        }
        !self.is_full(moment)
    }

    /// Whether any set can leave. Idle sets are not looked for by each call beyond the limit.
    fn can_make_room(&self, now: u64) -> bool {
        let is_due = |idle| now.saturating_sub(self.swept.load(Ordering::Relaxed)) > idle / 4;
        let is_unproven = |set: &LabelSet| set.uses.is_unproven() && set.uses.is_unused();
        self.unproven > 0 && self.sets.iter().any(is_unproven)
            || self.shared.idle().is_some_and(is_due) && self.has_idle(now)
    }

    /// Whether there are idle sets.
    pub(super) fn has_idle(&self, now: u64) -> bool {
        let Some(idle) = self.shared.idle() else {
            return false;
        };
        self.swept.store(now, Ordering::Relaxed);
        let is_idle = |set: &LabelSet| set.uses.is_idle(idle, now);
        self.sets.iter().any(is_idle)
    }

    /// Removes idle sets. A set stays as long as one after it, which names it by its place.
    pub(super) fn remove_idle(&mut self, now: u64) {
        let Some(idle) = self.shared.idle() else {
            return;
        };
        let mut followers = vec![0_usize; self.sets.places().count()];
        for set in self.sets.iter() {
            followers[set.before as usize] += 1;
        }
        for moment in Moment::ALL.into_iter().rev() {
            for index in self.sets.places() {
                if let Some(set) = self.get(index)
                    && set.moment == moment
                    && followers[index as usize] == 0
                {
                    let was_unproven = set.uses.is_unproven();
                    if set.uses.leave_if_idle(idle, now) {
                        self.unproven -= usize::from(was_unproven);
                        followers[set.before as usize] -= 1;
                        self.remove(index, None);
                    }
                }
            }
        }
    }

    /// Removes unproven sets that no call uses, and all sets after them. `_OTHER` takes over their numbers.
    fn remove_unproven(&mut self) {
        let shared = self.shared.clone();
        let others = shared.settings.schema.overflow();
        // For each set that leaves, the one that takes over its numbers. Sets of earlier moments come first.
        let mut heirs: Vec<Option<SetIndex>> = vec![None; self.sets.places().count()];
        for moment in Moment::ALL {
            for index in 0..heirs.len() as SetIndex {
                let Some(set) = self.get(index).filter(|set| set.moment == moment) else {
                    continue;
                };
                let (before, values) = if moment == Moment::Begin {
                    // `_OTHER` may be there as any other set. It must not leave itself.
                    if set.values == others[Moment::Begin as usize] {
                        self.keep(index);
                        continue;
                    }
                    if !set.uses.is_unproven() || !set.uses.leave() {
                        continue;
                    }
                    self.unproven -= 1;
                    (ROOT, &others[Moment::Begin as usize])
                } else if let Some(Some(before)) = heirs.get(set.before as usize) {
                    set.uses.leave_with_before();
                    (*before, &set.values)
                } else {
                    continue;
                };
                heirs[index as usize] = Some(self.get_or_keep(moment, before, values));
            }
        }
        for (index, heir) in (0..).zip(heirs) {
            if heir.is_some() {
                self.remove(index, heir);
            }
        }
    }

    /// Takes a set off the page, and makes its room free. An heir takes over its numbers.
    fn remove(&mut self, index: SetIndex, heir: Option<SetIndex>) {
        let Some(set) = self.sets.take(index) else {
            return;
        };
        self.free.push(index);
        self.counts[set.moment as usize] -= 1;
        let heir = heir.and_then(|heir| self.get(heir));
        let groups = self.shared.layout.groups().iter().zip(&mut self.series);
        for (number, (group, of_group)) in groups.enumerate() {
            if let Some(series) = &set.series[number]
                && let Some(users) = of_group.get_mut(series)
            {
                *users -= 1;
                if *users == 0 {
                    of_group.remove(series);
                    if let Some(Some(heir)) = heir.as_ref().map(|heir| &heir.series[number]) {
                        heir.take_in(series, group);
                    }
                }
            }
        }
        // Release, and under the lock: threads look at it before they use the place of a set that another may take now.
        self.shared.removals.fetch_add(1, Ordering::Release);
    }

    /// The server has what the labels of this set name.
    pub(super) fn prove(&mut self, begin: SetIndex) {
        if let Some(set) = self.get(begin)
            && set.uses.prove(self.shared.flags_when_proven())
        {
            self.unproven -= 1;
        }
    }

    /// Gets the sets with these values, moment by moment.
    fn get_all(
        &mut self,
        values: &Declared,
        get: impl Fn(&mut Self, Moment, SetIndex, &[KeptValue]) -> SetIndex,
    ) -> [SetIndex; MOMENTS] {
        let mut before = ROOT;
        Moment::ALL.map(|moment| {
            if self.shared.settings.schema.asks(moment) {
                before = get(self, moment, before, &values[moment as usize]);
            }
            before
        })
    }

    /// Finds or makes a set that never leaves, whatever the limit is.
    fn get_or_keep(&mut self, moment: Moment, before: SetIndex, values: &[KeptValue]) -> SetIndex {
        let values = Values::of(values);
        let lookup = Lookup::new(&self.shared.hasher, moment, before, &values);
        let Some(index) = self.sets.find(lookup) else {
            return self.make(lookup, STAYS, false);
        };
        self.keep(index);
        index
    }

    /// Makes a set stay for good.
    fn keep(&mut self, index: SetIndex) {
        if self.get(index).is_some_and(|set| set.uses.prove(STAYS)) {
            self.unproven -= 1;
        }
    }

    /// `_OTHER` at each moment.
    fn overflow(&mut self) -> [SetIndex; MOMENTS] {
        if let Some(overflow) = self.overflow {
            return overflow;
        }
        let others = self.shared.settings.schema.overflow();
        let overflow = self.get_all(&others, |sets, moment, before, values| {
            let values = Values::of(values);
            let lookup = Lookup::new(&sets.shared.hasher, moment, before, &values);
            sets.make(lookup, STAYS, true)
        });
        *self.overflow.insert(overflow)
    }

    fn make(&mut self, lookup: Lookup<'_>, flags: u64, is_overflow: bool) -> SetIndex {
        let values: Box<[KeptValue]> = lookup.values.iter().map(|value| value.keep()).collect();
        let set = LabelSet {
            moment: lookup.moment,
            before: lookup.before,
            series: self.series_of(lookup, &values),
            values,
            hash: lookup.hash,
            is_overflow,
            uses: Uses::new(flags),
        };
        self.unproven += usize::from(flags & UNPROVEN != 0);
        let next = self.sets.places().count() as SetIndex;
        let index = self.free.pop().unwrap_or(next);
        self.sets.put(index, Arc::new(set));
        // Calls beyond the limit have any values.
        if !is_overflow {
            self.sets.make_known(index, lookup.hash);
            self.counts[lookup.moment as usize] += usize::from(!lookup.values.is_empty());
        }
        index
    }

    /// The series of a new set, for each group whose labels are known.
    fn series_of(
        &mut self,
        lookup: Lookup<'_>,
        values: &[KeptValue],
    ) -> Box<[Option<Arc<Series>>]> {
        let Settings { schema, clock, .. } = &self.shared.settings;
        let mut known: Known<'_> = [&[]; MOMENTS];
        known[lookup.moment as usize] = values;
        let mut before = lookup.before;
        while before != ROOT
            && let Some(set) = self.sets.get(before)
        {
            known[set.moment as usize] = &set.values;
            before = set.before;
        }
        // If requests have labels, the root has only the series without.
        let has_series = !values.is_empty() || !schema.asks(Moment::Begin);
        let groups = self.shared.layout.groups().iter().zip(&mut self.series);
        let of_groups = groups.map(|(group, series)| {
            let has_series = has_series || group.is_unlabelled;
            let is_known = has_series && group.known_at <= lookup.moment;
            is_known.then(|| {
                let values = schema.project(group.carrier, known);
                let new = Arc::new(Series::new(values, *clock));
                let kept = series.get_key_value(&new);
                let kept = kept.map_or(new, |(series, _)| series.clone());
                *series.entry(kept.clone()).or_default() += 1;
                kept
            })
        });
        of_groups.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::labels::{Label, Labels, Schema, Value};
    use std::time::Duration;

    #[test]
    fn a_new_set_does_not_leave_before_its_first_call() {
        let labels = vec![Label::status()];
        let shared = Arc::new(Shared::new(Settings {
            schema: Schema::new(labels, &Labels::default()).unwrap(),
            clock: Clock::manual(),
            cardinality_limit: 1,
            series_idle_timeout: Some(Duration::ZERO),
            ..Settings::default()
        }));
        let mut sets = LabelSets::new(shared.clone());
        let lookup = Lookup {
            moment: Moment::Head,
            before: ROOT,
            values: &[Value::Code(200)],
            hash: 0,
        };
        let (index, set) = sets.find_or_make(lookup, 1).unwrap();
        sets.remove_idle(2);
        assert!(sets.get(index).is_some());
        set.uses.exit(|| 3);
        sets.remove_idle(4);
        assert!(sets.get(index).is_none());
    }
}
