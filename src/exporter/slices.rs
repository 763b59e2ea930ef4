use super::permits::Permit;
use crate::Error;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A page that is sent in slices.
///
/// Its owner calls [`begin_turn`](Self::begin_turn) before each slice. A compressor, which reads as
/// much as it can, therefore gets one slice at a time.
#[derive(Debug, Default)]
pub(super) struct Slices {
    remaining: Remaining,
    next: usize,
    length: usize,
    turn_is_over: bool,
}

/// Where the remaining slices are.
#[derive(Debug)]
enum Remaining {
    Text(Bytes),
    /// The page of a scrape, which releases its permit with the last slice.
    Page(Permit),
}

/// How many bytes are sent or compressed in one turn. That takes a fraction of a millisecond.
const SLICE: usize = 64 * 1024;

// === impl Slices ===

impl Slices {
    pub(super) fn text(text: Bytes) -> Self {
        Self {
            length: text.len(),
            remaining: Remaining::Text(text),
            ..Self::default()
        }
    }

    pub(super) fn page(page: Bytes, permit: Permit) -> Self {
        let length = page.len();
        permit.set_page(page);
        Self {
            length,
            remaining: Remaining::Page(permit),
            ..Self::default()
        }
    }

    /// Begins the next turn. Returns whether one had ended, so that other tasks should be polled first.
    pub(super) fn begin_turn(&mut self) -> bool {
        std::mem::take(&mut self.turn_is_over)
    }

    fn next_slice(&mut self) -> Result<Bytes, Error> {
        let end = self.length.min(self.next + SLICE);
        let slice = match &self.remaining {
            Remaining::Text(text) => text.slice(self.next..end),
            Remaining::Page(permit) => match permit.read(self.next..end) {
                Ok(slice) => slice,
                Err(revoked) => {
                    let error = Error::new(permit.explain(revoked));
                    *self = Self::default();
                    return Err(error);
                }
            },
        };
        self.next = end;
        self.turn_is_over = end < self.length;
        if !self.turn_is_over {
            self.remaining = Remaining::default();
        }
        Ok(slice)
    }
}

impl http_body::Body for Slices {
    type Data = Bytes;
    type Error = Error;

    /// Between turns this is pending and does not register the waker: the owner begins the next turn.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.turn_is_over {
            Poll::Pending
        } else if self.next == self.length {
            Poll::Ready(None)
        } else {
            Poll::Ready(Some(self.next_slice().map(Frame::data)))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.length - self.next) as u64)
    }
}

// === impl Remaining ===

impl Default for Remaining {
    fn default() -> Self {
        Self::Text(Bytes::new())
    }
}
