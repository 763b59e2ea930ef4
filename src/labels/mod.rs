//! Labels: constant ones for all metrics of a layer, and request labels that differ from call to call.
//!
//! *Constant labels* are given to [`MetricsLayer::new`](crate::MetricsLayer::new) or
//! [`build`](crate::MetricsLayerBuilder::build), as [pairs or as `()`](ConstantLabels). *Request labels* are opt-in. Each is a
//! [`Label`], read from a call's request, its response or its outcome:
//!
//! ```
//! use tower_openmetrics::MetricsLayer;
//! use tower_openmetrics::labels::Label;
//!
//! # fn main() -> Result<(), tower_openmetrics::Error> {
//! let metrics = MetricsLayer::builder()
//!     .label(Label::method())
//!     .label(Label::status_class())
//!     .label(Label::from_request("tenant", |head| {
//!         head.headers.get("x-tenant")?.to_str().ok()
//!     }))
//!     .build([("endpoint", "cart")])?;
//! # Ok(())
//! # }
//! ```
//!
//! A service without heads reads its labels from [the message](Label::from_message) that it is called with.
//!
//! # Which metric carries which label
//!
//! A metric carries the labels that are known when it moves. Histograms may leave labels out, because each label set of a
//! histogram is a dozen series.
//!
//! | metrics | move | labels of the request | labels of the response | the code |
//! |---|---|---|---|---|
//! | `concurrent_requests`, `oldest_request_age_seconds`, `request_bytes_total`, `request_messages_total`, `queue_wait_seconds`, `slow_polls_total` | from the beginning | yes, [by default](Label::on_begin) | no | no |
//! | `response_bytes_total`, `response_messages_total`, `response_head_seconds`, `first_byte_seconds`, `items_total`, `first_item_seconds`, `item_gap_seconds`, `time_per_item_seconds` | from the response's head | yes | yes | no |
//! | `requests_total`, `cancellations_total` | at the end | yes | yes | yes |
//! | `errors_total` | at the end | yes, [by default](Label::on_errors) | [`from_response`](Label::from_response) by default, the [status](Label::status) [if turned on](Label::on_errors) | [if turned on](Label::on_errors) |
//! | `request_duration_seconds`, `stream_duration_seconds`, `requests_longest_seconds`, `handler_poll_seconds` | at the end | yes, [by default](Label::on_duration) | [`from_response`](Label::from_response) by default, the [status](Label::status) [if turned on](Label::on_duration) | [if turned on](Label::on_duration) |
//! | `ready_wait_seconds`, `waiting_requests`, `abandoned_waits_total` | before the call | no | no | no |
//! | `label_overflow_total`, `uptime_seconds` | | no | no | no |
//!
//! Labels of the request are [`method`](Label::method), [`scheme`](Label::scheme), [`version`](Label::version),
//! [`route`](Label::route), [`grpc_service`](Label::grpc_service), [`grpc_method`](Label::grpc_method),
//! [`rpc_method`](Label::rpc_method), [`from_request`](Label::from_request) and [`from_message`](Label::from_message). Labels of
//! the response are [`status`](Label::status), [`status_class`](Label::status_class) and
//! [`from_response`](Label::from_response). A handler can set a label through `from_response`: it puts a value into its
//! response's extensions. If there is no value, because no route matched or no response came, the label's value is
//! [`none`](Label::absent).
//!
//! # How many there can be
//!
//! Clients can send any value, so each layer has a cardinality limit. It defaults to
//! [2,000 label sets](crate::MetricsLayerBuilder::cardinality_limit) per metric, whatever clients send. Calls beyond the limit
//! are recorded under one more label set, in which every request label is `_OTHER`. Nothing is lost, and sums over all series
//! stay exact. `label_overflow_total` counts these calls. It should stay at 0; if it doesn't, raise the limit or reconsider a label.
//!
//! Label sets that no call uses can leave the page [after a while](crate::MetricsLayerBuilder::series_idle_timeout), which frees
//! the room that made-up values took. By default, a label set stays as long as its layer.
//!
//! A value longer than [128 bytes](Label::max_len) is `_OTHER` too, and so is a method that HTTP doesn't define. Values of
//! [`route`](Label::route) and declared values have no maximum length, because the program chose them.
//!
//! Clients choose the values of some labels:
//!
//! | label | a client can make up | what protects the limit |
//! |---|---|---|
//! | [`method`](Label::method), [`scheme`](Label::scheme), [`version`](Label::version) | nothing: unknown values are `_OTHER` | |
//! | [`route`](Label::route) | nothing, if `find` returns templates | |
//! | [`grpc_service`](Label::grpc_service), [`grpc_method`](Label::grpc_method), [`rpc_method`](Label::rpc_method) | any names | names that the server only ever answered with `UNIMPLEMENTED` become `_OTHER` when there is no room left; [`only_declared`](Label::only_declared) |
//! | your own, for example [from a header](Label::from_request) or [from a message](Label::from_message) | what the function returns | [`only_declared`](Label::only_declared); [`series_idle_timeout`](crate::MetricsLayerBuilder::series_idle_timeout) |
//!
//! # When a series begins
//!
//! A series begins with the first call that has its labels. [Declare](crate::MetricsLayerBuilder::declare) a label set to show
//! it at 0 before that. Then its first call is an increase.
//!
//! Errors are rare, so the first one often matters most. By default, `errors_total` has only labels of the request. Then each
//! error type stands at 0 as soon as a first call with these labels has begun, and `increase(errors_total[5m])` shows the first
//! failure. With a status or a code [on errors](Label::on_errors) it doesn't: their value is known only when the call has
//! failed.
//!
//! # Routes of axum
//!
//! [`Label::axum_route`], of the feature `axum-route`, reads what axum's router leaves in the request's extensions. Without the
//! feature, this label gives the same for all but the last two rows of the table:
//!
//! ```
//! # use tower_openmetrics::labels::Label;
//! use axum::extract::MatchedPath;
//!
//! let route = Label::route(|head| Some(head.extensions.get::<MatchedPath>()?.as_str()));
//! ```
//!
//! Put the layer on the router, by `Router::layer` or `Router::route_layer`. There it reads the label after the router has
//! looked for a route and before the handler runs. For a request to `/api/…`, the label's value is:
//!
//! | answered by | layer on the router | layer on an inner router, or around a mounted service |
//! |---|---|---|
//! | `.nest("/api", router)` with `.route("/items/{id}", …)` | `/api/items/{id}` | the same |
//! | the same route, which doesn't have the request's method | `/api/items/{id}` | the same |
//! | `fallback` of the outermost router | `none` | |
//! | `.route_service("/api/{*rest}", service)` | `/api/{*rest}` | the same |
//! | `.nest_service("/api", router)` with `.route("/items/{id}", …)` | `none` | `/api/items/{id}` |
//! | `.nest_service("/api", service)` | `none` (`/api` for the path `/api` itself) | `/api` |
//! | `fallback` of a nested router | `none` | `/api` |
//!
//! So prefer `nest` for routers, which flattens them. Give a mounted service a layer of its own, a clone of the router's:
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower::Layer;
//! # use tower_openmetrics::MetricsLayer;
//! # let metrics = MetricsLayer::default();
//! # let files = get(async || "a file");
//!
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(metrics.clone())
//!     // After the layer, so that calls are not counted twice.
//!     .nest_service("/static", metrics.layer(files));
//! ```
//!
//! ## Around the whole router
//!
//! A layer around a router, by [`ServiceBuilder`](https://docs.rs/tower/latest/tower/struct.ServiceBuilder.html) or
//! [`Layer::layer`](tower_layer::Layer::layer), works as well. It sees requests before they are routed, so the route is
//! unknown when a call begins. A middleware on the router can leave it in the response:
//!
//! ```
//! use axum::Router;
//! use axum::extract::{MatchedPath, Request};
//! use axum::middleware::{self, Next};
//! use axum::response::Response;
//! use axum::routing::get;
//! use tower::Layer;
//! use tower_openmetrics::MetricsLayer;
//! use tower_openmetrics::labels::Label;
//!
//! async fn tell_route(request: Request, next: Next) -> Response {
//!     let matched = request.extensions().get::<MatchedPath>().cloned();
//!     let mut response = next.run(request).await;
//!     if let Some(matched) = matched {
//!         response.extensions_mut().insert(matched);
//!     }
//!     response
//! }
//!
//! # fn main() -> Result<(), tower_openmetrics::Error> {
//! let route = Label::from_response("route", |head| {
//!     Some(head.extensions.get::<MatchedPath>()?.as_str())
//! })
//! .max_len(usize::MAX); // the program chose the templates
//! let metrics = MetricsLayer::builder().label(route).build([("endpoint", "shop")])?;
//! let app: Router = Router::new()
//!     .route("/items/{id}", get(async || "an item"))
//!     .route_layer(middleware::from_fn(tell_route));
//! let app = metrics.layer(app);
//! # Ok(())
//! # }
//! ```
//!
//! This makes it a label of the response: `concurrent_requests` and `request_bytes_total` don't carry it. It is `none` for a call
//! without a response, because the caller went away or the service panicked.

#[cfg(feature = "axum-route")]
mod axum;
mod code;
mod constant;
pub(crate) mod grpc;
mod http;
mod label;
#[cfg(not(feature = "axum-route"))]
mod no_axum;
mod schema;
mod source;
mod text;
mod values;

pub use self::code::Code;
pub use self::constant::ConstantLabels;
pub use self::http::{LongLived, RequestHead, is_long_lived};
pub use self::label::Label;

pub(crate) use self::constant::{Labels, check_clashes};
#[cfg(not(feature = "axum-route"))]
pub(crate) use self::no_axum::WithAxumRoute;
pub(crate) use self::schema::{Carrier, Declared, Known, Schema};
pub(crate) use self::source::{MOMENTS, Moment};
pub(crate) use self::text::{ExtraLabel, LabelStr, LabelText, LabelTexts, Span};
pub(crate) use self::values::{KeptValue, Value, Values};

/// The label that says how a call failed. The crate alone may set it.
pub(crate) const ERROR_TYPE: &str = "error_type";

/// Replaces a value that is unknown, too long, undeclared, or beyond the cardinality limit.
pub(crate) const OTHER: &str = "_OTHER";
