//! Process, runtime and build metrics. Each takes one line:
//!
//! | line | shows |
//! |---|---|
#![cfg_attr(
    feature = "process",
    doc = "| `registry.register_collector(ProcessCollector::new())` | `process_*`: see [`ProcessCollector`] |"
)]
#![cfg_attr(
    not(feature = "process"),
    doc = "| `registry.register_collector(ProcessCollector::new())` | `process_*`, with the feature `process` |"
)]
//! | `registry.register_collector(TokioCollector::new(&Handle::current()))` | `tokio_*`: see [`TokioCollector`] |
//! | [`registry.build_info([("version", "1.2.3")])`](crate::MetricsRegistry::build_info) | `build_info` |
//! | [`registry.target_info([("service_name", "cart")])`](crate::MetricsRegistry::target_info) | `target_info` |
//!
//! Metrics of the exporter itself are one of its settings: [`MetricsExporter::self_metrics`].
//!
//! The two collectors implement prometheus-client's [`Collector`], so they can also be registered in a
//! registry of that crate. They read their numbers at each scrape and keep no state, so any number of
//! scrapers get the same numbers.
//!
//! [`MetricsExporter::self_metrics`]: crate::MetricsExporter::self_metrics
//! [`Collector`]: prometheus_client::collector::Collector
//!
#![cfg_attr(feature = "process", doc = "```")]
#![cfg_attr(not(feature = "process"), doc = "```ignore")]
//! use tokio::runtime::Handle;
//! use tower_openmetrics::MetricsRegistry;
//! use tower_openmetrics::collectors::{ProcessCollector, TokioCollector};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openmetrics::Error> {
//! let registry = MetricsRegistry::new();
//! registry.register_collector(ProcessCollector::new())?;
//! registry.register_collector(TokioCollector::new(&Handle::current()))?;
//! registry.build_info([("version", env!("CARGO_PKG_VERSION"))])?;
//! let exporter = registry.exporter().self_metrics()?;
//! # Ok(())
//! # }
//! ```

mod build;
mod include;
#[cfg(feature = "process")]
mod process;
mod tokio;

#[cfg(feature = "process")]
pub use self::process::ProcessCollector;
pub use self::tokio::TokioCollector;
