//! The ages of open calls.

use crate::clock::Time;
use crate::labels::Carrier;
use crate::recorder::{Recorder, Series, SetIndex};
use std::collections::HashMap;
use std::sync::Arc;

/// The age in nanoseconds of the oldest of these `open` calls, for each series of their begin that has one.
pub(super) fn oldest_ages(
    recorder: &Recorder,
    open: &[(SetIndex, Time)],
) -> HashMap<*const Series, (Arc<Series>, u64)> {
    let mut ages = HashMap::new();
    for &(begin, began) in open {
        if let Some(series) = recorder.series_of(begin, Carrier::Begin) {
            let age = recorder.shared().clock.nanos_since(began);
            // The series is kept, so that no other one has its address meanwhile.
            let entry = ages.entry(Arc::as_ptr(&series));
            let (_, oldest) = entry.or_insert((series, 0));
            *oldest = age.max(*oldest);
        }
    }
    ages
}
