use super::super::block::Blocks;
use super::super::settings::Settings;
use super::super::thread::Writer;
use super::Series;

/// What is known from the request on: `concurrent_requests`, `request_bytes_total`,
/// `request_messages_total`.
#[derive(Debug)]
pub(crate) struct BeginSeries {
    blocks: Blocks,
}

const BEGUN: usize = 0;
const ENDED: usize = 1;
const REQUEST_BYTES: usize = 2;
const REQUEST_MESSAGES: usize = 3;
const CELLS: usize = 4;

// === impl BeginSeries ===

impl Series for BeginSeries {
    fn new(_: &Settings) -> Self {
        Self {
            blocks: Blocks::new(CELLS),
        }
    }

    fn prefetch(&self) {
        self.blocks.prefetch();
    }

    fn reset(&self) {
        let Self { blocks } = self;
        blocks.reset();
    }
}

impl BeginSeries {
    #[inline]
    pub(crate) fn begin(&self, writer: &Writer) {
        self.blocks.cells(writer).add(BEGUN, 1);
    }

    /// The last thing that a call records: who sees it sees all the rest.
    #[inline]
    pub(crate) fn end(&self, writer: &Writer) {
        self.blocks.cells(writer).publish(ENDED);
    }

    #[inline]
    pub(crate) fn add_request_bytes(&self, writer: &Writer, bytes: u64) {
        self.blocks.cells(writer).add(REQUEST_BYTES, bytes);
    }

    #[inline]
    pub(crate) fn add_request_messages(
        &self,
        writer: &Writer,
        settings: &Settings,
        messages: u64,
        bytes: u64,
    ) {
        let cells = self.blocks.cells(writer);
        cells.add(REQUEST_BYTES, bytes);
        if settings.messages {
            cells.add(REQUEST_MESSAGES, messages);
        }
    }

    pub(crate) fn request_messages(&self) -> u64 {
        self.blocks.sum(REQUEST_MESSAGES)
    }

    pub(crate) fn request_bytes(&self) -> u64 {
        self.blocks.sum(REQUEST_BYTES)
    }

    /// Calls begun and not ended, never negative.
    ///
    /// What begins and ends between the two sums looks as if it were in flight. So they are taken
    /// again where calls have ended meanwhile, and the lowest difference counts.
    pub(crate) fn in_flight(&self) -> u64 {
        const ATTEMPTS: usize = 8;
        let mut lowest = u64::MAX;
        for _ in 0..ATTEMPTS {
            let (begun, ended) = self.begun_and_ended();
            lowest = lowest.min(begun.saturating_sub(ended));
            if self.ended() == ended {
                break;
            }
        }
        lowest
    }

    /// A call whose end is seen, in the first sum, has its beginning seen in
    /// the second: there are never more ended than begun.
    fn begun_and_ended(&self) -> (u64, u64) {
        let ended = self.ended();
        (self.begun(), ended)
    }

    pub(in crate::recorder) fn ended(&self) -> u64 {
        self.blocks.sum_published(ENDED)
    }

    pub(in crate::recorder) fn begun(&self) -> u64 {
        self.blocks.sum(BEGUN)
    }
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::super::super::thread::Indices;
    use super::*;
    use crate::sync::{AtomicU64, Ordering};
    use loom::sync::Arc;
    use loom::thread;

    fn writer(indices: &Indices) -> Writer {
        let writer = Writer::new();
        writer.ask(indices);
        writer
    }

    /// A call begins on one thread and ends on another while a third reads.
    #[test]
    fn loom_no_scrape_sees_an_end_without_its_beginning() {
        loom::model(|| {
            let series = Arc::new(BeginSeries {
                blocks: Blocks::made(CELLS, 2),
            });
            let indices = Arc::new(Indices::new(2));
            let handed_over = Arc::new(AtomicU64::new(0));
            let ender = {
                let (series, indices) = (series.clone(), indices.clone());
                let handed_over = handed_over.clone();
                thread::spawn(move || {
                    let writer = writer(&indices);
                    if handed_over.load(Ordering::Acquire) == 1 {
                        series.end(&writer);
                    }
                })
            };
            let scraper = {
                let series = series.clone();
                thread::spawn(move || {
                    let (begun, ended) = series.begun_and_ended();
                    assert!(ended <= begun, "{ended} ended of {begun}");
                })
            };
            series.begin(&writer(&indices));
            handed_over.store(1, Ordering::Release);
            ender.join().unwrap();
            scraper.join().unwrap();
        });
    }
}
