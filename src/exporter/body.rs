use super::compression::Content;
use super::self_metrics::Scrape;
use super::slices::Slices;
use crate::Error;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::task::yield_now;

/// The body of an answer of [`MetricsExporter`](super::MetricsExporter).
///
/// A page goes out in pieces of up to 64 KiB, and between two of them other tasks, and the
/// runtime's timers and sockets, get their turn. It fails if it is not read by the scrape's
/// [deadline](super::MetricsExporter::deadline).
#[derive(Debug)]
pub struct Body {
    content: Content,
    /// Whether this is what HEAD gets for a page of unknown length: nothing, and no length of 0
    /// either.
    withheld: bool,
    /// Until it has ended, if that is measured.
    scrape: Option<Scrape>,
}

// === impl Body ===

impl Body {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content,
            withheld: false,
            scrape: None,
        }
    }

    /// What HEAD gets in place of this.
    pub(super) fn withheld(self) -> Self {
        Self {
            withheld: self.content.size_hint().exact().is_none(),
            ..Self::new(Slices::default().into())
        }
    }

    /// The same, as the body of a scrape that ends with it.
    pub(super) fn of(self, scrape: Scrape) -> Self {
        Self {
            scrape: Some(scrape),
            ..self
        }
    }

    fn measure(&mut self, polled: &Polled) {
        let bytes = match polled {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => 0,
        };
        if let Some(scrape) = &mut self.scrape {
            scrape.sent(bytes);
        }
        if !matches!(polled, Some(Ok(_))) || self.is_end_stream() {
            self.scrape = None;
        }
    }
}

/// What a body has to give, or nothing at its end.
type Polled = Option<Result<Frame<Bytes>, Error>>;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let content = &mut self.content;
        if content.slices().next_turn() {
            give_way(cx);
            return Poll::Pending;
        }
        let polled = Pin::new(&mut *content).poll_frame(cx);
        // A compressor may take a whole slice and have nothing to show for it.
        if polled.is_pending() && content.slices().next_turn() {
            give_way(cx);
        }
        if let Poll::Ready(polled) = &polled {
            self.measure(polled);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        !self.withheld && self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.withheld {
            SizeHint::default()
        } else {
            self.content.size_hint()
        }
    }
}

/// Has the task woken once all others have had their turn.
///
/// If it woke itself it would be polled up to 61 times before tokio's timers and sockets, and on a
/// current-thread runtime the future of `block_on`, have theirs: a whole page, slice by slice. Woken
/// this way it comes after them. Where no runtime runs it is woken at once.
///
/// As all that yields in tokio, it is not woken while its thread is blocked: by another executor within a task, say.
fn give_way(cx: &mut Context<'_>) {
    // Pending, always: it was made for this poll.
    let _ = pin!(yield_now()).poll(cx);
}
