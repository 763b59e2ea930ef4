use super::accept;
use super::health::Health;
use super::limits::Limits;
use super::paths::Paths;
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

/// A status server whose port is open. Returned by
/// [`StatusServer::bind`](super::StatusServer::bind).
///
/// It responds once [`serve_with_shutdown`](Self::serve_with_shutdown) is awaited or
/// [`spawn`](Self::spawn) is called.
#[derive(Debug)]
#[must_use = "a bound status server does nothing unless it serves"]
pub struct BoundStatusServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    routes: Routes,
    health: Health,
    limits: Limits,
    runtime: Handle,
}

/// A status server that runs on its own task. Returned by [`BoundStatusServer::spawn`].
///
/// Dropping the handle stops the server and closes every connection at once.
/// [`shutdown`](Self::shutdown) lets requests in flight finish first.
#[derive(Debug)]
#[must_use = "the status server stops when its handle is dropped"]
pub struct StatusServerHandle {
    local_addr: SocketAddr,
    health: Health,
    // Taken when the signal is sent.
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
        paths: Paths,
        limits: Limits,
    ) -> Result<Self, Error> {
        let failed = |source: io::Error| {
            let address = host_and_port(host, port);
            let message = format!("the status server can't listen on {address}");
            Error::new(message).with_source(source)
        };
        let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            local_addr,
            routes: Routes::new(exporter, health.clone(), paths),
            health,
            limits,
            runtime: Handle::current(),
        })
    }

    /// Returns the address that the server listens on, with the real port if port 0 was
    /// requested.
    ///
    /// `0.0.0.0` and `::` mean every interface of the machine.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns a handle to set the health that `/health` reports.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves until `signal` completes, then shuts down gracefully.
    ///
    /// A graceful shutdown accepts no new connections, closes idle ones, and responds to the
    /// requests in flight. Requests that take longer than
    /// [`shutdown_grace`](super::StatusServer::shutdown_grace) are dropped.
    ///
    /// All tasks and connections have ended when it returns. Dropping the future closes every
    /// connection at once.
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

    /// Spawns a task that serves until the returned handle is dropped.
    ///
    /// The task runs in the runtime in which the server was bound.
    pub fn spawn(self) -> StatusServerHandle {
        let (stop, stopped) = oneshot::channel();
        let local_addr = self.local_addr;
        let health = self.health.clone();
        let runtime = self.runtime.clone();
        let task = runtime.spawn(self.serve_with_shutdown(async move {
            // A dropped sender stops the server too.
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
    /// Returns the address that the server listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns a handle to set the health that `/health` reports.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Shuts down gracefully, as
    /// [`serve_with_shutdown`](BoundStatusServer::serve_with_shutdown) does after its signal.
    ///
    /// Dropping the future drops the handle.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // Fails only if the runtime has shut down, and the server with it.
        let _ = (&mut self.task).await;
    }
}

impl Drop for StatusServerHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns `host:port`, with an IPv6 address in brackets.
fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
