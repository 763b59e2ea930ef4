//! Totals of a recorder, over all label sets.

use crate::labels::Carrier;
#[cfg(feature = "server")]
use crate::labels::ERROR_TYPE;
#[cfg(feature = "server")]
use crate::measured::Measured;
#[cfg(feature = "server")]
use crate::recorder::{CANCELLATIONS, Optional, REQUESTS};
use crate::recorder::{ENDED, Recorder, UndeclaredFailures};
#[cfg(feature = "server")]
use std::ops::Range;

/// How many calls have begun and not ended. All that an ended call counts is counted by then.
pub(crate) fn in_flight(recorder: &Recorder) -> u64 {
    sum(recorder, Carrier::Begin, |_, numbers, _| numbers[ENDED])
}

/// How many calls have completed, or a few less: a call that fails counts its failure before its end, so for a moment it counts
/// as one less. There are no more of these than calls [in flight](in_flight). `None` if calls fail while it counts.
///
/// Only differences mean something: label sets that leave take their calls along, so the count may fall.
#[cfg(feature = "server")]
pub(crate) fn completed(recorder: &Recorder) -> Option<i64> {
    const ATTEMPTS: usize = 8;
    let Some(first) = recorder.shared().layout.optional(Optional::Errors) else {
        return Some(completed_by_label(recorder));
    };
    let declared = first..first + recorder.settings().error_types.len() + 1;
    let mut before = not_completed(recorder, &declared);
    for _ in 0..ATTEMPTS {
        let ended = sum(recorder, Carrier::End, |_, numbers, _| numbers[REQUESTS]);
        let after = not_completed(recorder, &declared);
        if after == before {
            return Some(ended.wrapping_sub(before) as i64);
        }
        before = after;
    }
    None
}

/// Failures, whose declared types have these cells, and cancellations.
#[cfg(feature = "server")]
fn not_completed(recorder: &Recorder, declared: &Range<usize>) -> u64 {
    let cancelled = sum(recorder, Carrier::End, |_, numbers, _| {
        numbers[CANCELLATIONS]
    });
    let failed = sum(recorder, Carrier::Errors, |_, numbers, undeclared| {
        let undeclared = undeclared.iter().map(|failures| &failures.count);
        numbers[declared.clone()].iter().chain(undeclared).sum()
    });
    cancelled.wrapping_add(failed)
}

/// By OpenTelemetry's conventions, a label of the durations tells how a call ended, so that one sum is enough. Calls that stay
/// open by intent have a histogram of their own.
#[cfg(feature = "server")]
fn completed_by_label(recorder: &Recorder) -> i64 {
    let mut names = recorder.settings().schema.names(Carrier::Duration);
    let error_type = names.position(|name| name == ERROR_TYPE);
    let layout = &recorder.shared().layout;
    let histograms = [Measured::Duration, Measured::StreamDuration].map(|of| layout.histogram(of));
    let completed = sum(recorder, Carrier::Duration, |values, numbers, _| {
        let has_completed = error_type.is_none_or(|at| values[at].is_empty());
        let histograms = histograms.iter().flatten().filter(|_| has_completed);
        let counts = histograms.filter_map(|histogram| histogram.cumulative(numbers).last());
        counts.sum()
    });
    completed as i64
}

/// Adds up what `count` makes of each series: of its values, its numbers, and its failures by undeclared types.
fn sum(
    recorder: &Recorder,
    carrier: Carrier,
    count: impl Fn(&[Box<str>], &[u64], &[UndeclaredFailures]) -> u64,
) -> u64 {
    let shared = recorder.shared();
    let group = shared.layout.group_of(carrier);
    let mut numbers = Vec::new();
    let counts = recorder.series(group).into_iter().map(|series| {
        numbers.clear();
        let rare = series.read(&shared.layout, group, shared.window(), &mut numbers);
        count(series.values(), &numbers, &rare.undeclared)
    });
    counts.fold(0, u64::wrapping_add)
}
