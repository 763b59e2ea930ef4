//! Compression by tower-http.

use super::coding::Coding;
use super::slices::Slices;
use crate::Error;
use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_http::CompressionLevel;
use tower_http::compression::{Compression, CompressionBody};
use tower_service::Service;

/// The content of a body, compressed or not.
pub(super) struct Content(CompressionBody<Slices>);

#[cfg(not(feature = "zstd"))]
const OFFERED: &[Coding] = &[Coding::Gzip];
#[cfg(feature = "zstd")]
const OFFERED: &[Coding] = &[Coding::Gzip, Coding::Zstd];

/// The largest page that is sent uncompressed. It fits into one packet, so compression gains nothing.
const SMALL: u64 = 1024;

/// Compresses the response if the client accepts that and the page is not small.
pub(super) async fn compress(
    accepting: &HeaderMap,
    response: Response<Slices>,
) -> Response<Content> {
    let size = http_body::Body::size_hint(response.body()).lower();
    let coding = Coding::negotiate(accepting, OFFERED).filter(|_| size > SMALL);
    let name = coding.map_or("identity", Coding::name);
    // tower-http gets the negotiated coding, not the client's header: it would answer 406 if no
    // coding is acceptable, and it would prefer zstd to gzip.
    let mut request = Request::new(response);
    request
        .headers_mut()
        .insert(ACCEPT_ENCODING, HeaderValue::from_static(name));
    let compressed = Compression::new(Echo)
        // Pages are so repetitive that a higher level hardly makes them smaller.
        .quality(CompressionLevel::Fastest)
        .compress_when(always)
        .call(request);
    match compressed.await {
        Ok(response) => response.map(Content),
        Err(never) => match never {},
    }
}

fn always(_: StatusCode, _: Version, _: &HeaderMap, _: &Extensions) -> bool {
    true
}

// === impl Content ===

impl Content {
    pub(super) fn slices(&mut self) -> &mut Slices {
        self.0.get_mut()
    }
}

impl From<Slices> for Content {
    /// Leaves the content uncompressed.
    fn from(slices: Slices) -> Self {
        let mut content = CompressionBody::<Slices>::default();
        *content.get_mut() = slices;
        Self(content)
    }
}

impl http_body::Body for Content {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.0)
            .poll_frame(cx)
            .map_err(|error| match error.downcast::<Error>() {
                Ok(error) => *error,
                Err(other) => Error::new("the page can't be compressed").with_source(other),
            })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Content").field(self.0.get_ref()).finish()
    }
}

/// A service that returns the response in its request.
#[derive(Clone, Copy)]
struct Echo;

// === impl Echo ===

impl Service<Request<Response<Slices>>> for Echo {
    type Response = Response<Slices>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Slices>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Response<Slices>>) -> Self::Future {
        ready(Ok(request.into_body()))
    }
}
