use super::accept;
use super::health::Health;
use super::limits::Limits;
use super::routes::Routes;
use crate::error::Error;
use crate::exporter::MetricsExporter;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A status server whose port is open, made by
/// [`StatusServer::bind`](super::StatusServer::bind).
///
/// It answers once [`serve_with_shutdown`](Self::serve_with_shutdown) is
/// awaited, or [`spawn`](Self::spawn)ed.
#[derive(Debug)]
#[must_use = "a bound status server answers nobody until it serves"]
pub struct BoundStatusServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    routes: Routes,
    health: Health,
    limits: Limits,
    runtime: Handle,
}

/// A status server that serves on a task of its own, made by
/// [`BoundStatusServer::spawn`].
///
/// To drop it stops the server and cuts every connection off;
/// [`shutdown`](Self::shutdown) lets the requests on their way finish first.
#[derive(Debug)]
#[must_use = "the status server stops when its handle is dropped"]
pub struct StatusServerHandle {
    local_addr: SocketAddr,
    health: Health,
    // Taken when it is sent, which is once.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

// === impl BoundStatusServer ===

impl BoundStatusServer {
    pub(super) async fn bind(
        host: &str,
        port: u16,
        exporter: MetricsExporter,
        health: Health,
        limits: Limits,
    ) -> Result<Self, Error> {
        let failed = |source: io::Error| {
            let message = format!("the status server can't listen on {}", join(host, port));
            Error::new(message).with_source(source)
        };
        let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            local_addr,
            routes: Routes::new(exporter, health.clone()),
            health,
            limits,
            runtime: Handle::current(),
        })
    }

    /// The address that it listens on, with the port that was picked where 0
    /// was asked for. An unspecified address, as in `0.0.0.0`, means all of the
    /// machine's: log this one, which says who can reach it.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The handle by which the process tells its health.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves until `signal` is ready, then shuts down gracefully: nobody is
    /// accepted any more, connections that wait for their next request are
    /// closed, and requests on their way are answered, unless that takes
    /// longer than [`shutdown_grace`](super::StatusServer::shutdown_grace).
    ///
    /// No task and no connection is left when it returns. To drop the future
    /// cuts every connection off.
    pub async fn serve_with_shutdown(self, signal: impl Future<Output = ()>) {
        let Self {
            listener,
            local_addr: _,
            routes,
            health: _,
            limits,
            runtime,
        } = self;
        accept::serve(listener, routes, limits, runtime, signal).await;
    }

    /// Serves on a task of its own in the runtime that it was bound in, for as
    /// long as the handle is kept.
    pub fn spawn(self) -> StatusServerHandle {
        let (stop, stopped) = oneshot::channel();
        let local_addr = self.local_addr;
        let health = self.health.clone();
        let runtime = self.runtime.clone();
        let task = runtime.spawn(self.serve_with_shutdown(async move {
            // Whether it was sent or dropped, it says the same.
            let _ = stopped.await;
        }));
        StatusServerHandle {
            local_addr,
            health,
            stop: Some(stop),
            task,
        }
    }
}

// === impl StatusServerHandle ===

impl StatusServerHandle {
    /// The address that the server listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The handle by which the process tells its health.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Shuts down gracefully, as
    /// [`serve_with_shutdown`](BoundStatusServer::serve_with_shutdown) does
    /// after its signal. To drop the future is to drop the handle.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // It fails only when the runtime ends before, and the server with it.
        let _ = (&mut self.task).await;
    }
}

impl Drop for StatusServerHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `host:port`, with the brackets of an IPv6 address.
fn join(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
