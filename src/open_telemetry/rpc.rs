//! OpenTelemetry's conventions for RPC, here gRPC.
//!
//! The preset is [`grpc_builder`](crate::MetricsLayer::grpc_builder)`().open_telemetry()` for servers and
//! [`grpc_client_builder`](crate::MetricsLayer::grpc_client_builder)`().open_telemetry()` for clients:
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderMap, HeaderName, Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openmetrics::{Format, MetricsLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // With tonic's server: `Server::builder().layer(metrics.clone())`.
//! let metrics = MetricsLayer::grpc_builder().open_telemetry().build(())?;
//! let service = ServiceBuilder::new()
//!     .layer(metrics.clone())
//!     .service(service_fn(async |_: Request<_>| {
//!         let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), 14.into())]);
//!         let body = Full::<Bytes>::default().with_trailers(std::future::ready(Some(Ok(trailers))));
//!         Ok::<_, Infallible>(Response::new(body))
//!     }));
//!
//! let request = Request::post("/shop.Cart/Get").header("content-type", "application/grpc");
//! let response = service.oneshot(request.body(Full::<Bytes>::default())?).await?;
//! response.into_body().collect().await?; // the status `UNAVAILABLE`
//!
//! let page = metrics.registry().encode(Format::Prometheus)?;
//! let line = r#"rpc_server_call_duration_seconds_count{error_type="overloaded",rpc_method="shop.Cart/Get",rpc_status_code="UNAVAILABLE",rpc_system_name="grpc"} 1"#;
//! assert!(page.lines().any(|l| l == line), "{page}");
//! # Ok(())
//! # }
//! ```
//!
//! # Metrics
//!
//! | of a server | of a client | type | instead of |
//! |---|---|---|---|
//! | `rpc_server_call_duration_seconds` | `rpc_client_…` | histogram | `requests_total` (its count), `errors_total`, `cancellations_total`, `request_duration_seconds` |
//! | `rpc_server_active_requests` | `rpc_client_…` | gauge | `concurrent_requests`; not of the conventions |
//!
//! Bytes, messages and other metrics of the builder keep their names, with the prefix `rpc_server_` or `rpc_client_`. The
//! conventions have no other metrics.
//!
//! # Labels
//!
//! | label | value | on metrics of a call's beginning |
//! |---|---|---|
//! | `rpc_system_name` | `grpc`: a constant label, also of metrics that are [registered](crate::MetricsLayer::register) through the layer | yes |
//! | `rpc_method` | as [`Label::rpc_method`]: service and method, such as `shop.Cart/Add`; empty unless the request is gRPC | yes |
//! | `rpc_status_code` | the name of the status, such as `NOT_FOUND`; empty if no status came | no |
//! | `error_type` | the [type](crate::ErrorType) of the failure, `cancelled` if the caller left or the status is `CANCELLED`, empty if the call completed | no |
//!
//! To Prometheus, an empty label is the same as no label. A label of yours with one of the first three names replaces that
//! label, and other labels of yours keep their names. The preset replaces the labels `grpc_service`, `grpc_method` and
//! `grpc_code` of the builder.
//!
//! On a server, clients can name methods that don't exist. The conventions ask for `_OTHER` then. The layer doesn't know the
//! methods, unless you declare them:
//!
//! ```
//! use tower_openmetrics::MetricsLayer;
//! use tower_openmetrics::labels::Label;
//!
//! # fn main() -> Result<(), tower_openmetrics::Error> {
//! let layer = MetricsLayer::grpc_builder()
//!     .open_telemetry()
//!     .label(Label::rpc_method().only_declared(true).absent(""))
//!     .declare([("rpc_method", "shop.Cart/Add")])
//!     .declare([("rpc_method", "shop.Cart/Remove")])
//!     .build(())?;
//! # Ok(())
//! # }
//! ```
//!
//! # Differences from the conventions
//!
//! The names are those of the semantic conventions [for RPC metrics](https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/)
//! and [for gRPC](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/), version
//! [1.45](https://github.com/open-telemetry/semantic-conventions/releases/tag/v1.45.0), in which both metrics became stable.
//! Versions 1.39 to 1.44 have `rpc.response.status_code` instead of `rpc.status_code`. Differences:
//!
//! - *Which calls fail* follows the conventions: on clients all codes but `OK`, on servers `UNKNOWN`, `DEADLINE_EXCEEDED`,
//!   `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS`, and calls that break off. *The names of failures* are this
//!   crate's error types, `generate` or `timeout` rather than the code. The code has its own label. Another
//!   [classifier](crate::MetricsLayerBuilder::classifier) changes both.
//! - A call that was cancelled has the `error_type` `cancelled`. On servers, the conventions don't count the code
//!   `CANCELLED` as an error.
//! - `server_address` and `server_port` are missing. On clients, the conventions require them if they are known. A client of one
//!   server adds a constant label: `.build([("server_address", "cart.internal")])`.
//! - A stream that is open for hours counts as one call, when it ends.
//!
//! [`Label::rpc_method`]: crate::labels::Label::rpc_method

use crate::classify::GrpcCode;
use crate::labels::Label;

/// Returns the labels that differ from call to call.
pub(crate) fn labels() -> [Label; 3] {
    let status = Label::code(&GrpcCode::NAMES).named("rpc_status_code");
    [
        Label::rpc_method().absent(""),
        status.on_duration(true).absent(""),
        Label::error_type(),
    ]
}
