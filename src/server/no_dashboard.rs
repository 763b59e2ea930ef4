//! In place of the live page, without the feature `dashboard`.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

pub(super) const PATH: Option<&str> = None;

#[derive(Debug)]
pub(super) struct Dashboard;

// === impl Dashboard ===

impl Dashboard {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn answer<B>(&self, _: &Request<B>) -> Option<Response<Full<Bytes>>> {
        None
    }
}
