use super::permits::Permit;
use crate::Error;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::BoxError;

/// A page that is sent in slices.
///
/// Its owner calls [`begin_turn`](Self::begin_turn) before each slice. A compressor, which reads as
/// much as it can, therefore gets one slice at a time.
#[derive(Default)]
pub(super) struct Slices {
    /// Has the page of a scrape. It is released with the last slice.
    permit: Option<Permit>,
    /// What is sent if there is no permit.
    text: Bytes,
    next: usize,
    length: usize,
    turn_is_over: bool,
}

/// How many bytes are sent or compressed in one turn. That takes a fraction of a millisecond.
const SLICE: usize = 64 * 1024;

// === impl Slices ===

impl Slices {
    pub(super) fn text(text: Bytes) -> Self {
        Self {
            length: text.len(),
            text,
            ..Self::default()
        }
    }

    pub(super) fn page(page: Bytes, permit: Permit) -> Self {
        let length = page.len();
        permit.set_page(page);
        Self {
            length,
            permit: Some(permit),
            ..Self::default()
        }
    }

    /// Begins the next turn. Returns whether one had ended, so that other tasks should be polled first.
    pub(super) fn begin_turn(&mut self) -> bool {
        std::mem::take(&mut self.turn_is_over)
    }

    fn next_slice(&mut self) -> Result<Bytes, Error> {
        let end = self.length.min(self.next + SLICE);
        let slice = match &self.permit {
            Some(permit) => permit.read(self.next..end),
            None => Ok(self.text.slice(self.next..end)),
        };
        match slice {
            Ok(_) if end < self.length => {
                self.next = end;
                self.turn_is_over = true;
            }
            _ => *self = Self::default(),
        }
        slice
    }
}

impl http_body::Body for Slices {
    type Data = Bytes;
    type Error = BoxError;

    /// Between turns this is pending and does not register the waker: the owner begins the next turn.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.turn_is_over {
            Poll::Pending
        } else if self.next == self.length {
            Poll::Ready(None)
        } else {
            Poll::Ready(Some(self.next_slice().map(Frame::data).map_err(Into::into)))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.length - self.next) as u64)
    }
}
