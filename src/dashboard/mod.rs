//! The live page: one HTML page that draws what the exporter shows.
//!
//! [`MetricsDashboard`] is an HTTP service, as [`MetricsExporter`](crate::MetricsExporter) is one, to mount beside it. Its
//! page reads the exporter every two seconds from the browser and shows what is broken, since when and for whom: calls per
//! second, failures by type, cancellations, durations as quantiles and as a heat map, times to the first item or byte and
//! the longest call where they are recorded, calls in flight and the oldest of them, bytes, and all other metrics as a
//! table. It tells when the server is gone, restarts or refuses, and goes on by itself.
//!
//! Use it where there is no Prometheus at hand: on a laptop, in a test environment, or for one process that
//! misbehaves. It looks at one process, and remembers only for as long as it is open.
//!
//! ```
//! use axum::Router;
//! use http::Request;
//! use tower::ServiceExt;
//! use tower_openmetrics::{MetricsDashboard, MetricsLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let metrics = MetricsLayer::new([("service", "shop")]);
//! let app: Router = Router::new()
//!     .route_service("/ops/metrics", metrics.exporter())
//!     .route_service("/ops/dashboard", MetricsDashboard::new());
//!
//! let request = Request::get("/ops/dashboard").body(axum::body::Body::empty()).unwrap();
//! let page = app.oneshot(request).await.unwrap();
//! assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
//! # }
//! ```
//!
//! The status server (feature `server`) has it at `/dashboard`.
//!
//! # Where it finds the exporter
//!
//! Beside itself, under the name `metrics`: a page at `/ops/dashboard` reads `/ops/metrics`, with or without a slash at its
//! end, and behind a proxy that adds a prefix to both. [`metrics_path`](MetricsDashboard::metrics_path) names
//! another path of the same origin.
//!
//! # Answers
//!
//! | request | answer |
//! |---|---|
//! | GET, at any path | 200, the page as `text/html; charset=utf-8` |
//! | HEAD | the same headers, without the body |
//! | any other method | 405 and `Allow: GET, HEAD` |
//!
//! The page is the same for everyone and holds no numbers: whoever may not read the exporter sees none.
//!
//! # What it can't do
//!
//! - *To the browser*: its `Content-Security-Policy` allows its own script and style by their hashes, requests to its own
//!   origin, and nothing else; under `require-trusted-types-for` no text can become markup. Label
//!   values, which clients may choose, are shown as text.
//! - *To the network*: it asks for nothing but the exporter's page.
//! - *To the server*: it has one scrape in flight at a time, gives up after 10 seconds, and waits four times as long as
//!   a scrape took before the next. Each open page is one more scraper; the exporter's own limits hold.
//! - *To memory*: it keeps at most 1,800 readings and six million numbers, and draws a bounded number of rows and lines; it says
//!   how many it left out.
//!
//! # What it can't know
//!
//! It sees readings, not calls. A failure lies between two readings and has the labels of its series, no more; how long a call
//! in flight has lasted is a lower bound, unless the layer
//! [records](crate::MetricsLayerBuilder::oldest_request_age_seconds) it; the slowest calls are known by their bucket, or by
//! the trace and time of an [exemplar](crate::MetricsLayerBuilder::exemplars). What a server counts after its last reading is
//! never seen. Histograms that are native alone have no buckets in the text that it reads.

mod page;
mod service;

pub use self::service::MetricsDashboard;
