//! Exact OpenMetrics and Prometheus metrics for any [`tower`](tower_service) service.
//!
//! [`MetricsLayer`] wraps a service and follows each call to the end of its response. It counts and times
//! calls, counts bytes, tells failures from cancellations, and shows the number of calls in flight.
//! [`MetricsExporter`] is a service that answers with the page that Prometheus scrapes. Handlers stay as they
//! are, and no number is global. Once the service has warmed up, a call costs no allocation, takes no lock and
//! touches no shared reference count.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use std::convert::Infallible;
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openmetrics::{Clock, Format, MetricsLayer, RequestBody};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In a program, `MetricsLayer::new([("endpoint", "echo")])` is enough. Here a manual
//! // clock and two buckets make the whole page predictable and short.
//! let clock = Clock::manual();
//! let metrics = MetricsLayer::builder()
//!     .clock(clock)
//!     .buckets([0.1, 1.0])
//!     .build([("endpoint", "echo")])?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(metrics.clone())
//!     .service(service_fn(async |request: Request<RequestBody<Full<Bytes>>>| {
//!         let body = request.into_body().collect().await?.to_bytes();
//!         Ok::<_, Infallible>(Response::new(Full::new(body)))
//!     }));
//!
//! let response = service.oneshot(Request::new(Full::from("hello"))).await?;
//! clock.advance(Duration::from_millis(250));
//! response.into_body().collect().await?; // the call ends here
//!
//! // `metrics.exporter()` answers with this page.
//! let page = metrics.registry().encode(Format::OpenMetrics)?;
//! assert_eq!(page, r#"# HELP cancellations Calls whose caller left before the end
//! ## TYPE cancellations counter
//! cancellations_total{endpoint="echo"} 0
//! ## HELP concurrent_requests Calls in flight
//! ## TYPE concurrent_requests gauge
//! concurrent_requests{endpoint="echo"} 0
//! ## HELP errors Calls that failed, by the type of their first failure
//! ## TYPE errors counter
//! errors_total{endpoint="echo",error_type="deserialization"} 0
//! errors_total{endpoint="echo",error_type="generate"} 0
//! errors_total{endpoint="echo",error_type="invalid_message"} 0
//! errors_total{endpoint="echo",error_type="overloaded"} 0
//! errors_total{endpoint="echo",error_type="panic"} 0
//! errors_total{endpoint="echo",error_type="publish_final"} 0
//! errors_total{endpoint="echo",error_type="publish_response"} 0
//! errors_total{endpoint="echo",error_type="response_stream"} 0
//! errors_total{endpoint="echo",error_type="timeout"} 0
//! ## HELP request_bytes Bytes of requests that the service has read
//! ## TYPE request_bytes counter
//! ## UNIT request_bytes bytes
//! request_bytes_total{endpoint="echo"} 5
//! ## HELP request_duration_seconds Time from the beginning of a call to the end of its response
//! ## TYPE request_duration_seconds histogram
//! ## UNIT request_duration_seconds seconds
//! request_duration_seconds_bucket{endpoint="echo",le="0.1"} 0
//! request_duration_seconds_bucket{endpoint="echo",le="1.0"} 1
//! request_duration_seconds_bucket{endpoint="echo",le="+Inf"} 1
//! request_duration_seconds_sum{endpoint="echo"} 0.25
//! request_duration_seconds_count{endpoint="echo"} 1
//! ## HELP requests Calls that have ended, however they ended
//! ## TYPE requests counter
//! requests_total{endpoint="echo"} 1
//! ## HELP response_bytes Bytes of responses that the caller has taken
//! ## TYPE response_bytes counter
//! ## UNIT response_bytes bytes
//! response_bytes_total{endpoint="echo"} 5
//! ## HELP uptime_seconds Time since the registry was created
//! ## TYPE uptime_seconds gauge
//! ## UNIT uptime_seconds seconds
//! uptime_seconds 0.25
//! ## EOF
//! "#);
//! # Ok(())
//! # }
//! ```
//!
//! # Metrics
//!
//! | metric | type | when it moves |
//! |---|---|---|
//! | `requests_total` | counter | when a call ends, however it ends |
//! | `request_bytes_total` | counter | as the service reads the request |
//! | `response_bytes_total` | counter | as the caller takes the response |
//! | `errors_total{error_type}` | counter | when a failed call ends, under its first failure; see [`classify`]. With [request labels](labels#when-a-series-begins), all types stand at 0 from the first call with a label set |
//! | `cancellations_total` | counter | when a call ends because its caller went away |
//! | `request_duration_seconds` | histogram | when a call ends |
//! | `concurrent_requests` | gauge | when a call begins and when it ends |
//! | `uptime_seconds` | gauge | with time; one per registry, without labels |
//! | `response_head_seconds` | histogram | [opt-in](MetricsLayerBuilder::response_head_seconds): at the head of the response |
//! | `first_byte_seconds` | histogram | [opt-in](MetricsLayerBuilder::first_byte_seconds): at the first byte, or message, of the response |
//! | `items_total`, `first_item_seconds`, `item_gap_seconds` | counter, histograms | opt-in, for the items of a stream, such as tokens: at [each of them](MetricsLayerBuilder::items_total), at [the first one](MetricsLayerBuilder::first_item_seconds), and from one [to the next](MetricsLayerBuilder::item_gap_seconds) |
//! | `time_per_item_seconds` | histogram | [opt-in](MetricsLayerBuilder::time_per_item_seconds): when a call completes that had at least two items |
//! | `request_messages_total`, `response_messages_total` | counter | [opt-in](MetricsLayerBuilder::messages_total), always on for gRPC: as the service reads the request, and as the caller takes the response |
//! | `stream_duration_seconds` | histogram | opt-in ([by the response](MetricsLayerBuilder::stream_duration_seconds), [by the request](MetricsLayerBuilder::stream_requests)): when a call ends that stays open by intent, *instead of* `request_duration_seconds` |
//! | `oldest_request_age_seconds` | gauge | [opt-in](MetricsLayerBuilder::oldest_request_age_seconds): with time, while a call is in flight |
//! | `requests_longest_seconds` | gauge | [opt-in](MetricsLayerBuilder::requests_longest_seconds): when a call ends that is the longest, and with each page |
//! | `handler_poll_seconds` | histogram | [opt-in](MetricsLayerBuilder::handler_poll_seconds): when a call ends, by the time that polls of the service took |
//! | `slow_polls_total` | counter | [opt-in](MetricsLayerBuilder::slow_polls_total): when a poll of the service returns that took long |
//! | `ready_wait_seconds`, `waiting_requests`, `abandoned_waits_total` | histogram, gauge, counter | [opt-in](MetricsLayerBuilder::ready_wait_seconds): when a caller begins to wait for the service to be ready, calls it, or gives up |
//! | `queue_wait_seconds` | histogram | [opt-in](MetricsLayerBuilder::queue_wait_seconds): when a call begins that a front proxy has held |
//! | `label_overflow_total` | counter | with [request labels](labels): when a call beyond the cardinality limit ends |
//!
//! A call lasts from `Service::call` to the end of its response. It ends in one of three ways: completed,
//! failed or cancelled. When no call is running, `requests_total` is the sum of the three, and `concurrent_requests` is 0.
//! The counts of the duration histograms add up to `requests_total` as well, except for [upgrades](upgrade): these
//! are timed only if a guard follows them. In every scrape, counters only grow, a histogram's count is its
//! `+Inf` bucket, and the gauge is not negative.
//!
//! # Where to find what
//!
//! | to | see |
//! |---|---|
//! | read how to use it, from one line to a fleet | [`guide`] |
//! | measure an HTTP service | [`MetricsLayer::new`], [`MetricsLayer::builder`] |
//! | measure a gRPC server or client, tonic's or another | [`MetricsLayer::grpc`], [`MetricsLayer::grpc_client`] |
//! | measure an HTTP client | [`MetricsLayer::client`] |
//! | measure a work handler: a message in, a stream of messages out | [`MetricsLayer::streaming`], and [`publish`] to send the stream |
//! | measure a service that answers a value with a value | [`MetricsLayer::unary`] |
//! | measure anything else | the traits in [`protocol`] |
//! | wrap code that takes one type of body, such as axum's middleware | [`MetricsLayer::boxed`] |
//! | decide which calls failed | [`classify`] |
//! | label calls by method, route, status, or a header | [`labels`] |
//! | follow a WebSocket until it is closed | [`upgrade`] |
//! | see the trace of a slow call | [`MetricsLayerBuilder::exemplars`] |
//! | put several layers, and metrics of your own, on one page | [`MetricsRegistry`] |
//! | put a label on all metrics of the process | [`MetricsRegistryBuilder::build`] |
//! | put two registries on one page, or ours in one of prometheus-client's | [`MetricsRegistryBuilder::prefix`], [`MetricsRegistry::register_in`] |
//! | show the process's CPU, memory and files, its tokio runtime, and its build | [`collectors`] |
//! | migrate from another layer | [`migration`] |
//! | keep axum-prometheus' names and labels | [`MetricsLayerBuilder::axum_prometheus`] |
//! | use OpenTelemetry's names and labels for HTTP, gRPC and model servers | [`open_telemetry`] |
//! | know which crates are part of the API, and how their versions are followed | [`dependencies`] |
//! | serve the page | [`exporter`], or `server` for a port of its own |
//! | get the page as text, for a test, a log or a push | [`MetricsRegistry::encode`] |
//! | assert the metrics of a service in its tests | [`guide::testing`] |
//! | see the numbers live in a browser | `dashboard`, a page beside the exporter |
//! | find calls that hang, handlers that block, and waits before the call | [`MetricsLayerBuilder`](MetricsLayerBuilder#waiting-before-the-call) |
//! | write an access log | [`MetricsLayerBuilder::on_end`] |
//! | be ready only while calls complete, and drain before stopping | `server::Health`, with the feature `server` |
//! | get a Grafana dashboard, alerts and runbooks | [`guide::dashboards`] |
//! | run many instances | [`guide::fleet`] |
//!
//! # Features
//!
//! | feature | default | what it does |
//! |---|---|---|
//! | `axum` | yes | looks inside `axum::Error`, to tell an abandoned upload from a malformed one; [`MetricsLayer::boxed`] for axum's body |
//! | `axum-route` | yes | [`Label::axum_route`](labels::Label::axum_route): the template that axum's router has matched, as a label |
//! | `client` | no | looks inside the errors of hyper-util's client, to recognise a connection that could not be made; see [`classify::HttpClient`] |
//! | `compression` | yes | pages compressed with gzip for clients that accept it |
//! | `dashboard` | no | the live page: a service that draws what the exporter shows |
//! | `http2` | no | for servers and clients that speak HTTP/2: looks inside `h2::Error`, for the same reason as `axum` |
//! | `protobuf` | no | pages in Prometheus' protobuf format for clients that ask for it; Prometheus asks for it to scrape native histograms |
//! | `process` | no | `process_*` metrics as a [collector](collectors) |
//! | `server` | no | the status server: `/metrics`, `/health`, `/live` |
//! | `testing` | no | for your own tests: assertions about metrics by name and labels, and waits for calls to end |
//! | `tonic` | no | [`MetricsLayer::boxed`] for tonic's body; looks inside the errors of its channel and bodies, see [`classify`](classify#errors-that-are-known) |
//! | `tower-http` | no | for apps that limit the time of bodies with tower-http: recognises the errors, which count as `timeout` |
//! | `zstd` | no | pages compressed with zstd for clients that prefer it; builds libzstd, in C |
//!
//! The crate contains no `unsafe` code. Its minimum supported Rust version is 1.88.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]

mod answering;
mod block;
pub mod body;
pub mod buckets;
mod builder;
mod call;
pub mod classify;
mod clock;
pub mod collectors;
#[cfg(feature = "dashboard")]
pub mod dashboard;
mod error;
#[doc = include_str!("dependencies.md")]
pub mod dependencies {}
mod ended;
mod error_types;
mod escaping;
pub mod exporter;
mod exposition;
mod flags;
mod function;
mod future;
pub mod grpc;
pub mod guide;
mod handle;
pub mod labels;
mod layer;
mod measured;
pub mod message;
#[doc = include_str!("migration.md")]
pub mod migration {}
mod naming;
mod open_call;
pub mod open_telemetry;
mod outgoing;
mod panic_guard;
pub mod protocol;
pub mod publish;
mod recorder;
mod registry;
mod request_start;
#[cfg(feature = "server")]
pub mod server;
mod service;
mod settings;
pub mod stream;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(any(feature = "server", feature = "testing"))]
mod totals;
mod trace;
pub mod upgrade;
mod wait;

pub use self::body::{RequestBody, ResponseBody};
pub use self::builder::MetricsLayerBuilder;
pub use self::call::Call;
pub use self::classify::ErrorType;
pub use self::clock::Clock;
#[cfg(feature = "dashboard")]
pub use self::dashboard::MetricsDashboard;
pub use self::ended::{CallOutcome, EndedCall};
pub use self::error::Error;
pub use self::exporter::MetricsExporter;
pub use self::exposition::Format;
pub use self::future::ResponseFuture;
pub use self::handle::CallHandle;
pub use self::layer::MetricsLayer;
pub use self::message::Message;
pub use self::registry::{MetricsRegistry, MetricsRegistryBuilder};
pub use self::service::Metrics;
pub use self::stream::{RequestStream, ResponseStream};
pub use self::trace::TraceContext;
pub use self::upgrade::UpgradedCall;

#[doc(no_inline)]
pub use prometheus_client;

/// Compiles the examples in the README as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
