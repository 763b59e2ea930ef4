use super::super::block::Blocks;
use super::super::exemplars::Exemplars;
use super::super::histogram::{Bounds, Histogram};
use super::super::report::Report;
use super::super::thread::Writer;

/// How long something took, and what keeps the trace that it belongs to, if it does to one: few calls
/// do, so the trace itself is not carried along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed<'a> {
    pub(crate) nanos: u64,
    pub(crate) traced: Option<&'a Report>,
}

/// Counts it, and keeps its trace if there is one.
#[inline]
pub(super) fn observe(
    histogram: Histogram,
    (blocks, exemplars): (&Blocks, &Exemplars),
    writer: &Writer,
    bounds: &Bounds,
    timed: Timed<'_>,
) {
    let Timed { nanos, traced } = timed;
    let bucket = histogram.observe(&blocks.cells(writer), bounds, nanos);
    if let Some(report) = traced {
        exemplars.keep(writer, bucket, report.trace(), nanos);
    }
}
