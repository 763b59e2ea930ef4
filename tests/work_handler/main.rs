//! The example `work_handler` over real loopback connections: every outcome by itself, and all of them
//! together.
//!
//! No test depends on a sleep. Work that must follow a broken connection waits until the worker has
//! seen the break. Every other wait is bounded by `within`.
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

/// Maximum time of a wait, after which the test fails.
const BOUND: Duration = Duration::from_secs(60);

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    let result = timeout(BOUND, future).await;
    result.unwrap_or_else(|_| panic!("nothing happened within {BOUND:?}"))
}
