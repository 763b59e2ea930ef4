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

/// How long to wait when the process can't take a connection at all, most
/// often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long to wait for a connection that was asked to make room, before
/// another one is asked: it may have come to life in time.
const ROOM_PAUSE: Duration = Duration::from_millis(50);

/// The connections of one server, each on a task of its own. To drop them is
/// to end the tasks.
struct Connections {
    tasks: JoinSet<()>,
    activities: Activities,
    stop: watch::Sender<bool>,
    routes: Arc<Routes>,
    limits: Limits,
    runtime: Handle,
}

/// What the connections' clients do, by the connections' tasks.
#[derive(Default)]
struct Activities(HashMap<Id, Arc<Activity>>);

/// Accepts and serves connections until `shutdown` is ready, then lets them
/// finish for as long as the grace lasts.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Routes,
    limits: Limits,
    runtime: Handle,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let mut connections = Connections::new(routes, limits, runtime);
    // One connection is accepted past the limit: it is how a crowd shows.
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
            never = connections.activities.make_room(), if waiting.is_some() => match never {},
            stream = accept(&listener, &connections.activities), if waiting.is_none() => {
                if connections.has_room() {
                    connections.serve(stream);
                } else {
                    waiting = Some(stream);
                }
            }
        }
    }
    // Whoever connects from here on is refused at once instead of left waiting.
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

    /// Has connections closed, one after the other, for as long as it is polled.
    async fn make_room(&self) -> Infallible {
        loop {
            sleep_until(self.want_room()).await;
        }
    }

    /// Has the connection closed that has waited longest for its client. The
    /// others will end with their next answer, lest clients that always have
    /// something to ask keep all places.
    ///
    /// Returns when to do so again, should there be no room by then.
    fn want_room(&self) -> Instant {
        let now = Instant::now();
        let again = now + ROOM_PAUSE;
        self.0
            .values()
            .for_each(|activity| activity.end_with_answer());
        let spares = || {
            let all = self.0.values();
            all.filter_map(|activity| Some((activity.spare()?, activity)))
        };
        let longest = spares()
            .filter(|(spare, _)| spare.from <= now)
            .min_by_key(|(spare, _)| spare.order);
        if let Some((_, activity)) = longest {
            activity.want_room();
            return again;
        }
        self.0.values().for_each(|activity| activity.want_room());
        spares().fold(again, |again, (spare, _)| again.min(spare.from))
    }
}

/// The next connection. An error is not the listener's end: either one client
/// went away before it was accepted, or the process lacks something that it
/// may have again later, and that a connection less may give it.
async fn accept(listener: &TcpListener, activities: &Activities) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_one_client(&error) => {}
            Err(_) => {
                activities.want_room();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
