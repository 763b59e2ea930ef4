//! The ages of open calls.

use crate::clock::Time;
use crate::labels::Carrier;
use crate::recorder::{Recorder, Series, SetIndex};
use std::collections::HashMap;
use std::sync::Arc;

/// Returns, for each series in which one of these `open` calls began, the age of the oldest, in nanoseconds.
pub(super) fn oldest_ages(
    recorder: &Recorder,
    open: &[(SetIndex, Time)],
) -> HashMap<*const Series, (Arc<Series>, u64)> {
    let mut of_sets: HashMap<SetIndex, u64> = HashMap::new();
    for &(begin, began) in open {
        let age = recorder.shared().clock.nanos_since(began);
        let oldest = of_sets.entry(begin).or_default();
        *oldest = age.max(*oldest);
    }
    let mut ages = HashMap::new();
    for (begin, age) in of_sets {
        if let Some(series) = recorder.series_of(begin, Carrier::Begin) {
            // The series is kept, so that no other one has its address meanwhile.
            let entry = ages.entry(Arc::as_ptr(&series));
            let (_, oldest) = entry.or_insert((series, 0));
            *oldest = age.max(*oldest);
        }
    }
    ages
}
