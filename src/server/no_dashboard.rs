//! In place of the live page, without the feature `dashboard`.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

pub(super) const PATH: Option<&str> = None;

pub(super) fn answer<B>(_: &Request<B>) -> Option<Response<Full<Bytes>>> {
    None
}
