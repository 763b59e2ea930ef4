//! OpenTelemetry's names, labels and buckets for HTTP, in place of the crate's own.
//!
//! For dashboards and alerts that are written for them. The preset is
//! [`builder`](crate::MetricsLayer::builder)`().open_telemetry()` for servers and
//! [`client_builder`](crate::MetricsLayer::client_builder)`().open_telemetry()` for clients:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openmetrics::labels::Label;
//! use tower_openmetrics::{Clock, Format, MetricsLayer, RequestBody};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // `MetricsLayer::builder().open_telemetry().build([("service", "shop")])` would do, with a label for the
//! // router's template; here time stands still, and there are few buckets, to show the whole page.
//! let metrics = MetricsLayer::builder()
//!     .open_telemetry()
//!     .label(Label::route(|_| Some("/echo")))
//!     .clock(Clock::manual())
//!     .buckets([0.1])
//!     .body_size_buckets([1_024])
//!     .build([("service", "shop")])?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(metrics.clone())
//!     .service(service_fn(async |request: Request<RequestBody<Full<Bytes>>>| {
//!         let body = request.into_body().collect().await?.to_bytes();
//!         Ok::<_, Infallible>(Response::new(Full::new(body)))
//!     }));
//! let response = service.oneshot(Request::new(Full::from("hello"))).await?;
//! response.into_body().collect().await?;
//!
//! let page = metrics.registry().encode(Format::OpenMetrics)?;
//! // Every `…` stands for the same labels.
//! let page = page
//!     .replace(r#"error_type="",http_request_method="GET",http_response_status_code="200",http_route="/echo","#, "…,")
//!     .replace(r#"network_protocol_version="1.1",service="shop",url_scheme="http""#, "…");
//! assert_eq!(page, r#"# HELP http_server_active_requests Calls begun and not yet ended
//! ## TYPE http_server_active_requests gauge
//! http_server_active_requests{http_request_method="GET",service="shop",url_scheme="http"} 0
//! ## HELP http_server_label_overflow Calls recorded under _OTHER because there was no room for their labels
//! ## TYPE http_server_label_overflow counter
//! http_server_label_overflow_total{service="shop"} 0
//! ## HELP http_server_request_body_size_bytes Bytes of a call's request, as the service has read them by its end
//! ## TYPE http_server_request_body_size_bytes histogram
//! ## UNIT http_server_request_body_size_bytes bytes
//! http_server_request_body_size_bytes_bucket{…,le="1024.0",…} 1
//! http_server_request_body_size_bytes_bucket{…,le="+Inf",…} 1
//! http_server_request_body_size_bytes_sum{…,…} 5
//! http_server_request_body_size_bytes_count{…,…} 1
//! ## HELP http_server_request_duration_seconds Time from the beginning of a call to the end of its response
//! ## TYPE http_server_request_duration_seconds histogram
//! ## UNIT http_server_request_duration_seconds seconds
//! http_server_request_duration_seconds_bucket{…,le="0.1",…} 1
//! http_server_request_duration_seconds_bucket{…,le="+Inf",…} 1
//! http_server_request_duration_seconds_sum{…,…} 0.0
//! http_server_request_duration_seconds_count{…,…} 1
//! ## HELP http_server_response_body_size_bytes Bytes of a call's response, as the caller has taken them by its end
//! ## TYPE http_server_response_body_size_bytes histogram
//! ## UNIT http_server_response_body_size_bytes bytes
//! http_server_response_body_size_bytes_bucket{…,le="1024.0",…} 1
//! http_server_response_body_size_bytes_bucket{…,le="+Inf",…} 1
//! http_server_response_body_size_bytes_sum{…,…} 5
//! http_server_response_body_size_bytes_count{…,…} 1
//! ## HELP uptime_seconds Time since the registry was made
//! ## TYPE uptime_seconds gauge
//! ## UNIT uptime_seconds seconds
//! uptime_seconds 0.0
//! ## EOF
//! "#);
//! # Ok(())
//! # }
//! ```
//!
//! # Metrics
//!
//! | of a server | of a client | type | instead of |
//! |---|---|---|---|
//! | `http_server_request_duration_seconds` | `http_client_…` | histogram | `requests_total` (its count), `errors_total`, `cancellations_total`, `request_duration_seconds` |
//! | `http_server_active_requests` | `http_client_…` | gauge | `concurrent_requests` |
//! | `http_server_request_body_size_bytes` | `http_client_…` | histogram | `request_bytes_total` (its sum) |
//! | `http_server_response_body_size_bytes` | `http_client_…` | histogram | `response_bytes_total` (its sum) |
//! | `http_server_label_overflow_total` | `http_client_…` | counter | `label_overflow_total`; not of the conventions |
//!
//! What else the builder offers is there under its own name after the same `http_server_` or `http_client_`: so all three namings
//! can be on one page, with the same constant labels, and an app that moves from one to the other can have both for a while.
//!
//! # Labels
//!
//! | label | says | on `…_active_requests` |
//! |---|---|---|
//! | `http_request_method` | as [`Label::method`] | yes |
//! | `url_scheme` | as [`Label::scheme`]; of a server `http` where the request does not say, unless told otherwise | yes |
//! | `network_protocol_version` | `1.1`, `2`: of a server that of the request, of a client that of the response | no |
//! | `http_response_status_code` | as [`Label::status`]; empty without a response | no |
//! | `error_type` | the [type](crate::ErrorType) of the failure, `cancelled` if the caller went away, empty if all went well | no |
//! | `http_route`; of a client, `url_template` | the label `route`, if you give one | no |
//!
//! An empty label is no label to Prometheus. Labels of this crate's own that are [given](crate::MetricsLayerBuilder::label) besides go by the name in this
//! table unless [named](crate::labels::Label::named) otherwise, and take the place of those that are there: a server
//! that speaks TLS says so by `.label(Label::scheme().absent("https"))`. Labels of your own stay as they are. [Declared](crate::MetricsLayerBuilder::declare) label
//! sets use the names of the table.
//!
//! # Source, and what is different
//!
//! These are the [semantic conventions for HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/), version
//! 1.30, in the spelling of the [compatibility rules for Prometheus](https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/): dots
//! become underscores, units `s` and `By` the endings `_seconds` and `_bytes`, and `{request}` goes. Durations and their labels are
//! stable there; active requests and sizes may change. Differences:
//!
//! - *Which calls failed* is the conventions' rule: on a server 5xx and what never became an answer, on a client 4xx too. *What
//!   failures are called* is this crate's vocabulary, `generate` or `timeout` rather than `500` or an exception's name; the code has its own label.
//!   Another [classifier](crate::MetricsLayerBuilder::classifier) changes both. The first failure of a call counts.
//! - A call whose caller went away has the `error_type` `cancelled`, with the status if there was one by then. The conventions don't say.
//! - A call lasts to the end of the response's *body*, where many instrumentations stop at its head, and sizes are
//!   what it has come to by then: nothing is counted of a request's body that is read after it.
//! - Sizes are the bytes that passed the layer, in the form in which they did, never what `Content-Length` says. The conventions want those
//!   of the wire: compression inside of the layer is seen, compression outside of it is not. To HEAD that
//!   is what the server takes of a body that is not due, mostly nothing; of an upgrade it is nothing, whatever follows. A
//!   request counts for at most a TiB.
//! - `url_scheme` of a server does not look into `X-Forwarded-Proto`, which anyone can send. A
//!   client has it too, where the conventions leave it to choice.
//! - `server_address` and `server_port` are not there. A server's may be chosen by whoever sends the request; of
//!   a client they are required, but as many as there are hosts. Where these are few:
//!   `Label::from_request("server_address", |head| head.uri.host())`, which is within the [budget](crate::labels#how-many-there-can-be).
//! - `network_protocol_name`, which is always `http`, `user_agent_synthetic_type` and `otel_scope_…` are not there, nor are
//!   connections of clients.
//! - The list of known methods can't be changed. A [label of your own](crate::labels::Label::from_request) named `http_request_method` can take its place.
//! - Where streams are [told apart](crate::MetricsLayerBuilder::stream_duration_seconds) they have sizes and no
//!   `…_request_duration_seconds`, and so have [upgrades](crate::upgrade).
//!
//! [`Label::method`]: crate::labels::Label::method
//! [`Label::scheme`]: crate::labels::Label::scheme
//! [`Label::status`]: crate::labels::Label::status

mod labels;

pub(crate) use self::labels::labels;

/// The bounds of buckets, in seconds, that the conventions advise for durations.
pub const DURATION_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The bounds of buckets, in bytes, for the sizes of bodies: 0, which tells those that have none, and
/// from 64 B to 16 MiB in steps of four.
///
/// The conventions advise none. What SDKs fall back to, from 0 to 10,000, puts all that is not small into one bucket.
pub const BODY_SIZE_BUCKETS: [u64; 11] = [
    0, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
];
