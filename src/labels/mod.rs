//! Labels: those that a layer puts on all its metrics, and those that a request brings.
//!
//! *Constant* labels are given to [`MetricsLayer::new`](crate::MetricsLayer::new) or
//! [`build`](crate::MetricsLayerBuilder::build), as [pairs or as `()`](ConstantLabels). Labels *of a request* are opt-in, a [`Label`] each:
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
//! A metric carries what is known at its moment, and a histogram, which is a dozen series for every set of labels,
//! may leave labels out.
//!
//! | metrics | move | labels of the request | labels of the response | the code |
//! |---|---|---|---|---|
//! | `concurrent_requests`, `request_bytes_total`, `request_messages_total` | from the beginning | yes, [unless told otherwise](Label::on_begin) | no | no |
//! | `response_bytes_total`, `response_messages_total`, `response_head_seconds`, `first_byte_seconds` | from the response's head | yes | yes | no |
//! | `requests_total`, `cancellations_total` | at the end | yes | yes | yes |
//! | `errors_total` | at the end | yes, [unless told otherwise](Label::on_errors) | those of [`from_response`](Label::from_response); the [status](Label::status) [if told so](Label::on_errors) | [if told so](Label::on_errors) |
//! | `request_duration_seconds`, `stream_duration_seconds` | at the end | yes, [unless told otherwise](Label::on_duration) | those of [`from_response`](Label::from_response); the [status](Label::status) [if told so](Label::on_duration) | [if told so](Label::on_duration) |
//! | `label_overflow_total`, `uptime_seconds` | | no | no | no |
//!
//! Labels of the request are [`method`](Label::method), [`scheme`](Label::scheme), [`version`](Label::version),
//! [`route`](Label::route), [`grpc_service`](Label::grpc_service), [`grpc_method`](Label::grpc_method) and those made [`from_request`](Label::from_request) or
//! [`from_message`](Label::from_message); labels of the response are
//! [`status`](Label::status), [`status_class`](Label::status_class) and those made [`from_response`](Label::from_response), which is how a
//! handler gives a label late: it puts a value into its response's extensions. Where a value does not exist, because
//! no route matched or no response came, the label says [`none`](Label::absent).
//!
//! # How many there can be
//!
//! What comes from outside can have any value, so a layer has a budget, of
//! [2,000 label sets](crate::MetricsLayerBuilder::cardinality_limit) unless told otherwise: no metric has more, whatever is
//! sent, but for one that takes the rest. What finds no room is recorded there, under `_OTHER` in every label of a request: nothing is lost, and the sums over all series stay exact. `label_overflow_total` counts
//! the calls for which that happened; it should be 0, and a budget or a label is to be reconsidered where it is not.
//!
//! Room that made-up values have taken comes back where label sets [leave](crate::MetricsLayerBuilder::series_idle_timeout) that no call has
//! used for a while. Without that, a label set stays for as long as its layer.
//!
//! A value of more than [128 bytes](Label::max_len) is `_OTHER` too, and so is a method that is not one of HTTP's. Values that are the program's own
//! have no bound: those of [`route`](Label::route), and declared ones.
//!
//! Some values are up to clients. Of each label that is so:
//!
//! | label | a client can make up | what keeps that from taking the room of others |
//! |---|---|---|
//! | [`method`](Label::method), [`scheme`](Label::scheme), [`version`](Label::version) | nothing: there are as many as HTTP has, and `_OTHER` | |
//! | [`route`](Label::route) | nothing, if `find` gives templates | |
//! | [`grpc_service`](Label::grpc_service), [`grpc_method`](Label::grpc_method) | any names | those that the server only ever answers with `UNIMPLEMENTED` go to `_OTHER` when there is no room left; [`only_declared`](Label::only_declared) |
//! | of your own, [from a header](Label::from_request) or [from a message](Label::from_message) say | what the function lets through | [`only_declared`](Label::only_declared); [`series_idle_timeout`](crate::MetricsLayerBuilder::series_idle_timeout) |
//!
//! # When a series begins
//!
//! A series exists from the first call that has its labels. One that is to stand at 0 before that, so that the first call
//! shows as an increase, can be [declared](crate::MetricsLayerBuilder::declare).
//!
//! Errors are rare, so that the first one is often the one that matters. Where `errors_total` has labels of the request alone, as
//! by default, each error type stands at 0 as soon as a first call with these labels has begun, and
//! `increase(errors_total[5m])` shows the first failure. A status or a code that is put [on errors](Label::on_errors) takes that away: its
//! value is known only when the call has failed.
//!
//! # Routes of axum
//!
//! [`Label::axum_route`], of the feature `axum-route`, reads what axum's router leaves in the request's extensions. Without the feature,
//! the same for all but the last two rows of the table is
//!
//! ```
//! # use tower_openmetrics::labels::Label;
//! use axum::extract::MatchedPath;
//!
//! let route = Label::route(|head| Some(head.extensions.get::<MatchedPath>()?.as_str()));
//! ```
//!
//! The layer goes onto the router, by `Router::layer` or `Router::route_layer`: there it is asked after the router has looked for a
//! route and before the handler runs. What it knows, of a request to `/api/…`:
//!
//! | answered by | layer on the router | layer on a router inside, or around a mounted service |
//! |---|---|---|
//! | `.nest("/api", router)` with `.route("/items/{id}", …)` | `/api/items/{id}` | the same |
//! | the same route, which does not have this method | `/api/items/{id}` | the same |
//! | `fallback` of the outermost router | `none` | |
//! | `.route_service("/api/{*rest}", service)` | `/api/{*rest}` | the same |
//! | `.nest_service("/api", router)` with `.route("/items/{id}", …)` | `none` | `/api/items/{id}` |
//! | `.nest_service("/api", service)` | `none` (`/api` of `/api` itself) | `/api` |
//! | `fallback` of a router that is nested | `none` | `/api` |
//!
//! So prefer `nest` for routers, which flattens them, and give a mounted service a layer of its own, a clone of the one that the routes have:
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
//!     // After the layer, which would see it again.
//!     .nest_service("/static", metrics.layer(files));
//! ```
//!
//! ## Around the whole router
//!
//! A layer around a router, by [`ServiceBuilder`](https://docs.rs/tower/latest/tower/struct.ServiceBuilder.html) or
//! [`Layer::layer`](tower_layer::Layer::layer), works as well, and sees requests before they are routed: it can't know a route at the
//! beginning of a call. It can learn it from the response, if a middleware on the router leaves it there:
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
//! .max_len(usize::MAX); // templates are the program's own
//! let metrics = MetricsLayer::builder().label(route).build([("endpoint", "shop")])?;
//! let app: Router = Router::new()
//!     .route("/items/{id}", get(async || "an item"))
//!     .route_layer(middleware::from_fn(tell_route));
//! let app = metrics.layer(app);
//! # Ok(())
//! # }
//! ```
//!
//! It is a label of the response then: `concurrent_requests` and `request_bytes_total` don't carry it, and a call that
//! has no response, because its caller went away or it panicked, says `none`.

#[cfg(feature = "axum-route")]
mod axum;
mod constant;
mod given;
pub(crate) mod grpc;
mod http;
mod label;
#[cfg(not(feature = "axum-route"))]
mod no_axum;
mod schema;
mod source;
mod text;
mod values;

pub use self::given::ConstantLabels;
pub use self::http::{LongLived, RequestHead, is_long_lived};
pub use self::label::Label;

pub(crate) use self::constant::{Labels, is_plain_name};
pub(crate) use self::schema::{Carrier, Declared, Known, Schema};
pub(crate) use self::source::{MOMENTS, Moment};
pub(crate) use self::text::{Added, LabelStr, LabelText, LabelTexts, Span, push_escaped};
pub(crate) use self::values::{KeptValue, Value, Values};

/// Stands in for a value that there is no room for.
pub(crate) const OTHER: &str = "_OTHER";
