use super::dashboard;
use super::health::Health;
use super::health_status::HealthStatus;
use super::paths::{METRICS, Paths};
use crate::exporter::{self, MetricsExporter};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use std::time::Instant;
use tower_service::Service;

/// The service behind the status server.
#[derive(Debug)]
pub(super) struct Routes {
    exporter: MetricsExporter,
    pub(super) health: Health,
    paths: Paths,
    since: Instant,
}

pub(super) type Body = Either<exporter::Body, Full<Bytes>>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD");
const JSON: [(HeaderName, HeaderValue); 2] = [
    (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    // A cached health would be out of date.
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

// === impl Routes ===

impl Routes {
    pub(super) fn new(exporter: MetricsExporter, health: Health, paths: Paths) -> Self {
        Self {
            exporter,
            health,
            paths,
            since: Instant::now(),
        }
    }

    /// Returns the response to `request`.
    ///
    /// The response to HEAD is that to GET: hyper sends its length without the body.
    pub(super) async fn respond<B>(&self, request: Request<B>) -> Response<Body> {
        let path = request.uri().path();
        if path == METRICS {
            let Ok(page) = self.exporter.clone().call(request).await;
            return page.map(Either::Left);
        }
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let (is_health, is_live) = (path == self.paths.health, path == self.paths.live);
        let own = if (is_health || is_live) && !is_read {
            let headers = [(ALLOW, ALLOWED), (CONTENT_TYPE, TEXT)];
            let text = "only GET and HEAD are allowed here\n";
            response(StatusCode::METHOD_NOT_ALLOWED, headers, text)
        } else if is_health {
            self.health()
        } else if is_live {
            self.live()
        } else {
            dashboard::answer(&request).unwrap_or_else(|| self.not_found())
        };
        own.map(Either::Right)
    }

    fn health(&self) -> Response<Full<Bytes>> {
        let (status, json) = self.health.report(self.since.elapsed());
        let code = match status {
            HealthStatus::Ready => StatusCode::OK,
            HealthStatus::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        };
        response(code, JSON, json)
    }

    fn live(&self) -> Response<Full<Bytes>> {
        let uptime = self.since.elapsed().as_secs_f64();
        let json = format!(r#"{{"status":"live","uptime":{uptime:.3}}}"#);
        response(StatusCode::OK, JSON, json)
    }

    fn not_found(&self) -> Response<Full<Bytes>> {
        let text = format!("not found: the paths are {}\n", self.paths.list());
        response(StatusCode::NOT_FOUND, [(CONTENT_TYPE, TEXT)], text)
    }
}

fn response<const N: usize>(
    status: StatusCode,
    headers: [(HeaderName, HeaderValue); N],
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response
}
