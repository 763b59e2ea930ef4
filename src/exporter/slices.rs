use crate::Error;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A page on its way out, piece by piece.
///
/// Whoever holds it gives it a turn for each piece. What wants all of it at once, as a
/// compressor does, therefore works on no more than a piece at a time.
#[derive(Debug, Default)]
pub(super) struct Slices {
    rest: Bytes,
    turn_is_over: bool,
}

/// How much of a page goes out, or through a compressor, in one turn: a fraction of a
/// millisecond's work.
pub(super) const SLICE: usize = 64 * 1024;

// === impl Slices ===

impl Slices {
    pub(super) fn new(page: Bytes) -> Self {
        Self {
            rest: page,
            turn_is_over: false,
        }
    }

    /// Begins the next turn. Whether one had ended: then other tasks should have theirs first.
    pub(super) fn next_turn(&mut self) -> bool {
        std::mem::take(&mut self.turn_is_over)
    }
}

impl http_body::Body for Slices {
    type Data = Bytes;
    type Error = Error;

    /// Between turns this is pending, and nobody is woken: beginning the next one is up to the
    /// holder.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.turn_is_over {
            return Poll::Pending;
        }
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(SLICE);
        let slice = self.rest.split_to(length);
        self.turn_is_over = !self.rest.is_empty();
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
