//! Assertions about the metrics of your own service, in your own tests.
//!
//! Take a [`Snapshot`], make calls, and compare what has changed with [`assert_metrics!`](crate::assert_metrics):
//!
//! ```
//! use std::time::Duration;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_openmetrics::testing::{Snapshot, wait_until_idle};
//! use tower_openmetrics::{Clock, MetricsLayer, assert_metrics};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Clock::manual();
//! let metrics = MetricsLayer::unary_builder()
//!     .clock(clock)
//!     .build([("endpoint", "words")])?;
//! let service = metrics.layer(service_fn(async |text: String| {
//!     clock.advance(Duration::from_millis(250));
//!     match text.is_empty() {
//!         true => Err("no text"),
//!         false => Ok(text.split(' ').count().to_string()),
//!     }
//! }));
//!
//! let before = Snapshot::of(metrics.registry());
//! service.clone().oneshot("to be or not".to_owned()).await?;
//! service.oneshot(String::new()).await.unwrap_err();
//! wait_until_idle(metrics.registry(), Duration::from_secs(5)).await;
//!
//! assert_metrics!(metrics.registry().since(&before), {
//!     "requests_total" {endpoint = "words"} => 2,
//!     "errors_total" {endpoint = "words", error_type = "generate"} => 1,
//!     // Whatever the other labels are. Adds up all that match.
//!     "errors_total" {..} => 1,
//!     "concurrent_requests" {endpoint = "words"} => 0,
//!     // A histogram has observed these, as far as its buckets tell.
//!     "request_duration_seconds" {endpoint = "words"} => [0.25, 0.25],
//! });
//! # Ok(())
//! # }
//! ```
//!
//! A test that fails says what differs, line by line, and which series may have been meant:
//!
//! ```text
//! the metrics differ:
//!   requests_total{endpoint="words"}: expected 3, found 2
//!   errors_total{endpoint="words",error_type="generated"}: expected 1, found no such series
//!     nearest: errors_total{endpoint="words",error_type="generate"} 1
//! ```
//!
//! A layer that makes its own registry makes each test independent of all others. A [manual clock](crate::Clock::manual)
//! makes durations exact.
//!
//! Enable the feature for tests only:
//!
//! ```toml
//! [dev-dependencies]
//! tower-openmetrics = { version = "0.1", features = ["testing"] }
//! ```

mod compare;
mod expectations;
mod histogram;
mod idle;
mod macros;
mod nearest;
mod snapshot;

pub use self::expectations::{ABSENT, Expected};
#[doc(hidden)]
pub use self::expectations::{Expectations, Pattern};
pub use self::idle::wait_until_idle;
pub use self::snapshot::Snapshot;
