//! The example `reverse_proxy` over loopback connections: what it forwards, and what its layers count on both sides.

mod endings;
mod heads;
#[allow(dead_code, reason = "the process around it is not used")]
#[path = "../../examples/reverse_proxy.rs"]
mod reverse_proxy;
mod streaming;
mod upgrades;
#[path = "../wire_support/mod.rs"]
mod wire_support;

use self::reverse_proxy::Proxy;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower_openmetrics::{Format, MetricsRegistry};

/// A proxy that runs until the end of its test.
struct Running {
    address: SocketAddr,
    registry: MetricsRegistry,
}

impl Running {
    async fn before(upstream: SocketAddr) -> Self {
        let registry = MetricsRegistry::new();
        let authority = upstream.to_string().parse().unwrap();
        let proxy = Proxy::new(authority, &registry).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(proxy.serve(listener, CancellationToken::new()));
        Self { address, registry }
    }

    fn page(&self) -> String {
        self.registry.encode(Format::Prometheus).unwrap()
    }

    /// Scrapes until the page has all these lines.
    async fn shows(&self, lines: &[&str]) {
        const BOUND: Duration = Duration::from_secs(10);
        let deadline = Instant::now() + BOUND;
        loop {
            let page = self.page();
            let missing = |line: &&&str| !page.lines().any(|one| one == **line);
            match lines.iter().find(missing) {
                None => return,
                Some(line) => assert!(Instant::now() < deadline, "{line} is not in\n{page}"),
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
}
