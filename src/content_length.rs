//! What the `Content-Length` of a head says about its body.

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, Version};
use http_body::Body;

/// Returns how many bytes a request body owes. If it ends earlier without an error, the client went away.
///
/// This is the `Content-Length` over HTTP/2 and later, because HTTP/2 reports no error for some resets. It is 0 over HTTP/1,
/// which reports an error for every body that breaks off. A shorter body there comes from a middleware that replaced it. It is
/// also 0 for a client, whose own connection refuses a body that is too short.
///
/// A middleware may replace the body over HTTP/2 too, while the header still describes the original. The body's own exact size
/// hint therefore lowers the value. It never raises it: a body that reaches its `Content-Length`, or has none, is whole.
///
/// For responses the header wins, because the response must keep that promise: see [`body::meet`](crate::body::meet).
#[inline]
pub(crate) fn owed<B: Body>(head: &Parts, body: &B, is_client: bool) -> u64 {
    if is_client || head.version <= Version::HTTP_11 {
        return 0;
    }
    let Some(length) = content_length(&head.headers) else {
        return 0;
    };
    let own = body.size_hint().exact();
    own.map_or(length, |own| own.min(length))
}

/// Returns the `Content-Length`, if it is present and valid.
#[inline]
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
