use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body of an answer of [`MetricsExporter`](super::MetricsExporter).
///
/// Today it is one frame whose exact length is known from the start, and nothing in it can fail.
/// Rely on what [`http_body::Body`] tells rather than on that: later versions may stream a page, or
/// compress it.
#[derive(Debug)]
pub struct Body {
    inner: Full<Bytes>,
}

// === impl Body ===

impl Body {
    pub(super) fn new(content: Bytes) -> Self {
        Self {
            inner: Full::new(content),
        }
    }

    pub(super) fn empty() -> Self {
        Self::new(Bytes::new())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
