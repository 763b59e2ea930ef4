use super::super::block::Blocks;
use super::super::exemplars::Exemplars;
use super::super::histogram::{Detail, Distribution, Histogram};
use super::super::settings::Settings;
use super::super::thread::Writer;
use super::Series;
use super::timed::{Timed, observe};

/// What is known from the response's head on: `response_bytes_total`,
/// `response_messages_total`, `response_head_seconds`, `first_byte_seconds`.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    blocks: Blocks,
    exemplars: Exemplars,
    head: Histogram,
    first_byte: Histogram,
}

// The cells; histograms follow.
const RESPONSE_BYTES: usize = 0;
const RESPONSE_MESSAGES: usize = 1;
const CELLS: usize = 2;

// === impl HeadSeries ===

impl Series for HeadSeries {
    fn new(settings: &Settings) -> Self {
        let Settings {
            buckets,
            response_head,
            first_byte,
            ..
        } = settings;
        let [head, first_byte] = [*response_head, *first_byte].map(usize::from);
        let both = head + first_byte;
        Self {
            blocks: Blocks::new(CELLS + both * buckets.cells()),
            exemplars: Exemplars::new(settings.exemplars.is_some(), both * buckets.buckets()),
            head: Histogram::at(CELLS, 0),
            first_byte: Histogram::at(CELLS + head * buckets.cells(), head * buckets.buckets()),
        }
    }

    fn prefetch(&self) {
        self.blocks.prefetch();
    }

    fn reset(&self) {
        let Self {
            blocks, exemplars, ..
        } = self;
        blocks.reset();
        exemplars.reset();
    }
}

impl HeadSeries {
    #[inline]
    pub(crate) fn add_response_bytes(&self, writer: &Writer, bytes: u64) {
        self.blocks.cells(writer).add(RESPONSE_BYTES, bytes);
    }

    #[inline]
    pub(crate) fn add_response_messages(
        &self,
        writer: &Writer,
        settings: &Settings,
        messages: u64,
        bytes: u64,
    ) {
        let cells = self.blocks.cells(writer);
        cells.add(RESPONSE_BYTES, bytes);
        if settings.messages {
            cells.add(RESPONSE_MESSAGES, messages);
        }
    }

    /// Only where [`Settings::response_head`] is on.
    pub(crate) fn observe_head(&self, writer: &Writer, settings: &Settings, timed: Timed<'_>) {
        let Self {
            blocks, exemplars, ..
        } = self;
        observe(
            self.head,
            (blocks, exemplars),
            writer,
            &settings.buckets,
            timed,
        );
    }

    /// Only where [`Settings::first_byte`] is on.
    pub(crate) fn observe_first_byte(
        &self,
        writer: &Writer,
        settings: &Settings,
        timed: Timed<'_>,
    ) {
        let Self {
            blocks, exemplars, ..
        } = self;
        observe(
            self.first_byte,
            (blocks, exemplars),
            writer,
            &settings.buckets,
            timed,
        );
    }

    pub(crate) fn response_bytes(&self) -> u64 {
        self.blocks.sum(RESPONSE_BYTES)
    }

    pub(crate) fn response_messages(&self) -> u64 {
        self.blocks.sum(RESPONSE_MESSAGES)
    }

    pub(crate) fn response_head(
        &self,
        settings: &Settings,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let Self {
            blocks, exemplars, ..
        } = self;
        self.head
            .read(blocks, &settings.buckets, exemplars, detail, numbers)
    }

    pub(crate) fn first_byte(
        &self,
        settings: &Settings,
        detail: Detail,
        numbers: &mut Vec<u64>,
    ) -> Distribution {
        let Self {
            blocks, exemplars, ..
        } = self;
        self.first_byte
            .read(blocks, &settings.buckets, exemplars, detail, numbers)
    }
}
