//! Uncompressed pages, without the feature `compression`.

use super::slices::Slices;
use http::{HeaderMap, Response};

/// The content of a body.
pub(super) type Content = Slices;

/// Returns the response uncompressed.
pub(super) async fn compress(_: &HeaderMap, response: Response<Slices>) -> Response<Content> {
    response
}

/// Returns the content of a body that is sent as it is.
pub(super) fn uncompressed(slices: Slices) -> Content {
    slices
}

/// Returns the slices that the content is made from.
pub(super) fn slices(content: &mut Content) -> &mut Slices {
    content
}
