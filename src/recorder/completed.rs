//! How many calls have completed.

use super::layout::{CANCELLATIONS, Layout, Measured, REQUESTS};
use super::recorder::Recorder;
use crate::labels::{Carrier, ERROR_TYPE};

impl Recorder {
    /// How many calls have completed. Only a difference to an earlier count means something: label sets that leave
    /// take their calls along, so the count may fall.
    ///
    /// A call counts its failure before its end, and here the ends are read first: a call that fails meanwhile is not taken
    /// for one that completes. On a processor that reorders the two, one count may be wrong, and the next one is right.
    pub(crate) fn completed(&self) -> i64 {
        let Some(first) = self.shared().layout.errors_at else {
            return self.completed_by_label();
        };
        let ended = self.sum(Carrier::End, |_, numbers, _| {
            numbers[REQUESTS].wrapping_sub(numbers[CANCELLATIONS])
        });
        let types = self.settings().error_types.len() + 1;
        let failed = self.sum(Carrier::Errors, |_, numbers, undeclared| {
            let declared = &numbers[first..first + types];
            let undeclared = undeclared.iter().map(|(_, failures)| failures);
            declared.iter().chain(undeclared).sum()
        });
        ended.wrapping_sub(failed) as i64
    }

    /// By OpenTelemetry's conventions, a label of the durations tells how a call ended.
    fn completed_by_label(&self) -> i64 {
        let mut names = self.settings().schema.names(Carrier::Duration);
        let error_type = names.position(|name| name == ERROR_TYPE);
        let completed = |values: &[Box<str>]| error_type.is_none_or(|at| values[at].is_empty());
        let layout = &self.shared().layout;
        let ended = self.sum(Carrier::Duration, |values, numbers, _| {
            match completed(values) {
                true => timed(layout, numbers),
                false => 0,
            }
        });
        ended as i64
    }
}

/// How many calls have a duration, those that stay open by intent among them.
fn timed(layout: &Layout, numbers: &[u64]) -> u64 {
    let measured = [Measured::Duration, Measured::StreamDuration];
    let histograms = measured
        .into_iter()
        .filter_map(|measured| layout.histogram(measured));
    let counts = histograms.filter_map(|histogram| histogram.cumulative(numbers).last());
    counts.sum()
}
