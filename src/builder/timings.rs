//! The times that a layer measures only if it is told to.

use crate::Error;
use crate::buckets::{Buckets, ITEM_GAPS};
use crate::measured::Measured;

/// A time that a layer measures only if it is told to.
pub(super) struct Timing {
    pub(super) measured: Measured,
    /// The setter that turns it on.
    pub(super) setter: &'static str,
    /// The setter of its buckets.
    pub(super) buckets_setter: &'static str,
    /// `None` for those of `request_duration_seconds`.
    default: Option<&'static [f64]>,
}

/// What was set of each [`Timing`].
#[derive(Clone, Debug, Default)]
pub(super) struct Timings([Given; TIMINGS.len()]);

#[derive(Clone, Debug, Default)]
struct Given {
    is_on: bool,
    bounds: Option<Vec<f64>>,
    /// What a convention advises instead of the default.
    advised: Option<&'static [f64]>,
}

pub(super) const TIMINGS: [Timing; 8] = [
    timing(
        Measured::ResponseHead,
        "response_head_seconds",
        "response_head_buckets",
        None,
    ),
    timing(
        Measured::FirstByte,
        "first_byte_seconds",
        "first_byte_buckets",
        None,
    ),
    timing(
        Measured::FirstItem,
        "first_item_seconds",
        "first_item_buckets",
        None,
    ),
    timing(
        Measured::ItemGap,
        "item_gap_seconds",
        "item_gap_buckets",
        Some(&ITEM_GAPS),
    ),
    timing(
        Measured::TimePerItem,
        "time_per_item_seconds",
        "time_per_item_buckets",
        Some(&ITEM_GAPS),
    ),
    timing(
        Measured::QueueWait,
        "queue_wait_seconds",
        "queue_wait_buckets",
        None,
    ),
    timing(
        Measured::ReadyWait,
        "ready_wait_seconds",
        "ready_wait_buckets",
        None,
    ),
    timing(
        Measured::HandlerPoll,
        "handler_poll_seconds",
        "handler_poll_buckets",
        Some(&POLLS),
    ),
];

/// From 100 µs, which a handler may well take, to 10 s.
const POLLS: [f64; 6] = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0];

const fn timing(
    measured: Measured,
    setter: &'static str,
    buckets_setter: &'static str,
    default: Option<&'static [f64]>,
) -> Timing {
    Timing {
        measured,
        setter,
        buckets_setter,
        default,
    }
}

// === impl Timings ===

impl Timings {
    pub(super) fn turn(&mut self, measured: Measured, on: bool) {
        if let Some(given) = self.given(measured) {
            given.is_on = on;
        }
    }

    pub(super) fn set_bounds(&mut self, measured: Measured, bounds: impl IntoIterator<Item = f64>) {
        if let Some(given) = self.given(measured) {
            given.bounds = Some(bounds.into_iter().collect());
        }
    }

    /// Turns a timing on, with other default buckets.
    pub(super) fn turn_on_with(&mut self, measured: Measured, advised: &'static [f64]) {
        if let Some(given) = self.given(measured) {
            given.is_on = true;
            given.advised = Some(advised);
        }
    }

    fn given(&mut self, measured: Measured) -> Option<&mut Given> {
        let place = TIMINGS.iter().position(|own| own.measured == measured);
        place.map(|place| &mut self.0[place])
    }

    /// The timings, whether each is on, and whether its buckets are given.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static Timing, bool, bool)> {
        let given = TIMINGS.iter().zip(&self.0);
        given.map(|(timing, given)| (timing, given.is_on, given.bounds.is_some()))
    }

    pub(super) fn is_on(&self, measured: Measured) -> bool {
        let mut all = self.all();
        all.any(|(timing, is_on, _)| is_on && timing.measured == measured)
    }

    /// The buckets of those that are on. `buckets` are those of `request_duration_seconds`.
    ///
    /// # Errors
    ///
    /// Names the setter, and the bound that is not finite, negative, out of order or repeated.
    pub(super) fn buckets(
        self,
        buckets: &Buckets,
    ) -> impl Iterator<Item = Result<(Measured, Buckets), Error>> {
        let given = TIMINGS.iter().zip(self.0);
        let on = given.filter(|(_, given)| given.is_on);
        on.map(|(timing, given)| {
            let default = given.advised.or(timing.default);
            let bounds = given.bounds.or_else(|| default.map(<[_]>::to_vec));
            let own = match bounds {
                None => buckets.clone(),
                Some(bounds) => super::build::seconds(timing.buckets_setter, bounds)?,
            };
            Ok((timing.measured, own))
        })
    }
}
