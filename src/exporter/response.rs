//! The responses of an exporter.

use super::Body;
use super::deadline::Deadline;
use super::permits::Permit;
use super::renderer::Page;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderValue, Response, StatusCode};

pub(super) fn method_not_allowed() -> Response<Body> {
    let mut response = text(
        StatusCode::METHOD_NOT_ALLOWED,
        "Metrics are read with GET or HEAD. Other methods do nothing here.\n",
    );
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

pub(super) fn too_many_scrapes(limit: usize) -> Response<Body> {
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        format!(
            "Too many scrapes: the limit of {limit} in flight is reached. A scrape is in flight \
             until its page has been read.\n"
        ),
    )
}

pub(super) fn deadline_passed(deadline: Deadline) -> Response<Body> {
    let timeout = deadline.timeout();
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        format!(
            "The metrics could not be written within the deadline of {timeout:?}: a collector is \
             slow, or the process is overloaded.\n"
        ),
    )
}

pub(super) fn no_thread() -> Response<Body> {
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        "The metrics could not be written: the runtime is shutting down, or no thread could be \
         started. The next scrape tries again.\n",
    )
}

/// Returns a response that explains its status.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", Body::text(text.into()))
}

pub(super) fn page(page: Page, content_type: &str, permit: Permit) -> Response<Body> {
    let Page { content, coding } = page;
    let mut response = respond(StatusCode::OK, content_type, Body::page(content, permit));
    if let Some(coding) = coding {
        let coding = HeaderValue::from_static(coding.name());
        response.headers_mut().insert(CONTENT_ENCODING, coding);
    }
    response
}

fn respond(status: StatusCode, content_type: &str, body: Body) -> Response<Body> {
    let length = http_body::Body::size_hint(&body).lower();
    let mut response = Response::new(body);
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
