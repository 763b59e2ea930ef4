//! Labels: those that a layer puts on all its metrics, and those that a request brings.
//!
//! *Constant* labels are given to [`MetricsLayer::new`](crate::MetricsLayer::new) or
//! [`build`](crate::MetricsLayerBuilder::build). Labels *of a request* are opt-in, a [`Label`] each:
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
//! # Which metric carries which label
//!
//! A metric carries what is known at its moment, and a histogram, which is a dozen series for every set of labels,
//! may leave labels out.
//!
//! | metrics | move | labels of the request | labels of the response | the code |
//! |---|---|---|---|---|
//! | `concurrent_requests`, `request_bytes_total`, `request_messages_total` | from the beginning | yes, [unless told otherwise](Label::at_begin) | no | no |
//! | `response_bytes_total`, `response_messages_total`, `response_head_seconds`, `first_byte_seconds` | from the response's head | yes | yes | no |
//! | `requests_total`, `errors_total`, `cancellations_total` | at the end | yes | yes | yes |
//! | `request_duration_seconds`, `stream_duration_seconds` | at the end | yes, [unless told otherwise](Label::on_duration) | those of [`from_response`](Label::from_response); the [status](Label::status) [if told so](Label::on_duration) | [if told so](Label::on_duration) |
//! | `label_overflow_total`, `uptime_seconds` | | no | no | no |
//!
//! Labels of the request are [`method`](Label::method), [`scheme`](Label::scheme), [`version`](Label::version),
//! [`route`](Label::route), [`grpc_service`](Label::grpc_service), [`grpc_method`](Label::grpc_method) and those made [`from_request`](Label::from_request); labels of the response are
//! [`status`](Label::status), [`status_class`](Label::status_class) and those made [`from_response`](Label::from_response), which is how a
//! handler gives a label late: it puts a value into its response's extensions. Where a value does not exist, because
//! no route matched or no response came, the label says [`none`](Label::absent).
//!
//! # How many there can be
//!
//! What comes from outside can have any value, so a layer has a budget, of
//! [2,000 label sets](crate::MetricsLayerBuilder::label_sets) unless told otherwise: no metric has more, whatever is
//! sent. What would be one more is recorded under `_OTHER` in every label of a request, together with all else that
//! found no room: nothing is lost, and the sums over all series stay exact. `label_overflow_total` counts
//! the calls for which that happened; it should be 0, and a budget or a label is to be reconsidered where it is not.
//!
//! A value of more than 128 bytes is `_OTHER` too, and so is a method that is not one of HTTP's.
//!
//! A series exists from the first call that it counts. One that is to stand at 0 before that, so that the first call
//! shows as an increase, can be [declared](crate::MetricsLayerBuilder::declare).

mod constant;
pub(crate) mod grpc;
mod http;
mod label;
mod schema;
mod text;
mod values;

pub use self::http::{LongLived, RequestHead, is_long_lived};
pub use self::label::Label;

pub(crate) use self::constant::{Labels, is_plain_name, push_escaped};
pub(crate) use self::schema::{Carrier, Declared, Known, Schema};
pub(crate) use self::text::LabelText;
pub(crate) use self::values::Values;

/// Stands in for a value that there is no room for.
pub(crate) const OTHER: &str = "_OTHER";
