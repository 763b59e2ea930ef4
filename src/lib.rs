//! Exact OpenMetrics and Prometheus metrics for any [`tower::Service`].
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]

pub mod body;
mod call;
pub mod classify;
mod clock;
mod error;
pub mod exporter;
mod exposition;
mod future;
mod labels;
mod layer;
pub mod protocol;
mod recorder;
mod registry;
#[cfg(feature = "server")]
pub mod server;
mod service;
mod sync;

pub use self::body::{RequestBody, ResponseBody};
pub use self::call::{Call, Upload};
pub use self::classify::ErrorType;
pub use self::clock::Clock;
pub use self::error::Error;
pub use self::exporter::MetricsExporter;
pub use self::future::ResponseFuture;
pub use self::layer::{MetricsLayer, MetricsLayerBuilder};
pub use self::registry::MetricsRegistry;
pub use self::service::Metrics;
