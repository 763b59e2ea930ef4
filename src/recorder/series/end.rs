use super::super::block::Blocks;
use super::super::errors::MOST_ERROR_TYPES;
use super::super::outcome::Outcome;
use super::super::settings::Settings;
use super::super::thread::Writer;
use super::Series;
use std::ops::Range;

/// What is known at the end: `requests_total`, `errors_total`,
/// `cancellations_total`.
#[derive(Debug)]
pub(crate) struct EndSeries {
    blocks: Blocks,
    /// Apart, for errors are rare: a thread that meets none has no block of these.
    errors: Blocks,
}

const REQUESTS: usize = 0;
const CANCELLATIONS: usize = 1;
const CELLS: usize = 2;

// === impl EndSeries ===

impl Series for EndSeries {
    fn new(_: &Settings) -> Self {
        Self {
            blocks: Blocks::new(CELLS),
            errors: Blocks::new(MOST_ERROR_TYPES),
        }
    }

    fn prefetch(&self) {
        self.blocks.prefetch();
    }

    fn reset(&self) {
        let Self { blocks, errors } = self;
        blocks.reset();
        errors.reset();
    }
}

impl EndSeries {
    /// A call ends.
    #[inline]
    pub(crate) fn record(&self, writer: &Writer, outcome: Outcome) {
        let cells = self.blocks.cells(writer);
        cells.add(REQUESTS, 1);
        if outcome == Outcome::CANCELLED {
            cells.add(CANCELLATIONS, 1);
        } else if let Some(error_type) = outcome.failure() {
            self.errors.cells(writer).add(error_type, 1);
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.blocks.sum(REQUESTS)
    }

    pub(crate) fn cancellations(&self) -> u64 {
        self.blocks.sum(CANCELLATIONS)
    }

    /// By the places of their types; nothing, if there were none.
    pub(crate) fn errors(&self, numbers: &mut Vec<u64>) -> Option<Range<usize>> {
        self.errors.is_written().then(|| {
            let first = numbers.len();
            self.errors.push_sums(0..MOST_ERROR_TYPES, numbers);
            first..numbers.len()
        })
    }
}
