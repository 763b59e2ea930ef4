use super::places::Place;
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
    source: Source,
    next: usize,
    length: usize,
    turn_is_over: bool,
}

#[derive(Debug)]
enum Source {
    Text(Bytes),
    /// The page of a scrape, which gives up its place with the last piece.
    Page(Place),
}

/// How much of a page goes out, or through a compressor, in one turn: a fraction of a
/// millisecond's work.
const SLICE: usize = 64 * 1024;

// === impl Slices ===

impl Slices {
    pub(super) fn text(text: Bytes) -> Self {
        Self {
            length: text.len(),
            source: Source::Text(text),
            ..Self::default()
        }
    }

    pub(super) fn page(page: Bytes, place: Place) -> Self {
        let length = page.len();
        place.keep(page);
        Self {
            length,
            source: Source::Page(place),
            ..Self::default()
        }
    }

    /// Begins the next turn. Whether one had ended: then other tasks should have theirs first.
    pub(super) fn next_turn(&mut self) -> bool {
        std::mem::take(&mut self.turn_is_over)
    }

    fn slice(&mut self) -> Result<Bytes, Error> {
        let end = self.length.min(self.next + SLICE);
        let slice = match &self.source {
            Source::Text(text) => text.slice(self.next..end),
            Source::Page(place) => match place.read(self.next..end) {
                Ok(slice) => slice,
                Err(lost) => {
                    let error = Error::new(place.explain(lost));
                    *self = Self::default();
                    return Err(error);
                }
            },
        };
        self.next = end;
        self.turn_is_over = end < self.length;
        if !self.turn_is_over {
            self.source = Source::default();
        }
        Ok(slice)
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
            Poll::Pending
        } else if self.next == self.length {
            Poll::Ready(None)
        } else {
            Poll::Ready(Some(self.slice().map(Frame::data)))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.length - self.next) as u64)
    }
}

// === impl Source ===

impl Default for Source {
    fn default() -> Self {
        Self::Text(Bytes::new())
    }
}
