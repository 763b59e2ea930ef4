//! Uncompressed pages, without the feature `compression`.

use super::slices::Slices;
use crate::Error;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The content of a body.
#[derive(Debug)]
pub(super) struct Content(Slices);

/// Returns the response uncompressed.
pub(super) async fn compress(_: &HeaderMap, response: Response<Slices>) -> Response<Content> {
    response.map(Content)
}

// === impl Content ===

impl Content {
    pub(super) fn slices(&mut self) -> &mut Slices {
        &mut self.0
    }
}

impl From<Slices> for Content {
    fn from(slices: Slices) -> Self {
        Self(slices)
    }
}

impl http_body::Body for Content {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
