//! The examples `llm_frontend` and `llm_worker` over real loopback connections.
//!
//! No test depends on a sleep: the worker only makes a token when a test permits it, and every wait is
//! bounded.
#![cfg(feature = "server")]
#![allow(clippy::duplicate_mod, reason = "each example is a program of its own")]

mod cancellation;
mod chain;
mod chats;
mod forwarding;
mod problems;

#[allow(dead_code, reason = "the process around it is not used")]
#[path = "../../examples/llm_frontend.rs"]
mod llm_frontend;
#[allow(dead_code, reason = "the process around it is not used")]
#[path = "../../examples/llm_worker.rs"]
mod llm_worker;

use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;

/// Maximum time of a wait, after which the test fails.
const BOUND: Duration = Duration::from_secs(60);

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    let result = timeout(BOUND, future).await;
    result.unwrap_or_else(|_| panic!("nothing happened within {BOUND:?}"))
}
