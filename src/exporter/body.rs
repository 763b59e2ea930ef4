use super::compression::{Content, slices, uncompressed};
use super::self_metrics::MeasuredScrape;
use super::slices::Slices;
use crate::Error;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::task::yield_now;

/// The response body of [`MetricsExporter`](super::MetricsExporter).
///
/// A page is sent in pieces of up to 64 KiB. Between two pieces other tasks and the runtime's timers
/// and sockets are polled. The body fails if it is not read by the scrape's
/// [deadline](super::MetricsExporter::deadline).
pub struct Body {
    content: Content,
    /// Whether this is the empty body of a response to HEAD whose `Content-Length` is unknown. It
    /// must not claim a length of 0.
    length_unknown: bool,
    /// The scrape until it has ended, if the exporter has metrics of its own.
    scrape: Option<MeasuredScrape>,
}

// === impl Body ===

impl Body {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content,
            length_unknown: false,
            scrape: None,
        }
    }

    /// Returns the empty body that HEAD gets in place of this one.
    pub(super) fn without_content(self) -> Self {
        Self {
            length_unknown: self.content.size_hint().exact().is_none(),
            ..Self::new(uncompressed(Slices::default()))
        }
    }

    /// Ends the scrape when this body ends or is dropped.
    pub(super) fn with_scrape(self, scrape: MeasuredScrape) -> Self {
        Self {
            scrape: Some(scrape),
            ..self
        }
    }

    /// Records what has been polled.
    fn record(&mut self, polled: &Option<Result<Frame<Bytes>, Error>>) {
        let frame = polled.as_ref().and_then(|polled| polled.as_ref().ok());
        if let Some(scrape) = &self.scrape {
            let data = frame.and_then(Frame::data_ref);
            scrape.record_bytes(data.map_or(0, Bytes::len));
        }
        if frame.is_none() || self.is_end_stream() {
            self.scrape = None;
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if slices(&mut self.content).begin_turn() {
            yield_turn(cx);
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.content).poll_frame(cx);
        // A compressor may take a whole slice without returning a frame.
        if polled.is_pending() && slices(&mut self.content).begin_turn() {
            yield_turn(cx);
        }
        let polled = polled.map_err(|error| match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(other) => Error::new("the page can't be compressed").with_source(other),
        });
        if let Poll::Ready(polled) = &polled {
            self.record(polled);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        !self.length_unknown && self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.length_unknown {
            SizeHint::default()
        } else {
            self.content.size_hint()
        }
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
/// a current-thread runtime the future of `block_on`. That is a whole page, slice by slice. `yield_now`
/// wakes the task after them, or at once if there is no runtime.
///
/// Like every yield in tokio, this does not wake the task while its thread is blocked, for example by
/// another executor within the task.
fn yield_turn(cx: &mut Context<'_>) {
    // The first poll of `yield_now` is always pending.
    let _ = pin!(yield_now()).poll(cx);
}
