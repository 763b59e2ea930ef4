//! The service that answers a scrape.
//!
//! [`MetricsExporter`] is an HTTP service without a path of its own: mount it on the path that the
//! scraper asks for. It accepts requests with any body and drops the body unread. It is always ready
//! and never fails.
//!
//! # Scraped by Prometheus
//!
//! ```yaml
//! scrape_configs:
//!   - job_name: shop
//!     honor_labels: true
//!     static_configs:
//!       - targets: ["localhost:8081"]
//! ```
//!
//! Prometheus adds labels to each target. Service discovery in Kubernetes adds `namespace`, `service`, `pod` and `endpoint`. Without `honor_labels`,
//! Prometheus renames labels of the page that have the same names: `exported_namespace`, `exported_endpoint` and so on. With `honor_labels`, the page's
//! labels win. A page could then pose as any other target. If you don't trust the page, leave `honor_labels` off and give its constant labels other names.
//!
//! # Answers
//!
//! | request | answer |
//! |---|---|
//! | GET that prefers `application/openmetrics-text` without a version, or with version 1.0.0 or 0.0.1 | 200, OpenMetrics 1.0 as `application/openmetrics-text; version=1.0.0; charset=utf-8`; a client that asks for 0.0.1 gets `version=0.0.1` |
//! | the same with a known [`escaping`](#names-in-any-characters) | the same, and `; escaping=…` repeated |
//! | with the feature `protobuf`: GET that prefers `application/vnd.google.protobuf` with `proto=io.prometheus.client.MetricFamily` and `encoding=delimited` | 200, [protobuf](#protobuf) as `application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited`, with `; escaping=…` as above |
//! | any other GET | 200, `text/plain; version=0.0.4; charset=utf-8`, with `; escaping=…` as above if `text/plain` has it |
//! | the same with `?name[]=requests_total`, once or more | the page with only these families |
//! | HEAD | the answer to GET without the body |
//! | any other method | 405 and `Allow: GET, HEAD` |
//! | more scrapes in flight than [`concurrent_scrapes`](MetricsExporter::concurrent_scrapes) | 503 and a text that names the limit |
//! | the page is not written by the [`deadline`](MetricsExporter::deadline) or within `X-Prometheus-Scrape-Timeout-Seconds` | 503 and a text that names the deadline |
//! | the page is not read by then, or its reader takes nothing for 5 seconds and another scrape needs its permit | the body fails, which breaks off the response |
//! | the page can't be written: the encoder of a metric or a collector fails, panics or writes something that scrapers refuse | 500 and a text that names it; the next scrape tries again |
//! | the same with [`continue_on_error`](MetricsExporter::continue_on_error) | 200 and the page without the failed metric or collector |
//!
//! Every answer has `Vary: Accept, Accept-Encoding` and an exact `Content-Length`. A panic becomes a 500
//! only if panics unwind: with `panic = "abort"` it ends the process.
//!
//! # Negotiation
//!
//! `Accept` is read as [RFC 9110, section 12.5.1][rfc] defines it: the list may span several headers,
//! types and parameters may be in any case, values are tokens or quoted strings. The range with the
//! highest weight wins; the first one wins a tie. If several ranges match the text format, the most
//! specific one sets its weight.
//!
//! [rfc]: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
//!
//! - `text/plain` of any version, `text/*` and `*/*` select the Prometheus text format 0.0.4.
//! - Protobuf is selected only by its name with both parameters, never by a wildcard.
//! - These ranges are ignored: malformed ranges, ranges of weight 0, versions of OpenMetrics other
//!   than the two above, other messages and encodings of protobuf, and all other types, including
//!   `application/*`.
//! - A range may have the parameters `q`, `version` and `escaping`. An unknown `escaping` and all other
//!   parameters are ignored. A range that repeats a parameter is malformed.
//! - If no range is left, the answer is 0.0.4 text and never a 406: every scraper reads that format.
//!
//! # Protobuf
//!
//! With the feature `protobuf`, clients can ask for Prometheus' protobuf format, which is older than
//! OpenMetrics: messages of the type [`io.prometheus.client.MetricFamily`][proto], each preceded by
//! its length. Prometheus asks for it if it scrapes native histograms. VictoriaMetrics never does.
//! The page has the same content as the text:
//!
//! - Families and series come in the same order. A family has the name of its samples, as in 0.0.4
//!   text: `requests_total`. An info is a gauge, `build_info`. A family without a type is untyped.
//! - Exemplars and units are included, as in OpenMetrics. A unit is left out if its family's name does
//!   not end in it, because Prometheus 3 refuses such a page.
//! - [Created timestamps](#created-timestamps) are included.
//! - The `+Inf` bucket of a histogram is left out unless it has an exemplar: it equals the count.
//!
#![cfg_attr(feature = "protobuf", doc = "```")]
#![cfg_attr(not(feature = "protobuf"), doc = "```ignore")]
//! use http_body_util::BodyExt;
//! use tower::ServiceExt;
//! use tower_openmetrics::MetricsLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = MetricsLayer::new([("namespace", "shop")]);
//!
//! let protobuf = "application/vnd.google.protobuf; \
//!     proto=io.prometheus.client.MetricFamily; encoding=delimited";
//! let scrape = http::Request::get("/metrics?name[]=requests_total").header("accept", protobuf);
//! let response = metrics.exporter().oneshot(scrape.body(())?).await?;
//! assert_eq!(response.headers()["content-type"], protobuf);
//! let page = response.into_body().collect().await?.to_bytes();
//! // The length of the message, then its first field: the name, a string of 14 bytes.
//! assert_eq!(page[0] as usize, page.len() - 1);
//! assert!(page[1..].starts_with(b"\x0a\x0erequests_total"));
//! # Ok(())
//! # }
//! ```
//!
//! [proto]: https://github.com/prometheus/client_model/blob/v0.6.1/io/prometheus/client/metrics.proto
//!
//! # Names in any characters
//!
//! Metrics and labels may have names in any characters, except for control characters. Prometheus reads them from version 3 on. In
//! PromQL they are in quotes: `{"http.server.duration"}`. Scrapers that read only `[a-zA-Z0-9_:]` get escaped names, by the
//! [scheme][escaping] that they name in `Accept`:
//!
//! | `escaping` | `my.metric` | `my_metric` |
//! |---|---|---|
//! | `allow-utf-8` | `my.metric` | `my_metric` |
//! | `underscores`, or none | `my_metric` | `my_metric` |
//! | `dots` | `my_dot_metric` | `my__metric` |
//! | `values` | `U__my_2e_metric` | `my_metric` |
//!
//! Prometheus 3.5 names no scheme when it asks for protobuf. The suffixes of histograms and summaries are not escaped:
//! `my_dot_metric_bucket`, `U__my_2e_metric_bucket`. Names that would become equal are an error when the second one is registered.
//!
//! [escaping]: https://prometheus.io/docs/instrumenting/escaping_schemes/
//!
//! # Created timestamps
//!
//! A created timestamp tells when a counter or a histogram began to count from 0. It distinguishes a series that is new from one that
//! was missed, so that the first calls after a gap are an increase. Protobuf always has them. OpenMetrics text has them as
//! `_created` samples if [`created_timestamps`](MetricsExporter::created_timestamps) is on. Format 0.0.4 has none.
//!
//! | series | began |
//! |---|---|
//! | of a layer | with the first call that has its labels, or when the layer was built if it has no request labels or they are [declared](crate::MetricsLayerBuilder::declare) |
//! | of `errors_total` under an error type that is not declared | with the first failure |
//! | of a removed layer that is built again, or of a label set that was [idle](crate::MetricsLayerBuilder::series_idle_timeout) | when it came back |
//! | of a metric registered here | when it was registered |
//! | of the exporter's own metrics | when [`self_metrics`](MetricsExporter::self_metrics) was called |
//! | of a collector or an included registry | as its text says |
//!
//! Prometheus uses them with `--enable-feature=created-timestamp-zero-ingestion`: it adds a sample of 0 where a series began.
//! Without that feature, and in other scrapers, `_created` samples become series of their own.
//!
//! ```
//! use std::time::Duration;
//! use tower_openmetrics::{Clock, MetricsLayer};
//! # use http::Request;
//! # use http_body_util::BodyExt;
//! # use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Clock::manual();
//! clock.advance(Duration::from_secs(90));
//! let metrics = MetricsLayer::builder().clock(clock).build([("namespace", "shop")])?;
//! let exporter = metrics.exporter().created_timestamps(true);
//!
//! let scrape = Request::get("/metrics?name[]=requests_total");
//! let scrape = scrape.header("accept", "application/openmetrics-text").body(())?;
//! let page = exporter.oneshot(scrape).await?.into_body().collect().await?.to_bytes();
//! assert_eq!(page, r#"# HELP requests Calls that have ended, however they ended
//! ## TYPE requests counter
//! requests_total{namespace="shop"} 0
//! requests_created{namespace="shop"} 90.0
//! ## EOF
//! "#);
//! # Ok(())
//! # }
//! ```
//!
//! # Selecting families
//!
//! `name[]` in the query selects a family, by its own name or by the name of one of its samples. In
//! every format `requests`, `requests_total` and `request_duration_seconds_bucket` work. The parameter
//! may be repeated and percent-encoded. A selected family has all its samples. Unknown names select
//! nothing, and other parameters are ignored. A page without any family is valid: it is empty, except
//! for the `# EOF` of OpenMetrics.
//!
//! ```
//! use http::Request;
//! use http_body_util::BodyExt;
//! use tower::ServiceExt;
//! use tower_openmetrics::MetricsLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = MetricsLayer::new([("namespace", "shop")]);
//!
//! let scrape = Request::get("/metrics?name[]=requests_total&name[]=no_such_name").body(())?;
//! let page = metrics.exporter().oneshot(scrape).await?;
//! let page = page.into_body().collect().await?.to_bytes();
//! assert_eq!(page, r#"# HELP requests_total Calls that have ended, however they ended
//! ## TYPE requests_total counter
//! requests_total{namespace="shop"} 0
//! "#);
//! # Ok(())
//! # }
//! ```
//!
//! # How scrapes leave the service alone
//!
//! - No lock that a request needs is held while a page is written or read.
//! - Under a tokio runtime, pages are written and compressed on a separate thread. A large page or a
//!   collector that blocks delays no task. A collector that never returns delays neither the runtime's
//!   shutdown nor the end of the process. Without a runtime, the first poll of a scrape writes the page.
//! - Pages are written one at a time. Scrapes that arrive meanwhile wait, and those that ask for the
//!   same page in the same coding share the next one. No scrape joins a page that is already being written: that page
//!   would miss calls that ended in the meantime.
//! - A page is sent in pieces of up to 64 KiB. Between two pieces other tasks and the runtime's timers
//!   and sockets are polled. If another executor reads the body and blocks a thread of the runtime, the
//!   body ends only within `tokio::task::block_in_place`.
//! - A scrape keeps its permit until its body has been read or dropped. Until then its page stays in memory,
//!   compressed if it is sent compressed. If another scrape needs a permit, a scrape past its deadline loses both. So does the reader that has
//!   stalled longest, once it has taken nothing for 5 seconds. This works even if the server no longer
//!   polls the body.
//!
//! ```
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//! use tower_openmetrics::MetricsLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = MetricsLayer::new([("namespace", "shop")]);
//! let exporter = metrics.exporter().concurrent_scrapes(1);
//!
//! let scrape = || Request::get("/metrics").body(());
//! let unread = exporter.clone().oneshot(scrape()?).await?;
//! let another = exporter.clone().oneshot(scrape()?).await?;
//! assert_eq!(another.status(), StatusCode::SERVICE_UNAVAILABLE);
//! drop(unread);
//! assert_eq!(exporter.oneshot(scrape()?).await?.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```
//!
//! # Metrics of the exporter
//!
//! [`self_metrics`](MetricsExporter::self_metrics) adds metrics of the exporter to its page, as Go's
//! [`promhttp.InstrumentMetricHandler`][promhttp] does:
//!
//! | metric | type | changes |
//! |---|---|---|
//! | `metrics_exporter_scrapes_total{code}` | counter | when a scrape ends, under the status code of its answer: 200, 405, 500 or 503, or 499 if the client left before the answer |
//! | `metrics_exporter_scrapes_in_flight` | gauge | when a scrape begins, and when it ends |
//! | `metrics_exporter_scrape_duration_seconds` | histogram | when a scrape ends |
//! | `metrics_exporter_response_bytes_total` | counter | as answers are sent; compressed pages count their compressed bytes |
//!
//! A scrape ends when its body has been read or dropped. On its own page it is therefore in flight.
//!
//! ```
//! use http::Request;
//! use http_body_util::BodyExt;
//! use tower::ServiceExt;
//! use tower_openmetrics::MetricsLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = MetricsLayer::new([("namespace", "shop")]);
//! let exporter = metrics.exporter().self_metrics()?;
//!
//! let uri = "/metrics?name[]=metrics_exporter_scrapes_in_flight";
//! let page = exporter.clone().oneshot(Request::get(uri).body(())?).await?;
//! let page = page.into_body().collect().await?.to_bytes();
//! assert!(page.ends_with(b"\nmetrics_exporter_scrapes_in_flight 1\n"));
//! # Ok(())
//! # }
//! ```
//!
//! [promhttp]: https://pkg.go.dev/github.com/prometheus/client_golang/prometheus/promhttp#InstrumentMetricHandler
//!
//! # Compression
//!
//! With the feature `compression`, which is on by default, a page of more than 1 KiB is sent as gzip
//! if [`Accept-Encoding`][rfc-coding] accepts gzip, by name or by `*`, with any weight but 0. With the
//! feature `zstd` the page is sent as zstd if zstd is named and preferred: gzip is not accepted, has a
//! lower weight, or has the same weight and is listed later. If no coding is accepted, the page is sent
//! uncompressed, even if `identity` is refused. The answer is never a 406.
//!
//! A compression layer around the exporter does not compress the page again.
//!
//! [rfc-coding]: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
//!
#![cfg_attr(feature = "compression", doc = "```")]
#![cfg_attr(not(feature = "compression"), doc = "```ignore")]
//! use tower::ServiceExt;
//! use tower_openmetrics::MetricsLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = MetricsLayer::new([("namespace", "shop")]);
//!
//! let scrape = http::Request::get("/metrics").header("accept-encoding", "gzip").body(())?;
//! let response = metrics.exporter().oneshot(scrape).await?;
//! assert_eq!(response.headers()["content-encoding"], "gzip");
//! # Ok(())
//! # }
//! ```
//!
//! # Access control
//!
//! The exporter answers every client. Put an authorization layer around it, or require client certificates
//! with TLS, to restrict access. The example `secure_exporter` does both.
//!
//! # Mounting it in axum
//!
//! ```
//! use axum::Router;
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//! use tower_openmetrics::MetricsLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let metrics = MetricsLayer::new([("namespace", "shop")]);
//! let app: Router = Router::new().route_service("/metrics", metrics.exporter());
//!
//! let scrape = Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
//! let response = app.oneshot(scrape).await.unwrap();
//! assert_eq!(response.status(), StatusCode::OK);
//! assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
//! # }
//! ```
//!
//! # Serving it with hyper
//!
//! ```
//! use hyper::server::conn::http1;
//! use hyper_util::rt::{TokioIo, TokioTimer};
//! use hyper_util::service::TowerToHyperService;
//! use std::time::Duration;
//! use tokio::net::TcpListener;
//! use tokio::time::sleep;
//! use tower_openmetrics::MetricsRegistry;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = MetricsRegistry::new();
//! let exporter = TowerToHyperService::new(registry.exporter());
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # let server =
//! tokio::spawn(async move {
//!     loop {
//!         let Ok((socket, _)) = listener.accept().await else {
//!             // Such as that there is no file descriptor left: it passes.
//!             sleep(Duration::from_millis(100)).await;
//!             continue;
//!         };
//!         let connection = http1::Builder::new()
//!             .timer(TokioTimer::new()) // limits the wait for a head
//!             .serve_connection(TokioIo::new(socket), exporter.clone());
//!         tokio::spawn(connection);
//!     }
//! });
//! # let socket = tokio::net::TcpStream::connect(address).await?;
//! # let socket = TokioIo::new(socket);
//! # let (mut client, connection) = hyper::client::conn::http1::handshake(socket).await?;
//! # tokio::spawn(connection);
//! # let mut scrape = http::Request::new(String::new());
//! # scrape.headers_mut().insert("accept", "application/openmetrics-text".parse()?);
//! # let response = client.send_request(scrape).await?;
//! # let page = http_body_util::BodyExt::collect(response).await?.to_bytes();
//! # assert!(page.ends_with(b"# EOF\n"));
//! # server.abort();
//! # Ok(())
//! # }
//! ```

mod body;
mod coding;
mod deadline;
mod elements;
mod future;
mod negotiate;
mod permits;
mod query;
mod renderer;
mod response;
mod self_metrics;
mod service;

pub use self::body::Body;
pub use self::future::ResponseFuture;
pub use self::service::MetricsExporter;

use crate::layer::MetricsLayer;
use crate::registry::MetricsRegistry;

// The registry and the layer don't depend on the exporter.

impl MetricsRegistry {
    /// Returns a service that answers scrapes with this registry's page.
    ///
    /// Each exporter counts its scrapes in flight on its own. Clone an exporter to share its limit.
    pub fn exporter(&self) -> MetricsExporter {
        MetricsExporter::new(self.clone())
    }
}

impl<P> MetricsLayer<P> {
    /// Returns a service that answers scrapes with the page of the layer's registry.
    pub fn exporter(&self) -> MetricsExporter {
        self.registry().exporter()
    }
}
