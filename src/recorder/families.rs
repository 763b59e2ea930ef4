//! All the numbers of one layer.

use super::arena;
use super::errors::ErrorTypes;
use super::lease::{Lease, Leases};
use super::lookup::Sets;
use super::outcome::Outcome;
use super::rows::Rows;
use super::settings::Settings;
use crate::classify::Fault;
use std::hint::black_box;
use std::ops::Deref;

/// The table of a layer's series, for its constant labels and for those that requests bring.
///
/// It lives as long as the process, and is used again by a later layer once
/// nobody can write to it any more: whoever can holds a [`Lease`] or has a call open.
#[derive(Debug)]
pub(crate) struct Families {
    /// Often those of other tables too.
    pub(crate) settings: &'static Settings,
    pub(crate) error_types: ErrorTypes,
    pub(crate) sets: Sets,
    pub(crate) rows: Rows,
    pub(super) leases: Leases,
}

/// The registry's hold on a table: where it is dropped the table retires.
#[derive(Debug)]
pub(crate) struct OwnedFamilies(&'static Families);

// === impl Families ===

impl Families {
    /// The process keeps it.
    pub(super) fn leak(settings: &'static Settings) -> &'static Self {
        let families = Box::leak(Box::new(Self {
            error_types: ErrorTypes::new(&settings.error_types),
            sets: Sets::new(settings),
            rows: Rows::new(),
            leases: Leases::new(),
            settings,
        }));
        families.stand_ready();
        families
    }

    /// The outcome that a fault leads to.
    pub(crate) fn outcome(&self, fault: Fault) -> Outcome {
        match fault {
            Fault::Failed(error_type) => Outcome::failed(self.error_types.index(error_type)),
            Fault::Cancelled => Outcome::CANCELLED,
        }
    }

    /// What a call that ended so is called where its end is a label; nothing, if it ended well.
    pub(crate) fn failure(&self, outcome: Outcome) -> Option<&'static str> {
        match outcome.failure() {
            Some(index) => Some(self.error_types.name(index).as_str()),
            None => (outcome == Outcome::CANCELLED).then_some("cancelled"),
        }
    }

    /// Has the processor fetch the table, for who will read many.
    pub(crate) fn prefetch(&self) {
        black_box(self.settings);
        self.rows.prefetch();
    }

    /// The same for its numbers. It does not wait for the table if several others lie between the two.
    pub(crate) fn prefetch_numbers(&self) {
        self.rows.prefetch_numbers();
    }

    /// Whether nobody can write here any more, if no owner is left either.
    ///
    /// A lease is taken, and a call begun, only by whoever holds a lease or owns
    /// the table. So if every one that is seen to begin is seen to have ended,
    /// there is none that is not seen.
    pub(super) fn is_quiet(&self) -> bool {
        let returned = self.leases.returned();
        let rows = self.rows.begin.all();
        let series = rows.iter().copied().chain(self.sets.asides.left_out_row());
        let ended: Vec<_> = series.map(|row| (row, row.series.ended())).collect();
        self.leases.taken() == returned
            && ended
                .iter()
                .all(|(row, ended)| row.series.begun() == *ended)
    }

    /// Whether another layer with the same settings can have it: nobody writes
    /// here, and there is room for its label sets.
    pub(super) fn is_reusable(&self) -> bool {
        self.sets.budget.is_reusable(self.settings) && self.is_quiet()
    }

    /// Back to zero, for another layer with the same settings.
    pub(super) fn reset(&'static self) {
        let Self {
            settings: _,
            error_types,
            sets,
            rows,
            leases,
        } = self;
        error_types.reset();
        sets.reset();
        rows.reset();
        leases.reset();
        self.stand_ready();
    }
}

// === impl OwnedFamilies ===

impl OwnedFamilies {
    pub(crate) fn new(settings: Settings) -> Self {
        Self(arena::take(settings))
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease::take(self.0)
    }
}

impl Deref for OwnedFamilies {
    type Target = Families;

    fn deref(&self) -> &Families {
        self.0
    }
}

impl Drop for OwnedFamilies {
    fn drop(&mut self) {
        arena::retire(self.0);
    }
}
