//! OpenTelemetry's conventions for HTTP.
//!
//! The preset is [`builder`](crate::MetricsLayer::builder)`().open_telemetry()` for servers and
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
//! // An app needs only `MetricsLayer::builder().open_telemetry().build([("service", "shop")])` and a label for
//! // the router's template. This example stops the clock and has few buckets, to show the whole page.
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
//! assert_eq!(page, r#"# HELP http_server_active_requests Calls in flight
//! ## TYPE http_server_active_requests gauge
//! http_server_active_requests{http_request_method="GET",service="shop",url_scheme="http"} 0
//! ## HELP http_server_label_overflow Calls beyond the cardinality limit, recorded under _OTHER
//! ## TYPE http_server_label_overflow counter
//! http_server_label_overflow_total{service="shop"} 0
//! ## HELP http_server_request_body_size_bytes Bytes that the service has read of a call's request by its end
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
//! ## HELP http_server_response_body_size_bytes Bytes that the caller has taken of a call's response by its end
//! ## TYPE http_server_response_body_size_bytes histogram
//! ## UNIT http_server_response_body_size_bytes bytes
//! http_server_response_body_size_bytes_bucket{…,le="1024.0",…} 1
//! http_server_response_body_size_bytes_bucket{…,le="+Inf",…} 1
//! http_server_response_body_size_bytes_sum{…,…} 5
//! http_server_response_body_size_bytes_count{…,…} 1
//! ## HELP uptime_seconds Time since the registry was created
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
//! Other metrics of the builder keep their names, with the prefix `http_server_` or `http_client_`.
//!
//! # Labels
//!
//! | label | value | on `…_active_requests` |
//! |---|---|---|
//! | `http_request_method` | as [`Label::method`] | yes |
//! | `url_scheme` | as [`Label::scheme`]; on servers `http` by default if the request has no scheme | yes |
//! | `network_protocol_version` | `1.1`, `2`: on servers the request's version, on clients the response's | no |
//! | `http_response_status_code` | as [`Label::status`]; empty without a response | no |
//! | `error_type` | the [type](crate::ErrorType) of the failure, `cancelled` if the caller left, empty if the call completed | no |
//! | `http_route`; on clients `url_template` | the label `route`, if you give one | only `url_template` |
//!
//! To Prometheus, an empty label is the same as no label. If you [add](crate::MetricsLayerBuilder::label) a label of this crate, it gets the
//! conventional name, unless you [named](crate::labels::Label::named) it, and replaces the default one. For example, a server with TLS
//! adds `.label(Label::scheme().absent("https"))`. Your own labels keep their names. [Declared](crate::MetricsLayerBuilder::declare) label
//! sets use the names of the table.
//!
//! # Differences from the conventions
//!
//! The names are those of the semantic conventions for HTTP metrics, version
//! [1.44](https://github.com/open-telemetry/semantic-conventions/blob/v1.44.0/docs/http/http-metrics.md), translated by the [compatibility rules for Prometheus](https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/): dots
//! become underscores, the units `s` and `By` become the suffixes `_seconds` and `_bytes`, and `{request}` is dropped. Durations and their labels are
//! stable in the conventions. Active requests and sizes may change. Differences:
//!
//! - *Which calls fail* follows the conventions: on servers 5xx and calls without a response, on clients also 4xx. *The names of
//!   failures* are this crate's error types, `generate` or `timeout` rather than `500` or an exception's name. The code has its own label.
//!   Another [classifier](crate::MetricsLayerBuilder::classifier) changes both. The first failure of a call counts.
//! - A call whose caller left has the `error_type` `cancelled`, and the status if there was a response. The conventions don't define this.
//! - A call lasts to the end of the response's *body*. Many instrumentations stop at its head. Sizes count the bytes up to the end of the
//!   call: if the service reads the request's body after that, it is not counted.
//! - Sizes are the bytes that pass the layer, never the value of `Content-Length`. The conventions ask for the bytes on the wire.
//!   Compression inside the layer affects sizes, compression outside does not. For HEAD, the size of the response is what the server
//!   reads of the body, usually 0 bytes. For an upgrade it is 0, whatever follows. A request counts at most one TiB.
//! - `url_scheme` of a server ignores `X-Forwarded-Proto`, which any client can send. A client has `url_scheme` too, where it is
//!   optional in the conventions.
//! - `server_address` and `server_port` are missing. On a server, the client may choose their values. On a client the conventions require
//!   them, but there are as many values as hosts. If there are few hosts, add
//!   `Label::from_request("server_address", |head| head.uri.host())`. It counts towards the [cardinality limit](crate::labels#how-many-there-can-be).
//! - `network_protocol_name`, which is always `http`, `user_agent_synthetic_type`, `otel_scope_…` and metrics of client connections
//!   are missing.
//! - The list of known methods can't be changed. A [label of your own](crate::labels::Label::from_request) named `http_request_method` can replace the label.
//! - If streams are [measured separately](crate::MetricsLayerBuilder::stream_duration_seconds), they have sizes but no
//!   `…_request_duration_seconds`. The same is true of [upgrades](crate::upgrade).
//!
//! [`Label::method`]: crate::labels::Label::method
//! [`Label::scheme`]: crate::labels::Label::scheme
//! [`Label::status`]: crate::labels::Label::status

use crate::labels::Label;
use crate::naming::Naming;

/// Returns the labels that all calls have, before they are [`conventional`].
pub(super) fn labels(naming: Naming) -> [Label; 5] {
    // A client's request does not have the version that is spoken, if the two sides negotiate one.
    let version = match naming {
        Naming::HttpClient => Label::version_of_response(),
        _ => Label::version(),
    };
    [
        Label::method(),
        Label::scheme(),
        Label::status(),
        version,
        Label::error_type(),
    ]
}

/// Renames a label of this crate that has its default name, and moves it to the metrics that have it in the conventions.
/// Returns other labels unchanged, and all labels if the convention is not for HTTP.
pub(crate) fn conventional(naming: Naming, label: Label) -> Label {
    if !naming.is_open_telemetry_http() {
        return label;
    }
    let is = |own: Label| label.is_like(&own);
    if is(Label::method()) {
        label.named("http_request_method")
    } else if is(Label::scheme()) {
        // Servers must have a scheme, and HTTP/1 requests have none.
        let absent = match naming {
            Naming::HttpServer => "http",
            _ => "",
        };
        label.named("url_scheme").absent_by_default(absent)
    } else if is(Label::version()) || is(Label::version_of_response()) {
        let label = label.named("network_protocol_version");
        label.on_begin(false).absent_by_default("")
    } else if is(Label::status()) {
        let label = label.named("http_response_status_code");
        label.on_duration(true).absent_by_default("")
    } else if label.name() == "route" {
        // A label of this name is the route, no matter which function reads it, or whether from the response.
        let label = match naming {
            Naming::HttpClient => label.named("url_template"),
            _ => label.named("http_route").on_begin(false),
        };
        label.absent_by_default("")
    } else {
        label
    }
}
