//! Sums over all series of a recorder.

use super::recorder::Recorder;
use crate::labels::Carrier;

impl Recorder {
    /// Adds up what `count` makes of each series: of its values, its numbers, and its failures by undeclared types.
    pub(super) fn sum(
        &self,
        carrier: Carrier,
        count: impl Fn(&[Box<str>], &[u64], &[(usize, u64)]) -> u64,
    ) -> u64 {
        let layout = &self.shared().layout;
        let group = layout.group_of(carrier);
        let mut numbers = Vec::new();
        let counts = self.series(group).into_iter().map(|series| {
            numbers.clear();
            let rare = series.read(layout, group, &mut numbers);
            count(series.values(), &numbers, &rare.undeclared)
        });
        counts.fold(0, u64::wrapping_add)
    }
}
