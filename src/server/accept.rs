use super::activity::Activity;
use super::connection;
use super::limits::Limits;
use super::routes::Routes;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Pause between two evictions. The first connection may have become active again and stay open. Also the pause after a
/// failed `accept`, usually because the process has no file descriptor left.
const EVICTION_PAUSE: Duration = Duration::from_millis(50);

/// The connections of one server, each on its own task. Dropping it aborts the tasks.
struct Connections {
    tasks: JoinSet<()>,
    open: Vec<Connection>,
    stop: watch::Sender<bool>,
    routes: Arc<Routes>,
    limits: Limits,
    runtime: Handle,
}

struct Connection {
    task: AbortHandle,
    activity: Arc<Activity>,
}

/// Accepts and serves connections until `shutdown` completes, then lets them finish within the
/// grace period.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Routes,
    limits: Limits,
    runtime: Handle,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let mut connections = Connections {
        tasks: JoinSet::new(),
        open: Vec::new(),
        stop: watch::Sender::new(false),
        routes: Arc::new(routes),
        limits,
        runtime,
    };
    // One connection beyond the limit is accepted. It waits until another one has been evicted.
    let mut waiting: Option<TcpStream> = None;
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.tasks.join_next() => {
                connections.open.retain(|connection| !connection.task.is_finished());
                if let Some(stream) = waiting.take() {
                    connections.serve(stream);
                }
            }
            () = evict(&connections.open), if waiting.is_some() => {}
            stream = accept(&listener, &connections.open), if waiting.is_none() => {
                if connections.has_room() {
                    connections.serve(stream);
                } else {
                    waiting = Some(stream);
                }
            }
        }
    }
    // New clients are refused at once instead of waiting in the backlog.
    drop(listener);
    drop(waiting);
    connections.shutdown().await;
}

// === impl Connections ===

impl Connections {
    fn has_room(&self) -> bool {
        self.tasks.len() < self.limits.max_connections
    }

    fn serve(&mut self, stream: TcpStream) {
        let activity = Arc::new(Activity::new());
        let connection = connection::serve(
            stream,
            Arc::clone(&self.routes),
            self.limits,
            Arc::clone(&activity),
            self.stop.subscribe(),
        );
        let task = self.tasks.spawn_on(connection, &self.runtime);
        self.open.push(Connection { task, activity });
    }

    async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let all_done = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(self.limits.shutdown_grace, all_done).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// Evicts the connection that has waited longest for its client. All others close after their next
/// response, so that busy clients can't occupy every connection.
///
/// Returns when another one may be evicted, if there is still no room.
async fn evict(open: &[Connection]) {
    let all = || open.iter().map(|connection| &connection.activity);
    all().for_each(|activity| activity.close_after_response());
    let candidates = all().filter_map(|activity| Some((activity.candidate()?, activity)));
    let due = candidates.filter(|(candidate, _)| candidate.is_due());
    if let Some((_, activity)) = due.min_by_key(|(candidate, _)| candidate.rank) {
        activity.request_eviction();
    }
    sleep(EVICTION_PAUSE).await;
}

/// Returns the next connection.
///
/// An error does not end the listener. Either one client left before it was accepted, or the
/// process lacks a resource. Evicting a connection may free that resource.
async fn accept(listener: &TcpListener, open: &[Connection]) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_client_error(&error) => {}
            Err(_) => evict(open).await,
        }
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
