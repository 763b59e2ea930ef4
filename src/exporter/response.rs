//! The responses of an exporter.

use super::Body;
use super::deadline::Deadline;
use super::slices::Slices;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderValue, Response, StatusCode};
use std::time::Duration;

const METHOD_NOT_ALLOWED_TEXT: &str =
    "Metrics are read with GET or HEAD. Other methods do nothing here.\n";

const NO_THREAD_TEXT: &str = "\
The metrics could not be written: the runtime is shutting down, or no thread could be started. The next \
scrape tries again.\n";

pub(super) fn page(content_type: &str, slices: Slices) -> Response<Slices> {
    respond(StatusCode::OK, content_type, slices)
}

pub(super) fn encoding_failed(why: Bytes) -> Response<Body> {
    respond_text(StatusCode::INTERNAL_SERVER_ERROR, why)
}

pub(super) fn method_not_allowed() -> Response<Body> {
    let mut response = respond_text(StatusCode::METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED_TEXT);
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

pub(super) fn too_many_scrapes(limit: usize) -> Response<Body> {
    respond_text(
        StatusCode::SERVICE_UNAVAILABLE,
        format!(
            "Too many scrapes: the limit of {limit} in flight is reached. A scrape is in flight \
             until its page has been read.\n"
        ),
    )
}

pub(super) fn deadline_passed(deadline: Deadline) -> Response<Body> {
    let timeout: Duration = deadline.timeout();
    respond_text(
        StatusCode::SERVICE_UNAVAILABLE,
        format!(
            "The metrics could not be written within the deadline of {timeout:?}: a collector is \
             slow, or the process is overloaded.\n"
        ),
    )
}

pub(super) fn no_thread() -> Response<Body> {
    respond_text(StatusCode::SERVICE_UNAVAILABLE, NO_THREAD_TEXT)
}

fn respond_text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let text = Slices::text(text.into());
    respond(status, "text/plain; charset=utf-8", text).map(|text| Body::new(text.into()))
}

fn respond(status: StatusCode, content_type: &str, content: Slices) -> Response<Slices> {
    let length = http_body::Body::size_hint(&content).lower();
    let mut response = Response::new(content);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    // Set here, because servers would send 0 for the empty body of a response to HEAD.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    response
}
