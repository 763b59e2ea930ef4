use super::activity::Activity;
use super::connection;
use super::limits::Limits;
use super::routes::Routes;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Pause after a failed `accept`, usually because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Pause between two evictions. The first connection may have become active again and stay open.
const EVICTION_PAUSE: Duration = Duration::from_millis(50);

/// The connections of one server, each on its own task. Dropping it aborts the tasks.
struct Connections {
    tasks: JoinSet<()>,
    activities: Activities,
    stop: watch::Sender<bool>,
    routes: Arc<Routes>,
    limits: Limits,
    runtime: Handle,
}

/// The activity of each connection, by the id of its task.
#[derive(Default)]
struct Activities(HashMap<Id, Arc<Activity>>);

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
    let mut connections = Connections::new(routes, limits, runtime);
    // One connection beyond the limit is accepted. It waits until another one has been evicted.
    let mut waiting: Option<TcpStream> = None;
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.tasks.join_next_with_id() => {
                connections.activities.forget(ended);
                if let Some(stream) = waiting.take() {
                    connections.serve(stream);
                }
            }
            never = connections.activities.evict(), if waiting.is_some() => match never {},
            stream = accept(&listener, &connections.activities), if waiting.is_none() => {
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
    fn new(routes: Routes, limits: Limits, runtime: Handle) -> Self {
        Self {
            tasks: JoinSet::new(),
            activities: Activities::default(),
            stop: watch::Sender::new(false),
            routes: Arc::new(routes),
            limits,
            runtime,
        }
    }

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
        self.activities.0.insert(task.id(), activity);
    }

    async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let all_done = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(self.limits.shutdown_grace, all_done).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

// === impl Activities ===

impl Activities {
    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        self.0.remove(&id);
    }

    /// Evicts one connection after another for as long as it is polled.
    async fn evict(&self) -> Infallible {
        loop {
            sleep_until(self.evict_one()).await;
        }
    }

    /// Evicts the connection that has waited longest for its client. All others close after their
    /// next response, so that busy clients can't occupy every connection.
    ///
    /// Returns when to evict the next one if there is still no room.
    fn evict_one(&self) -> Instant {
        let now = Instant::now();
        let next = now + EVICTION_PAUSE;
        self.0
            .values()
            .for_each(|activity| activity.close_after_response());
        let candidates = || {
            let all = self.0.values();
            all.filter_map(|activity| Some((activity.candidate()?, activity)))
        };
        let first = candidates()
            .filter(|(candidate, _)| candidate.not_before <= now)
            .min_by_key(|(candidate, _)| candidate.rank);
        if let Some((_, activity)) = first {
            activity.request_eviction();
            return next;
        }
        self.0
            .values()
            .for_each(|activity| activity.request_eviction());
        candidates().fold(next, |next, (candidate, _)| next.min(candidate.not_before))
    }
}

/// Returns the next connection.
///
/// An error does not end the listener. Either one client left before it was accepted, or the
/// process lacks a resource. Evicting a connection may free that resource.
async fn accept(listener: &TcpListener, activities: &Activities) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_client_error(&error) => {}
            Err(_) => {
                activities.evict_one();
                sleep(ACCEPT_PAUSE).await;
            }
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
