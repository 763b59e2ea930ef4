//! tonic's servers and clients over real HTTP/2, each with a layer. Both layers count each call alike.

#![cfg(test)]

mod calls;
mod clients;
mod deadlines;
mod disconnects;
#[path = "../../examples/tonic.rs"]
#[allow(dead_code, reason = "its `main` is not called here")]
mod example;
mod numbers;
mod other;
mod running;
mod service;
mod transports;

use std::future::Future;
use std::time::Duration;

/// Maximum time of a wait, after which the test fails.
const BOUND: Duration = Duration::from_secs(10);

/// Waits within the bound.
#[track_caller]
fn bounded<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let timeout = tokio::time::timeout(BOUND, future);
    async move {
        match timeout.await {
            Ok(output) => output,
            Err(_) => panic!("{what}: not within {BOUND:?}"),
        }
    }
}
