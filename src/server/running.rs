use super::connection::{self, Shared};
use super::health::Health;
use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

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
    pub(super) shared: Arc<Shared>,
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

/// Pause after a failed `accept`, usually because the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(50);

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
        self.shared.routes.health.clone()
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
        let (listener, shared) = (self.listener, self.shared);
        let limits = shared.limits;
        // A change has each connection close after its next response. `true` closes idle ones at once, too.
        let closing = watch::Sender::new(false);
        let make_room = || {
            // Otherwise busy clients could occupy every connection.
            closing.send_replace(false);
            shared.evictions.notify_one();
        };
        let mut signal = pin!(signal);
        // Dropping it aborts the connections.
        let mut connections = JoinSet::new();
        // One connection beyond the limit is accepted. It waits until another one has ended.
        let mut waiting = None;
        loop {
            if connections.len() < limits.max_connections
                && let Some(stream) = waiting.take()
            {
                // There is room, so a notification that no connection has taken is void.
                tokio::select! {
                    biased;
                    () = shared.evictions.notified() => {}
                    () = ready(()) => {}
                }
                let connection =
                    connection::serve(stream, Arc::clone(&shared), closing.subscribe());
                connections.spawn_on(connection, &self.runtime);
            }
            tokio::select! {
                biased;
                () = &mut signal => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept(), if waiting.is_none() => match accepted {
                    Ok((stream, _)) => {
                        waiting = Some(stream);
                        if connections.len() >= limits.max_connections {
                            make_room();
                        }
                    }
                    // One client left before it was accepted.
                    Err(error) if is_client_error(&error) => {}
                    // The process lacks a resource. Evicting a connection may free it.
                    Err(_) => {
                        make_room();
                        sleep(PAUSE).await;
                    }
                }
            }
        }
        // New clients are refused at once instead of waiting in the backlog.
        drop(listener);
        drop(waiting);
        closing.send_replace(true);
        let all_end = async { while connections.join_next().await.is_some() {} };
        if timeout(limits.shutdown_grace, all_end).await.is_err() {
            connections.shutdown().await;
        }
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

fn is_client_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
