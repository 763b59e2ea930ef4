use super::accept;
use super::config::Limits;
use super::health::Health;
use super::routes::Routes;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A status server whose port is open. Returned by
/// [`StatusServer::bind`](super::StatusServer::bind).
///
/// It responds once [`serve_with_shutdown`](Self::serve_with_shutdown) is awaited or
/// [`spawn`](Self::spawn) is called.
#[derive(Debug)]
#[must_use = "a bound status server does nothing unless it serves"]
pub struct BoundStatusServer {
    pub(super) listener: TcpListener,
    pub(super) local_addr: SocketAddr,
    pub(super) routes: Routes,
    pub(super) limits: Limits,
    pub(super) runtime: Handle,
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
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

// === impl BoundStatusServer ===

impl BoundStatusServer {
    /// Returns the address that the server listens on, with the real port if port 0 was
    /// requested.
    ///
    /// `0.0.0.0` and `::` mean every interface of the machine.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns a handle to set the health that `/health` reports.
    pub fn health(&self) -> Health {
        self.routes.health.clone()
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
        accept::serve(self, signal).await;
    }

    /// Spawns a task that serves until the returned handle is dropped.
    ///
    /// The task runs in the runtime in which the server was bound.
    pub fn spawn(self) -> StatusServerHandle {
        let (local_addr, health) = (self.local_addr(), self.health());
        let runtime = self.runtime.clone();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let signal = async move { stopped.notified().await };
        StatusServerHandle {
            local_addr,
            health,
            stop,
            task: runtime.spawn(self.serve_with_shutdown(signal)),
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
        self.stop.notify_one();
        // Fails only if the runtime has shut down, and the server with it.
        let _ = (&mut self.task).await;
    }
}

impl Drop for StatusServerHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}
