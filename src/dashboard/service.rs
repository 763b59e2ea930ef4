use super::page::{POLICY, page};
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use tower_service::Service;

/// Answers with the live page.
///
/// A clone is cheap. Like the exporter it has no path of its own, takes requests with any body, is always ready and
/// never fails.
///
/// See the [module docs](crate::dashboard) for an example.
#[derive(Clone, Debug)]
#[must_use = "a dashboard does nothing unless it is served"]
pub struct MetricsDashboard {
    page: Bytes,
}

const WRONG_METHOD: &str = "The dashboard is read with GET (or HEAD).\n";

// === impl MetricsDashboard ===

impl MetricsDashboard {
    /// A dashboard that reads the exporter beside it.
    pub fn new() -> Self {
        Self {
            page: page("metrics"),
        }
    }

    /// Where the browser finds the exporter: a path from the root, as in `/internal/metrics`, or one relative to the
    /// dashboard's own.
    ///
    /// It has to be of the page's own origin. The browser refuses all others, and the page says that the server is gone.
    ///
    /// Defaults to `metrics`: beside the dashboard.
    ///
    /// ```
    /// use tower_openmetrics::MetricsDashboard;
    ///
    /// let dashboard = MetricsDashboard::new().metrics_path("/internal/metrics");
    /// ```
    pub fn metrics_path(self, path: impl AsRef<str>) -> Self {
        Self {
            page: page(path.as_ref()),
        }
    }

    pub(crate) fn answer(&self, method: &Method) -> Response<Full<Bytes>> {
        match *method {
            Method::GET => respond(StatusCode::OK, PAGE, self.page.clone()),
            Method::HEAD => {
                respond(StatusCode::OK, PAGE, self.page.clone()).map(|_| Full::default())
            }
            _ => respond(StatusCode::METHOD_NOT_ALLOWED, REFUSAL, WRONG_METHOD.into()),
        }
    }
}

impl Default for MetricsDashboard {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Service<Request<B>> for MetricsDashboard {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    /// Always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method())))
    }
}

const PAGE: &[(HeaderName, &str)] = &[
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CONTENT_SECURITY_POLICY, POLICY),
    // The script and the policy are of one version, even after an update.
    (CACHE_CONTROL, "no-cache"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];
const REFUSAL: &[(HeaderName, &str)] = &[
    (CONTENT_TYPE, "text/plain; charset=utf-8"),
    (ALLOW, "GET, HEAD"),
];

fn respond(
    status: StatusCode,
    headers: &[(HeaderName, &'static str)],
    body: Bytes,
) -> Response<Full<Bytes>> {
    // By hand, because a HEAD's empty body would make servers say 0.
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let own = response.headers_mut();
    own.insert(CONTENT_LENGTH, length);
    for (name, value) in headers {
        own.insert(name, HeaderValue::from_static(value));
    }
    response
}
