use super::permits::Permit;
use super::self_metrics::MeasuredScrape;
use crate::Error;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::fmt;
use std::mem;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::task::yield_now;

/// The response body of [`MetricsExporter`](super::MetricsExporter).
///
/// A page is sent in pieces of up to 64 KiB. Between two pieces other tasks and the runtime's timers
/// and sockets are polled. The body fails if it is not read by the scrape's
/// [deadline](super::MetricsExporter::deadline).
pub struct Body {
    /// Has the page of a scrape. It is released with the last piece.
    permit: Option<Permit>,
    /// The content if there is no permit.
    text: Bytes,
    /// What is left of the content.
    unsent: Range<usize>,
    /// Whether other tasks are polled before the next piece is sent.
    turn_is_over: bool,
    /// The scrape until it has ended, if the exporter has metrics of its own.
    scrape: Option<MeasuredScrape>,
}

/// The length of a piece. Copying it takes a few microseconds.
const PIECE: usize = 64 * 1024;

// === impl Body ===

impl Body {
    pub(super) fn text(text: Bytes) -> Self {
        Self {
            permit: None,
            unsent: 0..text.len(),
            text,
            turn_is_over: false,
            scrape: None,
        }
    }

    pub(super) fn page(page: Bytes, permit: Permit) -> Self {
        let unsent = 0..page.len();
        permit.set_page(page);
        Self {
            permit: Some(permit),
            unsent,
            ..Self::empty()
        }
    }

    pub(super) fn empty() -> Self {
        Self::text(Bytes::new())
    }

    /// Ends the scrape when this body ends or is dropped.
    pub(super) fn with_scrape(self, scrape: MeasuredScrape) -> Self {
        Self {
            scrape: Some(scrape),
            ..self
        }
    }

    fn next_piece(&mut self) -> Option<Result<Bytes, Error>> {
        let Range { start, end } = self.unsent;
        if start == end {
            return None;
        }
        let next = end.min(start + PIECE);
        let piece = match &self.permit {
            Some(permit) => permit.read(start..next),
            None => Ok(self.text.slice(start..next)),
        };
        self.unsent.start = match &piece {
            Ok(_) => next,
            Err(_) => end,
        };
        if let (Some(scrape), Ok(piece)) = (&self.scrape, &piece) {
            scrape.record_bytes(piece.len());
        }
        Some(piece)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if mem::take(&mut self.turn_is_over) {
            yield_turn(cx);
            return Poll::Pending;
        }
        let piece = self.next_piece();
        if self.is_end_stream() {
            // Releases the permit and ends the scrape.
            *self = Self::empty();
        } else {
            self.turn_is_over = true;
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.unsent.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.unsent.len() as u64)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

/// Wakes the task after all other tasks have been polled.
///
/// A task that wakes itself is polled up to 61 times before tokio polls its timers and sockets, and on
/// a current-thread runtime the future of `block_on`. That is a whole page, piece by piece. `yield_now`
/// wakes the task after them, or at once if there is no runtime.
///
/// Like every yield in tokio, this does not wake the task while its thread is blocked, for example by
/// another executor within the task.
fn yield_turn(cx: &mut Context<'_>) {
    // The first poll of `yield_now` is always pending.
    let _ = pin!(yield_now()).poll(cx);
}
