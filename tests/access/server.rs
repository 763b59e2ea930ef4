//! The example, as its process starts it.

use crate::certificates::Signed;
use crate::secure_exporter::access::{Credentials, Tls};
use crate::secure_exporter::{Access, SecureExporter};
use crate::within;
use http::Request;
use http_body_util::BodyExt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_openmetrics::MetricsRegistry;

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    registry: MetricsRegistry,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

pub(crate) fn tls(server: &Signed, client_ca: Option<&Path>) -> Tls {
    Tls {
        certificate: server.certificate.clone(),
        key: server.key.clone(),
        client_ca: client_ca.map(Path::to_owned),
    }
}

// === impl Server ===

impl Server {
    pub(crate) async fn start(credentials: Credentials, tls: Option<Tls>) -> Self {
        let registry = MetricsRegistry::new();
        registry.build_info([("version", SECRET)]).unwrap();
        let page = registry.exporter().self_metrics().unwrap();
        let exporter = SecureExporter::new(page, &Access { credentials, tls }).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(exporter.serve(listener, stop.clone()));
        Self {
            addr,
            registry,
            stop,
            task,
        }
    }

    /// How many scrapes have got as far as the exporter. All are over once the server has stopped.
    pub(crate) async fn stop(self) -> u64 {
        self.stop.cancel();
        within(self.task).await.unwrap();
        let scrape = Request::get("/?name[]=metrics_exporter_scrapes_total").body(());
        let Ok(page) = self.registry.exporter().oneshot(scrape.unwrap()).await;
        let page = page.into_body().collect().await.unwrap().to_bytes();
        let page = String::from_utf8(page.into()).unwrap();
        page.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once(' ').expect("a sample").1)
            .map(|count| count.parse::<u64>().expect("a count"))
            .sum()
    }
}

/// Stands on the page, and must not be anywhere else.
pub(crate) const SECRET: &str = "known-to-the-page-alone";
