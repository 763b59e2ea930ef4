//! The status server over real loopback connections.
//!
//! No test measures time. A test that shows the absence of a wait sets every other limit to an
//! hour and bounds the wait with `within`.
#![cfg(feature = "server")]

mod answers;
mod client;
mod clients;
mod listen;
mod metrics;
mod shutdown;
mod watch;

use crate::client::within;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tower_openmetrics::server::{StatusServer, StatusServerHandle};
use tower_openmetrics::{Clock, MetricsRegistry};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const SHORT: Duration = Duration::from_millis(100);

/// A server whose timeouts never expire within a test.
pub(crate) fn patient() -> StatusServer {
    StatusServer::new()
        .host("127.0.0.1")
        .header_timeout(HOUR)
        .read_timeout(HOUR)
        .write_timeout(HOUR)
        .shutdown_grace(HOUR)
}

pub(crate) async fn start(server: StatusServer, registry: &MetricsRegistry) -> StatusServerHandle {
    let bound = server.bind(registry.exporter()).await;
    bound.expect("a free port").spawn()
}

pub(crate) async fn start_empty(server: StatusServer) -> StatusServerHandle {
    start(server, &MetricsRegistry::with_clock(Clock::manual())).await
}

/// Returns once `addr` refuses connections.
pub(crate) async fn refused(addr: SocketAddr) {
    within(async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
