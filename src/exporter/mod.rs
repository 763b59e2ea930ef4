//! The service that answers a scrape.
//!
//! [`MetricsExporter`] is an HTTP service without a path of its own: mount it where the scraper
//! looks. It takes requests with any body, which it drops unread, is always ready and never fails.
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
//! Prometheus has labels for each target too, and service discovery in Kubernetes calls some of them `namespace`, `service`, `pod` and `endpoint`. Without
//! `honor_labels` those of the page that have the same names arrive as `exported_namespace`, `exported_endpoint` and so on. With it the page's win. A page could
//! pose as any other then: for one that is not trusted, leave it off and give the constant labels other names.
//!
//! # Answers
//!
//! | request | answer |
//! |---|---|
//! | GET that prefers `application/openmetrics-text` without a version, of version 1.0.0 or 0.0.1 | 200, OpenMetrics 1.0 as `application/openmetrics-text; version=1.0.0; charset=utf-8`; a client that asks for 0.0.1 gets `version=0.0.1` |
//! | the same with `escaping=allow-utf-8` or `escaping=underscores` | the same, and `; escaping=…` repeated |
//! | the same with `escaping=dots` or `escaping=values` | the same, and `; escaping=underscores` |
//! | with the feature `protobuf`: GET that prefers `application/vnd.google.protobuf` with `proto=io.prometheus.client.MetricFamily` and `encoding=delimited` | 200, [protobuf](#protobuf) as `application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited`, with `; escaping=…` as above |
//! | any other GET | 200, `text/plain; version=0.0.4; charset=utf-8` |
//! | the same with `?name[]=requests_total`, once or more | the page with these families alone |
//! | HEAD | what GET would get, without the body |
//! | any other method | 405 and `Allow: GET, HEAD` |
//! | more scrapes in flight than [`concurrent_scrapes`](MetricsExporter::concurrent_scrapes) | 503 and a text that names the limit |
//! | the page is not written by the [`deadline`](MetricsExporter::deadline), the exporter's own or that of `X-Prometheus-Scrape-Timeout-Seconds` | 503 and a text that names the deadline |
//! | the page is not read by then, or its reader takes nothing for 5 seconds and another scrape needs its place | the body fails, which breaks off the response |
//! | the page can't be written: a metric's or a collector's encoder fails or panics, or shows what scrapers would not read | 500 and a text that names it; the next scrape starts afresh |
//! | the same with [`continue_on_error`](MetricsExporter::continue_on_error) | 200 and the page without it |
//!
//! Every answer has `Vary: Accept, Accept-Encoding` and, unless it is compressed, an exact
//! `Content-Length`. A panic can only be answered where panics unwind: under `panic = "abort"` it
//! ends the process.
//!
//! # Negotiation
//!
//! `Accept` is read as [RFC 9110, section 12.5.1][rfc] writes it: lists over several headers, types
//! and parameters in any case, values as tokens or quoted. The acceptable range of the highest
//! weight is followed, among equals the first one; of those that stand for the text, the most
//! specific one tells its weight.
//!
//! [rfc]: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
//!
//! - `text/plain` of any version, `text/*` and `*/*` mean the Prometheus text format 0.0.4.
//! - Protobuf is for those that name it, with its two parameters; no wildcard means it.
//! - Passed over are malformed ranges, ranges of weight 0, versions of OpenMetrics other than the
//!   two above, other messages and encodings of protobuf, and all other types, `application/*`
//!   among them.
//! - Of an OpenMetrics range the parameters `q`, `version` and `escaping` count; an unknown
//!   `escaping` and all other parameters are ignored.
//! - With nothing left to follow the answer is 0.0.4 text, never a 406: every scraper reads it.
//!
//! # Protobuf
//!
//! With the feature `protobuf`, clients that ask for it get the page in the protobuf format that is
//! older than OpenMetrics: messages of the type [`io.prometheus.client.MetricFamily`][proto], each
//! after its length. Prometheus asks for it if it is to take in native histograms, and VictoriaMetrics
//! never does. It says what the text says:
//!
//! - Families and series come in the same order. A family goes by the name of its samples, as in 0.0.4
//!   text: `requests_total`. An info is a gauge, `build_info`; what has no type is untyped.
//! - Exemplars and units are there, as in OpenMetrics; a unit only where its family's name ends in
//!   it, for Prometheus 3 refuses the page otherwise.
//! - A histogram's `+Inf` bucket is left out unless it has an exemplar, for it is the count.
//! - Of a collector's samples those that have no place in a family of its type, such as the quantiles
//!   and sums of a summary, are untyped families of their own.
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
//! // The length of the message, then its first field: a string of 14 bytes, the name.
//! assert_eq!(page[0] as usize, page.len() - 1);
//! assert!(page[1..].starts_with(b"\x0a\x0erequests_total"));
//! # Ok(())
//! # }
//! ```
//!
//! [proto]: https://github.com/prometheus/client_model/blob/v0.6.1/io/prometheus/client/metrics.proto
//!
//! # Some families alone
//!
//! `name[]` in the query asks for a family, by its own name or by that of one of its samples: in
//! every format `requests`, `requests_total` and `request_duration_seconds_bucket` will do. It may be
//! there more than once, and encoded as queries are. A family is shown with all its samples; a name
//! that is none shows nothing, and other parts of the query mean nothing. A page without any family
//! is valid too: it is empty, in protobuf too, but for OpenMetrics' `# EOF`.
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
//! # What a scrape can't do to the service
//!
//! - Nothing that a request needs is locked while a page is written or read.
//! - Under a tokio runtime pages are written on a thread of their own: neither a large page nor
//!   a collector that blocks keeps a task from its turn, and one that never returns does not keep the
//!   runtime from shutting down, or the process from its end. Without a runtime they are written in the
//!   first poll of a scrape.
//! - Pages are written one at a time. Scrapes that come meanwhile wait, and those that want the same
//!   share the next one. Nobody joins one that has begun, which would miss what has ended since.
//! - A page goes out, and through a compressor, in pieces of up to 64 KiB, between which other tasks
//!   and the runtime's timers and sockets get their turn. So it needs that turn: a body that is read by another
//!   executor, which blocks a thread of the runtime meanwhile, ends only under `tokio::task::block_in_place`.
//! - A scrape keeps its place among those in flight, and its page in memory, until its body has been
//!   read or dropped. One that is past its deadline loses both to the next who needs a place, and so
//!   does one whose reader has taken nothing for 5 seconds, the one that has stalled longest before
//!   others: even if the server no longer polls its body.
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
//! # Its own numbers
//!
//! [`self_metrics`](MetricsExporter::self_metrics) puts these on the page that the exporter shows, as
//! Go's [`promhttp.InstrumentMetricHandler`][promhttp] does:
//!
//! | metric | type | moves |
//! |---|---|---|
//! | `metrics_exporter_scrapes_total{code}` | counter | when a scrape ends, under the status code of its answer: 200, 405, 500 or 503, or 499 if the client went away before there was one |
//! | `metrics_exporter_scrapes_in_flight` | gauge | when a scrape begins, and when it ends |
//! | `metrics_exporter_scrape_duration_seconds` | histogram | when a scrape ends |
//! | `metrics_exporter_response_bytes_total` | counter | as answers are sent: compressed bytes, if they are |
//!
//! A scrape ends when its body has been read or dropped. So on the page that it reads it is in flight, and
//! not among those that have ended.
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
//! With the feature `compression`, which is on by default, a page of more than 1 KiB goes out as
//! gzip whenever [`Accept-Encoding`][rfc-coding] accepts that: by name or by `*`, with any weight
//! but 0. With the feature `zstd` it goes out as zstd if that is named, and gzip is not accepted or
//! weighs less or, at equal weights, is listed later. Where nothing fits, be it that `identity` is
//! refused too, the page goes out as it is: never a 406.
//!
//! A layer outside that compresses leaves alone what is compressed already.
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
//! # Who may read it
//!
//! Whoever asks. A layer before it can keep others out, and TLS can ask for the client's certificate: the
//! example `secure_exporter` has both.
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

mod answer;
mod body;
#[cfg(feature = "compression")]
mod coding;
#[cfg(feature = "compression")]
mod compression;
#[cfg(not(feature = "compression"))]
#[path = "no_compression.rs"]
mod compression;
mod deadline;
mod future;
mod negotiate;
mod on_error;
mod parameters;
mod places;
mod query;
mod rendering;
mod self_metrics;
mod service;
mod slices;

pub use self::body::Body;
pub use self::future::ResponseFuture;
pub use self::service::MetricsExporter;

use crate::layer::MetricsLayer;
use crate::registry::MetricsRegistry;

// The registry and the layer know nothing of what shows them.

impl MetricsRegistry {
    /// A service that answers with this registry's page.
    ///
    /// Each has its own limits: clone one, rather than making another, to count scrapes together.
    pub fn exporter(&self) -> MetricsExporter {
        MetricsExporter::new(self.clone())
    }
}

impl<P> MetricsLayer<P> {
    /// A service that answers with the page that the layer's metrics are on.
    pub fn exporter(&self) -> MetricsExporter {
        self.registry().exporter()
    }
}
