//! How many calls are in flight.

use super::layout::ENDED;
use super::recorder::Recorder;
use crate::labels::Carrier;

impl Recorder {
    /// How many calls have begun and not ended. All that an ended call counts is counted by then.
    pub(crate) fn in_flight(&self) -> u64 {
        self.sum(Carrier::Begin, |_, numbers, _| numbers[ENDED])
    }
}
