use super::config::Limits;
use super::connection;
use super::routes::Routes;
use super::running::BoundStatusServer;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Pause after a failed `accept`, usually because the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(50);

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) routes: Routes,
    pub(super) limits: Limits,
    /// Notifies the connection that has waited longest for its client when another client needs its place.
    pub(super) evictions: Notify,
}

/// Accepts and serves connections until `shutdown` completes, then lets them finish within the
/// grace period.
pub(super) async fn serve(server: BoundStatusServer, shutdown: impl Future<Output = ()>) {
    let BoundStatusServer {
        listener,
        local_addr: _,
        routes,
        limits,
        runtime,
    } = server;
    let shared = Arc::new(Shared {
        routes,
        limits,
        evictions: Notify::new(),
    });
    // Sent `false`, each connection closes after its next response. Sent `true`, idle ones close at once.
    let stopping = watch::Sender::new(false);
    let make_room = || {
        // Otherwise busy clients could occupy every connection.
        stopping.send_replace(false);
        shared.evictions.notify_one();
    };
    let mut shutdown = pin!(shutdown);
    // Dropping it aborts the connections.
    let mut connections = JoinSet::new();
    // One connection beyond the limit is accepted. It waits until another one has ended.
    let mut waiting = None;
    loop {
        if connections.len() < limits.max_connections
            && let Some(stream) = waiting.take()
        {
            let connection = connection::serve(stream, Arc::clone(&shared), stopping.subscribe());
            connections.spawn_on(connection, &runtime);
        }
        tokio::select! {
            biased;
            () = &mut shutdown => break,
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
    stopping.send_replace(true);
    let all_end = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.shutdown_grace, all_end).await.is_err() {
        connections.shutdown().await;
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
