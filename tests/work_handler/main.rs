//! The example `work_handler` over real loopback connections: every way in which a call
//! can end, by a cause of its own, and all of them at once.
//!
//! Nothing here sleeps to be right. What has to happen after a connection has broken waits until the
//! worker itself has seen that; every other wait is bounded by `within`.
#![cfg(feature = "server")]

mod client;
mod endings;
mod load;
mod numbers;
mod worker;

#[allow(dead_code, reason = "the process around the work is not used")]
#[path = "../../examples/work_handler.rs"]
mod work_handler;

use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;

/// How long a wait may take before its test fails: far more than it needs.
const BOUND: Duration = Duration::from_secs(60);

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    let result = timeout(BOUND, future).await;
    result.unwrap_or_else(|_| panic!("nothing happened within {BOUND:?}"))
}
