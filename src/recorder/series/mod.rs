//! The numbers of one label set.
//!
//! A metric carries the labels that are known at its moment, so there are several kinds of
//! series: one is resolved when a call [begins](begin), one at the response's [head], two at its end: what came of
//! the call, which is its [end], and how long it took, its [duration]. With constant labels alone they all have the same.

mod begin;
mod duration;
mod end;
mod head;
mod timed;

pub(crate) use self::begin::BeginSeries;
pub(crate) use self::duration::DurationSeries;
pub(crate) use self::end::EndSeries;
pub(crate) use self::head::HeadSeries;
pub(crate) use self::timed::Timed;

use super::settings::Settings;

/// Numbers that belong to one label set.
pub(crate) trait Series: Sized + 'static {
    /// All at zero.
    fn new(settings: &Settings) -> Self;

    /// Has the processor fetch the numbers, for who will read many series.
    fn prefetch(&self);

    /// Back to zero. Nothing may be recorded meanwhile.
    fn reset(&self);
}
