//! Exact OpenMetrics and Prometheus metrics for any [`tower::Service`].
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
pub mod exporter;
mod exposition;
mod registry;
#[cfg(feature = "server")]
pub mod server;

pub use self::error::Error;
pub use self::exporter::MetricsExporter;
pub use self::registry::MetricsRegistry;
