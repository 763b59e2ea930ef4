//! The live page, at a path of the status server.

use crate::dashboard::MetricsDashboard;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::sync::LazyLock;

pub(super) const PATH: Option<&str> = Some("/dashboard");

/// The answer to `request`, if it is for the page.
pub(super) fn answer<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    static DASHBOARD: LazyLock<MetricsDashboard> = LazyLock::new(MetricsDashboard::new);
    matches!(request.uri().path(), "/dashboard" | "/dashboard/")
        .then(|| DASHBOARD.answer(request.method()))
}
