//! The examples `llm_frontend` and `llm_worker` over real loopback connections.
//!
//! Nothing here sleeps to be right: the worker makes a token only when a test lets it, and every
//! wait has a bound.
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

/// How long a wait may take before its test fails: far more than it needs.
const BOUND: Duration = Duration::from_secs(60);

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    let result = timeout(BOUND, future).await;
    result.unwrap_or_else(|_| panic!("nothing happened within {BOUND:?}"))
}
