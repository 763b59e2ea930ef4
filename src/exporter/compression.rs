//! Compression by tower-http.

use super::coding::Coding;
use super::slices::Slices;
use http::header::ACCEPT_ENCODING;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use tower_http::CompressionLevel;
use tower_http::compression::{Compression, CompressionBody};
use tower_service::Service;

/// The content of a body, compressed or not.
pub(super) type Content = CompressionBody<Slices>;

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
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn always(_: StatusCode, _: Version, _: &HeaderMap, _: &Extensions) -> bool {
    true
}

/// Returns the content of a body that is sent as it is.
pub(super) fn uncompressed(slices: Slices) -> Content {
    let mut content = Content::default();
    *content.get_mut() = slices;
    content
}

/// Returns the slices that the content is made from.
pub(super) fn slices(content: &mut Content) -> &mut Slices {
    content.get_mut()
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
