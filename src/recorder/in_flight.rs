//! How many calls are in flight.

use super::layout::ENDED;
use super::recorder::Recorder;
use crate::labels::Carrier;

impl Recorder {
    /// How many calls have begun and not ended. All that an ended call counts is counted by then.
    pub(crate) fn in_flight(&self) -> u64 {
        let layout = &self.shared().layout;
        let group = layout.group_of(Carrier::Begin);
        let mut numbers = Vec::new();
        let counts = self.series(group).into_iter().map(|series| {
            numbers.clear();
            series.read(layout, group, &mut numbers);
            numbers[ENDED]
        });
        counts.sum()
    }
}
