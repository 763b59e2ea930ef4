use super::compression::Content;
use super::self_metrics::MeasuredScrape;
use super::slices::Slices;
use crate::Error;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::task::yield_now;

/// The response body of [`MetricsExporter`](super::MetricsExporter).
///
/// A page is sent in pieces of up to 64 KiB. Between two pieces other tasks and the runtime's timers
/// and sockets are polled. The body fails if it is not read by the scrape's
/// [deadline](super::MetricsExporter::deadline).
#[derive(Debug)]
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
            ..Self::new(Slices::default().into())
        }
    }

    /// Ends the scrape when this body ends or is dropped.
    pub(super) fn with_scrape(self, scrape: MeasuredScrape) -> Self {
        Self {
            scrape: Some(scrape),
            ..self
        }
    }

    fn record(&mut self, polled: &Polled) {
        let bytes = match polled {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => 0,
        };
        if let Some(scrape) = &mut self.scrape {
            scrape.record_bytes(bytes);
        }
        if !matches!(polled, Some(Ok(_))) || self.is_end_stream() {
            self.scrape = None;
        }
    }
}

/// A frame or an error, or `None` at the end.
type Polled = Option<Result<Frame<Bytes>, Error>>;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let content = &mut self.content;
        if content.slices().begin_turn() {
            yield_turn(cx);
            return Poll::Pending;
        }
        let polled = Pin::new(&mut *content).poll_frame(cx);
        // A compressor may take a whole slice without returning a frame.
        if polled.is_pending() && content.slices().begin_turn() {
            yield_turn(cx);
        }
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
