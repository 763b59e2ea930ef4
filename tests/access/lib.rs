//! The example `secure_exporter` over real loopback connections, against those who may read its page
//! and those who may not.
#![cfg(test)]

mod certificates;
mod client;
mod credentials;
mod server;
mod settings;
mod tls;

#[allow(dead_code, reason = "the process around it is not used")]
#[path = "../../examples/secure_exporter.rs"]
mod secure_exporter;

use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;

/// How long a wait may take before its test fails: far more than it needs.
const BOUND: Duration = Duration::from_secs(60);

async fn within<F: Future>(future: F) -> F::Output {
    let result = timeout(BOUND, future).await;
    result.unwrap_or_else(|_| panic!("nothing happened within {BOUND:?}"))
}
