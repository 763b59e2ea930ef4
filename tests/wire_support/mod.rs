//! Loopback connections: a server, clients that misbehave, scripted handlers, and the numbers of a page.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test crate uses a part of it"
)]

mod handler;
mod http1;
mod http2;
mod page;
mod server;

pub(crate) use self::handler::{Handler, Handlers, Scripted, Step, data, trailers};
pub(crate) use self::http1::Http1;
pub(crate) use self::http2::{Http2, Stream};
pub(crate) use self::page::Numbers;
pub(crate) use self::server::Server;

use std::future::Future;
use std::time::Duration;

/// Longer than any step takes.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// Waits with a time limit.
#[track_caller]
pub(crate) fn bounded<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let timeout = tokio::time::timeout(BOUND, future);
    async move {
        match timeout.await {
            Ok(output) => output,
            Err(_) => panic!("{what}: not within {BOUND:?}"),
        }
    }
}
