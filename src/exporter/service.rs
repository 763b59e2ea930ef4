use super::compression::compress;
use super::negotiate::Representation;
use super::slices::Slices;
use super::{Body, ResponseFuture};
use crate::Error;
use crate::exposition::Format;
use crate::registry::MetricsRegistry;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::panic::{self, AssertUnwindSafe};
use std::task::{Context, Poll};
use tower_service::Service;

/// Answers a scrape with the page of a [`MetricsRegistry`].
///
/// Get one from [`MetricsRegistry::exporter`]. A clone is cheap and shows the same registry, as it
/// is at the moment of the scrape: the page is written in `call`.
///
/// See the [module docs](crate::exporter) for what it answers and for examples.
#[derive(Clone, Debug)]
pub struct MetricsExporter {
    registry: MetricsRegistry,
}

// === impl MetricsExporter ===

impl MetricsExporter {
    pub(crate) fn new(registry: MetricsRegistry) -> Self {
        Self { registry }
    }
}

impl<B> Service<Request<B>> for MetricsExporter {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    /// Always ready: a scrape never waits for the application's backpressure.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let registry = self.registry.clone();
        let (head, _) = request.into_parts();
        ResponseFuture::new(async move {
            answer(&head.method, &head.headers, |format| {
                registry.render(format)
            })
            .await
        })
    }
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

const WRONG_METHOD: &str = "Metrics are read with GET (or HEAD); other methods do nothing here.\n";

const ENCODING_PANICKED: &str = "\
The metrics could not be written: a metric's or a collector's encoder panicked. \
The process has reported the panic with its place in the code, on standard error unless it sets \
its own panic hook: mend that collector or leave it out. The metrics themselves go on \
counting and the next scrape tries again.\n";

async fn answer(
    method: &Method,
    headers: &HeaderMap,
    render: impl FnOnce(Format) -> Result<String, Error>,
) -> Response<Body> {
    match *method {
        Method::GET => page(headers, render).await,
        // The page is written all the same: nothing else tells its length.
        Method::HEAD => page(headers, render).await.map(Body::withheld),
        _ => method_not_allowed(),
    }
}

async fn page(
    headers: &HeaderMap,
    render: impl FnOnce(Format) -> Result<String, Error>,
) -> Response<Body> {
    let representation = Representation::negotiate(headers);
    // Unwind safety is the registry's business: what a panicking collector leaves behind is read by
    // the next scrape whether or not the panic is caught here.
    let rendered = panic::catch_unwind(AssertUnwindSafe(|| render(representation.format())));
    let failure = match rendered {
        Ok(Ok(text)) => {
            let page = respond(StatusCode::OK, representation.content_type(), text.into());
            return compress(headers, page.map(Slices::new))
                .await
                .map(Body::new);
        }
        Ok(Err(error)) => explain(&error),
        Err(_panic) => ENCODING_PANICKED.to_owned(),
    };
    say(StatusCode::INTERNAL_SERVER_ERROR, failure)
}

fn explain(error: &Error) -> String {
    format!(
        "The metrics could not be written: {error}. The metrics themselves go on counting, and the \
         next scrape tries again.\n"
    )
}

fn method_not_allowed() -> Response<Body> {
    let mut response = say(StatusCode::METHOD_NOT_ALLOWED, WRONG_METHOD);
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn say(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    respond(status, PLAIN_TEXT, text.into()).map(Body::plain)
}

fn respond(status: StatusCode, content_type: &'static str, content: Bytes) -> Response<Bytes> {
    let length = content.len();
    let mut response = Response::new(content);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // By hand, because a HEAD's empty body would make servers say 0.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use http_body_util::BodyExt;
    use tokio_test::block_on;

    const PAGE: &str = "up 1\n# EOF\n";

    fn scrape(
        method: Method,
        render: impl FnOnce(Format) -> Result<String, Error>,
    ) -> Response<Body> {
        block_on(answer(&method, &HeaderMap::new(), render))
    }

    fn good(_: Format) -> Result<String, Error> {
        Ok(PAGE.to_owned())
    }

    fn broken(_: Format) -> Result<String, Error> {
        Err(Error::new("metric `a` can't be encoded"))
    }

    fn panicking(_: Format) -> Result<String, Error> {
        panic!("a collector of the test")
    }

    fn content(response: Response<Body>) -> Bytes {
        let collected = block_on(response.into_body().collect());
        collected.expect("a body").to_bytes()
    }

    #[test]
    fn get_is_the_rendered_page() {
        let response = scrape(Method::GET, good);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_LENGTH], PAGE.len().to_string());
        assert_eq!(response.body().size_hint().exact(), Some(PAGE.len() as u64));
        assert_eq!(content(response), PAGE);
    }

    #[test]
    fn the_format_rendered_is_the_one_named() {
        for (accept, expected) in [
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "application/openmetrics-text;version=0.0.1",
                Format::OpenMetrics,
            ),
            ("text/plain", Format::Prometheus),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::ACCEPT, HeaderValue::from_static(accept));
            block_on(answer(&Method::GET, &headers, |format| {
                assert_eq!(format, expected, "{accept}");
                Ok(String::new())
            }));
        }
    }

    #[test]
    fn head_has_the_headers_of_get_and_no_body() {
        for render in [good, broken, panicking] {
            let get = scrape(Method::GET, render);
            let head = scrape(Method::HEAD, render);
            assert_eq!(head.status(), get.status());
            assert_eq!(head.headers(), get.headers());
            assert!(head.body().is_end_stream());
            assert!(content(head).is_empty());
        }
    }

    #[test]
    fn a_page_that_cannot_be_written_is_a_500_that_explains_itself() {
        for (render, cause) in [
            (broken as fn(Format) -> _, "`a` can't be encoded"),
            (panicking, "panicked"),
        ] {
            let response = scrape(Method::GET, render);
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(response.headers()[CONTENT_TYPE], PLAIN_TEXT);
            assert_eq!(response.headers()[VARY], "Accept, Accept-Encoding");
            let length = response.headers()[CONTENT_LENGTH].clone();
            let text = content(response);
            assert_eq!(length, text.len().to_string());
            assert!(String::from_utf8_lossy(&text).contains(cause));
        }
    }

    #[test]
    fn other_methods_render_nothing() {
        let response = scrape(Method::POST, panicking);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
