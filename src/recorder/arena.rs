//! Where tables of series come from, and go back to.

use super::families::Families;
use super::settings::Settings;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Tables without an owner. Some may still be written to by calls in flight.
static RETIRED: Mutex<Vec<&'static Families>> = Mutex::new(Vec::new());

/// A table for a new layer, all at zero: one that was retired, or a new one.
pub(super) fn take(settings: Settings) -> &'static Families {
    let reusable = {
        let mut retired = RETIRED.lock().unwrap_or_else(PoisonError::into_inner);
        let place = retired
            .iter()
            .position(|families| *families.settings == settings && families.is_reusable());
        place.map(|place| retired.swap_remove(place))
    };
    match reusable {
        Some(families) => {
            families.reset();
            families
        }
        None => {
            let kept = KEPT.lock();
            let settings = kept.unwrap_or_else(PoisonError::into_inner).share(settings);
            Families::leak(settings)
        }
    }
}

/// Settings that the process keeps. Layers that are built one after the other mostly have the same, or by turns: a page
/// of many layers then finds them at one place in memory.
struct Kept(VecDeque<&'static Settings>);

static KEPT: Mutex<Kept> = Mutex::new(Kept::NONE);

impl Kept {
    const NONE: Self = Self(VecDeque::new());

    /// Of the latest, how many can be shared.
    const MOST: usize = 8;

    fn share(&mut self, settings: Settings) -> &'static Settings {
        let Self(latest) = self;
        if let Some(same) = latest.iter().find(|same| ***same == settings) {
            return same;
        }
        let settings = Box::leak(Box::new(settings));
        latest.push_front(settings);
        latest.truncate(Self::MOST);
        settings
    }
}

pub(super) fn retire(families: &'static Families) {
    RETIRED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(families);
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::super::families::OwnedFamilies;
    use super::super::histogram::Detail;
    use super::super::outcome::Outcome;
    use super::super::series::Timed;
    use super::super::sets::{BeginSet, EndSet, HeadSet};
    use super::super::thread::with_writer;
    use super::*;
    use crate::classify::ErrorType;
    use crate::clock::Clock;
    use crate::labels::Values;

    /// Settings no other test has, so that their tables don't mix.
    fn settings() -> Settings {
        Settings {
            clock: Clock::manual(),
            ..Settings::default()
        }
    }

    #[test]
    fn a_table_is_used_again_once_nobody_can_write_to_it() {
        let settings = settings();
        let first = OwnedFamilies::new(settings.clone());
        let address: *const Families = &*first;
        let lease = first.lease();
        let copy = lease.clone();
        drop((first, lease));

        let second = OwnedFamilies::new(settings.clone());
        assert!(!std::ptr::eq(&*second, address), "it is still leased");

        drop(copy);
        let third = OwnedFamilies::new(settings);
        assert!(std::ptr::eq(&*third, address), "it is free");
    }

    #[test]
    fn a_used_table_starts_again_from_zero() {
        let settings = settings();
        let first = OwnedFamilies::new(settings.clone());
        let lease = first.lease();
        let families = lease.families();
        let (begin, head, end) = root(families);
        let timed = Timed {
            nanos: 7,
            traced: None,
        };
        with_writer(|writer| {
            begin.series().begin(writer);
            begin.series().add_request_bytes(writer, 5);
            head.series().add_response_bytes(writer, 6);
            end.series().record(writer, Outcome::failed(2));
            end.duration().observe(writer, &settings, timed);
            families
                .error_types
                .index(ErrorType::from_static("undeclared"));
        });
        drop((first, lease));
        let second = OwnedFamilies::new(settings.clone());
        assert!(!std::ptr::eq(&*second, families), "a call is in flight");

        with_writer(|writer| begin.series().end(writer));
        let third = OwnedFamilies::new(settings.clone());
        assert!(std::ptr::eq(&*third, families), "the call has ended");
        assert_eq!(begin.series().in_flight(), 0);
        let forgotten = |(name, _, _): &_| *name != ErrorType::from_static("undeclared");
        assert!(third.error_types.by_name().iter().all(forgotten));
        assert_eq!(begin.series().request_bytes(), 0);
        assert_eq!(head.series().response_bytes(), 0);
        let mut numbers = Vec::new();
        let errors = end.series().errors(&mut numbers).unwrap();
        assert_eq!((end.series().requests(), numbers[errors][2]), (0, 0));
        let duration = end.duration();
        let duration = duration.duration(&settings, Detail::Classic, &mut numbers);
        assert_eq!(duration.sum, 0);
    }

    #[test]
    fn layers_that_are_built_by_turns_share_their_settings() {
        let mut kept = Kept::NONE;
        let all: Vec<Settings> = (0..=Kept::MOST).map(|_| settings()).collect();
        let [first, second] = [0, 1].map(|turn: usize| kept.share(all[turn].clone()));
        assert!(!std::ptr::eq(first, second));
        for (turn, shared) in [(0, first), (1, second), (0, first)] {
            assert!(std::ptr::eq(kept.share(all[turn].clone()), shared));
        }
        for other in &all[2..] {
            kept.share(other.clone());
        }
        assert!(!std::ptr::eq(kept.share(all[0].clone()), first));
    }

    /// Where calls without labels are counted.
    fn root(families: &'static Families) -> (&'static BeginSet, &'static HeadSet, &'static EndSet) {
        let begin = families.begin_set(&Values::NONE);
        let head = families.head_set(begin, &Values::NONE);
        (begin, head, families.end_set(begin, head, &Values::NONE))
    }
}
