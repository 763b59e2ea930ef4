//! Exact OpenMetrics and Prometheus metrics for any [`tower::Service`].
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]

pub mod body;
mod builder;
mod call;
pub mod classify;
mod clock;
mod error;
pub mod exporter;
mod exposition;
mod future;
mod labels;
mod layer;
pub mod message;
pub mod protocol;
pub mod publish;
mod recorder;
mod registry;
#[cfg(feature = "server")]
pub mod server;
mod service;
pub mod stream;
mod sync;

pub use self::body::{RequestBody, ResponseBody};
pub use self::builder::MetricsLayerBuilder;
pub use self::call::{Call, CallHandle};
pub use self::classify::ErrorType;
pub use self::clock::Clock;
pub use self::error::Error;
pub use self::exporter::MetricsExporter;
pub use self::future::ResponseFuture;
pub use self::layer::MetricsLayer;
pub use self::message::Message;
pub use self::registry::MetricsRegistry;
pub use self::service::Metrics;
pub use self::stream::{RequestStream, ResponseStream};
