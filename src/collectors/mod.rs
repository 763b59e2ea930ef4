//! What a process tells of itself, each in one line: its cpu, memory and files, its tokio runtime,
//! what was built and where it runs.
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
//! The exporter's own numbers are a setting of it: [`MetricsExporter::self_metrics`].
//!
//! The two collectors are prometheus-client's [`Collector`]s, so a registry of that crate's takes them
//! as well. Each reads when it is scraped and keeps nothing in between, so that any number of scrapers get the
//! same numbers.
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
#[cfg(feature = "process")]
mod process;
mod tokio;

#[cfg(feature = "process")]
pub use self::process::ProcessCollector;
pub use self::tokio::TokioCollector;
