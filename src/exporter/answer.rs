//! The answers, as they are said.

use super::Body;
use super::deadline::Deadline;
use super::slices::Slices;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderValue, Response, StatusCode};
use std::time::Duration;

const WRONG_METHOD: &str = "Metrics are read with GET (or HEAD); other methods do nothing here.\n";

const NO_THREAD: &str = "\
The metrics could not be written: the runtime is shutting down, or there is no thread for it. The next \
scrape tries again.\n";

pub(super) fn page(content_type: &'static str, slices: Slices) -> Response<Slices> {
    respond(StatusCode::OK, content_type, slices)
}

pub(super) fn unwritable(why: Bytes) -> Response<Body> {
    say(StatusCode::INTERNAL_SERVER_ERROR, why)
}

pub(super) fn wrong_method() -> Response<Body> {
    let mut response = say(StatusCode::METHOD_NOT_ALLOWED, WRONG_METHOD);
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

pub(super) fn too_many(limit: usize) -> Response<Body> {
    say(
        StatusCode::SERVICE_UNAVAILABLE,
        format!(
            "Too many scrapes at once: the limit of {limit} in flight is reached. A scrape is in \
             flight until its page has been read.\n"
        ),
    )
}

pub(super) fn too_late(deadline: Deadline) -> Response<Body> {
    let length: Duration = deadline.length();
    say(
        StatusCode::SERVICE_UNAVAILABLE,
        format!(
            "The metrics could not be written within the deadline of {length:?}: a collector is \
             slow, or the process has too much to do.\n"
        ),
    )
}

pub(super) fn no_thread() -> Response<Body> {
    say(StatusCode::SERVICE_UNAVAILABLE, NO_THREAD)
}

fn say(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let text = Slices::text(text.into());
    respond(status, "text/plain; charset=utf-8", text).map(|text| Body::new(text.into()))
}

fn respond(status: StatusCode, content_type: &'static str, content: Slices) -> Response<Slices> {
    let length = http_body::Body::size_hint(&content).lower();
    let mut response = Response::new(content);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // By hand, because a HEAD's empty body would make servers say 0.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    response
}
